"""Which checks may be live, and what is said of those that may not."""

from typing import Any

import pytest
from tests.fakes.boards import pilot

from pilotbase.checks.metrics import METRICS
from pilotbase.checks.plan import plan_checks, plan_family
from pilotbase.checks.rules import metric_problems
from pilotbase.domain.gate import Check, JudgeSpec, Live, Load, Transform
from pilotbase.domain.price import Price

JUDGE = JudgeSpec(url="http://judge", model="m", rubric="good?")
LOAD = Load(rate="50/s", for_="5s")
WINDOWS = Live(windows=20, window=500)


def told(**fields: Any) -> list[tuple[str, str, str | None]]:
    """(last word of the place, message, hint) of each problem."""
    check = Check(**{"require": ">= 0.5", "live": Live(), **fields})
    declared = pilot(check, incident="i" if "incident" in METRICS[check.metric].needs else None)
    return [(str(p.path[-1]), p.message, p.hint) for p in metric_problems(declared)]


@pytest.mark.parametrize(
    ("fields", "because"),
    [
        ({"metric": "accuracy", "drop_under": Transform(transform="gaussian-noise"), "require": "<= 0.1"}, "changes the inputs"),
        ({"metric": "accuracy", "compare_to": "c0", "require": ">= 0"}, "answered by one of them"),
        ({"metric": "accuracy", "gap_by": "g", "require": "<= 0.1"}, "a live request names none"),
        ({"metric": "accuracy", "ratio_by": "g"}, "a live request names none"),
        ({"metric": "accuracy", "worst_of": "g"}, "a live request names none"),
        ({"metric": "failures", "require": "= 0"}, "live traffic is never complete"),
        ({"metric": "regressions", "require": "= 0"}, "live traffic is never complete"),
        ({"metric": "labels", "require": "in [0, 1]"}, "live traffic is never complete"),
        ({"metric": "throughput", "load": LOAD, "require": ">= 5 /s"}, "live requests come when they come"),
        ({"metric": "stability"}, "a live request is asked once"),
        ({"metric": "auroc", "live": WINDOWS}, "ranks the scores of a whole sample"),
        ({"metric": "brier", "require": "<= 0.2"}, "a probability beside each answer"),
        ({"metric": "f1"}, "a figure of a whole table"),
        ({"metric": "balanced-accuracy"}, "a figure of a whole table"),
        ({"metric": "mae", "bound": (0.0, 5.0), "require": "<= 2"}, "no worst error"),
        ({"metric": "rmse", "require": "<= 2"}, "no worst error"),
    ],
)
def test_what_cannot_be_live_is_refused_at_its_line_with_the_reason(fields: dict[str, Any], because: str) -> None:
    ((place, message, hint),) = told(**fields)
    assert place == "live"
    assert "cannot be live" in message
    assert because in message
    assert hint


@pytest.mark.parametrize(
    "fields",
    [
        {"metric": "cost.per-case", "require": "<= 1 CNY"},
        {"metric": "tokens.total", "require": "<= 100"},
        {"metric": "rubric", "judge": JUDGE},
    ],
)
def test_what_is_concluded_once_is_live_on_windows_declared_beforehand_only(fields: dict[str, Any]) -> None:
    ((place, message, hint),) = told(**fields)
    assert (place, "is concluded once" in message, "windows: 20" in str(hint)) == ("live", True, True)
    assert told(**fields, live=WINDOWS) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"metric": "accuracy"},
        {"metric": "precision"},
        {"metric": "failure-rate", "require": "<= 0.1"},
        {"metric": "contains", "expect": "x"},
        {"metric": "latency.p95", "load": LOAD, "require": "<= 50 ms"},
        {"metric": "ttft.p50", "load": LOAD, "require": "<= 50 ms"},
    ],
)
def test_what_may_be_looked_at_at_any_time_and_tails_are_live_without_windows(fields: dict[str, Any]) -> None:
    assert told(**fields) == []
    ((place, message, hint),) = told(**fields, live=WINDOWS)
    assert (place, hint) == ("windows", "leave `windows` and `window` out")
    assert "at any time" in message


def test_every_metric_is_live_live_on_windows_or_refused_in_words() -> None:
    """No metric is left without an answer, a new one neither."""
    for name, row in METRICS.items():
        require = {"s": "<= 50 ms", "money": "<= 1 CNY", "/s": ">= 5 /s"}.get(row.unit, "<= 0.5")
        fields: dict[str, Any] = {
            "metric": name,
            "require": "in [a]" if row.kind == "members" else require,
            "load": LOAD if "load" in row.needs else None,
            "judge": JUDGE if "judge" in row.needs else None,
            "pattern": "x" if "pattern" in row.needs else None,
            "choices": ("A",) if "choices" in row.needs else (),
        }
        plain, windowed = told(**fields), told(**fields, live=WINDOWS)
        assert (plain == []) + (windowed == []) == 1 or "cannot be live" in plain[0][1], name


def test_a_check_is_planned_offline_as_if_it_were_not_live() -> None:
    plain = Check(metric="accuracy", require=">= 0.5")
    live = Check(metric="accuracy", require=">= 0.5", live=Live(sample="5 %"))
    (one,), (other,) = (
        plan_checks(declared, plan_family(declared, 1), early_stop=True)[0] for declared in (pilot(plain), pilot(live))
    )
    assert (one.id, one.column, one.anytime, one.confidence) == (other.id, other.column, other.anytime, other.confidence)


def test_the_price_of_a_judge_makes_no_second_judgement_of_the_same_answers() -> None:
    priced = JudgeSpec(url="http://judge", model="m", rubric="good?", price=Price(per_call="0.01 CNY"))
    declared = pilot(
        Check(metric="rubric", require=">= 0.5", judge=JUDGE), Check(metric="rubric", require=">= 0.6", judge=priced)
    )
    planned, variants = plan_checks(declared, plan_family(declared, 1), early_stop=True)
    assert len(variants) == 2
    assert planned[0].column == planned[1].column
