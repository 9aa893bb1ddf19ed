"""Judges on live samples: asked beside everything else, a few answers at a time, within what a day may cost."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from pilotbase.checks.live import LiveCheck
from pilotbase.context import Context
from pilotbase.domain.live import live_of
from pilotbase.errors import UserError
from pilotbase.flows.live_scoring import judge_costs, judged, to_judge
from pilotbase.flows.release_moves import checks_of
from pilotbase.judges.model import build
from pilotbase.release import records
from pilotbase.release.records import Release

__all__ = ["Inside", "judge_live", "may_spend"]

AT_ONCE = 16
DAY = 86_400_000_000


class Inside(Protocol):
    """Runs work where the database may be used."""

    def __call__(self, work: Callable[[], Any], /) -> Awaitable[Any]: ...


def may_spend(context: Context, release: Release, one: LiveCheck, now: int) -> int:
    """How many nanos a check's judge may still cost today (UTC); -1 where no limit is declared, 0 where it is used up."""
    daily = live_of(one.check).daily
    if daily is None:
        return -1
    return max(0, daily.nanos - judge_costs(context, release, one, now - now % DAY))


async def judge_live(context: Context, inside: Inside, now: int, say: Callable[[str], None]) -> int:
    """Have judges look at what was sampled and not judged; how many answers. An address that fails is told and tried again."""
    count = 0
    for release in await inside(lambda: records.list_releases(context.database, open_only=True)):
        for one in checks_of(release):
            if one.check.judge is None:
                continue
            try:
                count += await _judge(context, inside, release, one, now)
            except UserError as error:
                say(f"release {release.id}: the judge of {one.id} cannot be asked: {error.message}")
    return count


async def _judge(context: Context, inside: Inside, release: Release, one: LiveCheck, now: int) -> int:
    assert one.check.judge is not None
    left = await inside(lambda: may_spend(context, release, one, now))
    limit = _most(one, left)
    if not limit:
        return 0
    asked = await inside(lambda: to_judge(context, release, one, now, limit))
    if not asked:
        return 0
    judge = build(one.check.judge, context.secrets)
    try:
        said = await judge.judge([question for _, question in asked])
    finally:
        await judge.aclose()
    await inside(lambda: judged(context, release, one, asked, said, now))
    return len(asked)


def _most(one: LiveCheck, left: int) -> int:
    """How many answers may be judged now: with a price a call none beyond the limit; with one a token one at a time near it."""
    if left < 0:
        return AT_ONCE
    if not left:
        return 0
    price = one.check.judge.price if one.check.judge is not None else None
    call, read, wrote = price.amounts() if price is not None else (None, None, None)
    if read is not None or wrote is not None:
        return 1
    return min(AT_ONCE, left // call.nanos) if call is not None and call.nanos else AT_ONCE
