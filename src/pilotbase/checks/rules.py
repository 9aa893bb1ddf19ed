"""What a check may not ask of its metric, told before anything is called."""

from collections.abc import Iterator

from pilotbase.checks.metric import Metric
from pilotbase.checks.metrics import metrics
from pilotbase.checks.transforms import TRANSFORMS
from pilotbase.domain.gate import Check
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.problem import Path, Problem, nearest
from pilotbase.domain.quantity import parse_money

__all__ = ["metric_problems"]

_TIME = ("ms", "s", "m", "min", "h", "d")


def metric_problems(pilot: Pilot) -> Iterator[Problem]:
    """Every check that its metric's row does not allow, with its path in the pilot."""
    yield from _incident(pilot)
    for g, gate in enumerate(pilot.open_gates):
        for c, check in enumerate(gate.checks):
            at: Path = ("gates", g, "checks", c)
            row = metrics().get(check.metric)
            if row is None:
                near = nearest(check.metric, metrics())
                known = f"did you mean `{near}`?" if near else f"known: {', '.join(sorted(metrics()))}"
                yield Problem((*at, "metric"), f"`{check.metric}` is no metric", known)
                continue
            yield from (
                p.under(*at)
                for p in (
                    *_needs(pilot, check, row),
                    *_views(check, row),
                    *_threshold(check, row),
                    *_extras(check, row),
                    *_live(check, row),
                )
            )


def _incident(pilot: Pilot) -> Iterator[Problem]:
    """Cases from incidents leave every rate, so a check must count them and decide: else that name would hide failures."""
    if pilot.data.test.incident is None:
        return
    counted = (c for g in pilot.open_gates if g.mandatory for c in g.checks if c.metric == "regressions" and c.role == "decide")
    if next(counted, None) is None:
        told = "cases from incidents enter no rate, and no deciding check counts them"
        yield Problem(("data", "test", "incident"), told, 'add `{metric: regressions, require: "= 0"}` to a mandatory gate')


def _needs(pilot: Pilot, check: Check, row: Metric) -> Iterator[Problem]:
    test = pilot.data.test
    if ("target" in row.needs or (row.name == "contains" and check.expect is None)) and test.target is None:
        yield Problem(
            ("metric",), f"`{row.name}` compares with the truth, and data.test names no `target` column", "add `target: COLUMN`"
        )
    if "positive" in row.needs and test.positive is None:
        yield Problem(("metric",), f"`{row.name}` is about one class, and data.test names no `positive`", "add `positive: VALUE`")
    if "incident" in row.needs and test.incident is None:
        yield Problem(
            ("metric",),
            f"`{row.name}` counts cases from incidents, and data.test names no `incident` column",
            "add `incident: COLUMN`; the column is empty for ordinary cases",
        )
    if "load" in row.needs and check.load is None:
        yield Problem(("metric",), f"`{row.name}` is measured under load", "add `load: {rate: 50/s, for: 5s}`")
    if "judge" in row.needs and check.judge is None:
        yield Problem(("metric",), f"`{row.name}` needs a judge", "add `judge: {url: ..., model: ..., rubric: ...}`")
    if "pattern" in row.needs and check.pattern is None:
        yield Problem(("metric",), f"`{row.name}` needs a `pattern`")
    if "choices" in row.needs and not check.choices:
        yield Problem(("metric",), f"`{row.name}` needs `choices`", "write `choices: [A, B, C, D]`")


def _views(check: Check, row: Metric) -> Iterator[Problem]:
    view = check.view
    if view is None:
        return
    word = view[0]
    if word in ("drop-under", "compare-to") and not row.paired:
        yield Problem(
            (word,),
            f"`{row.name}` has no score for each case, so it cannot be paired by case",
            "use a metric with one, such as accuracy or sensitivity",
        )
    if word in ("gap-by", "ratio-by", "worst-of") and row.kind in ("tail", "throughput", "judged", "count", "members"):
        yield Problem((word,), f"`{row.name}` cannot be looked at by group")
    if word == "ratio-by" and row.lower != 0.0:
        yield Problem((word,), f"`{row.name}` can be negative, so groups have no ratio")
    if check.drop_under is not None and check.drop_under.transform not in TRANSFORMS:
        name = check.drop_under.transform
        near = nearest(name, TRANSFORMS)
        hint = f"did you mean `{near}`?" if near else f"known: {', '.join(sorted(TRANSFORMS))}"
        yield Problem(("drop-under", "transform"), f"`{name}` is no transform", hint)


def _threshold(check: Check, row: Metric) -> Iterator[Problem]:
    try:
        require = check.required
    except ValueError:
        return  # told by the check itself
    census = row.kind in ("count", "members")
    if require.op in ("=", "in") and not census:
        yield Problem(
            ("require",),
            f"`{require.op}` is only allowed on a count over complete data, and `{row.name}` is an estimate",
            "use >= or <=",
        )
    if row.kind == "members" and require.op != "in":
        yield Problem(("require",), f"`{row.name}` is a set membership", "write `in [a, b]`")
    if require.op == "in" and row.kind == "count":
        yield Problem(("require",), f"`{row.name}` is a count, and `in` is about a set of labels", "use =, <= or >=")
    if require.op == "in":
        return
    unit = require.unit
    if row.unit == "s" and unit not in _TIME:
        yield Problem(
            ("require",),
            f"`{row.name}` is a duration and `{check.require}` has no unit of time",
            "write ms, s or m, as in `<= 50 ms`",
        )
    elif row.unit == "money" and not _is_currency(unit):
        yield Problem(
            ("require",), f"`{row.name}` is an amount and `{check.require}` names no currency", "write it, as in `<= 0.01 CNY`"
        )
    elif row.unit == "/s" and unit not in ("/s", ""):
        yield Problem(("require",), f"`{row.name}` is a rate; `{unit}` is not its unit", "write `/s`, as in `>= 40 /s`")
    elif row.unit in ("", "tokens") and unit not in ("", "tokens" if row.unit else ""):
        yield Problem(("require",), f"`{row.name}` has no unit, and `{check.require}` gives one: `{unit}`")
    if row.kind == "tail" and require.op != "<=":
        yield Problem(("require",), f"`{row.name}` can only be bounded from above", "use <=")
    yield from _range(check, row, require.value)


