"""Refusals in OpenAI's shape, with the status and the headers that its clients act on.

Source: the error schema of OpenAI's OpenAPI description 2.3.0; the retry rules of its Python client 3.54 (it retries 408, 409,
429 and 5xx, obeys `x-should-retry`, `retry-after-ms` and `retry-after`, the latter up to 120 s).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

__all__ = ["Header", "Refused", "bad_request", "error_body", "in_band"]

Header = tuple[bytes, bytes]


@dataclass(slots=True, kw_only=True, eq=False)
class Refused(Exception):
    """A request that gets an error for an answer. `message` is for the caller: nothing of an upstream's address or key.

    `retry`: whether a client may send it again (None: its own rule), `after` the seconds to wait first.
    """

    status: int
    code: str
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    retry: bool | None = None
    after: float | None = None
    headers: list[Header] = field(default_factory=list)

    def __str__(self) -> str:
        return self.message

    def body(self) -> bytes:
        """The JSON document."""
        return error_body(self.message, self.type, self.code, self.param)

    def all_headers(self) -> Iterable[Header]:
        """The headers that belong to this refusal, content type included."""
        yield b"content-type", b"application/json"
        if self.retry is not None:
            yield b"x-should-retry", b"true" if self.retry else b"false"
        if self.after is not None:
            yield b"retry-after", b"%d" % max(1, int(-(-self.after // 1)))
            yield b"retry-after-ms", b"%d" % max(1, int(self.after * 1000))
        yield from self.headers


def bad_request(message: str, *, param: str | None = None, code: str = "invalid_request") -> Refused:
    """A request that cannot be right however often it is sent."""
    return Refused(status=400, code=code, message=message, param=param, retry=False)


def error_body(message: str, kind: str, code: str, param: str | None = None) -> bytes:
    """`{"error": {message, type, param, code}}`: all four keys, as the schema asks."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def in_band(refused: Refused) -> bytes:
    """The error as an event of a stream that has begun. No `[DONE]` may follow it."""
    return b"data: " + refused.body() + b"\n\n"
