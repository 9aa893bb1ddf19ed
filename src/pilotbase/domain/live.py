"""Which metrics can be read from live traffic, where their numbers come from, and what a live check may not say."""

from collections.abc import Iterator, Mapping
from typing import Literal

from pilotbase.domain.gate import Check, Live
from pilotbase.domain.problem import Problem, nearest
from pilotbase.domain.quantity import parse_money

__all__ = ["LIVE", "STABLE", "Source", "anytime", "live_of", "live_problems", "source"]

Source = Literal["ledger", "sample", "label", "feedback"]
"""ledger: every request's row. sample: requests and answers that were kept to be scored. label: kept answers, compared with
truths that come later. feedback: what users say of an answer.
"""

STABLE = "stable"
"""What `compare-to` names in a live check: the arm that the candidate would take over from."""

_TAILS = tuple(f"{name}.p{q}" for name in ("latency", "ttft") for q in (50, 90, 95, 99))
_MEANS = ("cost.per-case", "tokens.input", "tokens.output", "tokens.total")
_LABELS = ("accuracy", "sensitivity", "specificity", "precision", "exact", "normalised", "choice")

LIVE: Mapping[str, Source] = {
    "failure-rate": "ledger",
    **dict.fromkeys(_TAILS, "ledger"),
    **dict.fromkeys(_MEANS, "ledger"),
    "feedback": "feedback",
    **dict.fromkeys(("regex", "contains", "rubric"), "sample"),
    **dict.fromkeys(_LABELS, "label"),
}
"""Every metric that a live check may name. `feedback` is the share of good words among users' words, and exists only live."""

_NEEDS = {"pattern": "regex", "expect": "contains", "choices": "choice", "judge": "rubric"}
_NO_VIEW = {
    "drop-under": "it changes the inputs, and live requests are answered as they come",
    "gap-by": "it compares groups, and a live request names none",
    "ratio-by": "it compares groups, and a live request names none",
    "worst-of": "it compares groups, and a live request names none",
}


def source(metric: str) -> Source:
    """Where the numbers of a live metric come from. KeyError where it is none: live checks are checked before."""
    return LIVE[metric]


def live_of(check: Check) -> Live:
    """How a check is read live; a check that does not say is read on everything there is."""
    return check.live if check.live is not None else Live()


def anytime(check: Check) -> bool:
    """Whether a live check may be looked at at any time; the others are concluded on windows declared beforehand.

    VERDICT.md section 2: shares, and means with a declared bound. `latency.p95 <= T` is the share of requests over T.
    """
    return check.metric != "rubric" and (check.metric not in _MEANS or check.bound is not None)


def live_problems(check: Check) -> Iterator[Problem]:
    """What cannot be decided live about a check, beside `Check.problems()`; paths begin at the check."""
    if check.metric not in LIVE:
        near = nearest(check.metric, LIVE)
        hint = f"did you mean `{near}`?" if near else f"known: {', '.join(sorted(LIVE))}"
        yield Problem(("metric",), f"`{check.metric[:60]}` cannot be read from live traffic", hint)
        return
    yield from _view(check)
    yield from _words(check)
    yield from _looks(check)
    yield from _threshold(check)


def _view(check: Check) -> Iterator[Problem]:
    for word, why in _NO_VIEW.items():
        if getattr(check, word.replace("-", "_")) is not None:
            yield Problem((word,), f"`{word}` cannot be live: {why}", f"leave `{word}` out")
    if check.compare_to is None:
        return
    if check.compare_to != STABLE:
        told = f"`{check.compare_to[:60]}` answers no live request"
        yield Problem(("compare-to",), told, "write `compare-to: stable`, the arm that the route has now")
    elif check.metric in _TAILS or check.metric == "rubric":
        told = f"`{check.metric}` has no difference between two arms"
        yield Problem(("compare-to",), told, "use a share or a mean, such as failure-rate, or leave `compare-to` out")


