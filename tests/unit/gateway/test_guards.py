"""Guards on requests and on whole answers."""

import asyncio
from typing import Any

import orjson
import pytest
from aiohttp import web
from tests.fakes.guard_cases import CASES, ID_NUMBER, Case, Model, answers, asks

from pilotbase.domain.traffic import GuardUse
from pilotbase.errors import UserError
from pilotbase.gateway import guard_kinds
from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.guards import Guarding, Outcome, refusal
from pilotbase.gateway.remote_guard import HttpGuard, read_judgement
from pilotbase.ports import Finding

ASKED: tuple[Kind, ...] = (
    "chat", "completions", "responses", "embeddings", "moderations", "speech", "transcriptions", "translations", "images",
    "image-edits", "image-variations", "rerank", "infer",
)  # fmt: skip
ANSWERED: tuple[Kind, ...] = ("chat", "completions", "responses", "transcriptions", "translations", "images", "rerank", "infer")


def guarding(case: Case, action: str, on: str = "both") -> Guarding:
    return Guarding.build([(GuardUse(guard=case.name, on=on, action=action), case.make())])  # type: ignore[arg-type]


def on_input(guards: Guarding, kind: Kind, document: Any) -> Outcome:
    return asyncio.run(guards.check_input(kind, document))


def on_output(guards: Guarding, kind: Kind, document: Any) -> Outcome:
    return asyncio.run(guards.check_output(kind, document))


@pytest.mark.parametrize("kind", ASKED)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_guard_stops_a_request_of_every_kind(case: Case, kind: Kind) -> None:
    guards = guarding(case, "block")
    assert (found := on_input(guards, kind, asks(kind, case.bad)).blocked)
    assert case.secret not in str(found) and case.secret not in refusal(found, "input").message
    assert on_input(guards, kind, asks(kind, case.good)) == Outcome()
    assert on_input(guarding(case, "block", "output"), kind, asks(kind, case.bad)) == Outcome()


@pytest.mark.parametrize("kind", ANSWERED)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_guard_stops_an_answer_of_every_kind_that_writes_text(case: Case, kind: Kind) -> None:
    guards = guarding(case, "block")
    assert on_output(guards, kind, answers(kind, case.bad)).blocked
    assert on_output(guards, kind, answers(kind, case.good)) == Outcome()
    assert on_output(guarding(case, "block", "input"), kind, answers(kind, case.bad)) == Outcome()


@pytest.mark.parametrize("kind", ANSWERED)
@pytest.mark.parametrize("case", [c for c in CASES if c.masks], ids=lambda c: c.name)
def test_what_is_masked_is_gone_and_the_rest_stays(case: Case, kind: Kind) -> None:
    document = answers(kind, case.bad)
    before = orjson.dumps(document)
    outcome = on_output(guarding(case, "mask"), kind, document)
    assert outcome.changed is not None and outcome.masked and outcome.blocked is None
    assert case.secret not in outcome.changed.decode()
    assert orjson.dumps(document) == before, "the caller's document is not touched"
    assert orjson.loads(outcome.changed).keys() == document.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_what_is_flagged_passes_unchanged_and_is_recorded(case: Case) -> None:
    outcome = on_output(guarding(case, "flag"), "chat", answers("chat", case.bad))
    assert outcome.flags and outcome.changed is None and outcome.blocked is None


def test_a_word_split_over_two_parts_of_a_message_is_found_and_masked_in_both() -> None:
    document = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "号11010519"}, {"type": "text", "text": "491231002X完"}]}
        ]
    }
    outcome = on_input(guarding(CASES[1], "mask"), "chat", document)
    assert outcome.changed
    texts = [part["text"] for part in orjson.loads(outcome.changed)["messages"][0]["content"]]
    assert texts == ["号[身份证]", "完"]


