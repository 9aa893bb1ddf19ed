"""What became of each try at an upstream, whether it may be tried again, and what the caller is told when none succeeded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson

from pilotbase.adaptive import read_retry_after
from pilotbase.gateway.answers import Refused

__all__ = ["RETRIED", "Attempt", "Missed", "Outcome", "Said", "Unanswered", "backoff", "refuse", "said"]

RETRIED = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses after which the same upstream may be asked again; RFC 9110 (408, 503), RFC 8470 (425), RFC 6585 (429)."""
OURS = frozenset((401, 402, 403, 407))
"""Statuses that speak of our account with the upstream, never of the caller's."""
EXHAUSTED = frozenset(("insufficient_quota", "billing_hard_limit_reached", "invalid_api_key", "account_deactivated"))
LONGEST_ERROR = 64 * 1024
FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 2.0

Outcome = Literal[
    "open",  # under way
    "complete",  # answered to the end
    "status",  # an error status
    "withdrawn",  # given up before anything was sent
    "overloaded",  # no place at this upstream
    "resting",  # its breaker opened, or it asked for rest, while the request waited
    "misconfigured",  # no key, or a status of `OURS`
    "connect",  # no connection
    "connect-timeout",
    "closed",  # the connection ended before a status line
    "first-byte",  # no answer in time
    "nonsense",  # not HTTP, a redirect, or an encoding that was not asked for
    "cut",  # the body ended early
    "idle",  # nothing more came
    "total",  # not whole in time
    "too-large",
    "outrun",  # another upstream answered first
    "aborted",  # given up by us
]
UNSURE = frozenset(("first-byte", "nonsense", "cut", "idle", "total", "too-large", "outrun", "aborted", "closed"))


@dataclass(slots=True)
class Attempt:
    """One try, for logs. `started` and `seconds` are of the pool's clock; `detail` holds no address and no key.

    `again`: whether the same upstream may be asked once more for this request. `request_id` is the upstream's own.
    `waited`: seconds for a place.
    """

    upstream: str
    started: float
    outcome: Outcome = "open"
    status: int | None = None
    seconds: float = 0.0
    detail: str = ""
    request_id: str | None = None
    again: bool = False
    waited: float = 0.0

    @property
    def may_bill(self) -> bool:
        """Whether the upstream may count this attempt although nothing whole came of it."""
        return self.outcome in UNSURE


@dataclass(slots=True, kw_only=True, eq=False)
class Unanswered(Refused):
    """No upstream gave a whole answer. `attempts` are all tries so far, the last one last."""

    attempts: Sequence[Attempt] = field(default_factory=list)

    __hash__ = Exception.__hash__


class Missed(Exception):
    """One attempt failed. `refused` is what the caller is told if it stays the last one; `other` whether another upstream may be
    asked in its place, `counts` whether that uses up one of the route's retries.
    """

    def __init__(self, refused: Unanswered, *, other: bool = True, counts: bool = True) -> None:
        super().__init__(refused.code)
        self.refused = refused
        self.other = other
        self.counts = counts


def backoff(tries: int, draw: float) -> float:
    """Seconds to wait before the same upstream is asked for the `tries`-th time again: up to 0.1 s, doubled each time, at most
    2 s, and at least half of that; `draw` is uniform on [0, 1).
    """
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(tries - 1, 10)) * (0.5 + draw / 2)


def refuse(status: int, code: str, message: str, *, retry: bool | None = None, after: float | None = None) -> Unanswered:
    """A failure of the upstreams, with one wording for all of them."""
    kind = "rate_limit_error" if status == 429 else "server_error"
    return Unanswered(status=status, code=code, message=message, type=kind, retry=retry, after=after)


@dataclass(frozen=True, slots=True)
class Said:
    """What an error status means for us: the attempt's outcome, what to tell the caller, where to go on, and the rest asked for.

    `healthy`: True where it says that the upstream works, False where not, None where it says neither.
    """

    outcome: Outcome
    refused: Unanswered
    again: bool
    other: bool
    healthy: bool | None
    rest: float | None


def said(
    status: int, body: bytes, retry_after: str | None, now: Callable[[], datetime], clean: Callable[[str], str], *, found: bool
) -> tuple[Said, str]:
    """Read an error answer (status >= 300), and the words in it for the log.

    `found` says that the path names a thing of the upstream's, so that 404 is the caller's to hear, not a wrong set-up.
    """
    error = _error(body)
    words = clean(error["message"]) if error is not None else ""
    code = error["code"] if error is not None else None
    rest = read_retry_after(retry_after, now()) if retry_after is not None else None
    if status < 400:
        refused = refuse(502, "upstream_bad_answer", "The upstream of this model answered with a redirect.", retry=False)
        return Said("nonsense", refused, False, True, None, None), words
    if status in OURS or code in EXHAUSTED or (status == 404 and not found):
        message = "The upstream of this model is not set up rightly; the operator of this service has to mend it."
        healthy = False if status in (401, 407) else None
        return Said(
            "misconfigured", refuse(502, "upstream_misconfigured", message, retry=False), False, True, healthy, None
        ), words
    if status == 429:
        message = "The upstream of this model is at its rate limit."
        refused = refuse(429, "upstream_rate_limited", message, retry=True, after=1.0 if rest is None else rest)
        return Said("status", refused, True, True, None, rest), words
    if status >= 500:
        refused = _failing(status, rest)
        return Said("status", refused, status in RETRIED, True, False, rest if status == 503 else None), words
    if status in RETRIED:  # 408, 425
        message = "The upstream of this model did not take the request in time."
        return Said("status", refuse(503, "upstream_unavailable", message, retry=True, after=1.0), True, True, None, None), words
    return Said("status", _theirs(status, error, words, clean), False, False, True, None), words


def _failing(status: int, rest: float | None) -> Unanswered:
    if status == 503:
        message = "The upstream of this model is not available."
        return refuse(503, "upstream_unavailable", message, retry=True, after=1.0 if rest is None else rest)
    if status == 504:
        return refuse(504, "upstream_timeout", "The upstream of this model did not finish in time.", retry=False)
    return refuse(502, "upstream_error", f"The upstream of this model failed (HTTP {status}).", retry=True)


def _theirs(status: int, error: dict[str, Any] | None, words: str, clean: Callable[[str], str]) -> Unanswered:
    """What an upstream said of the caller's own request, in its words."""
    if error is None:
        message = f"The upstream of this model refused the request (HTTP {status})."
        return Unanswered(status=status, code="upstream_refused", message=message, retry=False)
    return Unanswered(
        status=status,
        code=clean(error["code"] or "upstream_refused"),
        message=words or f"The upstream of this model refused the request (HTTP {status}).",
        type=clean(error["type"] or "invalid_request_error"),
        param=clean(error["param"]) if error["param"] is not None else None,
        retry=False,
    )


def _error(body: bytes) -> dict[str, Any] | None:
    """{message, type, param, code} of an error document: OpenAI's shape, a bare `{"message": ...}` or `{"detail": "..."}`."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None
    error = document.get("error", document)
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        return None
    message = error.get("message", error.get("detail"))
    if not isinstance(message, str):
        return None
    found: dict[str, Any] = {"message": message}
    for name in ("type", "param", "code"):
        value = error.get(name)
        found[name] = value[:200] if isinstance(value, str) and value else None
    return found