def _range(check: Check, row: Metric, value: float) -> Iterator[Problem]:
    low, high = row.lower, row.upper
    if check.view is not None and check.view[0] in ("drop-under", "compare-to"):
        width = None if low is None or high is None else high - low
        low, high = (None, None) if width is None else (-width, width)
    if (low is not None and value < low) or (high is not None and value > high):
        shown = (
            f"{low:g} to {high:g}"
            if low is not None and high is not None
            else f"from {low:g}"
            if low is not None
            else f"up to {high:g}"
        )
        hint = f"did you mean {value / 100:g}?" if high == 1 and 1 < value <= 100 else None
        yield Problem(("require",), f"{value:g} lies outside what `{row.name}` can be here ({shown})", hint)


def _is_currency(unit: str) -> bool:
    try:
        return bool(parse_money(f"0 {unit}").currency)
    except ValueError:
        return False


_ONLY = {
    "tolerance": ("numeric",),
    "pattern": ("regex",),
    "expect": ("contains",),
    "choices": ("choice",),
    "errors": ("throughput",),
    "judge": ("rubric",),
    "bound": ("mae", "rmse"),
    "match": ("regressions",),
}


def _extras(check: Check, row: Metric) -> Iterator[Problem]:
    for word, owners in _ONLY.items():
        if getattr(check, word) not in (None, ()) and row.name not in owners:
            yield Problem((word,), f"`{word}` means nothing to `{row.name}`", f"it belongs to {', '.join(owners)}")
    if check.bound is not None and check.bound[0] < 0 and row.name in _ONLY["bound"]:
        yield Problem(("bound",), f"a loss is never negative, and the bound starts at {check.bound[0]:g}", "write [0, most]")
    if check.load is not None and "load" not in row.needs:
        yield Problem(("load",), f"`{row.name}` is not measured under load", "it belongs to latency, ttft and throughput")


# What a check looks at, and why live requests cannot be looked at so.
_NOT_LIVE = {
    "drop-under": "it changes the inputs, and live requests are answered as they come",
    "compare-to": "it pairs the answers of two candidates to one case, and a live request is answered by one of them",
    "gap-by": "it compares groups, and a live request names none",
    "ratio-by": "it compares groups, and a live request names none",
    "worst-of": "it compares groups, and a live request names none",
    "count": "it is counted on complete data, and live traffic is never complete",
    "members": "it is a census of complete data, and live traffic is never complete",
    "throughput": "it is measured by arrivals on a schedule, and live requests come when they come",
    "stability": "it asks the same input again and again, and a live request is asked once",
    "auroc": "it ranks the scores of a whole sample, and live answers are kept as they were given, without one",
    "brier": "it needs a probability beside each answer, and live answers are kept as they were given, without one",
    "f1": "it is a figure of a whole table of answers, and live answers are scored one by one",
    "balanced": "it is a figure of a whole table of answers, and live answers are scored one by one",
    "root-mean-square": "a request that failed has no worst error, and live failures must count",
    "mae": "a request that failed has no worst error, and live failures must count",
}
_INSTEAD = {
    "failures": "use failure-rate, which is a share",
    "throughput": "use latency or ttft",
    "auroc": "use sensitivity and specificity",
    "brier": "use accuracy",
    "f1": "use precision and sensitivity",
    "balanced-accuracy": "use sensitivity and specificity",
    "rmse": "use numeric, with a tolerance",
    "mae": "use numeric, with a tolerance",
}


def _live(check: Check, row: Metric) -> Iterator[Problem]:
    """A live check is of single answers as they come, and may be looked at at any time, or on windows declared beforehand."""
    live = check.live
    if live is None:
        return
    view = check.view[0] if check.view is not None else ""
    for word in (view, row.kind, row.name):
        if word in _NOT_LIVE:
            name = f"`{word}`" if word == view else f"`{row.name}`"
            yield Problem(("live",), f"{name} cannot be live: {_NOT_LIVE[word]}", _INSTEAD.get(row.name, "leave `live` out"))
            return
    anytime = row.looks == "any" or row.kind == "tail" or (check.bound is not None and row.kind == "loss")
    if not anytime and live.windows is None and live.window is None:
        yield Problem(
            ("live",),
            f"`{row.name}` is concluded once, on a sample that was planned, and live traffic has no end",
            "declare windows beforehand, as in `live: {windows: 20, window: 500}`; alpha is split over them",
        )
    if anytime and (live.windows is not None or live.window is not None):
        word = "windows" if live.windows is not None else "window"
        told = f"`{row.name}` may be looked at at any time: windows would only spend alpha"
        yield Problem(("live", word), told, "leave `windows` and `window` out")
