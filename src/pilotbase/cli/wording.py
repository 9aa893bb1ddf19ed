"""The facts of `explain` in plain words, one line at a time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["tell"]

Facts = Mapping[str, Any]
_OF = {
    "positives": "cases of the positive class",
    "negatives": "cases of the other classes",
    "regressions": "cases from incidents",
    "": "cases",
}


def tell(facts: Facts) -> Iterator[str]:
    """Every line that `explain` prints. Lines that begin with WARNING say what cannot work as declared."""
    yield from _scenario(facts)
    yield from _data(facts["data"])
    yield from _candidates(facts)
    yield from _checks(facts)
    yield from _errors(facts["family"])
    yield from _work(facts)
    yield from _end(facts)


def _scenario(facts: Facts) -> Iterator[str]:
    s = facts["scenario"]
    yield f"{facts['title']} ({facts['pilot']})"
    yield f"  {s['need']}"
    field = f", {s['field']}" if s["field"] else ""
    yield f"  area {s['area']}{field}; owner {s['owner']}; risk {s['risk']}; authority {s['authority']}"


def _data(data: Facts) -> Iterator[str]:
    yield ""
    yield f"Data: {data['file']}, {data['count']:,} cases ({data['digest'][:23]}…)"
    if data["target"] and len(data["classes"]) <= 20:
        positive = f"; positive is `{data['positive']}`" if data["positive"] else ""
        yield f"  truth `{data['target']}`: {_sizes(data['classes'])}{positive}"
    elif data["target"]:
        yield f"  truth `{data['target']}`: {len(data['classes']):,} different values"
    else:
        yield "  no truth column: nothing is compared with a right answer"
    if data["incident"]:
        came = f"{data['regressions']:,} cases came from one"
        yield f"  incidents `{data['incident']}`: {came}; they enter no rate, only `regressions`"
    for name, sizes in data["groups"].items():
        missing = f"; {data['ungrouped'][name]:,} without one" if data["ungrouped"][name] else ""
        yield f"  groups `{name}`: {_sizes(sizes)}{missing}"
    if data["clusters"] is not None:
        yield f"  {data['clusters']:,} clusters by `{data['cluster']}`: the unit is the cluster, asked whole and looked at once"
        if data["clusters"] < data["least_clusters"]:
            yield f"  WARNING: {data['clusters']} clusters are too few: an interval needs {data['least_clusters']}"
    inputs = data["inputs"]
    shown = ", ".join(inputs[:8]) + (f" and {len(inputs) - 8} more" if len(inputs) > 8 else "")
    yield f"  a candidate receives only: {shown}"
    held = (
        "held-out: rows are shown to nobody but the custodian"
        if data["custody"] == "held-out"
        else "open: failures are shown with their rows"
    )
    yield f"  custody {held}"
    yield f"  asked in one random order fixed by seed {data['seed']}"
    for repair in data["repairs"]:
        yield f"  mended on reading: {repair}"


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sizes.items())


def _candidates(facts: Facts) -> Iterator[str]:
    yield ""
    yield f"Candidates: {facts['family']['candidates']} to be judged"
    for one in facts["candidates"]:
        title = f", {one['title']}" if one["title"] else ""
        role = " (reference: asked for comparison, never judged)" if one["role"] == "reference" else ""
        declared = (
            "self-declared: nobody but its owner can tell whether it changed"
            if one["self_declared"]
            else "computed from its files"
        )
        yield f"  {one['id']}{title}{role}: {one['kind']}, fingerprint {one['fingerprint'][:23]}… ({declared})"


def _checks(facts: Facts) -> Iterator[str]:
    gate = None
    for check in facts["checks"]:
        if check["gate"] != gate:
            gate = check["gate"]
            yield ""
            yield f"Gate {gate}" + ("" if check["mandatory"] else " (optional: never decides)")
        informs = "; informs, and never decides" if check["role"] == "inform" else ""
        yield f"  {check['id']}: {_measured(check, facts)} must be {check['require']}{informs}"
        yield f"    {_when(check, facts)}"
        for line in (*_rates(check, facts), *_possible(check)):
            yield f"    {line}"
        if check["live"]:
            yield f"    decided on live traffic too, during a release: {check['live']}"
        yield from _blocked(check, facts)


def _measured(check: Facts, facts: Facts) -> str:
    title = str(check["title"])
    title = title if title.isupper() else title[0].lower() + title[1:]
    view = check["view"]
    if view is None:
        return title + (f" over {check['repeat']} repetitions" if check["repeat"] else "")
    word, argument = view
    if word == "drop-under":
        return f"the drop in {title}, by case, when {check['transform']},"
    if word == "compare-to":
        return f"{title} less that of `{argument}` on the same cases"
    told = {
        "gap-by": "the gap between the largest and smallest",
        "ratio-by": "the ratio of smallest to largest",
        "worst-of": "the worst",
    }
    return f"{told[word]} {title} over the groups of `{argument}`"


def _when(check: Facts, facts: Facts) -> str:
    level = f"one-sided bounds at confidence {check['confidence']:.6g}"
    if check["load"]:
        return f"about {check['n']:,} arrivals after warm-up ({check['load']}); {level}; looked at once, when the load has ended"
    of = "answers called positive: how many is not known yet, of" if check["metric"] == "precision" else ""
    base = f"on {of + ' ' if of else ''}{check['n']:,} {_OF.get(check['denominator'], 'cases')}"
    if check["denominator"] == "regressions" and not check["n"]:
        return "no case comes from an incident yet: it passes until one does"
    if check["kind"] in ("count", "members"):
        return f"{base}, all of them counted: no interval"
    if check["looks"] == "any":
        return f"{base}; {level}, valid at every look: decided as soon as the first answers in order suffice"
    return f"{base}; {level}; looked at once, on the complete sample"


def _rates(check: Facts, facts: Facts) -> Iterator[str]:
    if check["pass_at"] is None and check["line"] is None:
        return
    side = "at least" if check["op"] == ">=" else "at most"
    word = "right" if check["op"] == ">=" else "counted"
    if check["line"] is not None:
        line = f"exact rule on the whole sample: PASS with {side} {check['line']:,} of {check['n']:,} {word}"
        if check["refusal"] is not None and 0 <= check["refusal"] <= check["n"]:
            other = "at most" if check["op"] == ">=" else "at least"
            line += f", FAIL with {other} {check['refusal']:,}"
        yield line
    if check["look_line"] is not None:
        yield f"with early stopping, if nothing was decided before the last case: PASS with {side} {check['look_line']:,}"
    parts = [
        f"PASS if the true value is {check['pass_at']:.4f} or better" if check["pass_at"] is not None else "",
        f"FAIL if it is {check['fail_at']:.4f} or worse" if check["fail_at"] is not None else "",
    ]
    yield f"an {check['chance']:.0%} chance of {', of '.join(p for p in parts if p)}".replace("%", " %")


def _possible(check: Facts) -> Iterator[str]:
    if check["best"] is None:
        if check["kind"] not in ("count", "members"):
            yield "its power hangs on how widely values scatter, which nobody knows yet"
        return
    if check["best"]:
        if check["looks"] == "once" and check["line"] is None and not check["load"]:
            yield f"its power has no closed form; it can pass, if {_even(check)}"
        elif check["looks"] == "any" and check["earliest"] is not None:
            yield f"the first {check['earliest']:,} of its cases could pass it, if {_even(check)}"
        return
    if check["judge"] and check["judge"]["labels"] is None:
        return
    more = check["lacking"]
    needs = f": it needs {more:,} more cases like these" if more else ""
    yield f"WARNING: cannot pass even with no error{needs}"


def _even(check: Facts) -> str:
    word = check["view"][0] if check["view"] else ""
    if word == "drop-under":
        return "no answer changes"
    if word == "compare-to":
        alike = check["threshold"] < 0 if check["op"] == ">=" else check["threshold"] > 0
        return "the two answer alike" if alike else "every difference is the largest possible"
    return "none is wrong"


def _blocked(check: Facts, facts: Facts) -> Iterator[str]:
    """Reasons to be INCONCLUSIVE whatever the answers; one line where they hold for every candidate."""
    judged = [c for c in facts["candidates"] if c["role"] == "candidate"]
    found: dict[str, list[str]] = {}
    for candidate in judged:
        for reason in candidate["inconclusive"].get(check["id"], ()):
            found.setdefault(reason, []).append(candidate["id"])
    for reason, names in found.items():
        who = "" if len(names) == len(judged) else f" for {', '.join(names)}"
        yield f"    WARNING: must be INCONCLUSIVE{who}: {reason}"


def _errors(family: Facts) -> Iterator[str]:
    alpha, tried = f"{family['alpha']:.3g}", family["candidates"]
    yield ""
    yield f"Errors: confidence {family['confidence']:g}; low and high are each one-sided at that level"
    if family["corrected"]:
        yield f"  this would be round {family['round']} on this scenario and data; alpha is divided over rounds and candidates"
        yield f"  ({tried}): a share of {family['share']:.4f} is left, alpha {alpha} for each check"
    else:
        yield f"  this would be round {family['round']} on this scenario and data; alpha is {alpha} for each check, not divided:"
        who = f"of {tried} candidates, all unready, one passes" if tried > 1 else "an unready candidate passes"
        yield f"  {who} with a chance of at most {family['false_pass_any']:.3g} a round"
    yield f"  all {family['deciding']} deciding checks must pass: an unready candidate does with a chance of at most {alpha}"
    yield f"  a ready candidate meets a false FAIL somewhere with a chance of at most {family['false_fail']:.3g}"


def _work(facts: Facts) -> Iterator[str]:
    yield ""
    calls, limits = facts["calls"], facts["limits"]
    yield f"Calls: at most {calls['most']:,}, retries apart" + _likely(calls["expected"], facts["early_stop"])
    for one in facts["candidates"]:
        asks = ", ".join(f"{c['most']:,} {_kind(c)}" for c in one["asks"])
        yield f"  {one['id']}: {asks or 'none'}{_likely(one['calls']['expected'], facts['early_stop'])}; {_cost(one['cost'])}"
    if facts["early_stop"] and calls["expected"] < calls["most"]:
        yield "  (expected: if every true value lay half-way between its threshold and no error at all)"
    if any(c["of"] == "judge" for one in facts["candidates"] for c in one["asks"]):
        yield "  what a judge costs is not in these figures"
    yield from _time(facts)
    if limits["calls"] is not None and limits["calls"] < calls["most"]:
        yield f"  WARNING: limits.calls is {limits['calls']:,}: asking may be cut, which leaves checks INCONCLUSIVE"
    if limits["spend"]:
        yield f"  asking stops at {limits['spend']}"


def _likely(expected: int, early_stop: bool) -> str:
    return f", about {expected:,} expected" if early_stop else ""


def _kind(call: Facts) -> str:
    return "by the judge" if call["of"] == "judge" else str(call["variant"])


def _cost(cost: Facts | None) -> str:
    if cost is None:
        return "cost unknown: no price is declared"
    if cost["tokens"]:
        return f"cost unknown: it hangs on tokens (calls alone at most {cost['most']})"
    return f"cost at most {cost['most']}, about {cost['expected']} expected"


def _time(facts: Facts) -> Iterator[str]:
    loads: Sequence[float] = [c["seconds"] for one in facts["candidates"] for c in one["asks"] if c["seconds"]]
    at_most = f"at most {facts['limits']['time']} (limits.time)" if facts["limits"]["time"] else "no limit is declared"
    loaded = f"; {sum(loads):g} s of it under load" if loads else ""
    yield f"Time: no rate is known before the first answer; {at_most}{loaded}"


def _end(facts: Facts) -> Iterator[str]:
    yield ""
    if facts["spent_round"]:
        yield f"WARNING: bring fresh cases: in round {facts['family']['round']} on this data so little alpha is left"
        yield f"  that no answers at all could pass {', '.join(facts['spent_round'])}"
    if facts["unfinished"]:
        yield f"`pilotbase run` would go on with the unfinished run {facts['unfinished']}, in its own round (--fresh: a new one)"
    yield f"Criteria: {facts['criteria']}"
    yield "  nothing was called; --commit records these criteria and prints the digest to lodge with the other party"
