"""A client of OpenAI-compatible chat endpoints: pooled connections, retries, and as many calls at once as the endpoint bears."""

import asyncio
import contextlib
import errno
import random
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
from yarl import URL

from pilotbase.adaptive import Sleep, Slots, backoff, read_retry_after
from pilotbase.completion import Completion, Pieces, read_completion, read_error
from pilotbase.domain.bounds import Bounds, refused_address
from pilotbase.errors import UserError
from pilotbase.sse import Events

__all__ = ["Chat", "Endpoint", "completions_url", "shown_url"]

LARGEST_REPLY = 8 * 1024 * 1024
LARGEST_ERROR = 64 * 1024
LONGEST_CONNECT = 15.0
RETRIED = frozenset((408, 409, 425, 429, 500, 502, 503, 504))
THROTTLED = frozenset((429, 503))
WRONG_PLACE = frozenset((301, 302, 303, 307, 308, 401, 403, 404))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to ask, and how patiently.

    `url` is the API's root (as in `http://127.0.0.1:8000/v1`) or the whole address of its completions. `timeout` is of one
    attempt, to the last byte; `first_byte` to the first of the body; both in seconds. `retries` are attempts after the first.
    With `bounds` a connection is opened only to what they allow, decided on the very address that is connected to.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0
    first_byte: float | None = None
    concurrency: int = 32
    retries: int = 6
    bounds: Bounds | None = None


