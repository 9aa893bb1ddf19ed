"""Groups, clusters, shown figures and further cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.boards import answers, board, cases, conclude, pilot, result, tracked

from pilotbase.checks.needed import more_cases
from pilotbase.checks.told import show
from pilotbase.domain.gate import Check
from pilotbase.domain.quantity import parse_require
from pilotbase.domain.verdict import CheckResult
from pilotbase.stats import groups, power, proportion


def _grouped(
    view: str, require: str, right: dict[str, tuple[int, int]], *, none: int = 0, early: bool = False, minimum: int = 30
) -> CheckResult:
    """Accuracy over groups, from (right, all) of each; `none` cases more have no group."""
    said = [("1" if i < hits else "0", name) for name, (hits, n) in right.items() for i in range(n)] + [("1", None)] * none
    check = Check(metric="accuracy", require=require, minimum=minimum, **{view: "g"})  # type: ignore[arg-type]
    columns = cases(["1"] * len(said), groups=[g for _, g in said])
    return result(check, columns, answers(range(len(said)), [s for s, _ in said]), early_stop=early)


@pytest.mark.parametrize("view", ["gap_by", "ratio_by", "worst_of"])
def test_groups_are_bounded_together_at_their_share_of_alpha(view: str) -> None:
    right = {"a": (90, 100), "b": (60, 80), "c": (38, 40)}
    found = _grouped(view, "<= 0.5", right)
    level = groups.part_confidence(0.95, 3)
    assert level == pytest.approx(1 - 0.05 / 6)
    parts = [proportion.exact(h, n, level) for h, n in right.values()]
    whole = {
        "gap_by": groups.gap(parts, 0.95),
        "ratio_by": groups.ratio(parts, 0.95),
        "worst_of": groups.worst(parts, 0.95, True),
    }[view]
    assert (found.value, found.low, found.high) == pytest.approx((whole.value, whole.low, whole.high))
    assert [(p["group"], p["n"]) for p in found.parts] == [("a", 100), ("b", 80), ("c", 40)]
    assert found.by == "g"


def test_the_worst_group_is_the_one_that_the_threshold_is_about() -> None:
    right = {"a": (90, 100), "b": (60, 80)}
    assert _grouped("worst_of", ">= 0.5", right).value == 0.75
    assert _grouped("worst_of", "<= 0.5", right).value == 0.9


@pytest.mark.parametrize("early", [False, True])
def test_a_small_group_or_cases_without_one_leave_the_check_open_and_are_named(early: bool) -> None:
    small = _grouped("gap_by", "<= 0.9", {"a": (90, 100), "b": (29, 29)}, early=early)
    assert (small.verdict, small.low, small.high) == ("inconclusive", None, None)
    assert [(r.code, r.figures.get("group"), r.figures.get("n")) for r in small.reasons] == [("small-group", "b", 29)]
    raised = _grouped("gap_by", "<= 0.9", {"a": (90, 100), "b": (49, 49)}, early=early, minimum=50)
    assert raised.reasons[0].figures["minimum"] == 50
    lost = _grouped("gap_by", "<= 0.9", {"a": (900, 1000), "b": (900, 1000)}, none=2, early=early)
    assert (lost.verdict, lost.reasons[0].code, lost.reasons[0].figures["count"]) == ("inconclusive", "ungrouped", 2)
    single = _grouped("gap_by", "<= 0.9", {"a": (90, 100)}, early=early)
    assert (single.verdict, [r.code for r in single.reasons]) == ("inconclusive", ["one-group"])


def test_the_minimum_counts_the_metric_s_own_denominator() -> None:
    truth = ["1"] * 20 + ["0"] * 80 + ["1"] * 60 + ["0"] * 40
    columns = cases(truth, groups=["a"] * 100 + ["b"] * 100)
    found = result(Check(metric="sensitivity", gap_by="g", require="<= 0.9"), columns, answers(range(200), truth))
    assert [(r.code, r.figures["n"]) for r in found.reasons] == [("small-group", 20)]
    assert (
        result(Check(metric="specificity", gap_by="g", require="<= 0.9"), columns, answers(range(200), truth)).verdict == "pass"
    )


def test_an_early_look_at_groups_waits_until_every_group_is_large_enough() -> None:
    made = board(
        pilot(Check(metric="accuracy", gap_by="g", require="<= 0.9")), cases(["1"] * 400, groups=["a"] * 300 + ["b"] * 100)
    )
    made.add(answers(range(329), ["1"] * 329))
    made.look()
    assert tracked(made).frozen is None
    made.add(answers(range(329, 400), ["1"] * 71))
    found = conclude(made)
    assert found.verdict == "pass"
    assert found.n >= 330


@pytest.mark.parametrize("metric", ["accuracy", "f1", "balanced-accuracy", "auroc", "brier", "precision", "rmse", "mae"])
def test_under_twenty_clusters_nothing_is_bounded_and_from_twenty_on_never_more_narrowly_than_without(metric: str) -> None:
    r = np.random.default_rng(3)
    n = 240
    truth = [str(v) for v in r.integers(0, 2, n)]
    said = [t if r.random() < 0.8 else str(1 - int(t)) for t in truth]
    seen = answers(range(n), said, score=np.clip(np.array(said, dtype=float) + r.normal(0, 0.3, n), 0, 1))
    numbers = np.array(truth, dtype=float)
    check = Check(metric=metric, require="<= 1")
    few = result(check, cases(truth, numbers=numbers, clusters=[str(i % 19) for i in range(n)]), seen)
    assert (few.verdict, few.low, few.high) == ("inconclusive", None, None)
    assert few.value is not None
    assert [(c.code, c.figures["clusters"]) for c in few.reasons] == [("few-clusters", 19)]
    enough = result(check, cases(truth, numbers=numbers, clusters=[str(i % 24) for i in range(n)]), seen)
    plain = result(check, cases(truth, numbers=numbers), seen)
    assert None not in (enough.low, enough.high, plain.low, plain.high)
    assert enough.low <= plain.low + 1e-12  # type: ignore[operator]
    assert enough.high >= plain.high - 1e-12  # type: ignore[operator]
    assert enough.needed is None


def test_one_class_leaves_an_area_undefined_and_says_so() -> None:
    found = result(Check(metric="auroc", require=">= 0.5"), cases(["1"] * 30), answers(range(30), None, score=np.arange(30.0)))
    assert (found.verdict, found.value, [r.code for r in found.reasons]) == ("inconclusive", None, ["one-class"])


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_a_shown_figure_stays_on_its_side_of_the_threshold(number: float, threshold: float) -> None:
    require = parse_require(f">= {threshold!r}")
    shown = float(show(number, require, "").replace(",", ""))
    assert (shown >= threshold) == (number >= threshold)
    assert (shown > threshold) == (number > threshold)


def test_figures_are_shown_short_and_counts_whole() -> None:
    require = parse_require(">= 0.95")
    assert show(0.949996, require, "") == "0.949996"
    assert show(0.912345, require, "") == "0.9123"
    assert show(12345.0, require, "tokens") == "12,345 tokens"
    assert show(None, require, "s") == "—"


@pytest.mark.parametrize(
    ("threshold", "value", "have"), [(0.9, 0.93, 100), (0.9, 0.85, 60), (0.05, 0.02, 100), (0.5, 0.55, 0), (0.95, 1.0, 20)]
)
def test_further_cases_give_a_four_in_five_chance_of_a_decision(threshold: float, value: float, have: int) -> None:
    fixed = more_cases(">=", threshold, value, 0.95, have, anytime=False)
    looked = more_cases(">=", threshold, value, 0.95, have, anytime=True)
    assert fixed is not None
    assert looked is not None
    assert looked >= fixed
    assert more_cases("<=", threshold, value, 0.95, have, anytime=True) == looked
    r = np.random.default_rng(1)
    seen, trials = round(value * have), 2000
    running, hits, at = np.zeros(trials, dtype=bool), np.full(trials, seen), have
    for look, refuse, accept in power.boundaries(threshold, have + looked, 0.95):
        if look > have:
            hits, at = hits + r.binomial(look - at, value, trials), look
            running |= (hits >= accept) if value > threshold else (hits <= refuse)
    assert running.mean() >= 0.77
    assert running.mean() <= 0.999 or value == 1.0


def test_no_number_of_cases_decides_at_the_threshold() -> None:
    for anytime in (False, True):
        assert more_cases(">=", 0.9, 0.9, 0.95, 100, anytime=anytime) is None
        assert more_cases(">=", 0.9, 0.90001, 0.95, 100, anytime=anytime) is None


def test_the_cases_needed_are_told_for_plain_proportions_only() -> None:
    truth = ["1"] * 120
    said = answers(range(120), ["1" if i % 10 else "0" for i in range(120)])
    found = result(Check(metric="accuracy", require=">= 0.88"), cases(truth), said, early_stop=True)
    assert found.verdict == "inconclusive"
    assert found.needed is not None
    assert f"{found.needed:,}" in found.reasons[0].text()
    grouped = _grouped("gap_by", "<= 0.05", {"a": (50, 60), "b": (50, 60)})
    assert (grouped.verdict, grouped.needed) == ("inconclusive", None)
