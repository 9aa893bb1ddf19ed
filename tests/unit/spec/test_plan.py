"""A release plan's file: what it is read as, what wrong ones are told, and what live checks may not say."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.docs.pages import ROOT, blocks, generated

from pilotbase.checks.metrics import METRICS
from pilotbase.domain.alert import Channel
from pilotbase.domain.gate import Check, JudgeSpec, Live
from pilotbase.domain.live import LIVE, anytime, live_of, live_problems, source
from pilotbase.domain.price import Price
from pilotbase.domain.problem import kebab
from pilotbase.domain.release import (
    STEPS,
    Budget,
    Diligence,
    Drift,
    Evidence,
    Exposure,
    Monitor,
    Plan,
    Rung,
    Shadowing,
)
from pilotbase.errors import InvalidInput, UserError
from pilotbase.spec.plan import default_plan, plan_document, read_plan, read_plan_data, read_plan_file
from pilotbase.spec.schema import plan_schema

PAGE = ROOT / "docs/release-plan.md"
PARTS = {kind.__name__: kind for kind in (Plan, Rung, Exposure, Diligence, Evidence, Budget, Monitor, Drift, Shadowing, Channel)}
JUDGE = JudgeSpec(url="http://127.0.0.1:1/v1", model="m", rubric="Is it polite?", labels="l.csv", price=Price(per_call="1 CNY"))


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str | bytes], Plan]:
    def call(text: str | bytes) -> Plan:
        path = tmp_path / "plan.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_plan_file(path)

    return call


@pytest.fixture
def wrong(read: Callable[[str | bytes], Plan], tmp_path: Path) -> Callable[[str | bytes], list[str]]:
    """The lines that a wrong file is refused with, without the folder's name."""

    def call(text: str | bytes) -> list[str]:
        with pytest.raises(InvalidInput) as refused:
            read(text)
        return [line.replace(f"{tmp_path}/", "") for line in refused.value.problems]

    return call


# --- files ---


def test_the_smallest_plan_is_the_plan_of_defaults(read: Callable[[str], Plan]) -> None:
    assert read("bearer: Li Lei") == default_plan("Li Lei") == Plan(bearer="Li Lei")


def test_the_whole_example_of_the_page_is_read_as_it_is_written(read: Callable[[str], Plan]) -> None:
    plan = read(blocks(PAGE, "yaml")[1])
    assert [str(r) for r in plan.rungs] == ["shadow 20 %", "bounded", "canary 1 %", "canary 10 %", "full"]
    assert plan.people == ("clinic/nurse-7", "clinic/nurse-9")
    assert (plan.exposure.people, plan.exposure.seconds) == (500, 14 * 86400)
    assert [d.on for d in plan.due_diligence] == ["2026-11-05", ""]
    assert [source(c.metric) for c in plan.checks] == [
        *("ledger",) * 5, "sample", "sample", "feedback", "label",
    ]  # fmt: skip
    assert plan.checks[3].bound == (0, 4096)
    assert plan.monitor.shift == "3 %"
    assert [c.kind for c in plan.alerts] == ["log", "webhook", "email"]
    assert plan.alerts[2].from_ == "pilotbase@example.org"


def test_what_null_turns_off_is_off(read: Callable[[str], Plan]) -> None:
    plan = read("bearer: x\nbudget: null\ndrift: null")
    assert (plan.budget, plan.drift) == (None, None)


