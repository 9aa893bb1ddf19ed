"""Notes that are shown once, on the page that follows. They are kept in memory: after a restart nobody misses them."""

from threading import Lock

__all__ = ["Notes"]

MOST = 1000


class Notes:
    """One note for each session, the newest; of the oldest sessions none where there are too many."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}
        self._lock = Lock()

    def leave(self, session: str, text: str) -> None:
        with self._lock:
            self._kept.pop(session, None)
            if text:
                self._kept[session] = text
            while len(self._kept) > MOST:
                del self._kept[next(iter(self._kept))]

    def take(self, session: str) -> str:
        with self._lock:
            return self._kept.pop(session, "")
