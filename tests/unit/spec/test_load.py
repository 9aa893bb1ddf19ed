"""A right file becomes a pilot; problems of several parts are told together."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pilotbase.domain.canonical import canonical, digest_bytes
from pilotbase.domain.gate import Gate
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.problem import Problem
from pilotbase.domain.scenario import Titles
from pilotbase.errors import InvalidInput, UserError
from pilotbase.spec import load as loading
from pilotbase.spec.load import Loaded

Load = Callable[..., Loaded]
Problems = Callable[..., list[str]]

ISSUE = """\
pilot: triage
title: {en: Mass triage, zh: 肿块分诊}
scenario:
  area: livelihood            # science | industry | consumption | livelihood | governance | cooperation
  field: medical
  owner: District hospital
  need: Rank aspirates so that malignant ones are read first.
  risk: medium
  authority: user-only
seed: 7
data:
  test: {path: test.csv, id: id, inputs: [a, b, c], target: diagnosis, positive: malignant, groups: [site], cluster: patient, custody: held-out}
candidates:
  - id: logistic
    target: {code: "models:logistic", batch: 256}
    price: {per-call: 0.0001 CNY}
  - id: assistant
    target: {web: {url: "http://127.0.0.1:8000/v1", model: m, params: {temperature: 0}}}
    prompt: "Case: {a}, {b}, {c}. Answer malignant or benign."
gates:
  - gate: capability
    checks:
      - {metric: sensitivity, require: ">= 0.95"}
      - {metric: sensitivity, compare-to: assistant, require: ">= -0.02"}
  - gate: robustness
    checks:
      - {metric: accuracy, drop-under: {transform: gaussian-noise, scale: 0.1 sd}, require: "<= 0.05"}
  - gate: fairness
    checks:
      - {metric: sensitivity, gap-by: site, require: "<= 0.10"}
  - gate: performance
    mandatory: false
    checks:
      - {metric: latency.p95, require: "<= 50 ms", load: {rate: 50/s, for: 5s}}
      - {metric: cost.per-case, require: "<= 0.01 CNY"}
