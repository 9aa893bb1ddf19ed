"""Words that came later: read, shown by the schema, placed when wrong, and absent from the digests of pilots without them."""

from collections.abc import Callable
from pathlib import Path

from pilotbase.checks.rules import metric_problems
from pilotbase.domain.canonical import canonical, digest_bytes
from pilotbase.flows.facts import pilot_of
from pilotbase.spec.load import Loaded, load_text
from pilotbase.spec.schema import json_schema

# A pilot of every part that has got new words since, and the digest that its declaration has always had.
BEFORE = """
pilot: triage
scenario: {area: livelihood, owner: Hospital, need: Rank them., risk: medium}
seed: 7
data:
  test: {path: test.csv, id: id, inputs: [a, b], target: y, positive: bad, groups: [site], custody: held-out}
candidates:
  - {id: rule, target: {python: "models:rule"}, price: {per-call: 0.01 CNY}}
gates:
  - gate: capability
    checks:
      - {metric: accuracy, require: ">= 0.9"}
      - {metric: accuracy, gap-by: site, require: "<= 0.1"}
      - {metric: latency.p95, require: "<= 50 ms", load: {rate: 50/s, for: 5s}}
      - {metric: rubric, require: ">= 0.8", judge: {url: "http://127.0.0.1:8000/v1", model: m, rubric: Is it polite?}}
"""
DIGEST = "sha256:86b7a48e3dba674c3bb493cc070d3b0ec5870fc6f770bfaebb74cef1926984b4"
LIVE = BEFORE.replace('{metric: accuracy, require: ">= 0.9"}', '{metric: accuracy, require: ">= 0.9", live: {sample: 5 %}}')


def _loaded(text: str) -> Loaded:
    return load_text(text, Path("pilot.yaml"), metric_problems=metric_problems)


def _digest(text: str) -> str:
    return digest_bytes(canonical(_loaded(text).document))


def test_a_pilot_without_the_later_words_keeps_the_digest_that_it_always_had() -> None:
    assert _digest(BEFORE) == DIGEST


def test_live_is_part_of_the_criteria() -> None:
    assert _digest(LIVE) not in (DIGEST, _digest(LIVE.replace("5 %", "6 %")))


def test_a_document_with_the_later_words_gives_the_same_pilot_again() -> None:
    text = LIVE.replace("custody: held-out", "custody: held-out, incident: i").replace(
        "  - gate: capability\n    checks:\n",
        '  - gate: capability\n    checks:\n      - {metric: regressions, require: "= 0", match: exact}\n',
    )
    loaded = _loaded(text)
    again = pilot_of(loaded.document)
    assert (again.data, again.gates) == (loaded.pilot.data, loaded.pilot.gates)
    assert again.data.test.incident == "i"


def test_the_schema_tells_of_live_match_incident_and_a_judges_price() -> None:
    parts = json_schema()["$defs"]
    assert set(parts["Live"]["properties"]) == {"sample", "spend", "windows", "window"}
    assert {"live", "match"} <= set(parts["Check"]["properties"])
    assert "incident" in parts["TestData"]["properties"]
    assert "price" in parts["JudgeSpec"]["properties"]


def test_a_wrong_live_part_is_told_at_its_line(base: str, problems: Callable[..., list[str]]) -> None:
    wrong = base.replace('require: ">= 0.9"}', 'require: ">= 0.9", live: {sample: 0 %, windws: 3}}')
    share, told = sorted(problems(wrong))
    assert told.startswith("pilot.yaml:21:67: gates[0].checks[0].live.windws: ")
    assert share.startswith("pilot.yaml:21:62: gates[0].checks[0].live.sample: ")
    assert "`0 %` is out of range" in share
    assert "`windws` is not a word here; allowed: sample, spend, windows, window; did you mean `windows`?" in told


def test_what_cannot_be_live_is_told_at_the_line_of_live(base: str, problems: Callable[..., list[str]]) -> None:
    wrong = base.replace('require: "<= 0.1"}', 'require: "<= 0.1",\n         live: {}}')
    (told,) = problems(wrong, metric_problems=metric_problems)
    assert told.startswith("pilot.yaml:23:16: gates[0].checks[1].live: ")
    assert "`gap-by` cannot be live: it compares groups, and a live request names none" in told


def test_an_incident_column_that_nothing_counts_is_told_at_its_place_once_all_else_is_right(
    base: str, problems: Callable[..., list[str]]
) -> None:
    named = base.replace("groups: [site]", "groups: [site], incident: i")
    (told,) = problems(named, metric_problems=metric_problems)
    assert told.startswith("pilot.yaml:10:")
    assert "no deciding check counts them" in told
    counted = named.replace("    checks:\n", '    checks:\n      - {metric: regressions, require: "0"}\n')
    (told,) = problems(counted, metric_problems=metric_problems)
    assert "`0` is not a requirement" in told