def test_everything_wrong_with_a_file_is_told_at_once_with_its_place_and_the_nearest_word(
    wrong: Callable[[str], list[str]],
) -> None:
    lines = wrong(
        'bearer: " "\n'
        "rungs:\n"
        "  - {rung: shadow, share: 20 %, requests: many}\n"
        "  - {rung: canry, users: [a]}\n"
        "  - {rung: bounded}\n"
        "exposre: {people: 0}\n"
        "budget: {failures: 200 %}\n"
        "checks:\n"
        '  - {metric: failure-rat, require: "<= 2 %"}\n'
        '  - {metric: latency.p95, require: "<= 500"}\n'
        "alerts:\n"
        '  - {webhok: "http://x"}\n'
    )
    for start, words in (
        ("plan.yaml:1:9: bearer:", "nobody is named who bears the risk"),
        ("plan.yaml:3:43: rungs[0].requests:", "found the text `many`; allowed: a whole number"),
        ("plan.yaml:4:12: rungs[1].rung:", "did you mean `canary`?"),
        ("plan.yaml:5:5: rungs[2].users:", "bounded use is by named users; name access keys, or KEY/USER"),
        ("plan.yaml:6:1: exposre:", "did you mean `exposure`?"),
        ("plan.yaml:7:20: budget.failures:", "a share is more than 0 and at most 100 %"),
        ("plan.yaml:9:14: checks[0].metric:", "did you mean `failure-rate`?"),
        ("plan.yaml:10:36: checks[1].require:", "has no unit of time; write ms, s or m"),
        ("plan.yaml:12:6: alerts[0].webhok:", "did you mean `webhook`?"),
    ):
        assert [line for line in lines if line.startswith(start) and words in line], (start, words, lines)
    assert len(lines) == 9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "plan.yaml:1:1: the file is empty"),
        ("- 1", "plan.yaml:1:1: found a list; allowed: a mapping with bearer, rungs"),
        ("rungs: [{rung: full}]", "plan.yaml:1:1: bearer: `bearer` is missing; allowed: text"),
        ("bearer: x\nrungs: []", "plan.yaml:2:8: rungs: a release without rungs goes nowhere"),
        ("bearer: 5", 'plan.yaml:1:9: bearer: found the number 5; allowed: text; quote it: "5"'),
        (
            "bearer: x\nrungs: [{rung: canary, share: 5}, {rung: full}]",
            'plan.yaml:2:31: rungs[0].share: found the number 5; allowed: text; quote it: "5"',
        ),
        ("bearer: x\nbearer: y", "plan.yaml:2:1: bearer:"),
        ("bearer: x\n\tdrift: null", "plan.yaml:2:1:"),
        ("bearer: x\nexposure: {people: 1.5}", "plan.yaml:2:20: exposure.people: found the number 1.5"),
        ("bearer: x\nexposure: {people: 99999999999999999999999}", "plan.yaml:2:20:"),
        ("bearer: x\ndrift: {confidence: .nan}", "plan.yaml:2:21: drift.confidence: `.nan` is not a finite number"),
        (
            'bearer: x\nchecks: [{metric: latency.p95, require: "<= 1 s", load: {rate: 1/s, for: 1s}}]',
            "plan.yaml:2:57: checks[0].load: a release sets no load",
        ),
    ],
)
def test_each_mistake_is_told_where_it_stands(text: str, expected: str, wrong: Callable[[str], list[str]]) -> None:
    lines = wrong(text)
    assert lines[0].startswith(expected), lines
    assert len(lines) == 1


def test_one_mistake_is_told_once_and_nothing_that_only_follows_from_it(wrong: Callable[[str], list[str]]) -> None:
    for text in (
        "bearer: x\nrungs: [{rung: boundd, users: [a], notice: hi}, {rung: full}]",
        "bearer: x\nrungs: [{rung: canary, share: [5]}, {rung: canary, share: 9 %}, {rung: full}]",
        "bearer: x\nrungs: [{rung: canary, share: 5 %}, {rng: full}]",
        "bearer: x\nrungs: [5, {rung: full}]",
        "bearer: x\nevidence: {block: [9m]}",
        'bearer: x\nchecks: [{metric: rubric, require: ">= 1 %", judge: {url: 5, model: m, rubric: r}, live: {spend: 1 CNY/d}}]',
        'bearer: x\nchecks: [{metric: [latency.p95], require: "<= 1"}]',
        "bearer: x\nalerts: [{webhook: 5, key-env: K}]",
    ):
        assert len(wrong(text)) == 1, text


def test_a_rung_out_of_order_is_told_although_another_word_is_wrong(wrong: Callable[[str], list[str]]) -> None:
    lines = wrong("bearer: x\nrungs: [{rung: canary, share: 5 %, requests: x}, {rung: shadow}, {rung: full}]")
    assert len(lines) == 2
    assert "`shadow` cannot stand here" in lines[1]


