"""Checks read on live traffic: what each metric takes from the ledger, and what is concluded from units of evidence."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.boards import pilot

from pilotbase.checks.estimators import Sample, estimate
from pilotbase.checks.judged import Calibration
from pilotbase.checks.live import LiveCheck, badness, conclude_live, ledger_values, plan_live, tolerated
from pilotbase.domain.gate import Check, Gate, JudgeSpec, Live
from pilotbase.domain.quantity import Require
from pilotbase.domain.verdict import decide
from pilotbase.ports import Results
from pilotbase.stats import judge as judges
from pilotbase.stats.estimate import Estimate

FAILURES = Check(metric="failure-rate", require="<= 10 %")
JUDGE = JudgeSpec(url="http://judge.example", model="m", rubric="good?")
NAN, INF = math.nan, math.inf


def live(check: Check, rungs: int = 1) -> LiveCheck:
    """A check of a release's plan, as it is read live."""
    return plan_live(pilot(Check(metric="accuracy", require=">= 0.5")), (check,), rungs)[-1]


def results() -> Results:
    """An answer, a slow one, a failure, one that says nothing, one that is pending, one that came late and so failed."""

    def column(*values: float) -> Any:
        return np.array(values, dtype=np.float64)

    return Results(
        ids=list("abcdef"),
        copy_of=[""] * 6,
        started=np.arange(6, dtype=np.int64),
        bad=column(0, 0, 1, NAN, NAN, 1),
        pending=np.array([False, False, False, False, True, False]),
        seconds=column(0.2, 2.0, INF, NAN, NAN, INF),
        ttft=column(0.1, NAN, INF, NAN, NAN, INF),
        cost=column(0.5, 7.0, 0.0, NAN, NAN, 1.0),
        tokens_in=column(10, 20, 0, NAN, NAN, 3),
        tokens_out=column(5, 500, 0, NAN, NAN, 4),
    )


@pytest.mark.parametrize(
    ("check", "values"),
    [
        (FAILURES, [0, 0, 1, NAN, NAN, 1]),
        (Check(metric="latency.p95", require="<= 1 s"), [0, 1, 1, NAN, NAN, 1]),
        (Check(metric="latency.p50", require="<= 2 s"), [0, 0, 1, NAN, NAN, 1]),
        (Check(metric="ttft.p95", require="<= 50 ms"), [1, NAN, 1, NAN, NAN, 1]),
        (Check(metric="cost.per-case", require="<= 1 CNY", bound=(0.0, 5.0)), [0.5, 5.0, 0.0, NAN, NAN, 1.0]),
        (Check(metric="cost.per-case", require="<= 1 CNY", live=Live(windows=2, window=10)), [0.5, 7.0, 0.0, NAN, NAN, 1.0]),
        (Check(metric="tokens.input", require="<= 9", bound=(0.0, 15.0)), [10, 15, 0, NAN, NAN, 3]),
        (Check(metric="tokens.output", require="<= 9", bound=(0.0, 900.0)), [5, 500, 0, NAN, NAN, 4]),
        (Check(metric="tokens.total", require="<= 9", bound=(0.0, 900.0)), [15, 520, 0, NAN, NAN, 7]),
    ],
)
def test_the_ledger_gives_each_metric_a_number_for_each_request_that_says_something(check: Check, values: list[float]) -> None:
    np.testing.assert_array_equal(ledger_values(live(check), results()), np.array(values, dtype=np.float64))


@pytest.mark.parametrize(
    ("metric", "share"), [("latency.p50", 0.5), ("latency.p90", 0.1), ("ttft.p95", 0.05), ("latency.p99", 0.01)]
)
def test_a_tail_is_the_share_of_requests_beyond_its_threshold(metric: str, share: float) -> None:
    one = live(Check(metric=metric, require="<= 800 ms"))
    assert one.limit == 0.8 and one.require.op == "<=" and one.require.value == pytest.approx(share)
    assert one.bounds == (0.0, 1.0) and tolerated(one) == pytest.approx(share)


def test_only_checks_that_are_marked_and_what_the_ledger_tells_by_itself_are_read_live() -> None:
    declared = pilot(
        gates=(
            Gate(gate="capability", checks=(
                Check(metric="accuracy", require=">= 0.9"),
                Check(metric="accuracy", require=">= 0.8", id="marked", live=Live(sample="5 %")),
                Check(metric="contains", expect="yes", require=">= 0.5", live=Live(sample="10 %")),
                Check(metric="auroc", require=">= 0.8"),
            )),
            Gate(gate="service", mandatory=False, checks=(
                FAILURES,
                Check(metric="failure-rate", require="<= 20 %", id="told", role="inform"),
                Check(metric="cost.per-case", require="<= 1 CNY"),
                Check(metric="tokens.output", require="<= 100", bound=(0.0, 500.0)),
            )),
        )
    )  # fmt: skip
    found = {one.id: one for one in plan_live(declared, (), 1)}
    assert list(found) == ["marked", "capability/contains", "service/failure-rate", "told", "service/tokens.output"]
    assert [found[name].source for name in found] == ["label", "sample", "ledger", "ledger", "ledger"]
    assert found["marked"].sample == 0.05 and found["service/failure-rate"].sample == 1.0
    assert found["marked"].mandatory and not found["service/failure-rate"].mandatory


