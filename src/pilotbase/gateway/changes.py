"""What has changed since an epoch: all that a worker needs to keep its view of routes, keys and stops true."""

from dataclasses import dataclass
from typing import Any

from pilotbase.domain.access import AccessKey, Stop
from pilotbase.domain.traffic import Route
from pilotbase.gateway import audit, keys, routes, stops
from pilotbase.store.database import Database

__all__ = ["Changes", "changes_since"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Routes and keys that changed after the epoch that was asked for, and every stop there is.

    `epoch` is to be asked with next. What changed while this was read may be in it already, and comes again then.
    """

    epoch: int
    routes: tuple[Route, ...]
    removed: tuple[str, ...]
    keys: tuple[AccessKey, ...]
    stops: tuple[Stop, ...]

    def document(self) -> dict[str, Any]:
        """The same as JSON's types, as it goes to a worker: `stops` are (kind, name)."""
        return {
            "epoch": self.epoch,
            "routes": [routes.document_of(route) for route in self.routes],
            "removed": list(self.removed),
            "keys": [keys.document_of(key) for key in self.keys],
            "stops": [[stop.kind, stop.name] for stop in self.stops],
        }


def changes_since(database: Database, epoch: int) -> Changes:
    """All changes after `epoch`; with one below 0, everything that there is but the keys, which are looked up one by one."""
    now = audit.stored_epoch(database)  # read first: a change in between is told twice rather than never
    return Changes(
        epoch=now,
        routes=tuple(routes.changed_since(database, epoch)),
        removed=tuple(routes.removed_since(database, epoch)) if epoch >= 0 else (),
        keys=tuple(keys.changed_since(database, epoch)) if epoch >= 0 else (),
        stops=tuple(stops.list_stops(database)),
    )
