"""Building an `openai` target for a fake endpoint, with time that passes only when somebody waits."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from tests.fakes.chat_server import Behaviour, ChatServer
from tests.fakes.fake_time import FakeTime
from tests.fakes.patience import PATIENCE

from pilotbase.domain.evidence import Ask, Reply
from pilotbase.ports import Prompting, TargetContext
from pilotbase.targets.openai import Kind, OpenAI, Options

QUESTION = (("user", "{question}"),)


def context(secrets: Mapping[str, str] | None = None, messages: tuple[tuple[str, str], ...] = QUESTION) -> TargetContext:
    """What a target may know, with these secrets."""
    kept = dict(secrets or {})
    return TargetContext(folder=Path(), prompting=Prompting(messages=messages), secrets=kept.get, scratch=Path())


def target(url: str, time: FakeTime | None = None, *, secrets: Mapping[str, str] | None = None, **options: Any) -> OpenAI:
    """A target for this address; waits between attempts are fake, and jitter always takes the longest."""
    time = time or FakeTime()
    kind = Kind(clock=time.clock, sleep=time.sleep, chance=lambda: 1.0)
    return kind.build(Options(**{"url": url, "model": "m", **options}), context(secrets))


async def ask(asked: OpenAI, question: str = "ready?", *, open_loop: bool = False) -> Reply:
    """One answer."""
    return (await asked.invoke([Ask(key=0, inputs={"question": question})], open_loop=open_loop))[0]


def converse(
    behaviours: tuple[Behaviour, ...],
    story: Callable[[OpenAI, ChatServer, FakeTime], Coroutine[Any, Any, Any]],
    **options: Any,
) -> Any:
    """Run a story with a target and the fake endpoint that it asks; ends within 20 s whatever happens."""

    async def run() -> Any:
        time = FakeTime()
        async with ChatServer(*behaviours) as server:
            asked = target(server.url, time, **options)
            try:
                return await story(asked, server, time)
            finally:
                await asked.aclose()

    return asyncio.run(asyncio.wait_for(run(), PATIENCE))


def reply_to(*behaviours: Behaviour, open_loop: bool = False, **options: Any) -> tuple[Reply, int, list[float]]:
    """(the reply to one question, requests that it took, waits between them in seconds)."""

    async def story(asked: OpenAI, server: ChatServer, time: FakeTime) -> tuple[Reply, int, list[float]]:
        reply = await ask(asked, open_loop=open_loop)
        return reply, len(server.bodies), time.waits

    answer: tuple[Reply, int, list[float]] = converse(behaviours, story, **options)
    return answer
