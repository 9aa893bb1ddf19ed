"""Every guard × action × kind of endpoint × input and output × whole and stream, through the whole gateway.

The table is made of `ENDPOINTS`: a new kind of endpoint fails here until it says what guards see of it.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import aiohttp
import orjson
import pytest
from tests.fakes.gateway import Answered, Serving
from tests.fakes.guard_cases import CASES, Case, asks
from tests.fakes.guard_cases import answers as whole
from tests.fakes.guard_cases import streams as stream_frames
from tests.fakes.upstream_server import Behaviour, Exchange, UpstreamServer, hangs, says, sends, streams

from pilotbase.domain.traffic import GuardUse, Route, Tie, Upstream
from pilotbase.gateway.endpoints import ENDPOINTS, Kind

Action = Literal["block", "mask", "flag"]
ACTIONS: tuple[Action, ...] = ("block", "mask", "flag")
GUARDS = {case.name: case for case in CASES}
KINDS: tuple[Kind, ...] = get_args(Kind)
PATHS = {one.kind: f"/v1{one.path}" for one in ENDPOINTS.values()}
FORMS = {one.kind for one in ENDPOINTS.values() if one.body == "multipart"}

INPUT: Mapping[Kind, Literal["text"]] = dict.fromkeys(KINDS, "text")
"""What a request of each kind brings: all bring text that guards see."""

OUTPUT: Mapping[Kind, Literal["text", "sound", "numbers"]] = {
    "chat": "text",
    "completions": "text",
    "responses": "text",
    "embeddings": "numbers",
    "moderations": "numbers",
    "speech": "sound",
    "transcriptions": "text",
    "translations": "text",
    "images": "text",
    "image-edits": "text",
    "image-variations": "text",
    "rerank": "text",
    "infer": "text",
}
"""What an answer of each kind brings. Numbers hold nothing to look at; guards do not see sound (docs/guards.md)."""

STREAMED: Mapping[Kind, Literal["text", "sound"]] = {
    "chat": "text",
    "completions": "text",
    "responses": "text",
    "speech": "sound",
    "transcriptions": "text",
    "images": "text",
    "image-edits": "text",
}
"""What a stream of each kind that streams brings."""


def test_every_endpoint_says_what_guards_see_of_it() -> None:
    served = {one.kind for one in ENDPOINTS.values()} | {"infer"}
    assert set(KINDS) == served
    assert set(INPUT) == set(OUTPUT) == served
    assert set(STREAMED) == {one.kind for one in ENDPOINTS.values() if one.streams}
    unseen = (Path(__file__).parents[3] / "docs" / "guards.md").read_text("utf-8").partition("## What guards do not see")[2]
    assert "sound" in unseen
    assert "Pictures" in unseen


def combinations() -> Iterator[tuple[str, Action]]:
    for case in CASES:
        for action in ACTIONS:
            if action != "mask" or case.masks:
                yield case.name, action


async def judge(exchange: Exchange) -> None:
    """The model behind the guard `http`: finds `poison`."""
    place = exchange.received.document["text"].find("poison")
    found = [] if place < 0 else [{"rule": "word", "start": place, "end": place + 6}]
    await sends(orjson.dumps({"findings": found}))(exchange)


class Matrix:
    """A gateway with one route for each guard, action and side, and an upstream that says what it is told to."""

    def __init__(self, gateway: Serving, server: UpstreamServer, model: UpstreamServer) -> None:
        self.gateway = gateway
        self.server = server
        (gateway.home / "words.txt").write_text("forbidden word\n敏感词\n", "utf-8")
        options: dict[str, dict[str, Any]] = {name: dict(case.options) for name, case in GUARDS.items()}
        options |= {"keywords": {"file": "words.txt"}, "model": {"url": model.url, "name": "model"}}
        for name, action in combinations():
            for side in ("input", "output"):
                guard = "http" if name == "model" else name
                use = GuardUse(guard=guard, on=side, action=action, options=options[name])  # type: ignore[arg-type]
                route = f"{name}-{action}-{side}"
                gateway.route(route, server.url, guards=[use])
                gateway.put(_v2(f"{route}-v2", server.url, use))
        self.key = gateway.key()

    async def ask(self, kind: Kind, route: str, text: str, *, stream: bool = False) -> Answered:
        if kind == "infer":
            return await self.gateway.post(f"/v2/models/{route}-v2/infer", self.key, asks(kind, text))
        if kind in FORMS:
            return await self._form(kind, route, text, stream)
        flag = {"stream_format": "sse"} if kind == "speech" else {"stream": True}
        return await self.gateway.post(PATHS[kind], self.key, {**asks(kind, text), "model": route, **(flag if stream else {})})

    async def _form(self, kind: Kind, route: str, text: str, stream: bool) -> Answered:
        form = aiohttp.FormData()
        form.add_field("model", route)
        form.add_field("prompt", text)
        form.add_field("file", b"\x00\x01", filename="a.bin", content_type="application/octet-stream")
        if stream:
            form.add_field("stream", "true")
        told = {"Authorization": f"Bearer {self.key}"}
        async with self.gateway.session.post(self.gateway.url + PATHS[kind], data=form, headers=told) as response:
            return Answered(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())


def _v2(name: str, url: str, use: GuardUse) -> Route:
    ups = (Upstream(name="u0", url=url.removesuffix("/v1") + "/v2", kind="v2"),)
    return Route(name=name, upstreams=ups, guards=(use,), tie=Tie(policy="allow"))


def answer_of(kind: Kind, text: str) -> bytes:
    if OUTPUT[kind] == "numbers":
        return b'{"object":"list","data":[{"embedding":[0.1]}],"results":[{"flagged":false}]}'
    return orjson.dumps(whole("images" if kind.startswith("image") else kind, text))


def stream_of(kind: Kind, text: str) -> bytes:
    """A whole stream that says `text` a few characters at a time."""
    if kind in ("chat", "completions", "responses"):
        return b"".join(frame.raw for frame in stream_frames(kind, [text[i : i + 2] for i in range(0, len(text), 2)]))
    events: list[dict[str, Any]]
    if kind == "transcriptions":
        events = [{"type": "transcript.text.delta", "delta": text[i : i + 2]} for i in range(0, len(text), 2)]
        events.append({"type": "transcript.text.done", "text": text})
    else:
        events = [{"type": "image_generation.partial_image", "b64_json": "aGk=", "partial_image_index": 0}]
        events.append({"type": "image_generation.completed", "b64_json": "aGk=", "revised_prompt": text})
    return b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), orjson.dumps(one)) for one in events)


def pieces(data: bytes, count: int = 101) -> Sequence[bytes]:
    """The bytes of a stream, cut where they mean nothing."""
    return [data[i : i + count] for i in range(0, len(data), count)]


def deltas(body: bytes) -> str:
    """The text that a client puts together of a stream's deltas."""
    found: list[str] = []
    for block in body.split(b"\n\n"):
        data = b"".join(line[6:] for line in block.split(b"\n") if line.startswith(b"data: "))
        if not data.startswith(b"{"):
            continue
        document = orjson.loads(data)
        if isinstance(document.get("delta"), str):
            found.append(document["delta"])
        for choice in document.get("choices") or ():
            found.append((choice.get("delta") or {}).get("content") or choice.get("text") or "")
    return "".join(found)