HOSTILE = {
    "deep": "a: " + "[" * 20_000,
    "deep and closed": "bearer: x\nchecks: " + "[" * 1000 + "]" * 1000,
    "huge": "bearer: " + "x" * (2 << 20),
    "many rungs": "bearer: x\nrungs:\n" + "- {rung: bounded}\n" * 1000,
    "many checks": "bearer: x\nchecks:\n" + '- {metric: x, require: "1"}\n' * 800,
    "many unknown words": "bearer: x\n" + "".join(f"w{i}: 1\n" for i in range(1500)),
    "laughs": "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c]\n",
    "tag": "bearer: !!python/object/apply:os.system [x]",
    "not UTF-8": b"bearer: \xff\xfe",
    "null byte": "bearer: x\x00",
    "two documents": "bearer: x\n---\nbearer: y",
    "numbers for words": "1: 2\nbearer: x",
    "a pattern that is none": 'bearer: x\nchecks: [{metric: regex, pattern: "(", require: ">= 1 %"}]',
    "a deep pattern": f'bearer: x\nchecks: [{{metric: regex, pattern: "{"(" * 500}", require: ">= 1 %"}}]',
    "shell in a terminal": 'bearer: "\\e[2J"',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_sentences(name: str, wrong: Callable[[str | bytes], list[str]]) -> None:
    lines = wrong(HOSTILE[name])
    assert 1 <= len(lines) <= 201
    assert all("\x1b" not in line and "Traceback" not in line and len(line) < 2000 for line in lines)


def test_a_file_that_is_not_there_or_is_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the release plan cannot be read: No such file"):
        read_plan_file(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="the release plan cannot be read: Is a directory"):
        read_plan_file(tmp_path)


def test_secrets_written_into_a_channel_are_refused_and_not_repeated(wrong: Callable[[str], list[str]]) -> None:
    text = 'bearer: x\nalerts: [{webhook: "https://u:hunter2@example.org/a", key-env: "whsec_hunter2 "}]'
    lines = wrong(text)
    assert lines
    assert "hunter2" not in "\n".join(lines)


# --- data ---


def test_data_is_told_its_problems_by_path_alone() -> None:
    with pytest.raises(InvalidInput) as refused:
        read_plan_data({"bearer": "x", "rungs": [{"rung": "bounded"}]}, name="body")
    assert list(refused.value.problems) == [
        "body: rungs[0].users: bounded use is by named users; name access keys, or KEY/USER",
        "body: rungs[0].rung: the last rung is not `full`; end with `- {rung: full}`",
    ]


@pytest.mark.parametrize("data", [{"bearer": float("nan")}, {"bearer": object()}, {"bearer": {1, 2}}])
def test_data_that_is_not_plain_json_is_told(data: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="not plain JSON"):
        read_plan_data(data)


def test_endless_data_is_told() -> None:
    data: dict[str, Any] = {}
    data["bearer"] = data
    with pytest.raises(UserError):
        read_plan_data(data)


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.sampled_from(["bearer", "rungs", "checks", "exposure", "alerts", "evidence", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["rung", "users", "metric", "require", "live", "time", "judge"]), inner, max_size=4
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_no_data_whatsoever_is_a_traceback(data: dict[str, Any]) -> None:
    try:
        plan = read_plan_data(data)
    except UserError:
        return
    assert list(plan.problems()) == []


def test_a_bearer_who_is_nobody_is_told_where_no_file_is_given() -> None:
    with pytest.raises(InvalidInput) as refused:
        default_plan(" ")
    assert list(refused.value.problems) == ["plan: bearer: nobody is named who bears the risk; name a person: bearer: NAME"]


# --- stored ---

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x9FFF, exclude_categories=("C", "Z")), min_size=1, max_size=20)
SHARES = st.integers(1, 10_000).map(lambda h: f"{h / 100} %")
TIMES = st.builds(lambda n, unit: f"{n} {unit}", st.integers(1, 300), st.sampled_from(["ms", "s", "m", "h", "d"]))
MONEY = st.integers(1, 10**6).map(lambda n: f"{n} CNY")
LIVES = st.none() | st.builds(Live, sample=SHARES) | st.builds(Live, windows=st.integers(1, 9), window=st.integers(30, 99))
CHECKS = st.builds(
    Check,
    metric=st.sampled_from(sorted(LIVE)) | NAMES,
    require=NAMES,
    id=st.none() | NAMES,
    role=st.sampled_from(["decide", "inform"]),
    confidence=st.none() | st.floats(0.5, 0.999),
    compare_to=st.none() | st.just("stable"),
    bound=st.none() | st.tuples(st.floats(0, 1), st.floats(2, 3)),
    judge=st.none() | st.just(JUDGE),
    live=LIVES,
    choices=st.lists(NAMES, max_size=3).map(tuple),
)
RUNGS = st.builds(
    Rung,
    rung=st.sampled_from(["shadow", "bounded", "canary", "full"]),
    share=SHARES,
    users=st.lists(NAMES, max_size=3).map(tuple),
    notice=st.text(max_size=20),
    requests=st.integers(0, 10**9),
    time=TIMES,
    feedback=st.integers(0, 10**6),
    climb=st.sampled_from(["pass", "not-failed"]),
)
PLANS = st.builds(
    Plan,
    bearer=st.text(max_size=20),
    rungs=st.lists(RUNGS, max_size=4).map(tuple),
    exposure=st.builds(Exposure, people=st.none() | st.integers(), spend=st.none() | MONEY, time=st.none() | TIMES),
    due_diligence=st.lists(st.builds(Diligence, item=NAMES, by=NAMES), max_size=2).map(tuple),
    checks=st.lists(CHECKS, max_size=3).map(tuple),
    evidence=st.builds(Evidence, block=TIMES, late=TIMES),
    budget=st.none() | st.builds(Budget, failures=SHARES),
    monitor=st.builds(Monitor, run_length=st.integers(), shift=st.none() | SHARES),
    drift=st.none() | st.builds(Drift, confidence=st.floats(allow_nan=False, allow_infinity=False)),
    shadow=st.builds(Shadowing, spend=MONEY, tools=st.sampled_from(["skip", "ask"])),
    alerts=st.lists(st.builds(Channel, log=st.booleans(), from_=st.none() | NAMES, email=st.tuples(NAMES)), max_size=2).map(
        tuple
    ),
)