def test_text_sent_as_numbers_of_tokens_is_refused_where_input_is_guarded() -> None:
    guards = guarding(CASES[0], "block")
    for kind, document in (("embeddings", {"input": [[1, 2]]}), ("completions", {"prompt": [1, 2, 3]})):
        found = on_input(guards, kind, document).blocked  # type: ignore[arg-type]
        assert found and "tokens" in refusal(found, "input").message
    assert on_input(Guarding.empty(), "embeddings", {"input": [[1, 2]]}) == Outcome()


def test_the_length_of_a_request_is_that_of_all_its_texts_together() -> None:
    guards = guarding(CASES[2], "block")
    assert on_input(guards, "embeddings", {"input": ["x" * 20] * 2}).blocked is None
    assert on_input(guards, "embeddings", {"input": ["x" * 20, "x" * 20, "x"]}).blocked


def test_guards_that_find_no_place_cannot_mask() -> None:
    for case in CASES:
        if not case.masks:
            with pytest.raises(UserError, match="no place in a text that could be masked"):
                guarding(case, "mask")


def test_a_form_whose_field_would_be_masked_is_refused() -> None:
    assert on_input(guarding(CASES[1], "mask"), "transcriptions", {"prompt": CASES[1].bad}).blocked


def test_masking_an_answer_empties_the_token_probabilities_that_spell_it_out() -> None:
    document = answers("chat", CASES[1].bad)
    document["choices"][0]["logprobs"] = {"content": [{"token": ID_NUMBER, "logprob": 0.0}]}
    outcome = on_output(guarding(CASES[1], "mask"), "chat", document)
    assert outcome.changed and ID_NUMBER.encode() not in outcome.changed


def test_findings_of_several_guards_that_overlap_are_masked_as_one() -> None:
    first, second = guard_kinds.KeywordsGuard([(1, "编号110105")]), guard_kinds.PiiGuard()
    guards = Guarding.build([(GuardUse(guard="keywords", action="mask"), first), (GuardUse(guard="pii", action="mask"), second)])
    outcome = on_output(guards, "transcriptions", f"编号：{ID_NUMBER}。 13912345678")
    assert outcome.changed == "编号：[身份证]。 [手机号]".encode()
    guards = Guarding.build([(GuardUse(guard="keywords", action="mask"), guard_kinds.KeywordsGuard([(1, "甲乙"), (2, "乙丙")]))])
    assert on_output(guards, "transcriptions", "甲乙丙丁").changed == "***丁".encode()


def test_a_model_that_gives_no_judgement_stops_or_passes_as_its_policy_says() -> None:
    for fail_open, action, stopped in (
        (False, "block", True),
        (False, "mask", True),
        (True, "block", False),
        (False, "flag", False),
    ):
        use = GuardUse(guard="http", action=action)  # type: ignore[arg-type]
        outcome = on_output(Guarding.build([(use, Model(silent=True, fail_open=fail_open))]), "chat", answers("chat", "hello"))
        assert (outcome.blocked is not None) == stopped
        assert stopped or [one.rule for one in outcome.flags] == ["unanswered"]


def test_a_refusal_names_guard_and_rule_in_both_languages() -> None:
    refused = refusal(Finding(guard="keywords", rule="line-2", start=1, end=3), "output")
    assert (refused.status, refused.code, refused.retry) == (400, "content_filter", False)
    assert "keywords/line-2" in refused.message and "护栏" in refused.message


def test_no_guard_raises_for_half_a_surrogate_pair() -> None:
    for case in CASES:
        assert on_output(guarding(case, "block"), "chat", answers("chat", "\ud83d")).blocked is None


