"""A clock that begins in the past, so that a demonstration has a history: made-up dates, in their true order."""

from datetime import UTC, datetime, timedelta

__all__ = ["PastClock"]


class PastClock:
    """Stands `days` ago until it is moved, and never passes the machine's clock."""

    def __init__(self, days: float) -> None:
        self._behind = timedelta(days=days)

    def now(self) -> datetime:
        return datetime.now(UTC) - self._behind

    def move(self, days: float) -> None:
        """Let so many days pass."""
        self._behind = max(timedelta(), self._behind - timedelta(days=days))

    def arrive(self) -> None:
        """It is today."""
        self._behind = timedelta()
