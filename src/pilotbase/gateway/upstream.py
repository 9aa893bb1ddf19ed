"""Requests to upstreams over HTTP, and their answers piece by piece. Nothing of aiohttp leaves this module.

One `Pool` a worker. `open` chooses an upstream, takes a place at it, asks, and asks again or elsewhere where that is safe: before
a byte of an answer was handed on. An `Answer` is read to its end or aborted; either gives its place back.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from yarl import URL

from pilotbase.domain.quantity import parse_duration
from pilotbase.domain.traffic import Route
from pilotbase.gateway.answers import Header, Refused, bad_request
from pilotbase.gateway.attempts import LONGEST_ERROR, Attempt, Missed, Outcome, Unanswered, refuse, said
from pilotbase.gateway.breaker import Ticket
from pilotbase.gateway.calls import Call
from pilotbase.gateway.choose import choose
from pilotbase.gateway.headers import forwarded, returned
from pilotbase.gateway.lines import Line, next_line, nothing_up
from pilotbase.ports import Secrets

__all__ = ["Answer", "Call", "Pool"]

READ_BUFFER = 64 * 1024
"""aiohttp stops reading from the socket at twice this many bytes that nobody took."""
KEEPALIVE = 30.0
LARGEST_ANSWER = 1 << 30


@dataclass(slots=True)
class _Plan:
    route: Route
    lines: list[Line]
    hedge: float | None


class Pool:
    """The upstreams of all routes, as one worker reaches them. `salt` is for sticky choices and the same in every worker."""

    def __init__(
        self,
        secrets: Secrets,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        salt: bytes = b"",
        largest: int = LARGEST_ANSWER,
    ) -> None:
        self._secrets = secrets
        self._clock = clock
        self._chance = chance
        self._sleep = sleep
        self._now = now
        self._salt = salt
        self._largest = largest
        self._plans: dict[str, _Plan] = {}
        self._urls: dict[str, URL] = {}
        self._limits: dict[float, aiohttp.ClientTimeout] = {}
        self._session: aiohttp.ClientSession | None = None

    async def open(self, route: Route, call: Call, key: str | None = None) -> "Answer":
        """The answer of one of the route's upstreams, when its head (status below 300) has come.

        `key` names what is kept of the route's upstreams between requests where that is not the route's name: an arm has its own.
        Unanswered, with the status and the words for the caller, where none gave one; Refused where the request itself cannot be
        sent. Cancelling it leaves nothing behind.
        """
        kept = key or route.name
        plan = self._plans.get(kept)
        if plan is None or plan.route is not route:
            plan = self._plan(kept, route, plan)
        order = self._order(plan, call)
        try:
            if plan.hedge is not None and len(order) > 1:
                return await self._hedged(order[0], order[1], call, plan.hedge)
            return await self._attempt(order[0], call)
        except Missed as missed:
            return await self._again(order, call, route.retries, missed)

    def keep(self, names: Collection[str]) -> None:
        """Forget every route but these."""
        for name in [name for name in self._plans if name not in names]:
            del self._plans[name]
        self._urls.clear()

    def up(self, key: str) -> bool:
        """Whether an upstream of what `key` names would be asked now; one that was never asked counts as up."""
        plan = self._plans.get(key)
        now = self._clock()
        return plan is None or any(line.breaker.up(now) for line in plan.lines)

    def lines(self) -> Iterator[tuple[str, Line]]:
        """(key, upstream's line) of every route and arm asked so far: for counts and health."""
        return ((name, line) for name, plan in self._plans.items() for line in plan.lines)

    async def close(self) -> None:
        """Close all connections. Safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _order(self, plan: _Plan, call: Call) -> list[Line]:
        """The upstreams to try, one at least."""
        lines = plan.lines
        now = self._clock()
        if len(lines) == 1 and lines[0].breaker.up(now) and call.pinned in (None, lines[0].name):
            return lines
        places = choose(
            plan.route.upstreams,
            lambda i: lines[i].breaker.up(now),
            draw=self._chance(),
            sticky=call.sticky,
            salt=self._salt,
            pinned=call.pinned,
        )
        if not places:
            raise nothing_up(lines, call, now)
        return [lines[i] for i in places]

    def _plan(self, key: str, route: Route, before: _Plan | None) -> _Plan:
        known = {line.name: line for line in before.lines} if before is not None else {}
        lines = [Line(route, one, self._secrets, known.get(one.name)) for one in route.upstreams]
        hedge = parse_duration(route.hedge_after) if route.hedge_after is not None else None
        plan = self._plans[key] = _Plan(route, lines, hedge)
        return plan

    async def _again(self, order: list[Line], call: Call, left: int, missed: Missed) -> "Answer":
        while missed.other:
            left -= missed.counts
            if left < 0 or call.left:
                break
            found = next_line(order, call.attempts, self._clock(), self._chance)
            if found is None:
                break
            line, wait = found
            if wait:
                await self._sleep(wait)
                if call.left:
                    break
            try:
                return await self._attempt(line, call)
            except Missed as another:
                missed = another
        missed.refused.attempts = call.attempts
        raise missed.refused from None

    async def _hedged(self, first: Line, second: Line, call: Call, after: float) -> "Answer":
        """Ask the first; where it has not answered in time the second as well. The first good answer wins."""
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._attempt(first, call))]
        won: asyncio.Task[Answer] | None = None
        try:
            await asyncio.wait(tasks, timeout=after)
            if not tasks[0].done() and not call.left:
                tasks.append(loop.create_task(self._attempt(second, call)))
            pending = set(tasks)
            while pending and won is None:
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                won = next((task for task in tasks if task.done() and task.exception() is None), None)
        finally:
            await _stop([task for task in tasks if task is not won], won)
        if won is None:
            return tasks[-1].result()  # raises what the last one did
        for attempt in call.attempts:
            if attempt.outcome == "aborted":
                attempt.outcome = "outrun"
        return won.result()

    async def _attempt(self, line: Line, call: Call) -> "Answer":
        attempt = Attempt(line.name, self._clock())
        if line.trouble:
            call.attempts.append(attempt)
            attempt.outcome, attempt.detail = "misconfigured", line.trouble
            message = "The upstream of this model is not set up rightly; the operator of this service has to mend it."
            raise Missed(refuse(502, "upstream_misconfigured", message, retry=False))
        body = call.body(line.upstream)
        url = line.url(call.path or call.endpoint.path, call.query)
        if url is None:
            raise bad_request("The path or the query of this request cannot be passed on.")
        call.attempts.append(attempt)
        if not line.slots.take():
            await self._queue(line, attempt)
            if call.left:
                line.slots.release()
                attempt.outcome = "withdrawn"
                raise Missed(refuse(499, "client_gone", "The client has gone."), other=False, counts=False)
        ticket = line.breaker.take(self._clock())
        if not ticket:
            line.slots.release()
            attempt.outcome = "resting"
            refused = refuse(503, "upstream_unavailable", "The upstream of this model is not available.", retry=True, after=1.0)
            raise Missed(refused, counts=False)
        answer = Answer(line, ticket, call.attempts, attempt, self._clock, self._largest)
        try:
            await self._ask(answer, line, call, url, body)
        except BaseException:
            answer.abort()
            raise
        return answer

    async def _queue(self, line: Line, attempt: Attempt) -> None:
        started = self._clock()
        try:
            await line.slots.acquire()
            attempt.waited = self._clock() - started
        except Refused as full:
            attempt.outcome, attempt.detail = "overloaded", full.message
            raise Missed(refuse(full.status, full.code, full.message, retry=full.retry, after=full.after), counts=False) from None
        except BaseException:
            attempt.outcome = "withdrawn"
            raise

    async def _ask(self, answer: "Answer", line: Line, call: Call, url: str, body: bytes) -> None:
        session = self._session or self._start()
        limit = self._limits.get(line.connect)
        if limit is None:
            limit = self._limits[line.connect] = aiohttp.ClientTimeout(
                total=None, connect=line.connect, ceil_threshold=float("inf")
            )
        try:
            async with asyncio.timeout(min(line.first, line.total)):
                response = await session.request(
                    call.method,
                    self._url(url, call),
                    data=body or None,
                    headers=forwarded(call.headers, line.headers),
                    allow_redirects=False,
                    timeout=limit,
                )
        except (OSError, aiohttp.ClientError, ValueError) as error:  # TimeoutError is an OSError
            raise self._no_head(answer, line, error) from None
        answer.begin(response)
        if response.status < 300 and "Content-Encoding" not in response.headers:
            return
        if response.status < 300:
            if response.headers["Content-Encoding"].lower() == "identity":
                return
            answer.end("nonsense", None, detail="its answer is encoded, though it was asked for `identity`")
            message = "The upstream of this model answered in an encoding that was not asked for."
            raise Missed(refuse(502, "upstream_bad_answer", message), other=False)
        await self._failed(answer, line, call, response)

    async def _failed(self, answer: "Answer", line: Line, call: Call, response: aiohttp.ClientResponse) -> None:
        """Raise what an error status means."""
        document = b""
        with suppress(Refused):
            document = await answer.read_error(LONGEST_ERROR)
        found = call.path is not None and call.path != call.endpoint.path
        after = response.headers.get("Retry-After")
        meaning, words = said(response.status, document, after, self._now, line.clean, found=found)
        attempt = answer.attempt
        attempt.again = meaning.again
        answer.end(meaning.outcome, meaning.healthy, detail=words)
        attempt.outcome = meaning.outcome  # also where its body did not come whole
        if meaning.rest is not None:
            line.breaker.rest(meaning.rest, self._clock())
        raise Missed(meaning.refused, other=meaning.other)

    def _url(self, url: str, call: Call) -> URL:
        """An address as aiohttp wants it. Those of whole endpoints are kept: what is worked out of one is worked out once."""
        known = self._urls.get(url)
        if known is None:
            known = URL(url, encoded=True)
            if call.path is None and not call.query:
                self._urls[url] = known
        return known

    def _no_head(self, answer: "Answer", line: Line, error: Exception) -> Missed:
        """What it means that no head of an answer came."""
        attempt = answer.attempt
        words = f"{type(error).__name__}: {line.clean(_reason(error))}"
        if isinstance(error, (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError)):
            attempt.again = True
            slow = isinstance(error, aiohttp.ConnectionTimeoutError)
            answer.end("connect-timeout" if slow else "connect", False, detail=words)
            message = "The upstream of this model cannot be reached."
            return Missed(refuse(503, "upstream_unreachable", message, retry=True, after=1.0))
        if isinstance(error, TimeoutError):
            answer.end("first-byte", False, detail=f"no answer within {min(line.first, line.total):g} s")
            message = "The upstream of this model did not begin to answer in time."
            return Missed(refuse(504, "upstream_timeout", message, retry=False))
        if isinstance(error, OSError) or (
            isinstance(error, aiohttp.ClientConnectionError) and not isinstance(error, aiohttp.ClientResponseError)
        ):
            attempt.again = True
            answer.end("closed", False, detail=words)
            message = "The upstream of this model closed the connection without an answer."
            return Missed(refuse(502, "upstream_closed", message, retry=True))
        answer.end("nonsense", False, detail=words)
        return Missed(
            refuse(502, "upstream_bad_answer", "What the upstream of this model answered is not HTTP.", retry=False), other=False
        )

    def _start(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=KEEPALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=READ_BUFFER,
        )
        return self._session


async def _stop(tasks: "list[asyncio.Task[Answer]]", won: "asyncio.Task[Answer] | None") -> None:
    """End attempts that nobody waits for, those that were answered all the same too. Cancelled in it, end the one that won."""
    for task in tasks:
        task.cancel()
        if task.done():
            _drop(task)
        else:
            task.add_done_callback(_drop)
    try:
        if tasks:
            await asyncio.wait(tasks)
    except BaseException:
        if won is not None:
            _drop(won)
        raise


def _drop(task: "asyncio.Task[Answer]") -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().abort()


class Answer:
    """An upstream's answer whose head has come: `upstream` (its name), `status`, `headers` (those that the caller may see),
    `length` of the body in bytes where it was declared, `attempts` of the whole call.

    It ends by itself when the last piece was taken or reading it failed; otherwise `abort` it. Of one task at a time.
    """

    __slots__ = (
        "_clock",
        "_content",
        "_failure",
        "_largest",
        "_line",
        "_loop",
        "_lost",
        "_patience",
        "_response",
        "_since",
        "_size",
        "_ticket",
        "_timer",
        "_total_at",
        "attempt",
        "attempts",
        "headers",
        "length",
        "status",
        "upstream",
    )

    def __init__(
        self, line: Line, ticket: Ticket, attempts: list[Attempt], attempt: Attempt, clock: Callable[[], float], largest: int
    ) -> None:
        self.upstream = line.name
        self.status = 0
        self.headers: list[Header] = []
        self.length: int | None = None
        self.attempts = attempts
        self.attempt = attempt
        self._line = line
        self._ticket = ticket
        self._clock = clock
        self._largest = largest
        self._loop = asyncio.get_running_loop()
        self._total_at = self._loop.time() + line.total
        self._patience = 0.0
        self._response: aiohttp.ClientResponse | None = None
        self._content: aiohttp.StreamReader | None = None
        self._failure: Unanswered | None = None
        self._lost: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._since: float | None = None
        self._size = 0

    def begin(self, response: aiohttp.ClientResponse) -> None:
        """Take the head of the answer. For `Pool` only."""
        line = self._line
        now = self._loop.time()
        self._response, self._content = response, response.content
        self.attempt.status = self.status = response.status
        theirs = response.headers.get("X-Request-Id")
        if theirs is not None and theirs.isprintable():
            self.attempt.request_id = theirs[:200]
        self.headers = returned(response.raw_headers)
        self.length = response.content_length
        if response.status < 500:
            self._ticket = line.breaker.answered(self._ticket, self._clock())
        if response.content.is_eof():  # the whole of it came with its head
            return
        # Some send the head at once and think afterwards: the first piece has what is left of the time to the first byte.
        self._patience = max(line.idle, line.first - line.total + self._total_at - now)
        self._timer = self._loop.call_at(min(self._total_at, now + line.idle), self._look)
        connection = response.connection
        if connection is not None and connection.protocol is not None and (lost := connection.protocol.closed) is not None:
            self._lost = lost
            lost.remove_done_callback(_seen)
            lost.add_done_callback(self._on_lost)

    async def chunk(self) -> bytes | None:
        """The next piece as it came; None at the end of a whole body, again and again.

        Unanswered where it was cut short, nothing came for too long, it took too long in all, or it is too large. Cancelling
        loses nothing: it may be called again.
        """
        content = self._content
        if content is None:
            if self.attempt.outcome == "complete":
                return None
            raise self._failure or refuse(502, "upstream_cut", "This answer was given up.")
        self._since = self._loop.time()
        try:
            data = await content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken(error) from None
        finally:
            self._since = None
        self._patience = self._line.idle
        self._size += len(data)
        if self._size > self._largest:
            raise self._give_up("too-large", refuse(502, "upstream_answer_too_large", _TOO_LARGE), f"over {self._largest} bytes")
        if content.at_eof():
            if self._was_reset():
                raise self._broken(ConnectionResetError("the connection was reset"))
            if self.status < 300:
                self.end("complete", True)
        return data or None

    async def read(self, limit: int) -> bytes:
        """The whole body. Unanswered where it is over `limit` bytes, and as for `chunk`."""
        if self.length is not None and self.length > limit:
            raise self._give_up("too-large", refuse(502, "upstream_answer_too_large", _TOO_LARGE), f"over {limit} bytes")
        first = await self.chunk()
        if first is None:
            return b""
        if self._content is None and len(first) <= limit:
            return first
        parts, size = [first], len(first)
        while size <= limit and (data := await self.chunk()) is not None:
            parts.append(data)
            size += len(data)
        if size > limit:
            raise self._give_up("too-large", refuse(502, "upstream_answer_too_large", _TOO_LARGE), f"over {limit} bytes")
        return b"".join(parts)

    async def read_error(self, limit: int) -> bytes:
        """At most `limit` bytes of an error's body; the rest is not read. For `Pool` only."""
        parts, size = [], 0
        while size <= limit and (data := await self.chunk()) is not None:
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    def abort(self) -> None:
        """Close the connection now, unless the answer has ended already."""
        self.end("aborted", None)

    close = abort

    def end(self, outcome: Outcome, healthy: bool | None, *, detail: str = "") -> None:
        """Give everything back, once. For `Pool` only."""
        attempt = self.attempt
        if attempt.outcome != "open":
            if detail and not attempt.detail:
                attempt.detail = detail
            return
        now = self._clock()
        attempt.outcome = outcome
        attempt.detail = detail
        attempt.seconds = now - attempt.started
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lost = self._lost
        if lost is not None:
            lost.remove_done_callback(self._on_lost)
            lost.add_done_callback(_seen)
        response, self._response, self._content = self._response, None, None
        if response is not None and outcome != "complete":
            response.close()
        line = self._line
        line.slots.release()
        if healthy is None:
            line.breaker.dropped(self._ticket)
        elif healthy:
            line.breaker.succeeded(self._ticket, now)
        else:
            line.breaker.failed(self._ticket, now)

    def _broken(self, error: BaseException | None) -> Unanswered:
        if self._failure is not None:
            return self._failure
        words = self._line.clean(_reason(error)) if error is not None else ""
        message = "The upstream of this model broke off within its answer."
        return self._give_up("cut", refuse(502, "upstream_cut", message), words, healthy=False)

    def _give_up(self, outcome: Outcome, failure: Unanswered, detail: str, *, healthy: bool | None = None) -> Unanswered:
        failure.attempts = self.attempts
        self._failure = failure
        self.end(outcome, healthy, detail=detail)
        return failure

    def _look(self) -> None:
        """The timer's turn: give up where a limit is over (closing wakes the reader), else look again later."""
        now = self._loop.time()
        line = self._line
        if now >= self._total_at:
            message = f"The upstream of this model did not finish within {line.total:g} s."
            self._give_up("total", refuse(504, "upstream_timeout", message, retry=False), f"not whole in {line.total:g} s")
        elif self._since is not None and now >= self._since + self._patience:
            message = "The upstream of this model stopped within its answer."
            detail = f"nothing more for {self._patience:g} s"
            self._give_up("idle", refuse(504, "upstream_idle", message), detail, healthy=False)
        else:
            since = now if self._since is None else self._since
            self._timer = self._loop.call_at(min(self._total_at, since + self._patience, now + line.idle), self._look)

    def _on_lost(self, lost: "asyncio.Future[None]") -> None:
        """The connection is gone. Where a body's chunks cannot be parsed aiohttp closes it and tells nobody."""
        lost.exception()
        content = self._content
        if content is not None and not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was closed within the body"))

    def _was_reset(self) -> bool:
        """A body that ends with its connection is whole only where that was closed in order (RFC 9112, section 8)."""
        lost, response = self._lost, self._response
        if lost is None or response is None or not lost.done() or lost.exception() is None:
            return False
        return self.length is None and "Transfer-Encoding" not in response.headers


def _seen(lost: "asyncio.Future[None]") -> None:
    """How a connection that nobody uses was lost is of no interest; asyncio would report it otherwise."""
    lost.exception()


_TOO_LARGE = "The answer of the upstream of this model is too large."


def _reason(error: BaseException) -> str:
    inner = getattr(error, "os_error", error)
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