def is_blocked(answer: Answered, case: Case) -> bool:
    """Whether a refusal names the guard, and nothing of what was found."""
    error = answer.json["error"]
    if isinstance(error, str):  # the Open Inference Protocol's shape
        error = {"message": error, "code": "content_filter"}
    return (
        answer.status == 400
        and error["code"] == "content_filter"
        and f"({case.name}/" in error["message"]
        and case.secret not in answer.body.decode()
        and answer.headers["x-should-retry"] == "false"
    )


def written(body: bytes) -> str:
    """A document's text as it reads: escapes of JSON undone."""
    return orjson.dumps(orjson.loads(body)).decode()


def logged(home: Path) -> dict[str, list[str]]:
    """The guards of each request in the access log."""
    lines = [line for path in (home / "gateway" / "logs").rglob("*") if path.is_file() for line in path.read_bytes().splitlines()]
    return {one["id"]: one["guards"] for one in map(orjson.loads, lines)}


def is_named(guards: Sequence[str], case: Case) -> bool:
    return any(one.startswith(f"{case.name}/") for one in guards)


@pytest.mark.parametrize(("name", "action"), list(combinations()))
def test_a_guard_on_input_sees_every_kind_of_request(tmp_path: Path, name: str, action: Action) -> None:
    case, route = GUARDS[name], f"{name}-{action}-input"
    marks: dict[str, str] = {}

    async def one(matrix: Matrix, kind: Kind) -> None:
        server = matrix.server
        before = len(server.requests)
        good = await matrix.ask(kind, route, case.good)
        assert good.status == 200, (kind, good.body)
        assert case.good in read(server.requests[before].body)
        bad = await matrix.ask(kind, route, case.bad)
        marks[bad.headers["x-request-id"]] = kind
        if action == "block" or (action == "mask" and kind in FORMS):
            assert is_blocked(bad, case), (kind, bad.body)
            assert len(server.requests) == before + 1, kind
            return
        assert bad.status == 200, (kind, bad.body)
        sent = read(server.requests[before + 1].body)
        assert (case.secret in sent) == (action == "flag"), kind
        if action == "flag":
            assert case.bad in sent, kind

    async def story() -> None:
        async with (
            UpstreamServer(sends(b'{"object":"x"}')) as server,
            UpstreamServer(judge) as model,
            Serving(tmp_path) as gateway,
        ):
            matrix = Matrix(gateway, server, model)
            for kind in INPUT:
                await one(matrix, kind)

    asyncio.run(story())
    if action != "mask":
        log = logged(tmp_path)
        assert all(is_named(log[id_], case) for id_ in marks), marks


