"""Checks under load, on arrivals made by hand."""

from typing import Any

import numpy as np
import pytest
from tests.fakes.boards import account, answers, board, cases, conclude, pilot

from pilotbase.checks.told import show
from pilotbase.domain.gate import Check, Load
from pilotbase.domain.quantity import parse_require
from pilotbase.domain.verdict import CheckResult

LOAD = Load(rate="100/s", for_="10s", arrivals="uniform")


def _under(
    metric: str, require: str, seconds: Any, *, failed: Any = (), warm: float = 9.0, said: int | None = None, **rest: Any
) -> CheckResult:
    """1,000 arrivals after 100 of warm-up, which took `warm` seconds each."""
    made = board(pilot(Check(metric=metric, require=require, load=LOAD, errors=rest.pop("errors", None))), cases(["a"]))
    scheduled = np.arange(1100) / 100
    took = np.concatenate([np.full(100, warm), np.broadcast_to(seconds, 1000)]).astype(float)
    ttft, late = rest.pop("ttft", None), rest.pop("late", 0.0)
    keep = rest.pop("keep", 1100)
    seen = answers(
        np.arange(1100)[:keep], ["a"] * keep, variant=1, failed=np.asarray(failed) + 100,
        seconds=took[:keep], scheduled=scheduled[:keep],
        late=np.broadcast_to(late, 1100)[:keep].astype(float),
        ttft=None if ttft is None else np.concatenate([np.full(100, 9.0), ttft]),
    )  # fmt: skip
    made.add(seen)
    stated = {} if said is None else {"answered": {1: said}}
    return conclude(made, **(stated | rest))


def _spread(seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).uniform(0.01, 0.05, 1000)


def test_a_quantile_is_bounded_after_warm_up() -> None:
    found = _under("latency.p90", "<= 50 ms", _spread())
    assert found.value == pytest.approx(np.quantile(_spread(), 0.9), abs=1e-3)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low <= found.value <= found.high <= 0.05
    assert (found.verdict, found.literal, found.n, found.planned, found.failed) == ("pass", "pass", 1000, 1000, 0)
    assert _under("latency.p90", "<= 30 ms", _spread()).verdict == "fail"
    assert _under("latency.p90", "<= 46 ms", _spread()).verdict == "inconclusive"


@pytest.mark.parametrize("threshold", [20, 42, 44, 45, 45.5, 46, 46.5, 47, 48, 50, 60])
def test_the_verdict_is_that_of_the_share_over_the_threshold_and_agrees_with_the_bounds(threshold: float) -> None:
    seconds = _spread(3)
    found = _under("latency.p90", f"<= {threshold} ms", seconds)
    over = (seconds > threshold / 1000).reshape(50, 20).mean(axis=1)
    half = 1.677 * over.std(ddof=1) / np.sqrt(50)
    if over.mean() + 1.3 * half < 0.1 - 0.03:
        assert found.verdict == "pass"
    if over.mean() - 1.3 * half > 0.1 + 0.03:
        assert found.verdict == "fail"
    assert (found.verdict == "pass") == (found.high is not None and found.high <= threshold / 1000)
    assert (found.verdict == "fail") == (found.low is not None and found.low > threshold / 1000)


def test_failures_are_infinitely_late() -> None:
    few = _under("latency.p90", "<= 50 ms", _spread(), failed=range(0, 1000, 100))
    assert (few.verdict, few.failed) == ("pass", 10)
    many = _under("latency.p90", "<= 50 ms", _spread(), failed=range(0, 1000, 5))
    assert (many.verdict, many.literal, many.value, many.high) == ("fail", "fail", None, None)
    assert many.low is not None
    assert many.low > 0.05


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"late": 0.02}, "generator-late"),
        ({"keep": 110}, "few-arrivals"),
        ({"keep": 0}, "load-missing"),
        ({"load_missing": {1: "the limit was reached"}}, "load-missing"),
        ({"said": 1099}, "count-mismatch"),
    ],
)
def test_a_load_that_proves_nothing_is_inconclusive_with_its_reason(change: dict[str, Any], code: str) -> None:
    for metric, require in (("latency.p90", "<= 50 ms"), ("throughput", ">= 50 /s")):
        found = _under(metric, require, _spread(), **change)
        assert (found.verdict, found.low, found.high, found.literal) == ("inconclusive", None, None, None)
        assert [r.code for r in found.reasons] == [code]


def test_one_late_arrival_in_a_hundred_is_admitted() -> None:
    late = np.zeros(1100)
    late[100:1100:100] = 0.02
    assert _under("latency.p90", "<= 50 ms", _spread(), late=late).verdict == "pass"


def test_first_content_needs_its_moment() -> None:
    ttft = _spread() / 2
    assert _under("ttft.p90", "<= 30 ms", 1.0, ttft=ttft).verdict == "pass"
    ttft[7] = np.nan
    assert [r.code for r in _under("ttft.p90", "<= 30 ms", 1.0, ttft=ttft).reasons] == ["no-first-content"]
    assert _under("ttft.p90", "<= 30 ms", 1.0, ttft=ttft, failed=[7]).verdict == "pass"


def test_throughput_counts_what_came_to_an_end_and_not_what_arrived() -> None:
    prompt = _under("throughput", ">= 90 /s", _spread(), warm=0.03)
    assert prompt.value == pytest.approx(100, abs=1)
    assert prompt.verdict == "pass"
    queued = np.arange(1000) / 20 - np.arange(1000) / 100  # 20 a second are served, and the queue grows
    backlog = _under("throughput", ">= 90 /s", queued, warm=0.03)
    assert backlog.value == pytest.approx(20, abs=1)
    assert (backlog.verdict, backlog.literal) == ("fail", "fail")


def test_throughput_with_too_many_failures_proves_nothing_unless_it_is_too_low_anyway() -> None:
    failed = range(0, 1000, 20)
    held = _under("throughput", ">= 80 /s", _spread(), warm=0.03, failed=failed)
    assert (held.verdict, [r.code for r in held.reasons]) == ("inconclusive", ["load-errors"])
    assert _under("throughput", ">= 80 /s", _spread(), warm=0.03, failed=failed, errors="<= 10%").verdict == "pass"
    assert _under("throughput", ">= 99 /s", _spread(), warm=0.03, failed=failed).verdict == "fail"


def test_arrivals_stand_in_the_order_of_the_schedule_however_they_were_added() -> None:
    check = Check(metric="latency.p90", require="<= 50 ms", load=LOAD)
    found = []
    for order in (np.arange(1000), np.random.default_rng(1).permutation(1000)):
        made = board(pilot(check), cases(["a"]))
        scheduled, took = 1 + np.arange(1000) // 2 / 50, _spread()  # two at a time
        made.add(answers(order, ["a"] * 1000, variant=1, seconds=took[order], scheduled=scheduled[order]))
        found.append(conclude(made))
        assert account(made).answered == {1: 1000}
    assert found[0] == found[1]


def test_a_reason_tells_seconds_in_the_unit_of_the_threshold() -> None:
    require = parse_require("<= 50 ms")
    assert show(0.01482, require, "s") == "14.82 ms"
    assert show(0.05, require, "s") == "50 ms"
    assert show(0.0500004, require, "s") == "50.0004 ms"
    assert show(0.01482, parse_require("<= 0.05 s"), "s") == "0.01482 s"