@settings(max_examples=40)
@given(PLANS)
def test_a_plan_that_was_stored_as_json_is_read_back_the_same(plan: Plan) -> None:
    assert read_plan(json.loads(json.dumps(plan_document(plan)))) == plan


def test_a_stored_plan_is_not_held_up_by_a_rule_that_it_breaks() -> None:
    plan = Plan(bearer="x", rungs=(Rung(rung="bounded"),))
    assert list(plan.problems())
    assert read_plan(plan_document(plan)) == plan


def test_a_stored_document_that_is_no_plan_is_told_by_its_name() -> None:
    with pytest.raises(InvalidInput) as refused:
        read_plan({"bearer": "x", "colour": "red"}, name="release r-1")
    assert refused.value.problems[0].startswith("release r-1: colour: `colour` is not a word here")


# --- live checks ---


def check(metric: str, require: str = ">= 0.9", **more: Any) -> Check:
    needs: dict[str, Any] = {
        "regex": {"pattern": "x"}, "contains": {"expect": "x"}, "choice": {"choices": ("A", "B")}, "rubric": {"judge": JUDGE},
    }  # fmt: skip
    return Check(metric=metric, require=require, **{**needs.get(metric, {}), **more})


def sound(metric: str) -> Check:
    require = "<= 1 s" if metric[:4] in ("late", "ttft") else "<= 1 CNY" if metric.startswith("cost") else ">= 0.5"
    windows = metric == "rubric" or metric.startswith(("cost", "tokens"))
    return check(metric, require, live=Live(windows=10, window=100) if windows else None)


@pytest.mark.parametrize("metric", LIVE)
def test_every_live_metric_can_be_checked_live(metric: str) -> None:
    assert list(live_problems(sound(metric))) == []
    assert list(sound(metric).problems()) == []


def test_every_live_metric_but_feedback_is_a_metric_of_pilots_too() -> None:
    assert set(LIVE) - set(METRICS) == {"feedback"}


def test_shares_and_latencies_may_be_looked_at_at_any_time_and_means_where_they_are_bounded() -> None:
    for metric in LIVE:
        windowed = sound(metric).live is not None
        assert anytime(sound(metric)) is not windowed
        if metric in METRICS and METRICS[metric].looks == "any":
            assert anytime(sound(metric))
    for metric in ("cost.per-case", "tokens.input", "tokens.output", "tokens.total"):
        assert anytime(check(metric, bound=(0.0, 10.0)))


