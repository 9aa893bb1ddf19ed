"""Requests to upstreams that answer, fail, lie, stall and vanish."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import orjson
import pytest
from tests.fakes.fake_time import FakeTime
from tests.fakes.patience import PATIENCE
from tests.fakes.upstream_server import (
    Behaviour,
    Exchange,
    UpstreamServer,
    answers,
    babbles,
    breaks_chunks,
    cuts,
    echoes,
    hangs,
    holds,
    lies,
    piece,
    pours,
    redirects,
    resets,
    says,
    sends,
    streams,
    whole,
)

from pilotbase.domain.traffic import Limits, Route, Timeouts, Upstream
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.attempts import Unanswered
from pilotbase.gateway.endpoints import ENDPOINTS
from pilotbase.gateway.upstream import Answer, Call, Pool

CHAT = ENDPOINTS["/chat/completions"]
KEY = "sk-upstream-0123456789"
BODY = b'{"model":"m","messages":[]}'
MIB = 1024 * 1024


def call(**changes: Any) -> Call:
    given: dict[str, Any] = {
        "endpoint": CHAT,
        "body": lambda _: BODY,
        "headers": [(b"content-type", b"application/json"), (b"authorization", b"Bearer pb_caller"), (b"cookie", b"a=b")],
    }
    return Call(**(given | changes))


def upstream(server: UpstreamServer, name: str = "main", **changes: Any) -> Upstream:
    return Upstream(**({"name": name, "url": server.url, "key_env": "KEY", "model": "secret-model"} | changes))


def route(*upstreams: Upstream, **changes: Any) -> Route:
    return Route(**({"name": "public", "upstreams": upstreams} | changes))


class Scene:
    """A pool with a clock of its own, whose pauses take no time."""

    def __init__(self, **changes: Any) -> None:
        self.time = FakeTime()
        given: dict[str, Any] = {
            "clock": self.time.clock,
            "sleep": self.time.sleep,
            "chance": lambda: 0.0,
            "salt": b"salt",
        }
        self.pool = Pool({"KEY": KEY}.get, **(given | changes))

    async def whole(self, asked: Route, wanted: Call | None = None) -> tuple[Answer, bytes]:
        answer = await self.pool.open(asked, wanted or call())
        try:
            return answer, await answer.read(MIB)
        finally:
            answer.abort()

    async def refused(self, asked: Route, wanted: Call | None = None) -> Unanswered:
        with pytest.raises(Unanswered) as caught:
            await self.whole(asked, wanted)
        return caught.value

    def check_idle(self) -> None:
        """Nothing is held: no place, no queue, no try of a breaker."""
        for _, line in self.pool.lines():
            assert (line.slots.busy, line.slots.waiting) == (0, 0)
            later = self.time.now + line.breaker.back(self.time.now) + 1e-6
            assert line.breaker.up(later)


def play(story: Callable[..., Coroutine[Any, Any, None]], *groups: list[Behaviour], **changes: Any) -> None:
    """Run a story with a scene and one server for each group of behaviours; at its end nothing is held or open."""

    async def run() -> None:
        scene = Scene(**changes)
        servers = [UpstreamServer(*group) for group in groups]
        try:
            for server in servers:
                await server.__aenter__()
            await story(scene, *servers)
            scene.check_idle()
        finally:
            await scene.pool.close()
            for server in servers:
                await asyncio.wait_for(server.closed(), PATIENCE)
                await server.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def outcomes(attempts: Any) -> list[tuple[str, str]]:
    return [(attempt.upstream, attempt.outcome) for attempt in attempts]


def test_a_request_goes_on_with_our_key_and_only_the_headers_that_may_pass() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        answer, body = await scene.whole(route(upstream(server, headers={"X-Tenant": "t1"})))
        got = orjson.loads(body)
        assert (got["method"], got["path"], got["body"]) == ("POST", "/v1/chat/completions", BODY.decode())
        assert got["headers"] == {
            "host": server.url.split("/")[2],
            "authorization": f"Bearer {KEY}",
            "content-type": "application/json",
            "content-length": str(len(BODY)),
            "user-agent": "pilotbase",
            "accept": "*/*",
            "accept-encoding": "identity",
            "x-tenant": "t1",
        }
        assert (answer.upstream, answer.status, answer.length) == ("main", 200, len(body))
        assert outcomes(answer.attempts) == [("main", "complete")]

    play(story, [echoes()])


@pytest.mark.parametrize("path", ENDPOINTS)
def test_every_endpoint_is_asked_at_its_own_path(path: str) -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        _, body = await scene.whole(route(upstream(server)), call(endpoint=ENDPOINTS[path]))
        assert server.requests[0].path == "/v1" + path
        assert body if path == "/audio/speech" else orjson.loads(body) == whole(path)

    play(story, [answers()])


def test_each_upstream_gets_the_body_made_for_it() -> None:
    async def story(scene: Scene, first: UpstreamServer, second: UpstreamServer) -> None:
        asked = route(upstream(first, "a", model="x"), upstream(second, "b", model="y", tier=1))
        await scene.whole(asked, call(body=lambda one: orjson.dumps({"model": one.model})))
        assert [first.requests[0].document, second.requests[0].document] == [{"model": "x"}, {"model": "y"}]

    play(story, [says(500)], [answers()])


def test_what_comes_back_carries_no_cookie_no_place_and_no_software() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        answer, _ = await scene.whole(route(upstream(server)))
        assert answer.headers == [(b"content-type", b"application/json")]
        assert answer.attempt.request_id == "req_7"

    play(story, [sends(b"{}", headers={"Server": "x", "Set-Cookie": "a=b", "X-Request-Id": "req_7", "Location": "http://h/"})])


def test_a_stream_comes_piece_by_piece_as_it_was_sent() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        gate = asyncio.Semaphore(0)
        server.behaviours = [streams([piece("a"), piece("b")], pace=lambda _: gate.acquire())]
        answer = await scene.pool.open(route(upstream(server)), call())
        assert answer.length is None
        got = []
        for _ in range(3):
            gate.release()
            got.append(await answer.chunk())
        assert [b'"a"' in got[0], b'"b"' in got[1], got[2]] == [True, True, b"data: [DONE]\n\n"]  # type: ignore[operator]
        assert await answer.chunk() is None
        assert await answer.chunk() is None

    play(story, [])


def test_connections_are_used_again() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        asked = route(upstream(server))
        for _ in range(5):
            await scene.whole(asked)
        assert (server.connections, len(server.requests)) == (1, 5)

    play(story, [answers()])


@pytest.mark.parametrize(
    "failing",
    [cuts("head"), cuts("status"), resets(), *(says(status) for status in (408, 425, 429, 500, 502, 503, 504))],
    ids=["closed", "half-status", "reset", "408", "425", "429", "500", "502", "503", "504"],
)
def test_what_failed_before_an_answer_is_asked_again(failing: Behaviour) -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        answer, _ = await scene.whole(route(upstream(server), retries=2))
        assert len(server.requests) == 3 and len(answer.attempts) == 3
        assert scene.time.waits == [0.05, 0.1]

    play(story, [failing, failing, answers()])


def test_no_more_is_asked_than_the_route_allows() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        refused = await scene.refused(route(upstream(server), retries=1))
        assert (refused.status, refused.code, refused.retry) == (502, "upstream_error", True)
        assert len(server.requests) == 2
        assert outcomes(refused.attempts) == [("main", "status")] * 2

    play(story, [says(500)])


def test_another_upstream_is_asked_before_the_same_one_again() -> None:
    async def story(scene: Scene, first: UpstreamServer, second: UpstreamServer) -> None:
        asked = route(upstream(first, "a"), upstream(second, "b", tier=1), retries=2)
        answer, _ = await scene.whole(asked)
        assert outcomes(answer.attempts) == [("a", "status"), ("b", "status"), ("a", "complete")]
        assert scene.time.waits == [0.05]

    play(story, [says(503), answers()], [says(503)])


def test_an_upstream_that_cannot_be_reached_gives_way_to_the_next() -> None:
    async def story(scene: Scene, gone: UpstreamServer, second: UpstreamServer) -> None:
        await gone.stop()
        answer, _ = await scene.whole(route(upstream(gone, "a"), upstream(second, "b", tier=1)))
        assert outcomes(answer.attempts) == [("a", "connect"), ("b", "complete")]
        await second.stop()
        refused = await scene.refused(route(upstream(gone, "a"), name="other", retries=1))
        assert (refused.status, refused.code, refused.retry) == (503, "upstream_unreachable", True)
        assert gone.url.split("/")[2] not in repr(refused) + repr(refused.attempts)

    play(story, [], [answers()])


def test_an_upstream_that_did_not_begin_in_time_is_not_asked_again() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        refused = await scene.refused(route(upstream(server, timeouts=Timeouts(first_byte="20ms")), retries=3))
        assert (refused.status, refused.code, refused.retry) == (504, "upstream_timeout", False)
        assert outcomes(refused.attempts) == [("main", "first-byte")]
        assert refused.attempts[0].may_bill
        await server.requests[0].gone()

    play(story, [hangs()])


def test_but_another_one_may_be_asked_in_its_place() -> None:
    async def story(scene: Scene, slow: UpstreamServer, second: UpstreamServer) -> None:
        asked = route(upstream(slow, "a", timeouts=Timeouts(first_byte="20ms")), upstream(second, "b", tier=1))
        answer, _ = await scene.whole(asked)
        assert outcomes(answer.attempts) == [("a", "first-byte"), ("b", "complete")]
        refused = await scene.refused(replace(asked, retries=0))
        assert refused.status == 504

    play(story, [hangs()], [answers()])


def test_a_connection_that_takes_too_long_has_its_own_limit() -> None:
    async def story(scene: Scene) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            port = listener.getsockname()[1]
            # Nobody accepts: the kernel takes the first connection, and lets the others wait for longer than any test.
            full = [asyncio.create_task(asyncio.open_connection("127.0.0.1", port)) for _ in range(4)]
            await asyncio.wait(full, return_when=asyncio.FIRST_COMPLETED)
            one = Upstream(url=f"http://127.0.0.1:{port}/v1", timeouts=Timeouts(connect="30ms"))
            refused = await scene.refused(route(one, retries=0))
            assert (refused.status, refused.code) == (503, "upstream_unreachable")
            assert outcomes(refused.attempts) == [("main", "connect-timeout")]
            for task in full:
                task.cancel()
            for ended in await asyncio.gather(*full, return_exceptions=True):
                if isinstance(ended, tuple):
                    ended[1].close()

    play(story)


async def rest_of(answer: Answer) -> Unanswered:
    """What reading ends with."""
    with pytest.raises(Unanswered) as caught:
        while await answer.chunk() is not None:
            pass
    with pytest.raises(Unanswered):
        await answer.chunk()
    return caught.value


def test_a_stream_that_stops_is_given_up_after_the_idle_time() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        never = asyncio.Event()
        server.behaviours = [streams([piece("a"), piece("b")], pace=lambda i: never.wait() if i else asyncio.sleep(0))]
        limits = Timeouts(first_byte="30s", idle="20ms")
        answer = await scene.pool.open(route(upstream(server, timeouts=limits)), call())
        refused = await rest_of(answer)
        assert (refused.status, refused.code) == (504, "upstream_idle")
        assert outcomes(answer.attempts) == [("main", "idle")]
        await server.requests[0].gone()

    play(story, [])


def test_an_upstream_that_thinks_after_its_head_has_the_whole_time_to_the_first_byte() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        go = asyncio.Event()
        server.behaviours = [streams([piece("a")], pace=lambda _: go.wait())]
        answer = await scene.pool.open(route(upstream(server, timeouts=Timeouts(first_byte="30s", idle="1ms"))), call())
        first = asyncio.create_task(answer.chunk())
        await asyncio.wait([first], timeout=0.02)
        assert not first.done()
        go.set()
        assert b'"a"' in (await first or b"")
        answer.abort()

    play(story, [])


def test_an_answer_that_never_ends_is_bounded_in_time() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        answer = await scene.pool.open(route(upstream(server, timeouts=Timeouts(total="100ms"))), call())
        refused = await rest_of(answer)
        assert (refused.status, refused.code, refused.retry) == (504, "upstream_timeout", False)
        assert answer.attempt.outcome == "total"
        await server.requests[0].gone()

    play(story, [pours(None, block=b" " * 64)])


def test_an_answer_that_never_ends_is_bounded_in_bytes() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        answer = await scene.pool.open(route(upstream(server)), call())
        refused = await rest_of(answer)
        assert (refused.status, refused.code) == (502, "upstream_answer_too_large")
        await server.requests[0].gone()

    play(story, [pours(None)], largest=MIB)


@pytest.mark.parametrize("declared", [True, False])
def test_a_whole_answer_is_read_up_to_a_limit(declared: bool) -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        refused = await scene.refused(route(upstream(server)))
        assert (refused.status, refused.code) == (502, "upstream_answer_too_large")

    play(story, [pours(MIB + 1, declared=declared)])


@pytest.mark.parametrize(
    "broken",
    [
        cuts("headers"),
        cuts("body"),
        lies(b"short", declared=100),
        streams([piece("a")], cut=True),
    ],
    ids=["after-head", "within-body", "wrong-length", "no-last-chunk"],
)
def test_a_body_cut_short_is_never_taken_for_whole(broken: Behaviour) -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        answer = await scene.pool.open(route(upstream(server)), call())
        refused = await rest_of(answer)
        assert (refused.status, refused.code) == (502, "upstream_cut")
        assert outcomes(answer.attempts) == [("main", "cut")]
        assert answer.attempt.may_bill
        assert len(server.requests) == 1

    play(story, [broken])


def test_a_broken_chunk_cuts_a_body_that_had_begun_well() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        go = asyncio.Event()
        server.behaviours = [breaks_chunks(b"one", after=go)]
        answer = await scene.pool.open(route(upstream(server)), call())
        assert await answer.chunk() == b"one"
        go.set()
        assert (await rest_of(answer)).code == "upstream_cut"

    play(story, [])


def until_close(body: bytes, go: asyncio.Event | None = None) -> Behaviour:
    """A body without a length. It is cut by a reset when `go` is set; without `go` it ends in order."""

    async def behave(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body)
        if go is not None:
            await go.wait()
        exchange.cut(reset=go is not None)

    return behave


def test_a_body_that_ends_with_its_connection_is_whole_when_that_was_closed_in_order() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        answer, body = await scene.whole(route(upstream(server)))
        assert (body, answer.length) == (b"{}", None)

    play(story, [until_close(b"{}")])


def test_but_cut_when_it_was_reset() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        go = asyncio.Event()
        server.behaviours = [until_close(b"{", go)]
        answer = await scene.pool.open(route(upstream(server)), call())
        assert await answer.chunk() == b"{"
        go.set()
        assert (await rest_of(answer)).code == "upstream_cut"

    play(story, [])


def test_bytes_beyond_the_declared_length_belong_to_no_answer() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        asked = route(upstream(server))
        _, body = await scene.whole(asked)
        assert body == b"{}"
        _, body = await scene.whole(asked)
        assert body == b"{}"

    play(story, [lies(b'{}HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"x"', declared=2), sends(b"{}")])


@pytest.mark.parametrize("wrong", [babbles(), redirects("http://127.0.0.1:1/elsewhere")], ids=["no-http", "redirect"])
def test_what_is_no_answer_becomes_a_502_without_its_words(wrong: Behaviour) -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        refused = await scene.refused(route(upstream(server)))
        assert (refused.status, refused.code, refused.retry) == (502, "upstream_bad_answer", False)
        assert len(server.requests) == 1
        assert "127.0.0.1" not in repr(refused) + repr(refused.attempts)

    play(story, [wrong])


def test_an_encoding_that_was_not_asked_for_is_refused() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        assert (await scene.refused(route(upstream(server)))).code == "upstream_bad_answer"

    play(story, [sends(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})])


def test_a_slow_reader_holds_the_upstream_back() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        answer = await scene.pool.open(route(upstream(server, timeouts=Timeouts(idle="1h", total="1h"))), call())
        size = len(await answer.chunk() or b"")
        poured, still = 0, 0
        while still < 300:
            await asyncio.sleep(0)
            still = still + 1 if server.poured == poured else 0
            poured = server.poured
        # What the kernel's socket buffers hold, and no more: aiohttp takes at most 128 KiB of it.
        assert poured < 32 * MIB
        while (data := await answer.chunk()) is not None:
            assert len(data) <= MIB
            size += len(data)
        assert size == server.poured == 64 * MIB

    play(story, [pours(64 * MIB)])


def test_an_error_of_the_callers_own_request_passes_without_the_upstreams_name_address_or_key() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        host = server.url.split("/")[2]
        words = f"secret-model at {server.url}/chat ({host}, http://10.1.2.3:8000/x) with Bearer {KEY} takes no `x`"
        server.behaviours = [says(400, words, code="bad_x")]
        refused = await scene.refused(route(upstream(server)))
        assert (refused.status, refused.code, refused.type, refused.retry) == (400, "bad_x", "invalid_request_error", False)
        assert refused.message.startswith("public at ") and refused.message.endswith("takes no `x`")
        shown = repr(refused) + repr(refused.attempts)
        assert not any(word in shown for word in (host, "127.0.0.1", "10.1.2.3", KEY, "secret-model"))
        assert len(server.requests) == 1

    play(story, [])


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_an_error_that_is_no_document_keeps_its_status_and_none_of_its_words(status: int) -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        refused = await scene.refused(route(upstream(server)))
        assert (refused.status, refused.code) == (status, "upstream_refused")
        assert "inner" not in refused.message

    play(story, [sends(b"<html>inner</html>", status=status, kind="text/html")])


@pytest.mark.parametrize("status", [401, 402, 403, 404, 407])
def test_a_refusal_of_our_own_key_or_model_is_not_the_callers_fault(status: int) -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        refused = await scene.refused(route(upstream(server)))
        assert (refused.status, refused.code, refused.retry) == (502, "upstream_misconfigured", False)
        assert "not allowed" not in refused.message
        assert refused.attempts[0].detail == "not allowed"
        assert len(server.requests) == 1

    play(story, [says(status, "not allowed")])


def test_an_exhausted_account_with_the_upstream_is_not_the_callers_quota() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        refused = await scene.refused(route(upstream(server)))
        assert (refused.status, refused.code) == (502, "upstream_misconfigured")

    play(story, [says(429, "You exceeded your current quota", code="insufficient_quota")])


def test_a_thing_that_the_upstream_does_not_know_is_the_callers_404() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        wanted = call(path="/responses/resp_1", method="GET", body=lambda _: b"", query=b"include=x", pinned="main")
        refused = await scene.refused(route(upstream(server)), wanted)
        assert (refused.status, refused.message) == (404, "No response with id resp_1")
        got = server.requests[0]
        assert (got.method, got.path, got.query, got.body) == ("GET", "/v1/responses/resp_1", "include=x", b"")

    play(story, [says(404, "No response with id resp_1")])


ASTRAY = ["/responses/../../admin", "/x?y", "/x#y", "//h/x", "/%2e%2e/x", "/a%2Fb", "/a b", "/a\r\nX: y", "x"]


@pytest.mark.parametrize("path", ASTRAY)
def test_a_path_that_would_lead_elsewhere_is_refused(path: str) -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        with pytest.raises(Refused) as caught:
            await scene.pool.open(route(upstream(server)), call(path=path))
        assert caught.value.status == 400 and not server.requests

    play(story, [answers()])


def test_a_missing_key_is_told_to_the_log_and_not_to_the_caller() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        asked = route(upstream(server, "a", key_env="NOBODY"), upstream(server, "b", tier=1))
        answer, _ = await scene.whole(asked)
        assert outcomes(answer.attempts) == [("a", "misconfigured"), ("b", "complete")]
        refused = await scene.refused(replace(asked, upstreams=asked.upstreams[:1]))
        assert refused.code == "upstream_misconfigured" and "NOBODY" not in refused.message
        assert "NOBODY" in refused.attempts[0].detail

    play(story, [answers()])


def test_a_short_wish_for_rest_is_obeyed_within_the_request() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        await scene.whole(route(upstream(server)))
        assert scene.time.waits == [1.5]

    play(story, [says(429, retry_after="1.5"), answers()])


def test_a_long_wish_for_rest_goes_on_to_the_caller_and_keeps_the_upstream_out_until_then() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        asked = route(upstream(server))
        for after in (20.0, 12.0):
            refused = await scene.refused(asked)
            assert (refused.status, refused.code, refused.after, refused.retry) == (429, "upstream_rate_limited", after, True)
            scene.time.now += 8.0
        assert len(server.requests) == 1
        scene.time.now += 4.0
        await scene.whole(asked)

    play(story, [says(429, retry_after="20"), answers()])


def test_an_upstream_that_keeps_failing_is_left_alone_and_tried_again_later() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        asked = route(upstream(server), retries=0)
        for _ in range(5):
            assert (await scene.refused(asked)).status == 502
        refused = await scene.refused(asked)
        assert (refused.status, refused.code, refused.retry, refused.after) == (503, "upstream_unavailable", True, 5.0)
        assert len(server.requests) == 5 and not refused.attempts
        scene.time.now += 5.0
        await scene.whole(asked)
        await scene.whole(asked)

    play(story, [*[says(500)] * 5, answers()])


def test_answers_cut_within_open_the_breaker_too() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        asked = route(upstream(server), retries=0)
        for _ in range(5):
            assert (await scene.refused(asked)).code == "upstream_cut"
        assert (await scene.refused(asked)).code == "upstream_unavailable"

    play(story, [cuts("body")])


def test_errors_of_callers_never_open_the_breaker() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        for _ in range(30):
            assert (await scene.refused(route(upstream(server)))).status == 400

    play(story, [says(400)])


def test_a_sticky_key_stays_with_its_upstream_and_a_pinned_name_goes_only_there() -> None:
    async def story(scene: Scene, first: UpstreamServer, second: UpstreamServer) -> None:
        asked = route(upstream(first, "a"), upstream(second, "b"))
        for key in (b"one", b"two", b"three", b"four"):
            names = {(await scene.whole(asked, call(sticky=key)))[0].upstream for _ in range(3)}
            assert len(names) == 1
        for name in "ab":
            assert (await scene.whole(asked, call(pinned=name)))[0].upstream == name
        refused = await scene.refused(asked, call(pinned="c"))
        assert (refused.status, refused.code, refused.retry) == (409, "upstream_gone", False)

    play(story, [answers()], [answers()])


def test_a_full_upstream_makes_requests_wait_and_a_full_queue_refuses() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        go = asyncio.Event()
        server.behaviours = [holds(go)]
        asked = route(upstream(server, limits=Limits(concurrency=1, queue=1, wait="30s")))
        first = asyncio.create_task(scene.whole(asked))
        await server.arrival(1)
        second = asyncio.create_task(scene.whole(asked))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        refused = await scene.refused(asked)
        assert (refused.status, refused.code, refused.retry) == (503, "overloaded", True)
        assert outcomes(refused.attempts) == [("main", "overloaded")] and not refused.attempts[0].may_bill
        go.set()
        await asyncio.gather(first, second)
        assert len(server.requests) == 2

    play(story, [])


def test_a_full_upstream_gives_way_to_the_next_without_using_up_a_retry() -> None:
    async def story(scene: Scene, first: UpstreamServer, second: UpstreamServer) -> None:
        go = asyncio.Event()
        first.behaviours = [holds(go)]
        asked = route(upstream(first, "a", limits=Limits(concurrency=1, queue=0)), upstream(second, "b", tier=1), retries=0)
        holding = asyncio.create_task(scene.whole(asked))
        await first.arrival(1)
        answer, _ = await scene.whole(asked)
        assert outcomes(answer.attempts) == [("a", "overloaded"), ("b", "complete")]
        go.set()
        await holding

    play(story, [], [answers()])


def test_places_and_health_outlive_a_change_of_the_route() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        go = asyncio.Event()
        server.behaviours = [holds(go)]
        asked = route(upstream(server, limits=Limits(concurrency=1, queue=0)))
        holding = asyncio.create_task(scene.whole(asked))
        await server.arrival(1)
        changed = replace(asked, retries=0)
        assert (await scene.refused(changed)).code == "overloaded"
        wider = route(upstream(server, limits=Limits(concurrency=2, queue=0)))
        go.set()
        await scene.whole(wider)
        await holding
        scene.pool.keep([])
        assert not list(scene.pool.lines())

    play(story, [])


def test_a_slow_first_upstream_is_hedged_and_the_one_that_lost_is_aborted() -> None:
    async def story(scene: Scene, slow: UpstreamServer, quick: UpstreamServer) -> None:
        asked = route(upstream(slow, "a"), upstream(quick, "b", tier=1), hedge_after="10ms")
        answer, _ = await scene.whole(asked)
        assert outcomes(answer.attempts) == [("a", "outrun"), ("b", "complete")]
        assert answer.attempts[0].may_bill
        await slow.requests[0].gone()

    play(story, [hangs()], [answers()])


def test_a_quick_first_upstream_is_not_hedged() -> None:
    async def story(scene: Scene, first: UpstreamServer, second: UpstreamServer) -> None:
        asked = route(upstream(first, "a"), upstream(second, "b", tier=1), hedge_after="30s")
        await scene.whole(asked)
        assert not second.requests

    play(story, [answers()], [answers()])


def test_the_hedge_that_fails_leaves_the_first_to_answer() -> None:
    async def story(scene: Scene, slow: UpstreamServer, failing: UpstreamServer) -> None:
        go = asyncio.Event()
        slow.behaviours = [holds(go)]
        asked = route(upstream(slow, "a"), upstream(failing, "b", tier=1), hedge_after="1ms")
        opening = asyncio.create_task(scene.whole(asked))
        await failing.arrival(1)
        go.set()
        answer, _ = await opening
        assert outcomes(answer.attempts) == [("a", "complete"), ("b", "status")]

    play(story, [], [says(500)])


def test_when_the_hedge_and_the_first_fail_the_rest_is_tried() -> None:
    async def story(scene: Scene, first: UpstreamServer, second: UpstreamServer, third: UpstreamServer) -> None:
        asked = route(upstream(first, "a"), upstream(second, "b", tier=1), upstream(third, "c", tier=2), hedge_after="30s")
        answer, _ = await scene.whole(asked)
        assert outcomes(answer.attempts) == [("a", "status"), ("b", "status"), ("c", "complete")]

    play(story, [says(500)], [says(500)], [answers()])


def test_nothing_more_is_begun_for_a_client_that_left() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        left = asyncio.Event()

        async def fail_and_leave(exchange: Exchange) -> None:
            left.set()
            await says(500)(exchange)

        server.behaviours = [fail_and_leave]
        await scene.refused(route(upstream(server)), call(disconnected=left))
        assert len(server.requests) == 1

    play(story, [])


def test_an_aborted_answer_never_reads_as_whole() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        answer = await scene.pool.open(route(upstream(server)), call())
        await answer.chunk()
        answer.abort()
        answer.abort()
        with pytest.raises(Unanswered):
            await answer.chunk()
        assert outcomes(answer.attempts) == [("main", "aborted")]
        await server.requests[0].gone()

    play(story, [pours(None)])


def test_a_cancelled_read_loses_nothing() -> None:
    async def story(scene: Scene, server: UpstreamServer) -> None:
        go = asyncio.Event()
        server.behaviours = [streams([b"one", b"two"], done=False, pace=lambda i: go.wait() if i else asyncio.sleep(0))]
        answer = await scene.pool.open(route(upstream(server)), call())
        assert await answer.chunk() == b"one"
        waiting = asyncio.create_task(answer.chunk())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        go.set()
        assert await answer.read(MIB) == b"two"

    play(story, [])


@pytest.mark.parametrize("kind", ["hold", "retry", "stream", "hedge", "queue"])
def test_cancelling_at_any_moment_leaves_nothing_behind(kind: str, size: Callable[[int, int], int]) -> None:
    async def story(scene: Scene, first: UpstreamServer, second: UpstreamServer) -> None:
        asked = route(upstream(first, "a", limits=Limits(concurrency=2, queue=50)), upstream(second, "b", tier=1))
        if kind == "hedge":
            asked = replace(asked, hedge_after="1ms")
        for turns in range(0, size(60, 400), 2):
            calls = 5 if kind == "queue" else 1
            tasks = [asyncio.create_task(scene.whole(asked)) for _ in range(calls)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(ended, (tuple, asyncio.CancelledError, Unanswered))
            scene.check_idle()
            # Nothing was counted against an upstream that did nothing wrong.
            if kind in ("hold", "stream", "queue"):
                assert all(line.breaker.opened == 0 for _, line in scene.pool.lines())

    never = {
        "hold": [hangs()],
        "retry": [says(503)],
        "stream": [pours(None, block=b"x" * 100)],
        "hedge": [hangs()],
        "queue": [answers()],
    }[kind]
    play(story, never, [answers()])