def read(body: bytes) -> str:
    """A request's body as text; JSON with its escapes undone."""
    try:
        return orjson.dumps(orjson.loads(body)).decode()
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")


@pytest.mark.parametrize(("name", "action"), list(combinations()))
def test_a_guard_on_output_sees_every_kind_of_answer(tmp_path: Path, name: str, action: Action) -> None:
    case, route = GUARDS[name], f"{name}-{action}-output"
    marks: list[str] = []

    async def one(matrix: Matrix, kind: Kind) -> None:
        server = matrix.server
        if OUTPUT[kind] == "sound":
            server.behaviours = [sends(b"RIFF1234", kind="audio/wav")]
            assert (await matrix.ask(kind, route, "ask")).body == b"RIFF1234"
            return
        server.behaviours = [sends(answer_of(kind, case.good))]
        good = await matrix.ask(kind, route, "ask")
        assert (good.status, good.body) == (200, answer_of(kind, case.good)), kind
        if OUTPUT[kind] == "numbers":
            return
        server.behaviours = [sends(answer_of(kind, case.bad))]
        bad = await matrix.ask(kind, route, "ask")
        marks.append(bad.headers["x-request-id"])
        if action == "block":
            assert is_blocked(bad, case), (kind, bad.body)
        elif action == "mask":
            assert bad.status == 200, kind
            assert case.secret not in written(bad.body), kind
            assert case.bad.partition(case.secret)[0] in written(bad.body), kind
        else:
            assert (bad.status, bad.body) == (200, answer_of(kind, case.bad)), kind

    async def story() -> None:
        async with UpstreamServer() as server, UpstreamServer(judge) as model, Serving(tmp_path) as gateway:
            matrix = Matrix(gateway, server, model)
            for kind in OUTPUT:
                await one(matrix, kind)
            await gateway.settled()
            assert gateway.reconcile().balanced

    asyncio.run(story())
    if action != "mask":
        log = logged(tmp_path)
        assert all(is_named(log[id_], case) for id_ in marks)