def test_a_check_that_says_nothing_of_live_is_read_on_everything() -> None:
    assert live_of(check("accuracy")).share == 1.0
    assert live_of(check("accuracy", live=Live(sample="5 %"))).share == 0.05


WINDOWS = Live(windows=10, window=100)


@pytest.mark.parametrize(
    ("wrong_check", "path", "message"),
    [
        (check("auroc"), ("metric",), "`auroc` cannot be read from live traffic"),
        (check("acuracy"), ("metric",), "did you mean `accuracy`?"),
        (check("x" * 500), ("metric",), "known: accuracy, choice, contains"),
        (check("accuracy", gap_by="site"), ("gap-by",), "a live request names none; leave `gap-by` out"),
        (check("accuracy", ratio_by="site"), ("ratio-by",), "a live request names none"),
        (check("accuracy", worst_of="site"), ("worst-of",), "a live request names none"),
        (check("accuracy", compare_to="readers"), ("compare-to",), "write `compare-to: stable`"),
        (check("latency.p95", "<= 1 s", compare_to="stable"), ("compare-to",), "has no difference between two arms"),
        (check("rubric", live=WINDOWS, compare_to="stable"), ("compare-to",), "has no difference between two arms"),
        (check("regex", pattern=None), ("metric",), "`regex` cannot be scored live without `pattern`; add `pattern`"),
        (check("contains", expect=None), ("metric",), "cannot be scored live without `expect`"),
        (check("choice", choices=()), ("metric",), "cannot be scored live without `choices`"),
        (check("rubric", judge=None, live=WINDOWS), ("metric",), "cannot be scored live without `judge`"),
        (check("accuracy", pattern="x"), ("pattern",), "`pattern` means nothing to `accuracy`; it belongs to regex"),
        (check("failure-rate", judge=JUDGE), ("judge",), "it belongs to rubric"),
        (check("accuracy", tolerance=0.1), ("tolerance",), "means nothing to `accuracy`"),
        (check("accuracy", errors="<= 1 %"), ("errors",), "means nothing to `accuracy`"),
        (check("accuracy", match="exact"), ("match",), "means nothing to `accuracy`"),
        (check("accuracy", bound=(0.0, 1.0)), ("bound",), "it belongs to cost.per-case, tokens.input"),
        (check("tokens.total", "<= 5", bound=(-1.0, 9.0)), ("bound",), "is never negative"),
        (check("tokens.total", "<= 5"), ("live",), "is concluded once"),
        (check("tokens.total", "<= 5"), ("live",), "or the range of one request, as in `bound: [0, 4096]`"),
        (check("rubric"), ("live",), "declare windows beforehand"),
        (check("tokens.total", "<= 5", bound=(0.0, 9.0), live=WINDOWS), ("live", "windows"), "windows would only spend alpha"),
        (check("failure-rate", live=Live(window=50)), ("live", "window"), "windows would only spend alpha"),
        (check("failure-rate", live=Live(sample="5 %")), ("live", "sample"), "nothing is sampled for it"),
        (check("feedback", live=Live(sample="5 %")), ("live", "sample"), "nothing is sampled for it"),
        (check("accuracy", "= 1"), ("require",), "`=` is about complete data"),
        (check("accuracy", "in [a]"), ("require",), "`in` is about complete data"),
        (check("latency.p95", "<= 500"), ("require",), "has no unit of time"),
        (check("ttft.p50", ">= 1 s"), ("require",), "can only be bounded from above"),
        (check("cost.per-case", "<= 1", live=WINDOWS), ("require",), "names no currency"),
        (check("accuracy", ">= 1 s"), ("require",), "has no unit"),
        (check("tokens.input", "<= 5 CNY", live=WINDOWS), ("require",), "has no unit, and `<= 5 CNY` gives one"),
        (check("accuracy", ">= 95"), ("require",), "did you mean 0.95?"),
        (check("accuracy", ">= -0.1"), ("require",), "lies outside what `accuracy` can be here (0 to 1)"),
        (check("accuracy", "<= -2", compare_to="stable"), ("require",), "(-1 to 1)"),
        (check("tokens.input", "<= -5", live=WINDOWS), ("require",), "(from 0)"),
    ],
)
def test_what_cannot_be_decided_live_is_told(wrong_check: Check, path: tuple[str, ...], message: str) -> None:
    found = list(live_problems(wrong_check))
    assert [p.path for p in found] == [path]
    assert message in f"{found[0].message}; {found[0].hint}"