class Chat:
    """One endpoint. `ask` never raises for what the endpoint did, except where nothing at all could be reached.

    `clock` and `sleep` time the pauses between attempts, `chance` (uniform on [0, 1)) spreads them, `now` reads dates in headers.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._endpoint = endpoint
        self._url = completions_url(endpoint.url)
        self._shown = shown_url(endpoint.url)
        self._slots = Slots(endpoint.concurrency, clock=clock, sleep=sleep)
        self._session: aiohttp.ClientSession | None = None
        first = endpoint.first_byte
        self._first_limit = endpoint.timeout if first is None else min(first, endpoint.timeout)
        self._longer = endpoint.timeout - self._first_limit
        self._reached = False
        self._sleep = sleep
        self._chance = chance
        self._now = now

    async def ask(self, body: bytes, *, open_loop: bool = False) -> Completion:
        """Post a JSON body and read the completion, streamed or not, as the reply's content type says.

        With `open_loop` the call starts at once, outside the limit on calls under way, and is made once. UserError (code 4)
        where no call has ever been answered and this one was refused, not found, or not allowed.
        """
        if open_loop:
            return await self._attempt(body)
        attempt = 1
        while True:
            done = await self._within_limit(body)
            done.attempts = attempt
            if not done.again or attempt > self._endpoint.retries:
                return done
            # A pause that was asked for holds back every call in `Slots`; the jitter spreads them afterwards.
            await self._sleep(backoff(attempt, self._chance))
            attempt += 1

    async def aclose(self) -> None:
        """Close the connections. Safe to call twice."""
        session, self._session = self._session, None
        await self._slots.aclose()
        if session is not None:
            await session.close()

    async def _within_limit(self, body: bytes) -> Completion:
        ticket = await self._slots.acquire()
        try:
            done = await self._attempt(body)
        except BaseException:
            self._slots.dropped()
            raise
        if done.throttled:
            self._slots.throttled(ticket, done.pause)
        elif done.again:
            self._slots.dropped()
        else:
            self._slots.succeeded(ticket)
        return done

    async def _attempt(self, body: bytes) -> Completion:
        session = self._session or self._open()
        started = time.time()
        clock = _Stopwatch(time.perf_counter())
        try:
            # One timer an attempt: aiohttp's own, beside this one, would cost a fifth of a quick call.
            async with asyncio.timeout(self._first_limit) as patience:
                clock.patience = patience
                clock.longer = self._longer
                async with session.post(self._url, data=body, allow_redirects=False) as response:
                    done = await self._read(response, clock)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            done = self._not_connected(error)
        except TimeoutError:
            done = self._timed_out(clock)
        except (aiohttp.ClientError, OSError) as error:
            said = self._clean(str(error) or type(error).__name__)
            done = Completion(failure="unreachable", detail=f"the connection broke: {said}", again=True)
        done.started = started
        done.seconds = time.perf_counter() - clock.start
        done.ttft = clock.ttft if done.failure is None else None
        return done

    async def _read(self, response: aiohttp.ClientResponse, clock: "_Stopwatch") -> Completion:
        if response.status != 200:
            return await self._refused(response, clock)
        self._reached = True
        streamed = response.content_type == "text/event-stream"
        done = await (self._read_stream(response, clock) if streamed else self._read_document(response, clock))
        if done.failure in ("unparseable", "shape") and response.content_type not in ("application/json", "text/event-stream"):
            done.detail = f"the reply has the content type {response.content_type}; {done.detail}"
        done.detail = self._clean(done.detail)
        return done

    async def _read_document(self, response: aiohttp.ClientResponse, clock: "_Stopwatch") -> Completion:
        body = await _read_up_to(response, LARGEST_REPLY, clock)
        return _too_large() if body is None else read_completion(body)

    async def _read_stream(self, response: aiohttp.ClientResponse, clock: "_Stopwatch") -> Completion:
        events, pieces = Events(), Pieces()
        size = 0
        content = response.content
        while chunk := await content.readany():
            clock.first_byte()
            size += len(chunk)
            if size > LARGEST_REPLY:
                response.close()
                return _too_large()
            for data in events.feed(chunk):
                if pieces.add(data) and clock.ttft is None:
                    clock.ttft = time.perf_counter() - clock.start
            if pieces.failed is not None:
                response.close()
                return pieces.failed
        for data in events.finish():
            if pieces.add(data) and clock.ttft is None:
                clock.ttft = time.perf_counter() - clock.start
        return pieces.finish()

    async def _refused(self, response: aiohttp.ClientResponse, clock: "_Stopwatch") -> Completion:
        status = response.status
        body = await _read_up_to(response, LARGEST_ERROR, clock) or b""
        try:
            said = read_error(orjson.loads(body))
        except orjson.JSONDecodeError:
            said = body[:120].decode(errors="replace").strip()
        answer = f"HTTP {status}" + (f": {self._clean(said)}" if said else "")
        if status in WRONG_PLACE and not self._reached:
            raise self._unusable(status, answer)
        if status not in RETRIED:
            return Completion(failure="refused", detail=answer)
        pause = read_retry_after(response.headers.get("Retry-After"), self._now())
        throttled = status in THROTTLED or pause is not None
        return Completion(failure="unreachable", detail=answer, again=True, throttled=throttled, pause=pause)

    def _unusable(self, status: int, answer: str) -> UserError:
        if status in (401, 403) and self._endpoint.key:
            hint = "check the key in the variable that `key-env` names"
        elif status in (401, 403):
            hint = "name the variable that holds the key: `key-env: NAME`"
        elif status == 404:
            hint = f"check the model's name and the address: pilotbase posts to {shown_url(str(self._url))}"
        else:
            hint = "write the address that it leads to; keys are not sent on to another place"
        return UserError(f"the endpoint {self._shown} answered {answer}", hint=hint, code=4)

    def _not_connected(self, error: Exception) -> Completion:
        inner = getattr(error, "_os_error", error)
        reason = self._clean(getattr(inner, "strerror", None) or str(inner) or type(inner).__name__)
        if not self._reached:
            message = f"the endpoint {self._shown} cannot be reached: {reason}"
            raise UserError(message, hint="is it running, and is `url` right?", code=4) from None
        return Completion(failure="unreachable", detail=f"no connection: {reason}", again=True)

    def _timed_out(self, clock: "_Stopwatch") -> Completion:
        if clock.began:
            return Completion(failure="timeout", detail=f"the answer was not whole after {self._endpoint.timeout:g} s")
        limit = min(self._endpoint.first_byte or self._endpoint.timeout, self._endpoint.timeout)
        return Completion(failure="timeout", detail=f"no byte of an answer within {limit:g} s", again=True)

    def _clean(self, text: str) -> str:
        """Text from outside, without the key."""
        return text.replace(self._endpoint.key, "***") if self._endpoint.key else text

    def _guard(self) -> Callable[[Any], socket.socket] | None:
        bounds = self._endpoint.bounds
        if bounds is None or bounds.allows_host(self._url.host or "", self._url.port):
            return None
        return _guarded

    def _open(self) -> aiohttp.ClientSession:
        endpoint = self._endpoint
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "pilotbase"}
        headers.update(endpoint.headers)
        if endpoint.key:
            headers["Authorization"] = f"Bearer {endpoint.key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, socket_factory=self._guard()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(endpoint.timeout, LONGEST_CONNECT)),
        )
        return self._session


def _guarded(place: Any) -> socket.socket:
    """A socket for a public address. OSError for any other: a name may lead elsewhere than when it was checked."""
    family, kind, protocol, _, address = place
    if why := refused_address(str(address[0])):
        told = f"{address[0]} {why}, and an uploaded pilot may not call it; an operator allows a host by PILOTBASE_ALLOW_HOSTS"
        raise OSError(errno.EACCES, told)
    return socket.socket(family, kind, protocol)


class _Stopwatch:
    """When an attempt started, whether any of its answer has come, and when its content began.

    `patience` ends the attempt; from the first byte it is `longer` by that many seconds.
    """

    __slots__ = ("began", "longer", "patience", "start", "ttft")

    def __init__(self, start: float) -> None:
        self.start = start
        self.began = False
        self.ttft: float | None = None
        self.patience: asyncio.Timeout | None = None
        self.longer = 0.0

    def first_byte(self) -> None:
        """The first byte of the body is here: from now on only the whole answer's limit counts."""
        if not self.began:
            self.began = True
            if self.longer and self.patience is not None:
                until = self.patience.when()
                assert until is not None  # it is made with a limit
                self.patience.reschedule(until + self.longer)


async def _read_up_to(response: aiohttp.ClientResponse, most: int, clock: _Stopwatch) -> bytes | None:
    """The body, or None (and a closed connection) where it is over `most` bytes."""
    if (response.content_length or 0) > most:
        response.close()
        return None
    content = response.content
    parts: list[bytes] = []
    size = 0
    while chunk := await content.readany():
        clock.first_byte()
        size += len(chunk)
        if size > most:
            response.close()
            return None
        parts.append(chunk)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large() -> Completion:
    return Completion(failure="too-large", detail=f"the reply is over {LARGEST_REPLY // 1024 // 1024} MiB")


def completions_url(url: str) -> URL:
    """The address to post to: the API's root with `/chat/completions` after it, unless it ends so already. A query is kept."""
    address = URL(url)
    path = address.path.rstrip("/")
    return address if path.endswith("/chat/completions") else address.with_path(f"{path}/chat/completions", keep_query=True)


def shown_url(url: str) -> str:
    """An address that may be shown: no user, password, query or fragment."""
    with contextlib.suppress(ValueError):
        return str(URL(url).with_user(None).with_query(None).with_fragment(None))
    return "(an address that cannot be read)"