@pytest.mark.parametrize(("name", "action"), list(combinations()))
def test_a_guard_on_output_sees_every_kind_of_stream(tmp_path: Path, name: str, action: Action) -> None:
    case, route = GUARDS[name], f"{name}-{action}-output"
    marks: list[str] = []

    async def one(matrix: Matrix, kind: Kind) -> None:
        server = matrix.server
        for text in (case.good, case.bad):
            data = stream_of(kind, text)
            server.behaviours = [streams(pieces(data), done=False)]
            answer = await matrix.ask(kind, route, "ask", stream=True)
            if text == case.good or action == "flag":
                assert (answer.status, answer.body) == (200, data), kind
        marks.append(answer.headers["x-request-id"])
        told = deltas(answer.body)
        if action == "block":
            assert case.secret not in answer.body.decode(), kind
            assert case.bad.startswith(told), kind
            assert len(told) <= case.bad.index(case.secret), kind
            assert b"[DONE]" not in answer.body, kind
            if answer.status == 200:
                last = orjson.loads(answer.body.rstrip().rpartition(b"data: ")[2])
                assert last["error"]["code"] == "content_filter", kind
            else:
                assert is_blocked(answer, case), kind
        elif action == "mask":
            assert answer.status == 200, kind
            assert case.secret not in told, kind
            assert case.secret not in answer.body.decode(), kind
            if kind in ("chat", "completions"):
                assert answer.body.endswith(b"data: [DONE]\n\n")
            if not kind.startswith("image"):
                before, _, after = case.bad.partition(case.secret)
                assert told.startswith(before), kind
                assert told.endswith(after), kind

    async def story() -> None:
        async with UpstreamServer() as server, UpstreamServer(judge) as model, Serving(tmp_path) as gateway:
            matrix = Matrix(gateway, server, model)
            for kind, what in STREAMED.items():
                if what == "text":
                    await one(matrix, kind)
            await gateway.settled()
            assert gateway.reconcile().balanced

    asyncio.run(story())
    if action != "mask":
        log = logged(tmp_path)
        assert all(is_named(log[id_], case) for id_ in marks)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("side", ["input", "output"])
def test_what_was_masked_is_recorded(tmp_path: Path, side: Literal["input", "output"], stream: bool) -> None:
    case = GUARDS["pii"]

    async def story() -> str:
        async with UpstreamServer() as server, Serving(tmp_path) as gateway:
            gateway.route("m", server.url, guards=[GuardUse(guard="pii", on=side, action="mask")])
            said = case.bad if side == "output" else case.good
            data = stream_of("chat", said) if stream else answer_of("chat", said)
            server.behaviours = [streams(pieces(data), done=False) if stream else sends(data)]
            answer = await gateway.chat(gateway.key(), text=case.bad if side == "input" else "ask", stream=stream)
            assert answer.status == 200
            return answer.headers["x-request-id"]

    name = asyncio.run(story())
    assert is_named(logged(tmp_path)[name], case)


DOWN: dict[str, Behaviour] = {
    "slow": hangs(),
    "failing": says(500),
    "babbling": sends(b"not JSON"),
    "forwarding": says(302),
}


@pytest.mark.parametrize("trouble", [*DOWN, "gone"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize("fail_open", [False, True])
def test_a_model_guard_without_a_judgement_keeps_to_its_stated_policy(
    tmp_path: Path, trouble: str, stream: bool, side: Literal["input", "output"], fail_open: bool
) -> None:
    async def story() -> tuple[str, int]:
        async with UpstreamServer() as server, UpstreamServer(DOWN.get(trouble, hangs())) as model, Serving(tmp_path) as gateway:
            if trouble == "gone":
                await model.stop()
            options = {"url": model.url, "name": "model", "timeout": "100ms", "fail-open": fail_open}
            gateway.route("m", server.url, guards=[GuardUse(guard="http", on=side, options=options)])
            answer = await gateway.chat(gateway.key(), stream=stream)
            if fail_open:
                assert answer.status == 200
                assert (deltas(answer.body) if stream else answer.json["choices"][0]["message"]["content"]) == "yes"
            else:
                assert b"yes" not in answer.body
                assert deltas(answer.body) == ""
                assert b"content_filter" in answer.body
                assert b"model/unanswered" in answer.body
                assert len(server.requests) == (0 if side == "input" else 1)
            await gateway.settled()
            assert gateway.reconcile().balanced
            return answer.headers["x-request-id"], answer.status

    name, _ = asyncio.run(story())
    assert logged(tmp_path)[name] == ["model/unanswered"]
