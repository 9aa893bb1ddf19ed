"""Cases from incidents: counted by `regressions` alone, and by nothing else at all."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.boards import account, answers, board, cases, conclude, pilot, result

from pilotbase.checks.board import Board
from pilotbase.checks.conclude import conclude_candidate
from pilotbase.checks.rules import metric_problems
from pilotbase.checks.views import look_at
from pilotbase.domain.gate import Check, Gate, Transform
from pilotbase.domain.verdict import CheckResult

REGRESSIONS = Check(metric="regressions", require="= 0")
NOISE = Transform(transform="gaussian-noise", scale="0.1 sd")
OTHERS = (
    Check(metric="accuracy", require=">= 0.8"),
    Check(metric="sensitivity", require=">= 0.6"),
    Check(metric="specificity", require=">= 0.6"),
    Check(metric="precision", require=">= 0.7"),
    Check(metric="f1", require=">= 0.7"),
    Check(metric="balanced-accuracy", require=">= 0.7"),
    Check(metric="auroc", require=">= 0.7"),
    Check(metric="accuracy", drop_under=NOISE, require="<= 0.2"),
    Check(metric="accuracy", gap_by="g", require="<= 0.4"),
    Check(metric="accuracy", worst_of="g", require=">= 0.5"),
    Check(metric="failure-rate", require="<= 0.1"),
    Check(metric="failures", require="= 0"),
    Check(metric="labels", require="in [0, 1]"),
)


def _filled(*, incident: bool, seed: int, early: bool, n: int = 150, clustered: bool = False) -> Board:
    """A board of every other check; the same ordinary cases and answers whether or not wrong cases from incidents lie between."""
    r = np.random.default_rng(seed)
    truth, groups = ([str(v) for v in r.integers(0, 2, n)] for _ in range(2))
    said = [[t if r.random() < 0.85 else str(r.choice(["0", "1", "junk"])) for t in truth] for _ in range(2)]
    lost, score = r.random((2, n)) < 0.03, np.round(r.random((2, n)), 2)
    cluster = [f"k{i // 4}" for i in range(n)]
    more = np.sort(r.integers(0, n, 30)) if incident else np.array([], dtype=int)

    def put(column: list[str | None], value: str | None) -> list[str | None]:
        return np.insert(np.array(column, dtype=object), more, value).tolist()

    extra = {"incidents": put([None] * n, "INC-1")} if incident else {}
    if clustered:
        extra["clusters"] = put(list(cluster), "k-incident")
    columns = cases(put(list(truth), "1"), groups=put(list(groups), None), **extra)
    columns = replace(columns, truth=cases(["0", "1", *put(list(truth), "1")]).truth)
    assert columns.truth is not None
    columns = replace(columns, truth=replace(columns.truth, codes=columns.truth.codes[2:]), positive=1)
    checks = (*OTHERS, *([REGRESSIONS] if incident else []))
    made = board(pilot(*checks, cluster="k" if clustered else None), columns, early_stop=early)
    for variant in range(2):
        wrong = np.insert(lost[variant], more, False)
        one = answers(
            range(columns.count), put(list(said[variant]), "elsewhere"), variant=variant, failed=np.flatnonzero(wrong),
            score=np.insert(score[variant], more, 0.0),
        )  # fmt: skip
        made.add(one)
    made.look()
    return made


def _results(made: Board) -> list[CheckResult]:
    found = conclude_candidate(made, account(made), role="candidate", fingerprint="f", gates=[("gate", True)])
    return [c for g in found.gates for c in g.checks]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_cases_from_incidents_change_no_other_check_by_one_figure(seed: int, early: bool, clustered: bool) -> None:
    without = _results(_filled(incident=False, seed=seed, early=early, clustered=clustered))
    *others, regressions = _results(_filled(incident=True, seed=seed, early=early, clustered=clustered))
    assert others == without
    assert (regressions.verdict, regressions.value, regressions.planned) == ("fail", 30.0, 30)


def test_no_other_check_plans_or_wants_a_case_from_an_incident() -> None:
    columns = cases(["0", "1"] * 40, groups=["a", "b"] * 40, incidents=["INC-1" if i % 8 == 3 else None for i in range(80)])
    made = board(pilot(*OTHERS, REGRESSIONS), columns)
    from_incidents = columns.incidents is not None and columns.incidents.codes >= 0
    for one in made.tracked:
        chosen = np.isin(one.need, np.flatnonzero(from_incidents))
        assert chosen.all() if one.plan.metric.name == "regressions" else not chosen.any()
    assert made.wanted(0, 0, 80).all()
    assert (made.wanted(1, 0, 80) == ~np.asarray(from_incidents)).all()


def test_a_wrong_answer_and_a_failure_each_count_as_one_regression() -> None:
    columns = cases(["1", "0", "1", "0"], incidents=["A", "A", "B", None])
    found = result(REGRESSIONS, columns, answers(range(4), ["1", "1", None, "1"], failed=[2]))
    assert (found.verdict, found.value, found.low, found.high) == ("fail", 2.0, 2.0, 2.0)
    assert (found.planned, found.failed, found.method, found.literal) == (3, 1, "census", "fail")
    right = result(REGRESSIONS, columns, answers(range(4), ["1", "0", "1", "1"]))
    assert (right.verdict, right.value, [r.text() for r in right.reasons]) == ("pass", 0.0, ["counted on all 3 cases: 0"])


@pytest.mark.parametrize("require", ["= 0", "<= 0"])
def test_with_no_regression_case_yet_the_check_passes_with_nothing_and_says_so(require: str) -> None:
    columns = cases(["1", "0"], incidents=[None, None])
    found = result(Check(metric="regressions", require=require), columns, answers(range(2), ["0", "0"]))
    assert (found.verdict, found.value, found.n, found.planned, found.literal) == ("pass", 0.0, 0, 0, "pass")
    assert [r.text() for r in found.reasons] == ["no regression case yet: no case of this data comes from an incident"]
    assert "尚无回归用例" in found.reasons[0].text("zh")


def test_another_metric_on_nothing_but_cases_from_incidents_decides_nothing() -> None:
    columns = cases(["1", "0"], incidents=["A", "A"])
    for check in (Check(metric="failures", require="= 0"), Check(metric="accuracy", require=">= 0.1")):
        found = result(check, columns, answers(range(2), ["1", "0"]))
        assert (found.verdict, found.planned) == ("inconclusive", 0)


def test_a_regression_case_that_was_not_asked_leaves_the_count_open() -> None:
    columns = cases(["1"] * 3, incidents=["A"] * 3)
    found = result(REGRESSIONS, columns, answers(range(2), ["1", "1"]))
    assert (found.verdict, found.not_asked, found.value) == ("inconclusive", 1, None)


@pytest.mark.parametrize(
    ("match", "truth", "said", "wrong"),
    [
        ("exact", "Paris", " Paris ", 0),
        ("exact", "Paris", "paris", 1),
        ("normalised", "Paris", "ＰＡＲＩＳ。", 0),
        ("normalised", "Paris", "It is Paris", 1),
        ("contains", "Paris", "it is paris.", 0),
        ("contains", "Paris", "London", 1),
        ("label", "Paris", "Paris", 0),
        ("label", "Paris", "paris", 1),
        (None, "Paris", "paris", 0),
        (None, "Paris", "It is Paris", 1),
    ],
)
def test_each_way_of_matching_compares_a_text_as_it_says(match: str | None, truth: str, said: str, wrong: int) -> None:
    check = Check(metric="regressions", require="= 0", match=match)  # type: ignore[arg-type]
    seen = answers(range(1), [said], text=[said])
    assert result(check, cases([truth], incidents=["A"], positive="none"), seen).value == wrong


def test_without_a_way_of_matching_texts_are_normalised_and_labels_are_compared_as_labels() -> None:
    columns = cases(["1", "1", "Yes", "Yes"], incidents=["A"] * 4)
    seen = answers(range(4), ["1", "2", "yes", "no"], text=[None, None, "yes!", "no"])
    made = board(pilot(REGRESSIONS), columns)
    made.add(seen)
    assert made.value(made.tracked[0].plan, np.arange(4)).tolist() == [0.0, 1.0, 0.0, 1.0]


def test_labels_outside_a_set_are_never_quoted_from_a_case_from_an_incident() -> None:
    columns = cases(["0", "1", "0"], incidents=["A", None, None])
    found = result(Check(metric="labels", require="in [0, 1]"), columns, answers(range(3), ["secret", "1", "odd"]))
    assert [r.text() for r in found.reasons] == ["1 answers lie outside in [0, 1], among them: odd"]


def test_regressions_are_no_rate_so_they_have_no_groups_no_drop_and_no_comparison() -> None:
    for fields in ({"gap_by": "g"}, {"drop_under": NOISE}, {"compare_to": "c0"}):
        check = Check(metric="regressions", require="= 0", **fields)  # type: ignore[arg-type]
        assert [p.path[-1] for p in metric_problems(pilot(check, incident="i"))] == [next(iter(fields)).replace("_", "-")]


def test_regressions_need_an_incident_column_and_match_belongs_to_them_alone() -> None:
    (problem,) = metric_problems(pilot(REGRESSIONS))
    assert "names no `incident` column" in problem.message
    assert "empty for ordinary cases" in str(problem.hint)
    (problem,) = metric_problems(pilot(Check(metric="accuracy", require=">= 0.5", match="exact")))
    assert (problem.path[-1], problem.hint) == ("match", "it belongs to regressions")


def test_a_failure_cannot_be_hidden_by_calling_it_an_incident() -> None:
    accuracy = Check(metric="accuracy", require=">= 0.5")
    told = "cases from incidents enter no rate, and no deciding check counts them"
    informs = replace(REGRESSIONS, role="inform")
    optional = (Gate(gate="a", checks=(accuracy,)), Gate(gate="b", checks=(REGRESSIONS,), mandatory=False))
    for declared in (pilot(accuracy, incident="i"), pilot(accuracy, informs, incident="i"), pilot(gates=optional, incident="i")):
        assert [(p.path, p.message) for p in metric_problems(declared)] == [(("data", "test", "incident"), told)]
    assert list(metric_problems(pilot(accuracy, REGRESSIONS, incident="i"))) == []


def test_equal_records_give_equal_counts_in_whatever_order_they_came() -> None:
    columns = cases(["1", "0"] * 10, incidents=["A" if i % 3 == 0 else None for i in range(20)])
    said = ["1"] * 20
    forward, back = (board(pilot(REGRESSIONS), columns) for _ in range(2))
    for place in range(20):
        forward.add(answers([place], [said[place]]))
        back.add(answers([19 - place], [said[19 - place]]))
    assert conclude(forward) == conclude(back)
    one = forward.tracked[0]
    assert look_at(one.plan, forward.scored(one, len(one.need))).estimate.value == conclude(forward).value == 3.0