def test_checks_of_the_plan_are_mandatory_and_have_names_of_their_own() -> None:
    more = (
        FAILURES,
        FAILURES,
        Check(metric="failure-rate", require="<= 2 %", compare_to="stable"),
        Check(metric="feedback", require=">= 0.8", id="words"),
    )
    found = plan_live(pilot(FAILURES), more, 2)
    assert [one.id for one in found] == [
        "gate/failure-rate", "release/failure-rate", "release/failure-rate#2", "release/failure-rate[stable]", "words",
    ]  # fmt: skip
    assert all(one.mandatory for one in found) and [one.against for one in found] == [False, False, False, True, False]
    assert found[-1].source == "feedback"


@given(st.integers(1, 20), st.sampled_from(["low", "medium", "high"]))
def test_alpha_is_divided_by_the_rungs_each_of_which_decides_anew(rungs: int, risk: str) -> None:
    declared = pilot(FAILURES, risk=risk)
    (one,) = plan_live(declared, (), rungs)
    assert (1 - one.confidence) * rungs == pytest.approx(1 - declared.level)


def test_a_declared_confidence_counts_in_place_of_the_pilots() -> None:
    assert live(Check(metric="failure-rate", require="<= 1 %", confidence=0.99), rungs=4).confidence == pytest.approx(0.9975)


@pytest.mark.parametrize(("bad", "verdict"), [(0.0, "pass"), (0.1, "inconclusive"), (0.6, "fail")])
def test_a_share_is_decided_by_the_same_function_as_in_a_pilot(bad: float, verdict: str) -> None:
    one = live(FAILURES)
    units = np.array([bad] * 200)
    found = conclude_live(one, units, 2000, failed=int(2000 * bad))
    assert found.verdict == verdict and found.value == pytest.approx(bad)
    estimate = Estimate(value=found.value, low=found.low, high=found.high, n=200, method="m", confidence=one.confidence)
    assert decide(one.require, estimate) == found.verdict
    assert (found.n, found.failed, found.require, found.unit) == (2000, int(2000 * bad), "<= 10 %", "")
    assert "200 units of live traffic" in found.method and found.reasons


def test_without_a_unit_nothing_is_known() -> None:
    for check in (FAILURES, Check(metric="feedback", require=">= 0.5"), Check(metric="latency.p95", require="<= 1 s")):
        found = conclude_live(live(check), np.array([NAN, NAN]), 0)
        assert (found.verdict, found.value, found.n) == ("inconclusive", None, 0)
        assert [reason.code for reason in found.reasons] == ["live-none"]


@given(st.lists(st.floats(0.0, 1.0), max_size=60), st.sampled_from([FAILURES, Check(metric="feedback", require=">= 0.8")]))
def test_bounds_of_blocks_hold_their_mean_and_never_leave_the_range(units: list[float], check: Check) -> None:
    found = conclude_live(live(check), np.array(units), len(units))
    if units:
        assert found.low is not None and found.high is not None and found.value is not None
        assert 0.0 <= found.low <= found.value + 1e-9 and found.value - 1e-9 <= found.high <= 1.0


def test_a_difference_from_the_stable_arm_is_decided_on_its_own_range() -> None:
    one = live(Check(metric="failure-rate", require="<= 5 %", compare_to="stable"))
    assert one.against and badness(one, np.array([0.5])) is None and tolerated(one) is None
    worse = conclude_live(one, np.array([0.4, 0.6] * 100), 2000)
    same = conclude_live(one, np.zeros(400), 4000)
    assert (worse.verdict, same.verdict) == ("fail", "pass")
    assert worse.under == "compared to stable" and worse.low is not None and worse.low > 0.05
    assert conclude_live(one, np.array([-1.0] * 100), 100).verdict == "pass"


@pytest.mark.parametrize(
    ("check", "level", "scaled"),
    [
        (FAILURES, 0.1, [0.0, 0.25, 1.0]),
        (Check(metric="feedback", require=">= 0.8"), 0.2, [1.0, 0.75, 0.0]),
        (Check(metric="tokens.output", require="<= 50", bound=(0.0, 200.0)), 0.25, [0.0, 0.00125, 0.005]),
    ],
)
def test_badness_is_the_distance_from_the_best_end_of_the_range(check: Check, level: float, scaled: list[float]) -> None:
    one = live(check)
    assert tolerated(one) == pytest.approx(level)
    found = badness(one, np.array([0.0, 0.25, 1.0]))
    assert found is not None and found.tolist() == pytest.approx(scaled)


