"""An upstream as one worker sees it: its address and key, its limits, its health."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from pilotbase.domain.quantity import parse_duration
from pilotbase.domain.traffic import Route, Upstream
from pilotbase.gateway.attempts import Attempt, Unanswered, backoff, refuse
from pilotbase.gateway.breaker import Breaker
from pilotbase.gateway.calls import Call
from pilotbase.gateway.endpoints import ENDPOINTS
from pilotbase.gateway.headers import PLAIN
from pilotbase.gateway.scrub import Scrub
from pilotbase.gateway.slots import Slots
from pilotbase.ports import Secrets

__all__ = ["Line", "address", "next_line", "nothing_up"]

LONGEST_WAIT = 2.0
"""An upstream that is usable again within so many seconds is waited for within one request."""
FIXED = frozenset(("user-agent", "accept-encoding", "host", "content-length", "transfer-encoding", "connection"))
"""Headers that a route may not set for its upstream."""
_PATH = re.compile(r"(?:/[A-Za-z0-9._~:@!$&'()*+,;=%-]+)+")
_ASTRAY = re.compile(r"/\.{1,2}(?:/|$)|%(?:2[ef]|5c|00|0a|0d)", re.IGNORECASE)
_QUERY = re.compile(rb"[!$-;=?-Z_a-z~%\[\]|]*")  # printable, no space, quotes or `#`


class Line:
    """What is kept of one upstream of one route between requests. Of one event loop."""

    __slots__ = (
        "breaker",
        "clean",
        "connect",
        "first",
        "headers",
        "idle",
        "name",
        "slots",
        "total",
        "trouble",
        "upstream",
        "urls",
    )

    def __init__(self, route: Route, upstream: Upstream, secrets: Secrets, before: "Line | None" = None) -> None:
        """`before` is the line of the same name of a route that changed: its health and places go on."""
        limits = upstream.limits
        sizes = limits.concurrency, limits.queue, parse_duration(limits.wait)
        self.name = upstream.name
        self.upstream = upstream
        self.connect, self.first, self.idle, self.total = upstream.timeouts.seconds()
        same = before is not None and before.upstream.url == upstream.url
        self.breaker: Breaker = before.breaker if before is not None and same else Breaker()
        self.slots: Slots = before.slots if before is not None and same else Slots(*sizes)
        if same:
            self.slots.resize(*sizes)
        key = (secrets(upstream.key_env) or "").strip() if upstream.key_env else ""
        self.trouble = _trouble(upstream, key)
        """What of the set-up is wrong, for the log; empty where nothing is."""
        own = {name: value for name, value in upstream.headers.items() if name.lower() not in FIXED}
        self.headers = PLAIN | own | ({"Authorization": f"Bearer {key}"} if key and not self.trouble else {})
        self.clean = Scrub(url=upstream.url, secrets=(key, *own.values()), model=upstream.model, shown=route.name)
        self.urls = {} if upstream.url is None else {path: address(upstream.url, path) for path in ENDPOINTS}

    def url(self, path: str, query: bytes) -> str | None:
        """The address of one of the upstream's resources; None for a path or query that would lead elsewhere."""
        known = self.urls.get(path)
        if known is not None and not query:
            return known
        if not _PATH.fullmatch(path) or _ASTRAY.search(path) or not _QUERY.fullmatch(query):
            return None
        return address(self.upstream.url or "", path, query.decode("ascii"))


def address(root: str, path: str, query: str = "") -> str:
    """`root` with `path` after it, as written; nothing of either is resolved or encoded again."""
    return root.rstrip("/") + path + (f"?{query}" if query else "")


def _trouble(upstream: Upstream, key: str) -> str:
    if upstream.kind == "target" or upstream.url is None:
        return "it is no HTTP upstream"
    if upstream.key_env and not key:
        return f"the variable {upstream.key_env}, which holds its key, is empty or not set"
    if not key.isascii() or (key and not key.isprintable()):
        return f"the variable {upstream.key_env} holds characters that no HTTP header may have"
    return ""


def next_line(
    order: Sequence[Line], attempts: Sequence[Attempt], now: float, chance: Callable[[], float]
) -> tuple[Line, float] | None:
    """Whom to ask after these attempts, and how many seconds to wait before; None where none may be asked.

    The one asked least, in `order`. One is not asked again whose last attempts forbid it, or that rests for longer than 2 s.
    """
    tries = Counter(attempt.upstream for attempt in attempts)
    barred = {attempt.upstream for attempt in attempts if not attempt.again}
    usable = [one for one in order if one.name not in barred and one.breaker.back(now) <= LONGEST_WAIT]
    if not usable:
        return None
    line = min(usable, key=lambda one: tries[one.name])
    back = line.breaker.back(now)
    times = tries[line.name]
    return line, max(back, backoff(times, chance())) if times else back


def nothing_up(lines: Sequence[Line], call: Call, now: float) -> Unanswered:
    """Why no upstream may be asked now."""
    wanted = [line for line in lines if call.pinned is None or line.name == call.pinned]
    if not wanted:
        message = "The upstream that this request refers to no longer belongs to this model."
        refused = refuse(409, "upstream_gone", message, retry=False)
    elif all(line.breaker.state(now) == "closed" for line in wanted):
        after = min(line.breaker.back(now) for line in wanted)
        refused = refuse(
            429, "upstream_rate_limited", "The upstream of this model is at its rate limit.", retry=True, after=after
        )
    else:
        after = max(1.0, min(line.breaker.back(now) for line in wanted))
        message = "The upstream of this model is not available."
        refused = refuse(503, "upstream_unavailable", message, retry=True, after=after)
    refused.attempts = call.attempts
    return refused
