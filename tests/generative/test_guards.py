"""For any text, any guards and any cutting into frames: a guarded stream reads as the whole text would, masked or stopped."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.guard_cases import ID_NUMBER, Model, streams, written

from pilotbase.detect.pii import KINDS
from pilotbase.domain.traffic import GuardUse
from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.guard_kinds import KeywordsGuard, LanguageGuard, LanguageOptions, LengthGuard, LengthOptions, PiiGuard
from pilotbase.gateway.guards import Guarding
from pilotbase.gateway.watch import Blocked, next_cut
from pilotbase.ports import Finding, Guard

WORDS = [(1, "敏感词"), (2, "感词汇"), (3, "bad word"), (4, "ass"), (5, "aa"), (6, "aaaa"), (7, "词"), (8, "x敏")]
PIECES = (
    *"敏感詞汇词a xA1357902.@-_京　１\u200b·粤BDX(",
    *("敏感", "词汇", "bad ", "word", "ass", "aaa", " " * 9, "class", "。", "\n", "poison", "ＢＡＤ"),
    *(ID_NUMBER, ID_NUMBER[:9], ID_NUMBER[9:], "110105 19491231 002x", "13912345678", "139-1234-", "5678", "+86 "),
    *("6222021234567890128", "4111 1111 1111 1111", "91350100M000100Y43", "京A·12345", "E12345678", "192.168.1.1", "2001:db8::1"),
    *("a.b@example.com", "@example", ".com.cn", "x" * 70, "1" * 30, "(415) 555-2671", "123-45-6789"),
)
texts = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)
guards = st.sampled_from(
    (
        lambda: KeywordsGuard(WORDS),
        lambda: KeywordsGuard([(1, "敏")]),
        lambda: PiiGuard(KINDS),
        lambda: PiiGuard(("mobile",)),
        lambda: Model(window=20),
        Model,
    )
)
placeless = st.sampled_from(
    (
        lambda: LengthGuard(LengthOptions(output=30)),
        lambda: LanguageGuard(LanguageOptions(scripts=("han",), window=20, letters=8)),
    )
)


def whole(guard: Guard | Model, text: str) -> list[Finding]:
    """All that a guard finds in the whole text; a model looks at each window by itself."""
    if not isinstance(guard, Model):
        return list(guard.inspect(text, "output"))
    found: list[Finding] = []
    start = 0
    # Where windows end is the gateway's own rule: `test_holdback` looks at it by itself.
    while (end := next_cut(text, start, guard.window, True)) is not None:
        place = text.find(guard.word, start, end)
        if place >= 0:
            found.append(Finding(guard="model", rule="word", start=place, end=place + len(guard.word)))
        start = end
    return found


def masked(text: str, findings: Sequence[Finding]) -> str:
    """The text with what overlaps replaced by the mask of the first: written anew, and plainly."""
    parts, here = [], 0
    for one in findings:
        if one.start >= here:
            parts += [text[here : one.start], one.mask]
        here = max(here, one.end)
    return "".join((*parts, text[here:]))


def cut(text: str, sizes: Sequence[int]) -> list[str]:
    parts, here = [], 0
    for size in sizes:
        parts.append(text[here : here + size])
        here += size
    return [part for part in (*parts, text[here:]) if part]


def stream(guarding: Guarding, kind: Kind, parts: list[str], together: int) -> tuple[list[bytes], Finding | None]:
    """What goes out of a stream fed `together` frames at a time, and what stopped it."""
    sent: list[bytes] = []

    async def run() -> None:
        holdback = guarding.stream(kind)
        frames = streams(kind, parts)
        for i in range(0, len(frames), together):
            sent.extend(await holdback.feed(frames[i : i + together]))
        sent.extend(await holdback.finish())

    try:
        asyncio.run(run())
    except Blocked as blocked:
        return sent, blocked.finding
    return sent, None


sizes = st.lists(st.integers(1, 12), max_size=60)
kinds = st.sampled_from(("chat", "completions", "responses"))


@given(texts, st.lists(guards, min_size=1, max_size=3), sizes, kinds, st.integers(1, 5))
@settings(max_examples=150)
def test_a_masked_stream_reads_as_the_whole_text_masked_at_once(text, makers, sizes, kind, together) -> None:
    made = [make() for make in makers]
    guarding = Guarding.build([(GuardUse(guard=one.name, action="mask"), one) for one in made])
    found = [(one.start, -one.end, order, one) for order, guard in enumerate(made) for one in whole(guard, text)]
    wanted = masked(text, [one for *_, one in sorted(found, key=lambda f: f[:3])])
    sent, stopped = stream(guarding, kind, cut(text, sizes), together)
    assert stopped is None
    assert written(kind, sent) == wanted
    outcome = asyncio.run(guarding.check_output("transcriptions", text))
    assert (text if outcome.changed is None else outcome.changed.decode()) == wanted


@given(texts, st.lists(guards | placeless, min_size=1, max_size=3), sizes, kinds, st.integers(1, 5))
@settings(max_examples=150)
def test_no_part_of_what_is_blocked_goes_out_and_nothing_else_is_stopped(text, makers, sizes, kind, together) -> None:
    made = [make() for make in makers]
    guarding = Guarding.build([(GuardUse(guard=one.name), one) for one in made])
    found = sorted((one.start, -one.end) for guard in made for one in whole(guard, text))
    sent, stopped = stream(guarding, kind, cut(text, sizes), together)
    out = written(kind, sent)
    assert text.startswith(out)
    assert (stopped is not None) == bool(found)
    if found:
        assert len(out) <= found[0][0]
        assert stopped is not None and (stopped.start, -stopped.end) == found[0]
    else:
        assert out == text


@given(texts, texts, st.lists(guards | placeless, min_size=1, max_size=1))
@settings(max_examples=150)
def test_a_guard_keeps_the_promise_of_its_reach(text, more, makers) -> None:
    guard = makers[0]()
    if isinstance(guard, Model):
        return
    before, after = guard.inspect(text, "output"), guard.inspect(text + more, "output")
    assert all(0 <= one.start < one.end <= len(text) and one.end - one.start <= guard.reach for one in before)
    limit = len(text) - guard.reach
    assert [one for one in before if one.end < limit] == [one for one in after if one.end < limit]
    settled = guard.settled(text, "output", 0)
    assert [one for one in before if one.start < settled] == [one for one in after if one.start < settled]


@given(texts, st.lists(guards, min_size=1, max_size=1))
@settings(max_examples=150)
def test_what_stands_far_before_a_finding_has_no_part_in_it(text, makers) -> None:
    guard = makers[0]()
    if isinstance(guard, Model):
        return
    context = 2 * guard.reach + 16
    for start in range(0, max(1, len(text) - context), 7):
        part = [replace(one, start=one.start + start, end=one.end + start) for one in guard.inspect(text[start:], "output")]
        known = start + context
        assert [one for one in guard.inspect(text, "output") if one.start >= known] == [one for one in part if one.start >= known]
