"""Guards on streams: what is held, what goes out, and what never does."""

import asyncio
from collections.abc import Sequence

import orjson
import pytest
from tests.fakes.guard_cases import CASES, DONE, ID_NUMBER, Case, Model, frame, streams, written

from pilotbase.domain.traffic import GuardUse
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.frames import Frame
from pilotbase.gateway.guard_kinds import KeywordsGuard, PiiGuard
from pilotbase.gateway.guards import Guarding
from pilotbase.gateway.holdback import MOST_FRAMES, Holdback
from pilotbase.gateway.watch import Blocked, next_cut
from pilotbase.ports import Finding, Guard, Phase, RemoteGuard

STREAMED: tuple[Kind, ...] = ("chat", "completions", "responses")


def hold(guard: Guard | RemoteGuard, action: str, kind: Kind = "chat") -> Holdback:
    use = GuardUse(guard=guard.name, action=action)  # type: ignore[arg-type]
    return Guarding.build([(use, guard)]).stream(kind)


async def drain(holdback: Holdback, frames: Sequence[Frame], sent: list[bytes]) -> None:
    """Feed frame by frame; `sent` is what went out, whatever happens."""
    for one in frames:
        sent += await holdback.feed([one])
    sent += await holdback.finish()


def pass_through(holdback: Holdback, frames: Sequence[Frame]) -> list[bytes]:
    sent: list[bytes] = []
    asyncio.run(drain(holdback, frames, sent))
    return sent


def in_parts(text: str, size: int) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("kind", STREAMED)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_guard_stops_a_stream_of_every_kind_before_any_of_it_went_out(case: Case, kind: Kind, size: int) -> None:
    holdback = hold(case.make(), "block", kind)
    sent: list[bytes] = []
    with pytest.raises(Blocked) as blocked:
        asyncio.run(drain(holdback, streams(kind, in_parts(case.bad, size)), sent))
    found = blocked.value.finding
    assert found.guard == case.name
    assert len(written(kind, sent)) <= found.start
    assert case.secret not in str(blocked.value)


@pytest.mark.parametrize("kind", STREAMED)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_stream_with_nothing_to_find_goes_out_as_it_came(case: Case, kind: Kind) -> None:
    frames = [*streams(kind, in_parts(case.good, 2)), Frame(b": ping\n\n", b"", b"")]
    assert pass_through(hold(case.make(), "block", kind), frames) == [one.raw for one in frames]


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("kind", STREAMED)
@pytest.mark.parametrize("case", [c for c in CASES if c.masks], ids=lambda c: c.name)
def test_a_finding_over_several_frames_is_masked_across_them_and_in_every_repetition(case: Case, kind: Kind, size: int) -> None:
    holdback = hold(case.make(), "mask", kind)
    sent = pass_through(holdback, streams(kind, in_parts(case.bad, size)))
    assert case.secret not in written(kind, sent)
    assert case.secret.encode() not in b"".join(sent) and case.secret not in b"".join(sent).decode("unicode_escape")
    assert len(holdback.masked) == 1, "said once, though a response repeats its text"
    assert len(sent) == len(streams(kind, in_parts(case.bad, size)))


def test_a_masked_frame_keeps_its_event_name_and_its_other_members() -> None:
    sent = pass_through(hold(PiiGuard(), "mask", "responses"), streams("responses", [ID_NUMBER]))
    delta = next(raw for raw in sent if b"text.delta" in raw)
    assert delta.startswith(b"event: response.output_text.delta\ndata: ")
    document = orjson.loads(delta.split(b"data: ")[1])
    assert document["delta"] == "[身份证]" and document["sequence_number"] == 1


def test_plain_prose_is_not_held_back() -> None:
    async def run() -> None:
        for guard in (PiiGuard(), KeywordsGuard([(1, "敏感词")])):
            holdback = hold(guard, "block")
            frames = streams("chat", ["你好，", "今天天气不错，", "我们出去走走。"])
            for one in frames[:-1]:
                assert await holdback.feed([one]) == [one.raw]

    asyncio.run(run())


def test_a_beginning_of_a_finding_is_held_until_it_is_none() -> None:
    async def run() -> None:
        holdback = hold(KeywordsGuard([(1, "敏感词")]), "block")
        first, second, third = streams("chat", ["这是敏", "感", "时刻"])[1:4]
        assert await holdback.feed([first]) == []
        assert await holdback.feed([second]) == []
        assert await holdback.feed([third]) == [first.raw, second.raw, third.raw]

    asyncio.run(run())


def test_guards_that_only_flag_hold_nothing_back() -> None:
    async def run() -> None:
        holdback = hold(PiiGuard(), "flag")
        frames = streams("chat", in_parts(f"号码{ID_NUMBER}。", 2))
        for one in frames:
            assert await holdback.feed([one]) == [one.raw]
        await holdback.finish()
        assert [one.rule for one in holdback.flags] == ["id-number"]

    asyncio.run(run())


def test_without_guards_frames_pass_unread() -> None:
    broken = Frame(b"data: {broken\n\n", b"{broken", b"")
    assert pass_through(Guarding.empty().stream("chat"), [broken]) == [broken.raw]


