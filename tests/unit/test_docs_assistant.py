"""The bundled example server speaks the chat protocol, and its questions belong to its pages."""

import asyncio
import importlib.util
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from tests.fakes.asking import ask, target
from tests.fakes.patience import PATIENCE

from pilotbase.domain.evidence import Reply

FOLDER = Path(__file__).parents[2] / "examples" / "docs-assistant"


@pytest.fixture(scope="module")
def server() -> Any:
    """The example's module, loaded from its file."""
    spec = importlib.util.spec_from_file_location("docs_assistant_server", FOLDER / "server.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def visit(server: Any, story: Callable[[str], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        runner = web.AppRunner(server.application(FOLDER / "corpus"), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return await story(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        finally:
            await runner.cleanup()

    return asyncio.run(asyncio.wait_for(run(), PATIENCE))


def test_streamed_and_whole_answers_are_the_same_with_usage(server: Any) -> None:
    async def story(url: str) -> list[Reply]:
        replies = []
        for stream in (False, True):
            asked = target(url, stream=stream, params={"temperature": 0}, model="docs-assistant")
            replies.append(await ask(asked, "What is a gate pack?"))
            await asked.aclose()
        return replies

    whole, streamed = visit(server, story)
    assert "published, versioned and hashed set of gates" in whole.answer
    assert whole.answer == streamed.answer
    assert streamed.ttft is not None
    assert whole.usage == streamed.usage
    assert whole.usage is not None
    assert whole.usage.tokens_out > 10


def test_it_says_that_it_has_no_model_weights(server: Any) -> None:
    async def story(url: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/models") as response:
            return await response.json()

    assert "No model weights" in visit(server, story)["data"][0]["description"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"messages": []}', b'{"messages": [{"role": "user", "content": 3}]}', b"\xff"]
)
def test_a_request_that_is_none_is_a_400_with_a_message(server: Any, body: bytes) -> None:
    async def story(url: str) -> Any:
        async with aiohttp.ClientSession() as session, session.post(f"{url}/chat/completions", data=body) as response:
            return response.status, await response.json()

    status, said = visit(server, story)
    assert status == 400
    assert said["error"]["message"]


def test_a_question_about_nothing_in_the_pages_is_answered_so(server: Any) -> None:
    index = server.Index(FOLDER / "corpus")
    assert server.answer(index, "zebra?") == "The pages say nothing about that."
    assert server.answer(index, "斑马") == "文档中没有相关内容。"


def test_every_expected_phrase_stands_in_the_pages_of_its_language() -> None:
    rows = [orjson.loads(line) for line in (FOLDER / "questions.jsonl").read_bytes().splitlines()]
    pages = {tongue: "".join(p.read_text("utf-8") for p in FOLDER.glob(f"corpus/*.{tongue}.md")) for tongue in ("en", "zh")}
    assert len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == len(rows) == 120
    assert [sum(row["language"] == tongue for row in rows) for tongue in ("en", "zh")] == [60, 60]
    assert all(row["expected"] in pages[row["language"]] for row in rows)