def ask_model(reply: Any, *, status: int = 200, timeout: float = 10.0) -> tuple[list[Finding] | None, list[Any]]:
    """What an `http` guard makes of a server that answers with `reply`, or never where that is None."""
    seen: list[Any] = []

    async def run() -> list[Finding] | None:
        gone = asyncio.Event()

        async def handle(request: web.Request) -> web.Response:
            seen.append((await request.json(), request.headers.get("authorization")))
            if reply is None:
                await gone.wait()
            return web.json_response(reply, status=status)

        app = web.Application()
        app.router.add_post("/judge", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        url = f"http://127.0.0.1:{port}/judge"
        guard = HttpGuard(name="model", url=url, key="k", timeout=timeout, fail_open=False, window=0)
        try:
            return await guard.judge("some text", "input")
        finally:
            gone.set()
            await guard.aclose()
            await runner.cleanup()

    return asyncio.run(run()), seen


def test_a_model_is_asked_over_http_and_its_findings_are_read() -> None:
    found, seen = ask_model({"findings": [{"rule": "hate", "start": 5, "end": 9}]})
    assert found == [Finding(guard="model", rule="hate", start=5, end=9)]
    assert seen == [({"text": "some text", "phase": "input"}, "Bearer k")]
    assert ask_model({"flagged": True})[0] == [Finding(guard="model", rule="model", start=0, end=9)]
    assert ask_model({"flagged": False})[0] == []


def test_a_model_that_fails_or_is_late_gives_no_judgement() -> None:
    assert ask_model({"flagged": False}, status=500)[0] is None
    assert ask_model({"other": 1})[0] is None
    assert ask_model(None, timeout=0.05)[0] is None
    guard = HttpGuard(name="m", url="http://127.0.0.1:9/", key=None, timeout=5.0, fail_open=False, window=0)

    async def run() -> list[Finding] | None:
        try:
            return await guard.judge("x", "output")
        finally:
            await guard.aclose()

    assert asyncio.run(run()) is None


def test_a_judgement_whose_rule_or_places_make_no_sense_means_the_whole_text() -> None:
    told = {"findings": [{"rule": "says: secret text", "start": 3, "end": 2}]}
    assert read_judgement("m", orjson.dumps(told), 9) == [Finding(guard="m", rule="model", start=0, end=9)]
    assert read_judgement("m", b'{"findings": [], "flagged": true}', 9) == [Finding(guard="m", rule="model", start=0, end=9)]
    for body in (b"", b"[]", b"{}", b'{"findings": 3}', b'{"flagged": "no"}', b"[" * 100_000):
        assert read_judgement("m", body, 9) is None


def test_the_kinds_build_their_guards_and_say_what_is_wrong(tmp_path) -> None:
    (tmp_path / "words.txt").write_text("# list\n敏感词\n", encoding="utf-8")
    built = guard_kinds.keywords.build(guard_kinds.KeywordOptions(file="words.txt"), tmp_path, lambda _: None)
    assert [one.rule for one in built.inspect("敏感词", "input")] == ["line-2"]
    with pytest.raises(UserError, match="cannot be read"):
        guard_kinds.keywords.build(guard_kinds.KeywordOptions(file="none.txt"), tmp_path, lambda _: None)
    with pytest.raises(UserError, match="`KEY` is not set"):
        guard_kinds.http.build(guard_kinds.HttpOptions(url="http://h/", key_env="KEY"), tmp_path, lambda _: None)
    for kind in (guard_kinds.keywords, guard_kinds.pii, guard_kinds.length, guard_kinds.language, guard_kinds.http):
        assert kind.options.__pydantic_config__["extra"] == "forbid"
    wrong = (
        guard_kinds.LengthOptions(),
        guard_kinds.LanguageOptions(scripts=(), share=2.0, window=1),
        guard_kinds.PiiOptions(kinds=()),
        guard_kinds.HttpOptions(url="ftp://x", timeout="1h", name="a b", key_env="a-b", window=3),
        guard_kinds.HttpOptions(),
    )
    assert all(list(options.problems()) for options in wrong)
    assert not list(guard_kinds.HttpOptions(url="http://127.0.0.1:1/judge").problems())


def test_closing_the_guards_closes_each_model_once() -> None:
    model = Model()
    guards = Guarding.build([(GuardUse(guard="http"), model)])
    asyncio.run(guards.aclose())
    assert model.closed
