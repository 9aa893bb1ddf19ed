"""Every path beside chat through the whole gateway: what goes to the upstream, what comes back, and what it costs."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.gateway import Answered, Serving
from tests.fakes.upstream_server import Behaviour, Exchange, UpstreamServer, answers, echoes, says, sends, whole

from pilotbase.domain.evidence import Ask, Reply, Usage
from pilotbase.domain.price import Price
from pilotbase.domain.traffic import GuardUse, Route, Upstream
from pilotbase.gateway.estimate import estimate
from pilotbase.gateway.local import Local
from pilotbase.gateway.local_asks import Declared
from pilotbase.gateway.slots import Slots

PRICE = Price(per_call="1 CNY", per_million_input_tokens="2 CNY", per_million_output_tokens="6 CNY")
Body = Callable[[Serving, UpstreamServer, str], Coroutine[Any, Any, None]]


def cost(read: int, wrote: int) -> int:
    return 10**9 + read * 2000 + wrote * 6000


async def rows_of(gateway: Serving) -> list[dict[str, Any]]:
    """All requests in the ledger, which balances."""
    await gateway.settled()
    rows = gateway.rows()
    for row in rows:
        assert row["reserved"] == row["settled"] + row["released"]
    report = gateway.reconcile()
    assert report.balanced, report
    return rows


def charged(row: Mapping[str, Any]) -> tuple[str, str, int, int, int]:
    return row["outcome"], row["source"], row["tokens_in"], row["tokens_out"], row["settled"] + row["overrun"]


def play(folder: Path, behaviour: Behaviour, body: Body, *, upstream: Mapping[str, Any] | None = None, **route: Any) -> None:
    """Run a story with one route `m` of one upstream, priced, and a key."""

    async def story() -> None:
        async with UpstreamServer(behaviour) as server, Serving(folder) as gateway:
            gateway.route("m", server.url, price=PRICE, upstream=upstream, **route)
            await body(gateway, server, gateway.key(budget="100 CNY"))

    asyncio.run(story())


@pytest.mark.parametrize(
    ("path", "asked", "read", "wrote"),
    [
        ("/embeddings", {"input": ["a", "b"], "encoding_format": "base64"}, 11, 0),
        ("/completions", {"prompt": "a"}, 11, 3),
        ("/responses", {"input": "a"}, 11, 3),
        ("/images/generations", {"prompt": "a cat", "size": "1024x1024"}, 11, 3),
        ("/rerank", {"query": "a", "documents": ["b", "c"]}, 11, 0),
    ],
)
def test_a_document_comes_back_as_it_was_and_is_charged_by_its_count(
    tmp_path: Path, path: str, asked: Mapping[str, Any], read: int, wrote: int
) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.post(f"/v1{path}", key, {"model": "m", **asked})
        assert answer.body == orjson.dumps(whole(path))
        assert server.requests[0].body == orjson.dumps({"model": "m", **asked})
        (row,) = await rows_of(gateway)
        assert charged(row) == ("answered", "upstream", read, wrote, cost(read, wrote))
        assert row["upstream"] == "u0"

    play(tmp_path, answers(), body)


def test_a_moderation_has_no_count_and_is_charged_its_estimate(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.post("/v1/moderations", key, {"model": "m", "input": "some words"})
        assert answer.json["results"][0]["flagged"] is False
        read = estimate("some words")
        assert [charged(row) for row in await rows_of(gateway)] == [("answered", "estimate", read, 0, cost(read, 0))]

    play(tmp_path, answers(), body)


SOUND = bytes(range(256)) * 40


def sounds(*pieces: bytes, cut: bool = False) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.head(kind="audio/mpeg")
        for piece in pieces:
            await exchange.chunk(piece)
        if cut:
            exchange.cut()
            return
        await exchange.chunk(b"")

    return behave


def test_speech_passes_through_byte_for_byte_and_costs_its_prompt(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.post("/v1/audio/speech", key, {"model": "m", "input": "some words", "voice": "v"})
        assert (answer.status, answer.headers["content-type"], answer.body) == (200, "audio/mpeg", SOUND + b"end")
        read = estimate("some words")
        assert [charged(row) for row in await rows_of(gateway)] == [("answered", "estimate", read, 0, cost(read, 0))]

    play(tmp_path, sounds(SOUND, b"end"), body)


def test_speech_that_is_cut_is_charged_and_never_looks_whole(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        body = orjson.dumps({"model": "m", "input": "some words"})
        head = f"POST /v1/audio/speech HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\nauthorization: Bearer {key}\r\n"
        reader, writer = await gateway.open(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        came = bytearray()
        try:
            while part := await reader.read(65536):
                came += part
        except ConnectionResetError:
            pass
        assert not came.endswith(b"0\r\n\r\n")
        writer.close()
        read = estimate("some words")
        assert [charged(row) for row in await rows_of(gateway)] == [("cut", "estimate", read, 0, cost(read, 0))]

    play(tmp_path, sounds(SOUND, cut=True), body)


def test_speech_cut_before_its_first_byte_is_a_502_and_costs_nothing(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await gateway.post("/v1/audio/speech", key, {"model": "m", "input": "some words"})
        assert answer.status == 502
        assert [charged(row) for row in await rows_of(gateway)] == [("released: upstream_cut", "none", 0, 0, 0)]

    play(tmp_path, sounds(cut=True), body)


FORM = (
    b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n'
    b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\ncontent-type: audio/wav\r\n\r\n'
    + bytes(range(256))
    + b"\r\n--b--\r\n"
)


async def transcribe(gateway: Serving, key: str) -> Answered:
    head = {"Content-Type": "multipart/form-data; boundary=b", "Authorization": f"Bearer {key}"}
    async with gateway.session.post(f"{gateway.url}/v1/audio/transcriptions", data=FORM, headers=head) as response:
        return Answered(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())


def test_a_transcription_is_sent_on_with_the_upstreams_own_name_for_the_model(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await transcribe(gateway, key)
        assert answer.json["text"] == "yes"
        assert server.requests[0].body == FORM.replace(b"\r\n\r\nm\r\n", b"\r\n\r\nwhisper-9\r\n")
        assert [charged(row) for row in await rows_of(gateway)] == [("answered", "upstream", 11, 3, cost(11, 3))]

    play(tmp_path, answers(), body, upstream={"model": "whisper-9"})


def test_a_transcription_as_plain_text_is_charged_for_its_words(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        answer = await transcribe(gateway, key)
        assert (answer.headers["content-type"], answer.body) == ("text/plain", b"many words were said")
        (row,) = await rows_of(gateway)
        assert charged(row)[:2] == ("answered", "estimate")
        assert row["tokens_out"] == estimate("many words were said")

    play(tmp_path, sends(b"many words were said", kind="text/plain"), body)


def test_a_response_goes_on_at_the_upstream_that_made_it_and_for_nobody_else(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer() as one, UpstreamServer() as two, Serving(tmp_path) as gateway:
            gateway.route("m", one.url, two.url, price=PRICE)
            key, other = gateway.key(budget="99 CNY"), gateway.key("other", budget="99 CNY")
            await gateway.post("/v1/responses", key, {"model": "m", "input": "a"})
            made = one if one.requests else two
            more = {"model": "m", "input": "b", "previous_response_id": "resp_1"}
            for _ in range(6):
                assert (await gateway.post("/v1/responses", key, more)).status == 200
            assert len(made.requests) == 7
            refused = await gateway.post("/v1/responses", other, more)
            assert (refused.status, refused.json["error"]["code"]) == (404, "previous_response_not_found")
            unknown = await gateway.post("/v1/responses", key, more | {"previous_response_id": "r-unknown"})
            assert unknown.status == 404
            assert len(one.requests) + len(two.requests) == 7
            outcomes = [row["outcome"] for row in await rows_of(gateway)]
            assert outcomes == ["answered"] * 7 + ["released: previous_response_not_found"] * 2

    asyncio.run(story())


def test_a_stored_response_is_read_cancelled_and_deleted_where_it_was_made_by_the_key_that_asked(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        await gateway.post("/v1/responses", key, {"model": "m", "input": "a"})
        server.behaviours = [echoes()]
        for method, path in (("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")):
            url = f"{gateway.url}/v1/responses/resp_1{path}"
            async with gateway.session.request(method, url, headers={"Authorization": f"Bearer {key}"}) as response:
                found = await response.json()
                assert (found["method"], found["path"]) == (method, f"/v1/responses/resp_1{path}")
                assert key not in str(found["headers"])
                assert response.headers["x-request-id"]
        asked = len(server.requests)
        stranger = await gateway.get("/v1/responses/resp_1", gateway.key("other"))
        assert (stranger.status, stranger.json["error"]["code"]) == (404, "response_not_found")
        for path in ("/v1/responses/resp_1/anything", "/v1/responses/resp_1/input_items/../../files", "/v1/responses/resp_2"):
            assert (await gateway.get(path, key)).status == 404
        assert len(server.requests) == asked
        assert len(await rows_of(gateway)) == 1

    play(tmp_path, answers(), body)


def test_a_stored_response_passes_the_guards_when_it_is_read_again(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("secretword\n", encoding="utf-8")
    guard = GuardUse(guard="keywords", on="output", action="block", options={"file": str(words)})

    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        await gateway.post("/v1/responses", key, {"model": "m", "input": "a"})
        server.behaviours = [sends(orjson.dumps(whole("/responses", "the secretword")))]
        answer = await gateway.get("/v1/responses/resp_1", key)
        assert (answer.status, answer.json["error"]["code"]) == (400, "content_filter")
        assert b"secretword" not in answer.body

    play(tmp_path, answers(), body, guards=[guard])


def test_an_upstream_that_refuses_a_stored_response_is_heard(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        await gateway.post("/v1/responses", key, {"model": "m", "input": "a"})
        server.behaviours = [says(404, "it was deleted")]
        answer = await gateway.get("/v1/responses/resp_1", key)
        assert (answer.status, answer.json["error"]["message"]) == (404, "it was deleted")

    play(tmp_path, answers(), body)


def test_models_are_those_that_the_key_may_use(tmp_path: Path) -> None:
    async def body(gateway: Serving, server: UpstreamServer, key: str) -> None:
        gateway.route("n", server.url, owner="somebody")
        listed = (await gateway.get("/v1/models", key)).json
        assert [(one["id"], one["object"], one["owned_by"]) for one in listed["data"]] == [
            ("m", "model", "pilotbase"),
            ("n", "model", "somebody"),
        ]
        narrow = gateway.key("narrow", routes=("n",))
        assert [one["id"] for one in (await gateway.get("/v1/models", narrow)).json["data"]] == ["n"]
        assert (await gateway.get("/v1/models/n", narrow)).json["id"] == "n"
        assert (await gateway.get("/v1/models/m", narrow)).status == 404
        assert (await gateway.get("/v1/models")).status == 401

    play(tmp_path, answers(), body)


class Candidate:
    """A target in this process that says the same to every ask."""

    concurrency, batch = 4, 8

    def __init__(self, usage: Usage | None) -> None:
        self.usage = usage

    async def invoke(self, asks: Sequence[Ask], *, open_loop: bool = False) -> Sequence[Reply]:
        return [Reply(answer="seven", usage=self.usage) for _ in asks]

    async def aclose(self) -> None:
        return


@pytest.mark.parametrize(
    ("usage", "source", "tokens"), [(None, "estimate", (5, 5)), (Usage(tokens_in=40, tokens_out=2), "upstream", (40, 2))]
)
@pytest.mark.parametrize("form", ["chat", "stream", "stream with usage", "infer"])
def test_a_target_in_this_process_is_charged_what_it_says_and_what_is_estimated_is_marked(
    tmp_path: Path, form: str, usage: Usage | None, source: str, tokens: tuple[int, int]
) -> None:
    async def story() -> None:
        async with Serving(tmp_path) as gateway:
            gateway.put(Route(name="m", upstreams=(Upstream(kind="target", target={"kind": "python"}),), price=PRICE))
            key = gateway.key(budget="9 CNY")
            await gateway.get("/v1/models", key)
            gateway.crew[0].plane.locals_["m"] = Local(  # type: ignore[index]
                "main", lambda: Candidate(usage), Declared(), Slots(4, 4, 9.0), estimate=len, clock=time.monotonic
            )
            if form == "infer":
                tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}
                answer = await gateway.post("/v2/models/m/infer", key, {"inputs": [tensor]})
                assert answer.json["outputs"][0]["data"] == ["seven"]
            else:
                options: dict[str, Any] = {"stream_options": {"include_usage": True}} if form == "stream with usage" else {}
                answer = await gateway.chat(key, stream=form != "chat", **options)
                assert b"seven" in answer.body
                assert (b"usage" in answer.body) == (form != "stream")
            assert answer.status == 200
            (row,) = await rows_of(gateway)
            assert charged(row) == ("answered", source, *tokens, cost(*tokens))
            assert row["upstream"] == "main"

    asyncio.run(story())


def test_the_same_idempotency_key_for_another_model_of_the_inference_protocol_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with UpstreamServer(sends(b'{"model_name":"x","outputs":[]}')) as server, Serving(tmp_path) as gateway:
            for name in ("a", "b"):
                gateway.route(name, server.url, upstream={"kind": "v2"}, price=PRICE)
            key = gateway.key(budget="9 CNY")
            asked = {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["hello"]}]}
            first = await gateway.post("/v2/models/a/infer", key, asked, Idempotency_Key="k")
            second = await gateway.post("/v2/models/b/infer", key, asked, Idempotency_Key="k")
            assert (first.status, second.status) == (200, 422)
            assert set(second.json) == {"error"}
            read = estimate("hello")
            assert [charged(row) for row in await rows_of(gateway)] == [("answered", "estimate", read, 0, cost(read, 0))]

    asyncio.run(story())
