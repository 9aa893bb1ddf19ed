"""An endpoint that admits so many calls and answers 429 to the rest: the target finds the limit and wastes little."""

import asyncio
import random
from typing import Any

from tests.fakes.asking import context
from tests.fakes.chat_server import Admits, ChatServer

from pilotbase.domain.evidence import Ask
from pilotbase.targets.openai import Kind, OpenAI, Options


async def ask_all(asked: OpenAI, count: int) -> list[Any]:
    """Ask `count` questions with as many under way as the target allows."""
    numbers = iter(range(count))
    replies: list[Any] = []

    async def work() -> None:
        for number in numbers:
            replies.extend(await asked.invoke([Ask(key=number, inputs={"question": number})]))

    await asyncio.gather(*(work() for _ in range(asked.concurrency)))
    return replies


def test_a_server_that_admits_ten_gets_every_answer_through_with_few_refusals() -> None:
    async def story() -> tuple[list[Any], Admits]:
        admits = Admits(10, lambda: asyncio.sleep(0.005))
        async with ChatServer(admits) as server:
            kind = Kind(chance=random.Random(7).random, sleep=lambda seconds: asyncio.sleep(seconds / 50))
            asked = kind.build(Options(url=server.url, model="m", concurrency=64, retries=10), context())
            try:
                return await ask_all(asked, 600), admits
            finally:
                await asked.aclose()

    replies, admits = asyncio.run(asyncio.wait_for(story(), 60))
    assert len(replies) == 600
    assert all(reply.failure is None for reply in replies)
    assert admits.most == 10
    assert admits.refused < 120
