"""What is published, with an index over its words that is made anew only after a change."""

import threading
from dataclasses import dataclass

from pilotbase.catalog import entries
from pilotbase.catalog.embeddings import Vector
from pilotbase.catalog.matching import terms_of
from pilotbase.catalog.similarity import Index, Terms
from pilotbase.domain.entry import Capability, Entry, Need
from pilotbase.store.database import Database

__all__ = ["Shelf", "Shelved"]

_FEW = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """What was published at one time. `needs` and `capabilities` are tuples of entries and their rows in the index."""

    needs: tuple[tuple[Need, ...], tuple[int, ...]]
    capabilities: tuple[tuple[Capability, ...], tuple[int, ...]]
    index: Index


class Shelf:
    """Keeps what was read: a look asks for versions alone, and reads again what has another one. Threads take turns.

    `vectors` are those of texts by digest, for who compares by meaning.
    """

    def __init__(self) -> None:
        self.vectors: dict[str, Vector] = {}
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[Entry, Terms]] = {}
        self._made: Shelved | None = None

    def look(self, database: Database) -> Shelved:
        """What is published now."""
        with self._lock:
            changed = [self._refresh(database, kind) for kind in (Need, Capability)]
            if self._made is None or any(changed):
                self._made = self._shelved()
            return self._made

    def _refresh(self, database: Database, kind: type[Entry]) -> bool:
        now = entries.versions(database, kind, "published")
        gone = [one for one, (entry, _) in self._kept.items() if isinstance(entry, kind) and one not in now]
        stale = [one for one, version in now.items() if one not in self._kept or self._kept[one][0].version != version]
        for one in gone:
            del self._kept[one]
        if len(stale) > _FEW:
            wanted = set(stale)
            read = [entry for entry in entries.all_published(database, kind) if entry.id in wanted]
        else:
            read = [entry for one in stale if (entry := entries.find(database, kind, one)) is not None]
        self._kept |= {entry.id: (entry, terms_of(entry)) for entry in read if entry.state == "published"}
        return bool(gone or stale)

    def _shelved(self) -> Shelved:
        kept = list(self._kept.values())
        needs = [(entry, row) for row, (entry, _) in enumerate(kept) if isinstance(entry, Need)]
        offers = [(entry, row) for row, (entry, _) in enumerate(kept) if isinstance(entry, Capability)]
        return Shelved(
            needs=(tuple(entry for entry, _ in needs), tuple(row for _, row in needs)),
            capabilities=(tuple(entry for entry, _ in offers), tuple(row for _, row in offers)),
            index=Index([counted for _, counted in kept]),
        )