def _words(check: Check) -> Iterator[Problem]:
    """Words that a metric needs, and words that mean nothing to it."""
    for word, owner in _NEEDS.items():
        given = getattr(check, word) not in (None, ())
        if check.metric == owner and not given:
            yield Problem(("metric",), f"`{check.metric}` cannot be scored live without `{word}`", f"add `{word}`")
        elif given and check.metric != owner:
            yield Problem((word,), f"`{word}` means nothing to `{check.metric}`", f"it belongs to {owner}")
    for word in ("tolerance", "errors", "match"):
        if getattr(check, word) is not None:
            yield Problem((word,), f"`{word}` means nothing to `{check.metric}`", "leave it out")
    if check.bound is not None and check.metric not in _MEANS:
        yield Problem(("bound",), f"`bound` means nothing to `{check.metric}`", f"it belongs to {', '.join(_MEANS)}")
    elif check.bound is not None and check.bound[0] < 0:
        yield Problem(("bound",), f"`{check.metric}` is never negative, and the bound starts at {check.bound[0]:g}", "use 0")


def _looks(check: Check) -> Iterator[Problem]:
    live = live_of(check)
    several = live.windows is not None or live.window is not None
    if anytime(check) and several:
        word = "windows" if live.windows is not None else "window"
        told = f"`{check.metric}` may be looked at at any time: windows would only spend alpha"
        yield Problem(("live", word), told, "leave `windows` and `window` out")
    if not anytime(check) and not several:
        hint = "declare windows beforehand, as in `live: {windows: 20, window: 500}`; alpha is split over them"
        if check.metric in _MEANS:
            hint += "; or the range of one request, as in `bound: [0, 4096]`"
        told = f"`{check.metric}` is concluded once, on a sample that was planned, and live traffic has no end"
        yield Problem(("live",), told, hint)
    if LIVE[check.metric] in ("ledger", "feedback") and live.sample != Live().sample:
        told = f"`{check.metric}` is read on every request: nothing is sampled for it"
        yield Problem(("live", "sample"), told, "leave `sample` out")


def _threshold(check: Check) -> Iterator[Problem]:
    try:
        require = check.required
    except ValueError:
        return  # told by the check itself
    name, unit, compared = check.metric, require.unit, check.compare_to is not None
    if require.op in ("=", "in"):
        told = f"`{require.op}` is about complete data, and live traffic never is"
        yield Problem(("require",), told, "use >= or <=")
        return
    if name in _TAILS:
        if unit not in ("ms", "s", "m", "min", "h", "d"):
            told = f"`{name}` is a duration and `{check.require}` has no unit of time"
            yield Problem(("require",), told, "write ms, s or m, as in `<= 800 ms`")
        elif require.op != "<=":
            yield Problem(("require",), f"`{name}` can only be bounded from above", "use <=")
    elif name == "cost.per-case" and not _is_currency(unit):
        told = f"`{name}` is an amount and `{check.require}` names no currency"
        yield Problem(("require",), told, "write it, as in `<= 0.01 CNY`")
    elif name != "cost.per-case" and unit not in ("", *(("tokens",) if name in _MEANS else ())):
        yield Problem(("require",), f"`{name}` has no unit, and `{check.require}` gives one: `{unit}`")
    yield from _range(name, require.value, check.require, compared=compared)


def _range(name: str, value: float, text: str, *, compared: bool) -> Iterator[Problem]:
    share = name not in _TAILS and name not in _MEANS
    low, high = (-1.0 if compared else 0.0), (1.0 if share else None)
    if ((not compared or share) and value < low) or (high is not None and value > high):
        shown = f"{low:g} to {high:g}" if high is not None else f"from {low:g}"
        hint = f"did you mean {value / 100:g}?" if share and 1 < value <= 100 else None
        yield Problem(("require",), f"`{text}` lies outside what `{name}` can be here ({shown})", hint)


def _is_currency(unit: str) -> bool:
    try:
        return bool(parse_money(f"0 {unit}").currency)
    except ValueError:
        return False