@pytest.mark.parametrize(
    "right",
    [
        check("failure-rate", "<= 1 %", compare_to="stable"),
        check("accuracy", ">= -0.05", compare_to="stable"),
        check("tokens.output", "<= -20 tokens", compare_to="stable", bound=(0.0, 4096.0)),
        check("cost.per-case", "<= -0.01 CNY", compare_to="stable", live=WINDOWS),
        check("feedback", ">= 80 %", role="inform"),
        check("rubric", ">= 0.9", live=Live(sample="5 %", spend="1 CNY/day", windows=5, window=100)),
    ],
)
def test_what_can_be_decided_live_is_not_refused(right: Check) -> None:
    assert list(live_problems(right)) == []
    assert list(right.problems()) == []


@given(CHECKS)
def test_no_check_whatsoever_makes_its_live_rules_fail(one: Check) -> None:
    assert all(p.message and p.path for p in live_problems(one))


# --- the page and the schema ---


def shown(field: "dataclasses.Field[Any]") -> str:
    """A field's default as the page's tables show it."""
    special = {STEPS: "[these](#the-rungs-of-a-plan-that-names-none)", Exposure(): "no limit"}
    value = field.default
    if field.default_factory is not dataclasses.MISSING:
        made = [{k: v for k, v in channel.document().items() if v} for channel in field.default_factory()]
        return f"`{json.dumps(made).replace(chr(34), '')}`"
    if value is dataclasses.MISSING:
        return "required"
    if value in (None, "", ()):
        return "—"
    if value in special:
        return special[value]
    if dataclasses.is_dataclass(value):
        return "as below"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


@pytest.mark.parametrize("part", PARTS)
def test_every_word_of_a_plan_is_told_on_the_page_with_its_default(part: str) -> None:
    body = generated(PAGE.read_text("utf-8"), f"words {part}")
    assert body is not None, f"no table of {part}"
    told = dict(re.findall(r"^\| `([^`]+)` \|.*?\| ([^|]*) \| [^|]+ \|$", body, re.MULTILINE))
    assert {word: text.replace("true", "True") for word, text in told.items()} == {
        kebab(f.name): shown(f).replace("true", "True") for f in dataclasses.fields(PARTS[part])
    }


def test_the_rungs_that_the_page_shows_are_those_of_a_plan_that_names_none(read: Callable[[str], Plan]) -> None:
    body = generated(PAGE.read_text("utf-8"), "steps") or ""
    assert read("bearer: x\n" + body.strip().removeprefix("```yaml\n").removesuffix("```")).rungs == STEPS


def test_the_table_of_live_metrics_on_the_page_is_that_of_the_code() -> None:
    words = {"the ledger": "ledger", "users' words": "feedback", "requests and": "sample", "a sample, and labels": "label"}
    told = {}
    for names, text in re.findall(r"^\| (`.*`) \| (.+) \|$", generated(PAGE.read_text("utf-8"), "live") or "", re.MULTILINE):
        told |= dict.fromkeys(re.findall(r"`([^`]+)`", names), next(s for start, s in words.items() if text.startswith(start)))
    assert told == dict(LIVE)


def test_every_piece_of_a_plan_on_the_page_is_read(read: Callable[[str], Plan]) -> None:
    pieces = blocks(PAGE, "yaml")
    assert len(pieces) >= 3
    assert all(read(piece if "bearer:" in piece else f"bearer: x\n{piece}").rungs for piece in pieces)


@pytest.mark.parametrize("kind", [*PARTS.values(), Check, Live, JudgeSpec, Price])
def test_the_words_of_the_schema_are_those_of_the_dataclasses_and_no_others(kind: type) -> None:
    schema = plan_schema()
    part = schema if kind is Plan else schema["$defs"][kind.__name__]
    assert set(part["properties"]) == {kebab(f.name) for f in dataclasses.fields(kind)}
    assert part["additionalProperties"] is False
    assert part["description"]


def test_the_schema_of_a_plan_names_itself_and_every_reference_leads_somewhere() -> None:
    schema = plan_schema()
    assert (schema["$id"], schema["required"]) == ("urn:pilotbase:plan:1", ["bearer"])
    assert set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema))) <= set(schema["$defs"])
