"""Answers kept for an `Idempotency-Key`: the same request sent again gets the first one's answer, and is not charged again.

Scoped to the customer's key and the request's digest; only whole, successful answers are kept, for a day.
"""

import base64
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from pilotbase.store.database import Database

__all__ = ["KEEP", "Replay", "begin", "finish", "forget", "sweep"]

KEEP = 24 * 3600
ABANDONED = 900  # a request that never ended: its process died

State = Literal["new", "running", "done", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What is known of a key: nothing yet (`new`), under way, the answer (`done`), or that it was used for another request."""

    state: State
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        body = base64.b64encode(self.body).decode()
        return {"state": self.state, "status": self.status, "headers": self.headers, "body": body}


def begin(database: Database, access_key: str, name: str, digest: str, now: int) -> Replay:
    """Claim a key for a request. Of several at once one gets `new`."""
    with database.transaction():
        row = database.row(
            "SELECT request_digest, at, status, headers, body FROM replays WHERE access_key = ? AND replay_key = ?",
            (access_key, name),
        )
        if row is not None and _live(row["at"], row["status"], now):
            if row["request_digest"] != digest:
                return Replay(state="other")
            if row["status"] is None:
                return Replay(state="running")
            headers = tuple((str(k), str(v)) for k, v in orjson.loads(row["headers"]))
            return Replay(state="done", status=row["status"], headers=headers, body=base64.b64decode(row["body"]))
        _remove(database, access_key, name)
        database.execute(
            "INSERT INTO replays (access_key, replay_key, request_digest, at) VALUES (?, ?, ?, ?)",
            (access_key, name, digest, now),
        )
    return Replay(state="new")


def finish(database: Database, access_key: str, name: str, status: int, headers: list[list[str]], body: str) -> None:
    """Keep the answer of a request that was begun; `body` is base64."""
    database.execute(
        "UPDATE replays SET status = ?, headers = ?, body = ? WHERE access_key = ? AND replay_key = ?",
        (status, orjson.dumps(headers).decode(), body, access_key, name),
    )


def forget(database: Database, access_key: str, name: str) -> None:
    """Let a key be used anew: its request did not end in an answer worth keeping."""
    database.execute("DELETE FROM replays WHERE access_key = ? AND replay_key = ? AND status IS NULL", (access_key, name))


def sweep(database: Database, now: int) -> int:
    """Remove what is older than a day; how many."""
    return database.execute("DELETE FROM replays WHERE at < ?", (now - KEEP,))


def _live(at: int, status: int | None, now: int) -> bool:
    return now - at < (KEEP if status is not None else ABANDONED)


def _remove(database: Database, access_key: str, name: str) -> None:
    database.execute("DELETE FROM replays WHERE access_key = ? AND replay_key = ?", (access_key, name))
