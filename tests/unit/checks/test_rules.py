"""What a check may not ask of its metric."""

from typing import Any

import pytest
from tests.fakes.boards import pilot

from pilotbase.checks.metrics import METRICS
from pilotbase.checks.rules import metric_problems
from pilotbase.domain.gate import Check, JudgeSpec, Load, Transform

LOAD = Load(rate="50/s", for_="5s")
JUDGE = JudgeSpec(url="http://judge", model="m", rubric="good?")
NOISE = Transform(transform="gaussian-noise")


@pytest.mark.parametrize(
    ("fields", "path", "message", "hint"),
    [
        ({"metric": "acuracy"}, "metric", "`acuracy` is no metric", "did you mean `accuracy`?"),
        ({"metric": "zzzz"}, "metric", "no metric", "known: accuracy"),
        ({"metric": "latency.p95", "require": "<= 50 ms"}, "metric", "measured under load", "add `load"),
        ({"metric": "rubric"}, "metric", "needs a judge", "add `judge"),
        ({"metric": "regex"}, "metric", "needs a `pattern`", None),
        ({"metric": "choice"}, "metric", "needs `choices`", "[A, B, C, D]"),
        ({"metric": "auroc", "drop_under": NOISE, "require": "<= 0.1"}, "drop-under", "cannot be paired", "accuracy"),
        ({"metric": "precision", "compare_to": "c0", "require": ">= 0"}, "compare-to", "cannot be paired", "accuracy"),
        ({"metric": "failures", "gap_by": "g", "require": "<= 1"}, "gap-by", "cannot be looked at by group", None),
        (
            {"metric": "accuracy", "drop_under": Transform(transform="gausian-noise"), "require": "<= 0.1"},
            "transform",
            "no transform",
            "gaussian",
        ),
        ({"metric": "accuracy", "require": "= 1"}, "require", "only allowed on a count", "use >= or <="),
        ({"metric": "accuracy", "require": "in [a]"}, "require", "only allowed on a count", "use >= or <="),
        ({"metric": "labels", "require": "<= 0"}, "require", "set membership", "in [a, b]"),
        ({"metric": "failures", "require": "in [0]"}, "require", "is a count", "use =, <= or >="),
        ({"metric": "latency.p95", "load": LOAD, "require": "<= 50"}, "require", "no unit of time", "50 ms"),
        ({"metric": "latency.p95", "load": LOAD, "require": ">= 50 ms"}, "require", "only be bounded from above", "use <="),
        ({"metric": "cost.per-case", "require": "<= 1"}, "require", "names no currency", "CNY"),
        ({"metric": "throughput", "load": LOAD, "require": ">= 5 ms"}, "require", "not its unit", "/s"),
        ({"metric": "accuracy", "require": ">= 5 ms"}, "require", "has no unit", None),
        ({"metric": "tokens.total", "require": "<= 5 CNY"}, "require", "has no unit", None),
        ({"metric": "accuracy", "require": ">= 95"}, "require", "95 lies outside", "did you mean 0.95?"),
        ({"metric": "accuracy", "drop_under": NOISE, "require": "<= -2"}, "require", "-1 to 1", None),
        ({"metric": "mae", "require": "<= -1"}, "require", "from 0", None),
        ({"metric": "accuracy", "tolerance": 1.0}, "tolerance", "means nothing", "belongs to numeric"),
        ({"metric": "accuracy", "pattern": "x"}, "pattern", "means nothing", "belongs to regex"),
        ({"metric": "accuracy", "expect": "x"}, "expect", "means nothing", "belongs to contains"),
        ({"metric": "accuracy", "choices": ("A",)}, "choices", "means nothing", "belongs to choice"),
        ({"metric": "accuracy", "errors": "<= 1%"}, "errors", "means nothing", "belongs to throughput"),
        ({"metric": "accuracy", "judge": JUDGE}, "judge", "means nothing", "belongs to rubric"),
        ({"metric": "accuracy", "bound": (0, 1)}, "bound", "means nothing", "belongs to mae, rmse"),
        ({"metric": "mae", "bound": (-1, 1), "require": "<= 1"}, "bound", "never negative", "[0, most]"),
        ({"metric": "accuracy", "load": LOAD}, "load", "not measured under load", "latency"),
    ],
)
def test_each_rule_says_what_is_wrong_and_what_to_write(
    fields: dict[str, Any], path: str, message: str, hint: str | None
) -> None:
    found = list(metric_problems(pilot(Check(**({"require": ">= 0.5"} | fields)))))
    assert len(found) == 1
    assert found[0].path[:4] == ("gates", 0, "checks", 0)
    assert found[0].path[-1] == path
    assert message in found[0].message
    assert (hint is None) == (found[0].hint is None)
    assert hint is None or hint in (found[0].hint or "")


@pytest.mark.parametrize("metric", ["accuracy", "sensitivity"])
def test_a_metric_of_the_truth_needs_its_columns(metric: str) -> None:
    without = list(metric_problems(pilot(Check(metric=metric, require=">= 0.5"), target=None, positive=None)))
    assert ["target" in p.message or "positive" in p.message for p in without] == [True] * (2 if metric == "sensitivity" else 1)
    assert list(metric_problems(pilot(Check(metric="contains", expect="x", require=">= 0.5"), target=None, positive=None))) == []
    assert len(list(metric_problems(pilot(Check(metric="contains", require=">= 0.5"), target=None, positive=None)))) == 1


def test_every_metric_can_be_asked_for() -> None:
    for name, row in METRICS.items():
        unit = {"s": "<= 1 s", "money": "<= 1 CNY", "tokens": "<= 9", "/s": ">= 9 /s", "": ">= 0.5"}[row.unit]
        check = Check(
            metric=name, require="in [a]" if row.kind == "members" else unit, load=LOAD if "load" in row.needs else None,
            judge=JUDGE if "judge" in row.needs else None, pattern="x" if "pattern" in row.needs else None,
            choices=("A", "B") if "choices" in row.needs else (),
        )  # fmt: skip
        assert list(metric_problems(pilot(check, incident="i" if "incident" in row.needs else None))) == [], name