limits: {calls: 20000, spend: 10 CNY, time: 10m}
"""  # noqa: E501


def test_a_whole_pilot_file_is_read_as_it_is_written(load: Load) -> None:
    pilot = load(ISSUE).pilot
    assert pilot.title == Titles(en="Mass triage", zh="肿块分诊")
    assert pilot.data.test.inputs == ("a", "b", "c")
    assert pilot.candidates[0].target.kind == "code"
    assert pilot.candidates[0].target.options.call == "models:logistic"
    assert pilot.candidates[0].target.options.batch == 256
    assert pilot.candidates[1].target.options.params == {"temperature": 0}
    assert [g.gate for g in pilot.open_gates] == ["capability", "robustness", "fairness", "performance"]
    assert pilot.open_gates[3].checks[0].load is not None
    assert pilot.open_gates[3].checks[0].load.seconds == 5.0
    assert pilot.limits.seconds == 600


def test_the_main_option_of_a_target_can_stand_under_its_kind_or_among_the_options(load: Load, base: str) -> None:
    nested = base.replace('{code: "models:rule", batch: 8}', '{code: {call: "models:rule", batch: 8}}')
    assert load(nested).pilot == load(base).pilot


def test_the_document_holds_defaults_and_loads_to_the_same_pilot(load: Load) -> None:
    loaded = load(ISSUE)
    assert loaded.document["confidence"] is None
    assert loaded.document["candidates"][0]["target"] == {"code": {"call": "models:logistic", "batch": 256}}
    assert loaded.document["gates"][3]["checks"][0]["load"]["for"] == "5s"
    assert load(canonical(loaded.document)).pilot == loaded.pilot
    assert load(json.dumps(loaded.document)).document == loaded.document


def test_the_digest_covers_the_bytes_and_the_document_only_what_they_say(load: Load, base: str) -> None:
    plain, commented = load(base), load("# a comment\n" + base)
    assert plain.digest == digest_bytes(base.encode())
    assert plain.digest != commented.digest
    assert plain.document == commented.document


def test_a_candidate_that_shares_options_through_an_anchor_is_read(load: Load, base: str) -> None:
    text = base.replace("batch: 8}", "batch: 8}\n    title: &t Rule").replace("    prompt:", "    title: *t\n    prompt:")
    assert [c.title for c in load(text).pilot.candidates] == ["Rule", "Rule"]


def test_a_whole_number_is_taken_where_a_number_is_asked_for(load: Load, base: str) -> None:
    gate = load(base.replace("gap-by: site", "gap-by: site, tolerance: 1")).pilot.gates[0]
    assert isinstance(gate, Gate)
    assert gate.checks[1].tolerance == 1.0


def test_a_bad_field_hides_no_problem_beside_it(problems: Problems, base: str) -> None:
    text = base.replace(
        '{metric: accuracy, require: ">= 0.9"}', '{metric: 1, require: "0.9", minimum: 5, confidence: x, loud: 1}'
    )
    assert [line.split(": ", 2)[1] for line in problems(text)] == [
        "gates[0].checks[0].metric",
        "gates[0].checks[0].require",
        "gates[0].checks[0].minimum",
        "gates[0].checks[0].confidence",
        "gates[0].checks[0].loud",
    ]


def test_what_stands_in_for_a_bad_part_makes_no_problems_of_its_own(problems: Problems, base: str) -> None:
    assert problems(base.replace("groups: [site]", "groups: site")) == [
        "pilot.yaml:10:84: data.test.groups: found the text `site`; allowed: a list of texts, as in [site]"
    ]
    assert problems(base.replace("id: rule", "id: [rule]").replace("gap-by: site", "compare-to: rule")) == [
        "pilot.yaml:12:9: candidates[0].id: found a list; allowed: text"
    ]


def no_f1(pilot: Pilot) -> Iterator[Problem]:
    for g, gate in enumerate(pilot.open_gates):
        for c, check in enumerate(gate.checks):
            assert check.required
            if check.metric == "f1":
                yield Problem(("gates", g, "checks", c, "metric"), "no `f1` here", "take accuracy")


def test_metric_problems_are_told_with_the_others_and_at_their_own_place(problems: Problems, base: str) -> None:
    text = base.replace('">= 0.9"', '"0.9"').replace("accuracy, gap-by", "f1, gap-by").replace("0.01 CNY", "cheap")
    assert [line.split(";")[0] for line in problems(text, metric_problems=no_f1)] == [
        "pilot.yaml:14:23: candidates[0].price.per-call: `cheap` is not an amount",
        "pilot.yaml:21:37: gates[0].checks[0].require: `0.9` is not a requirement",
        "pilot.yaml:22:18: gates[0].checks[1].metric: no `f1` here",
    ]


def test_metrics_are_not_looked_at_while_the_data_are_unknown(problems: Problems, base: str) -> None:
    text = base.replace("accuracy, gap-by", "f1, gap-by").replace("path: test.csv", "path: 3")
    assert problems(text, metric_problems=no_f1) == [
        'pilot.yaml:10:16: data.test.path: found the number 3; allowed: text; quote it: "3"'
    ]


@pytest.mark.parametrize(
    ("text", "found"), [("[]", "a list"), ("triage", "the text `triage`"), ("5", "the number 5"), ("~", "nothing")]
)
def test_a_file_that_is_no_mapping_is_told_what_it_may_hold(text: str, found: str, problems: Problems) -> None:
    allowed = "a mapping with pilot, scenario, data, candidates, gates, title, seed, confidence, family, limits"
    assert problems(text) == [f"pilot.yaml:1:1: found {found}; allowed: {allowed}"]


def test_a_mapping_of_nothing_lists_all_that_is_missing(problems: Problems) -> None:
    assert [line.split(": ")[1] for line in problems("{}")] == ["candidates", "data", "gates", "pilot", "scenario"]


def test_thousands_of_problems_are_counted_and_the_first_ones_shown(load: Load, base: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        load(base + "".join(f"zz{i}: 1\n" for i in range(1000)))
    assert refused.value.message.endswith("pilot.yaml: 1000 problems")
    assert len(refused.value.problems) == 201
    assert refused.value.problems[-1] == "... and 800 more"


def test_a_file_that_is_not_there_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist") as refused:
        loading.load(tmp_path / "pilot.yaml")
    assert refused.value.hint == "`pilotbase init DIR` writes one to start from"


def test_a_folder_is_not_a_pilot(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        loading.load(tmp_path)


def test_a_file_is_read_from_disk_with_its_folder(tmp_path: Path, base: str) -> None:
    path = tmp_path / "pilot.yaml"
    path.write_text(base, encoding="utf-8")
    with pytest.raises(InvalidInput) as refused:
        loading.load(path, known=())
    assert refused.value.problems[0].startswith(f"{path}:13:14: candidates[0].target.code: `code` is no way to reach a candidate")
