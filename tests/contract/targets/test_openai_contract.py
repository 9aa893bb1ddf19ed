"""The contract of targets, run on chat endpoints, whole and streamed."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from tests.fakes.chat_server import ChatServer, completion, piece

from contract.targets.contract import RULES, Factory, Subject, Target, check, context_of
from pilotbase.domain.evidence import Reply
from pilotbase.ports import Prompting
from pilotbase.targets.openai import Options, kind

MESSAGES = (("system", "You repeat."), ("user", "{word} and {number}"))


class Echo:
    """An endpoint that answers with all that it received: the body, as the model saw it, and the headers."""

    def __init__(self) -> None:
        self.under_way = 0
        self.peak = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        try:
            return await self._answer(request)
        finally:
            self.under_way -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        text = orjson.dumps(
            [[m["content"] for m in body["messages"]], body, {str(k): v for k, v in request.headers.items()}, request.path_qs]
        ).decode()
        if not body["stream"]:
            return web.json_response(completion(text))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for start in range(0, len(text), 1000):
            await response.write(b"data: " + orjson.dumps(piece({"content": text[start : start + 1000]})) + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response


def received(reply: Reply) -> str:
    contents, body, headers, path = orjson.loads(reply.answer)
    return "\n".join([*contents, str(body), str(headers), path])


def chat(**options: object) -> Factory:
    async def factory(folder: Path) -> Subject:
        echo = Echo()
        server = await ChatServer(echo).__aenter__()
        context = replace(context_of(folder, prompting=Prompting(messages=MESSAGES)), media=())
        return Subject(
            kind=kind,
            options=Options(url=server.url, model="echo", concurrency=12, **options),
            context=context,
            received=received,
            peak=lambda: echo.peak,
            close=server.stop,
        )

    return factory


CASES: list[tuple[str, Factory]] = [("openai, whole", chat()), ("openai, streamed", chat(stream=True))]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("factory", [f for _, f in CASES], ids=[n for n, _ in CASES])
def test_a_chat_target_keeps_the_contract(
    rule: Callable[[Subject, Target], Awaitable[None]], factory: Factory, tmp_path: Path
) -> None:
    check(rule, factory, tmp_path)
