"""`Idempotency-Key`: a POST that is sent again gets the first one's answer, and nothing is done twice.

A key belongs to its caller (key or token) and to one request: method, path, query and body. Answers are kept for a day, without
the secrets that they told once. A request that failed frees its key; one whose server died does so after a quarter of an hour.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

import orjson
from fastapi import Depends, Header, HTTPException, Request, Response

from pilotbase.api.access import Admit, Caller
from pilotbase.context import Context
from pilotbase.store.database import Database

__all__ = ["KEEP", "Once", "once"]

KEEP = 24 * 3600
ABANDONED = 900
_REPEATED = {"idempotency-replayed": "true"}
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """One request of `caller` that is to be done once. `key` is None where the client does not ask for it."""

    context: Context
    caller: Caller
    key: str | None
    digest: str

    @property
    def who(self) -> str:
        """How the audit log names the caller."""
        return self.caller.who

    def __call__(self, work: Callable[[], Answer], *, status: int = 200, told: Callable[[Answer], Any] | None = None) -> Answer:
        """Do the work, or give the answer of the time when it was done. `told`: what is kept of the answer in place of all of it.

        HTTPException where the key came with another request (422), or this request is being done just now (409).
        """
        if self.key is None:
            return work()
        kept = self._claim(self.key)
        if kept is not None:
            # FastAPI sends a Response as it is; the operation's own type says what is in it.
            return cast(Answer, kept)
        try:
            answer = work()
        except BaseException:
            self._write("DELETE FROM api_replays WHERE caller = ? AND replay_key = ? AND status IS NULL", ())
            raise
        body = orjson.dumps(told(answer) if told is not None else answer).decode()
        self._write("UPDATE api_replays SET status = ?, body = ? WHERE caller = ? AND replay_key = ?", (status, body))
        return answer

    def _claim(self, key: str) -> Response | None:
        database, now = self.context.database, int(self.context.clock.now().timestamp())
        with database.transaction():
            row = database.row(
                "SELECT request_digest, at, status, body FROM api_replays WHERE caller = ? AND replay_key = ?",
                (self.caller.id, key),
            )
            if row is not None and now - row["at"] < (KEEP if row["status"] is not None else ABANDONED):
                if row["request_digest"] != self.digest:
                    raise HTTPException(422, "this Idempotency-Key came with another request before: use another key")
                if row["status"] is None:
                    raise HTTPException(409, "the request with this Idempotency-Key is being done", {"retry-after": "1"})
                return Response(row["body"], status_code=row["status"], media_type="application/json", headers=_REPEATED)
            _sweep(database, now)
            database.execute("DELETE FROM api_replays WHERE caller = ? AND replay_key = ?", (self.caller.id, key))
            database.execute(
                "INSERT INTO api_replays (caller, replay_key, request_digest, at) VALUES (?, ?, ?, ?)",
                (self.caller.id, key, self.digest, now),
            )
        return None

    def _write(self, sql: str, values: tuple[Any, ...]) -> None:
        self.context.database.execute(sql, (*values, self.caller.id, self.key))


def once(context: Context, admit: Admit) -> Any:
    """What a POST depends on; to be annotated: `Annotated[Once, once(context, admit)]`."""

    async def claimed(
        request: Request,
        caller: Annotated[Caller, Depends(admit)],
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
    ) -> Once:
        parts = (request.method, request.url.path, request.url.query, request.headers.get("if-match", ""))
        head = orjson.dumps([part.encode("utf-8", "replace").decode() for part in parts])
        digest = hashlib.sha256(head + await request.body()).hexdigest()
        return Once(context=context, caller=caller, key=idempotency_key, digest=digest)

    return Depends(claimed)


def _sweep(database: Database, now: int) -> None:
    """What is older than a day goes as new keys come."""
    database.execute("DELETE FROM api_replays WHERE at < ?", (now - KEEP,))