def test_choices_are_texts_of_their_own() -> None:
    def chunk(index: int, text: str) -> Frame:
        return frame({"choices": [{"index": index, "delta": {"content": text}}]})

    frames = [chunk(0, "敏感"), chunk(1, "词"), chunk(1, "敏感"), chunk(0, "度"), chunk(1, "词")]
    with pytest.raises(Blocked):
        pass_through(hold(KeywordsGuard([(1, "敏感词")]), "block"), frames)
    assert pass_through(hold(KeywordsGuard([(1, "敏感词")]), "block"), frames[:4]) == [one.raw for one in frames[:4]]


@pytest.mark.parametrize(
    "delta",
    [
        lambda text: {"reasoning_content": text},
        lambda text: {"refusal": text},
        lambda text: {"content": [{"type": "text", "text": text}]},
        lambda text: {"thinking_of_a_new_kind": {"text": text}},
        lambda text: {"tool_calls": [{"index": 1, "function": {"arguments": text}}]},
        lambda text: {"audio": {"transcript": text}},
    ],
)
def test_text_is_found_wherever_a_delta_carries_it(delta) -> None:
    frames = [frame({"choices": [{"index": 0, "delta": delta(part)}]}) for part in in_parts(f"号码{ID_NUMBER}。", 5)]
    with pytest.raises(Blocked):
        pass_through(hold(PiiGuard(), "block"), frames)


def test_a_frame_that_is_no_json_is_not_let_through() -> None:
    with pytest.raises(Blocked) as blocked:
        pass_through(hold(PiiGuard(), "block"), [Frame(b'data: {"usage":,{\n\n', b'{"usage":,{', b"")])
    assert blocked.value.finding.rule == "unreadable-frame"


def test_halves_of_a_surrogate_pair_and_nan_are_read_and_go_out_as_they_came() -> None:
    texts = (rb'{"choices":[{"index":0,"delta":{"content":"\ud83d"}}]}', rb'{"choices":[],"x":NaN}')
    frames = [Frame(b"data: " + data + b"\n\n", data, b"") for data in texts]
    assert pass_through(hold(PiiGuard(), "mask"), frames) == [one.raw for one in frames]


def test_what_is_held_is_bounded() -> None:
    async def run() -> None:
        holdback = hold(KeywordsGuard([(1, "敏感词")]), "block")
        ping = Frame(b":\n\n", b"", b"")
        assert await holdback.feed(streams("chat", ["敏"])[1:2]) == []
        with pytest.raises(Refused, match="within the limits"):
            await holdback.feed([ping] * MOST_FRAMES)

    asyncio.run(run())


def test_a_guard_of_a_plug_in_that_offers_no_more_than_the_port_is_held_by_its_reach() -> None:
    class Plain:
        name = "plain"
        reach = 5

        def inspect(self, text: str, phase: Phase) -> list[Finding]:
            return [
                Finding(guard="plain", rule="bomb", start=i, end=i + 4) for i in range(len(text)) if text.startswith("bomb", i)
            ]

    sent = pass_through(hold(Plain(), "mask"), streams("chat", in_parts("a bomb and a bombshell", 3)))
    assert written("chat", sent) == "a *** and a ***shell"


def test_a_model_judges_a_stream_by_windows_that_end_with_sentences() -> None:
    model = Model(window=20)
    text = "".join(f"第{i}句话在这里结束了。第{i}句也是。" for i in range(3))
    frames = streams("chat", in_parts(text, 4))
    assert pass_through(hold(model, "block"), frames) == [one.raw for one in frames]
    assert "".join(model.asked) == text and max(len(part) for part in model.asked) <= 20
    assert all(part.endswith("。") for part in model.asked)


def test_a_model_without_a_window_judges_the_whole_answer_once_and_nothing_goes_out_before() -> None:
    async def run() -> None:
        model = Model()
        holdback = hold(model, "block")
        frames = streams("chat", ["clean ", "text"])
        sent = [raw for one in frames for raw in await holdback.feed([one])]
        assert written("chat", sent) == "" and model.asked == []
        assert written("chat", await holdback.finish()) == "clean text"
        assert model.asked == ["clean text"]

    asyncio.run(run())


def test_a_silent_model_that_fails_closed_stops_the_stream() -> None:
    with pytest.raises(Blocked) as blocked:
        pass_through(hold(Model(silent=True), "block"), streams("chat", ["text"]))
    assert blocked.value.finding.rule == "unanswered"
    holdback = hold(Model(silent=True, fail_open=True), "block")
    pass_through(holdback, streams("chat", ["text"]))
    assert [one.rule for one in holdback.flags] == ["unanswered"]


def test_the_windows_of_a_growing_text_are_those_of_the_whole_one() -> None:
    text = "One. Two three four five. " * 4
    cuts, start = [], 0
    while (cut := next_cut(text, start, 24, True)) is not None:
        cuts.append(cut)
        start = cut
    grown, start = [], 0
    for end in range(len(text) + 1):
        while (cut := next_cut(text[:end], start, 24, end == len(text))) is not None:
            grown.append(cut)
            start = cut
    assert cuts == grown


def test_the_end_mark_waits_for_the_text_before_it() -> None:
    async def run() -> None:
        holdback = hold(KeywordsGuard([(1, "敏感词")]), "block")
        assert await holdback.feed([*streams("chat", ["敏"])[1:2], DONE]) == []
        assert (await holdback.finish())[-1] == DONE.raw

    asyncio.run(run())
