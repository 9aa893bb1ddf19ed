"""What every kind of target must do, as one body that a third party can run on its own kind.

A test module gives a list of (name, factory) and runs `check(rule, factory, folder)` for each rule of `RULES`;
`test_contract.py` shows how. A factory is `async (folder) -> Subject`; it may write files and start servers.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotbase.domain.evidence import Ask, Reply
from pilotbase.ports import Prompting, Target, TargetContext, TargetKind

PATIENCE = 60.0


@dataclass(kw_only=True)
class Subject:
    """A kind of target, wired to a candidate that answers with all that it received.

    `received(reply)` reads, out of one reply, the text of everything that the candidate was given for that case. The inputs are
    named `word` and `number`. `peak()` says how many calls were under way at once at most, where the candidate can tell.
    `close` ends what the factory started.
    """

    kind: TargetKind
    options: Any
    context: TargetContext
    received: Callable[[Reply], str]
    peak: Callable[[], int] | None = None
    close: Callable[[], Awaitable[None]] | None = None


Factory = Callable[[Path], Awaitable[Subject]]

HIDDEN = ("case-7c1f", "malignant-5d2e", "site-9a3b", "patient-4e8d")  # an id, a target, a group and a cluster


def context_of(folder: Path, *, secrets: Mapping[str, str] | None = None, prompting: Prompting | None = None) -> TargetContext:
    """A context whose paths lie below `folder`, beside which lies the file that the candidate must not see."""
    found = dict(secrets or {})
    row = dict(zip(("id", "target", "group", "cluster"), HIDDEN, strict=True)) | {"word": "visible", "number": 3}
    (folder / "test.csv").write_text(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
    prompts = prompting or Prompting()
    return TargetContext(folder=folder, prompting=prompts, secrets=found.get, scratch=folder / "scratch", media=("word",))


def ask(key: int, word: Any, number: Any, repetition: int = 0) -> Ask:
    return Ask(key=key, inputs={"word": word, "number": number}, repetition=repetition)


@contextlib.asynccontextmanager
async def opened(factory: Factory, folder: Path) -> AsyncIterator[tuple[Subject, Target]]:
    subject = await factory(folder)
    target = subject.kind.build(subject.options, subject.context)
    try:
        yield subject, target
    finally:
        await target.aclose()
        if subject.close is not None:
            await subject.close()


async def invoke_all(target: Target, asks: Sequence[Ask]) -> list[Reply]:
    replies: list[Reply] = []
    for start in range(0, len(asks), target.batch):
        part = asks[start : start + target.batch]
        found = await target.invoke(part)
        assert len(found) == len(part)
        replies += found
    return replies


async def answers_come_in_order(subject: Subject, target: Target) -> None:
    asks = [ask(i, f"word{i}x", 1000 + i) for i in range(12)]
    for i, reply in enumerate(await invoke_all(target, asks)):
        assert reply.failure is None, reply.detail
        assert f"word{i}x" in subject.received(reply) and str(1000 + i) in subject.received(reply)
        assert reply.seconds >= 0 and reply.started > 1e9 and reply.attempts >= 1


async def there_is_one_reply_an_ask_for_every_size_of_batch(subject: Subject, target: Target) -> None:
    for size in {1, 2, 3, target.batch}:
        if size <= min(target.batch, 64):
            assert len(await target.invoke([ask(i, f"w{i}", i) for i in range(size)])) == size


async def nothing_but_the_inputs_reaches_the_candidate(subject: Subject, target: Target) -> None:
    key = 987654321987
    asked = Ask(key=key, inputs={"word": "visible", "number": 3}, repetition=424242)
    (reply,) = await target.invoke([asked])
    assert reply.failure is None, reply.detail
    got = subject.received(reply)
    assert "visible" in got
    assert str(key) not in got and "424242" not in got
    assert not any(value in got for value in HIDDEN)


async def text_of_any_script_and_large_numbers_survive(subject: Subject, target: Target) -> None:
    words = ["恶性肿块", "naïve", "👩🏽‍⚕️", 'line\nbreak "quoted" \\ back', "\u0000nul", "x" * 100_000]
    for word, number in zip(words, [2**53 + 1, -(2**63), 2**63 - 1, 0, -1, 7], strict=True):
        (reply,) = await target.invoke([ask(0, word, number)])
        assert reply.failure is None, reply.detail
        got = subject.received(reply)
        assert word in got and str(number) in got


async def a_media_path_arrives_as_it_was_written(subject: Subject, target: Target) -> None:
    (reply,) = await target.invoke([ask(0, "images/肺 01.png", 1)])
    assert reply.failure is not None or "images/肺 01.png" in subject.received(reply)


async def as_many_calls_as_allowed_run_at_once_and_no_answer_is_swapped(subject: Subject, target: Target) -> None:
    rounds = [[ask(10 * i + j, f"w{i}-{j}.", 5) for j in range(min(2, target.batch))] for i in range(3 * target.concurrency)]
    waiting = list(rounds)

    async def work() -> None:
        while waiting:
            asks = waiting.pop()
            for one, reply in zip(asks, await target.invoke(asks), strict=True):
                assert reply.failure is None, reply.detail
                assert str(one.inputs["word"]) in subject.received(reply)

    await asyncio.gather(*(work() for _ in range(target.concurrency)))
    if subject.peak is not None:
        assert 1 <= subject.peak() <= target.concurrency


async def an_open_loop_call_is_answered_too(subject: Subject, target: Target) -> None:
    (reply,) = await target.invoke([ask(1, "open", 1)], open_loop=True)
    assert reply.failure is None, reply.detail
    assert reply.attempts == 1 and "open" in subject.received(reply)


async def closing_twice_is_safe(subject: Subject, target: Target) -> None:
    await target.invoke([ask(1, "once", 1)])
    await target.aclose()
    await target.aclose()


async def closing_without_a_call_is_safe(subject: Subject, target: Target) -> None:
    await target.aclose()


async def the_fingerprint_is_stable_and_calls_nothing(subject: Subject, target: Target) -> None:
    one = subject.kind.fingerprint(subject.options, subject.context)
    two = subject.kind.fingerprint(subject.options, subject.context)
    assert one == two and one.digest.startswith("sha256:") and len(one.digest) == 71
    assert one.kind == subject.kind.name
    assert subject.peak is None or subject.peak() == 0


RULES = (
    answers_come_in_order,
    there_is_one_reply_an_ask_for_every_size_of_batch,
    nothing_but_the_inputs_reaches_the_candidate,
    text_of_any_script_and_large_numbers_survive,
    a_media_path_arrives_as_it_was_written,
    as_many_calls_as_allowed_run_at_once_and_no_answer_is_swapped,
    an_open_loop_call_is_answered_too,
    closing_twice_is_safe,
    closing_without_a_call_is_safe,
    the_fingerprint_is_stable_and_calls_nothing,
)


def check(rule: Callable[[Subject, Target], Awaitable[None]], factory: Factory, folder: Path) -> None:
    """Run one rule on a fresh target; every wait is bounded."""

    async def run() -> None:
        async with opened(factory, folder) as (subject, target):
            await rule(subject, target)

    asyncio.run(asyncio.wait_for(run(), PATIENCE))
