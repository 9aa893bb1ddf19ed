"""How a route fared of late, as the ledger tells it: the requests of the last day and of its last 15 minutes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pilotbase.context import Context
from pilotbase.gateway.outcomes import failed

__all__ = ["DAY", "Health", "Traffic", "counts", "micros", "moment_of"]

Health = Literal["answering", "faltering", "failing", "quiet"]
DAY = timedelta(days=1)
_LATELY = timedelta(minutes=15)


@dataclass(slots=True, kw_only=True)
class Traffic:
    """Requests of the last day, those of the last 15 minutes among them, and when the newest began.

    What is neither served nor failed says nothing about who answers: it was refused, broken off by the caller, or is under way.
    """

    requests: int = 0
    served: int = 0
    failed: int = 0
    served_lately: int = 0
    failed_lately: int = 0
    newest: datetime | None = None

    @property
    def health(self) -> Health:
        """What the ledger says of the last 15 minutes; workers know more, each for itself."""
        known = self.served_lately + self.failed_lately
        if not known:
            return "quiet"
        return "answering" if not self.failed_lately else "failing" if 2 * self.failed_lately >= known else "faltering"

    def count(self, row: Any) -> None:
        """Add the requests that a row of `counts` sums up."""
        bad = failed(row["outcome"], row["status"])
        self.requests += int(row["requests"])
        if bad is not None:
            kind = "failed" if bad else "served"
            setattr(self, kind, getattr(self, kind) + int(row["requests"]))
            setattr(self, f"{kind}_lately", getattr(self, f"{kind}_lately") + int(row["lately"]))
        newest = moment_of(int(row["newest"]))
        self.newest = newest if self.newest is None else max(newest, self.newest)


def counts(context: Context, route: str | None = None, hour: str = "0") -> list[Any]:
    """The last day's requests summed up by route, upstream, arm, outcome and status; copies to a shadow left out.

    `hour` is an SQL expression for what else to group by.
    """
    now = context.clock.now()
    since = now - DAY
    values: list[object] = [micros(now - _LATELY), since.astimezone(UTC).date().isoformat(), micros(since)]
    only = ""
    if route is not None:
        only = " AND route = ?"
        values.append(route)
    return context.database.rows(
        f"SELECT route, upstream, arm, outcome, status, {hour} AS hour, COUNT(*) AS requests, MAX(started) AS newest,"
        " SUM(CASE WHEN started >= ? THEN 1 ELSE 0 END) AS lately"
        f" FROM requests WHERE day >= ? AND started >= ? AND arm <> 'shadow'{only}"
        f" GROUP BY route, upstream, arm, outcome, status{'' if hour == '0' else f', {hour}'}",
        values,
    )


def micros(moment: datetime) -> int:
    """A moment as the ledger keeps it."""
    return int(moment.timestamp() * 1_000_000)


def moment_of(number: int) -> datetime:
    """A moment of the ledger."""
    return datetime.fromtimestamp(number / 1_000_000, UTC)