@pytest.mark.parametrize("require", ["<= 0 %", "<= 100 %"])
def test_a_threshold_at_an_end_of_the_range_tolerates_nothing_that_a_detector_could_watch(require: str) -> None:
    assert tolerated(live(Check(metric="failure-rate", require=require))) is None


WINDOWED = Check(metric="cost.per-case", require="<= 1 CNY", live=Live(windows=3, window=20))


def windows(*means: float, rest: int = 0) -> Any:
    """Units of whole windows with these means and a little spread, and of the beginning of another."""
    spread = np.tile([-0.01, 0.01], 10)
    return np.concatenate([mean + spread for mean in means] + [np.ones(rest)])


def reasons(found: Any) -> list[str]:
    return [reason.code for reason in found.reasons]


def test_a_metric_that_is_concluded_once_waits_for_a_whole_window() -> None:
    found = conclude_live(live(WINDOWED), windows(rest=19), 19)
    assert found.verdict == "inconclusive" and found.value is None and "live-window" in reasons(found)
    assert conclude_live(live(WINDOWED), windows(0.5), 20).verdict == "pass"


def test_one_failed_window_is_enough_and_nothing_after_it_mends_it() -> None:
    one = live(WINDOWED)
    for means in ((2.0,), (0.5, 2.0), (2.0, 0.5, 0.5), (0.5, 2.0, 0.5)):
        assert conclude_live(one, windows(*means), 60).verdict == "fail"
    assert conclude_live(one, windows(0.5, 0.5, rest=19), 60).verdict == "pass"


def test_alpha_is_split_over_the_windows_that_were_declared() -> None:
    one = live(WINDOWED, rungs=2)
    units = windows(0.5, 0.7)
    found = conclude_live(one, units, 40)
    part = units[20:]
    level = 1 - (1 - one.confidence) / 3
    empty = np.zeros(20, dtype=np.int32)
    sample = Sample(value=part, classes=empty, positive=empty.astype(bool))
    plain = estimate(one.metric.kind, sample, level, anytime=False, bounds=(0.0, INF))
    assert (found.value, found.low, found.high) == (plain.value, plain.low, plain.high)


def test_windows_that_are_spent_decide_no_more() -> None:
    one = live(WINDOWED)
    full = conclude_live(one, windows(0.5, 0.5, 0.5), 60)
    more = conclude_live(one, np.concatenate([windows(0.5, 0.5, 0.5), windows(5.0, 5.0)]), 100)
    assert full.verdict == more.verdict == "pass" and (full.value, full.high) == (more.value, more.high)
    assert "live-windows-spent" in reasons(more)


JUDGED = Check(metric="rubric", require=">= 0.7", judge=JUDGE, live=Live(sample="5 %", windows=2, window=100))
GOOD = Calibration(true_positive=97, positives=100, true_negative=96, negatives=100)


def yes(share: float, count: int = 100) -> Any:
    return (np.arange(count) < share * count).astype(np.float64)


def test_a_judge_that_was_not_measured_informs_and_decides_nothing() -> None:
    found = conclude_live(live(JUDGED), yes(0.1), 100)
    assert (found.verdict, found.value, found.low, found.high) == ("inconclusive", 0.1, None, None)
    assert reasons(found) == ["judge-uncalibrated"] and "uncorrected" in found.method


@pytest.mark.parametrize(("share", "verdict"), [(0.95, "pass"), (0.7, "inconclusive"), (0.2, "fail")])
def test_a_measured_judge_is_corrected_for_its_error(share: float, verdict: str) -> None:
    one = live(JUDGED)
    found = conclude_live(one, yes(share), 100, calibration=GOOD)
    level = 1 - (1 - one.confidence) / 2
    plain = judges.rogan_gladen(int(100 * share), 100, 97, 100, 96, 100, level)
    assert (found.value, found.low, found.high) == (plain.value, plain.low, plain.high)
    assert found.verdict == verdict and "judge-corrected" in reasons(found)


def test_a_judge_that_cannot_be_told_from_chance_decides_nothing() -> None:
    weak = Calibration(true_positive=50, positives=100, true_negative=50, negatives=100)
    found = conclude_live(live(JUDGED), yes(0.0), 100, calibration=weak)
    assert found.verdict == "inconclusive" and reasons(found) == ["judge-weak"]


def test_judgements_wait_for_a_whole_window_too_and_one_failed_window_is_enough() -> None:
    one = live(JUDGED)
    assert reasons(conclude_live(one, yes(0.0, 99), 99, calibration=GOOD)) == ["live-window"]
    both = np.concatenate([yes(0.1), yes(1.0)])
    assert conclude_live(one, both, 200, calibration=GOOD).verdict == "fail"


def test_a_tail_names_its_threshold_as_a_share_of_requests() -> None:
    one = live(Check(metric="latency.p95", require="<= 1 s"))
    found = conclude_live(one, np.zeros(300), 3000)
    assert found.verdict == "pass" and found.require == str(one.require) and found.unit == ""
    assert one.require == Require(op="<=", value=pytest.approx(0.05))
