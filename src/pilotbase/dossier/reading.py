"""A record as its readers see it: one page in one language, as plain values that templates only have to place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotbase.domain.quantity import parse_require
from pilotbase.dossier.figures import DASH, count, figure, interval, listed, mapped, number, percent, share
from pilotbase.dossier.words import metric_title, told, word

__all__ = ["CandidateView", "CheckView", "GateView", "category", "false_pass", "headline", "read_candidates"]

_SHOWN = 3  # checks named in a candidate's sentence; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """One check on one candidate, told in one language. `threshold` is in base units, None for sets and "
    "unreadable requirements."""

    id: str
    title: str
    require: str
    op: str
    threshold: float | None
    unit: str
    verdict: str
    literal: str
    decides: bool
    role: str
    value: float | None
    low: float | None
    high: float | None
    value_text: str
    interval_text: str
    confidence: float | None
    n: int | None
    planned: int | None
    scored: int | None
    failed: int | None
    not_asked: int | None
    method: str
    needed: int | None
    reasons: tuple[str, ...]
    parts: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateView:
    name: str
    mandatory: bool
    verdict: str
    checks: tuple[CheckView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateView:
    """One candidate. `bound` is VERDICT.md section 3's min(1, m alpha) on any false FAIL among its `deciding` checks."""

    id: str
    name: str
    judged: bool
    verdict: str
    fingerprint: str
    sentence: str
    reasons: tuple[str, ...]
    gates: tuple[GateView, ...]
    deciding: int
    bound: float | None

    @property
    def checks(self) -> tuple[CheckView, ...]:
        return tuple(check for gate in self.gates for check in gate.checks)


def read_candidates(record: Mapping[str, Any], language: str) -> tuple[CandidateView, ...]:
    """The judged candidates in the record's order, then the references."""
    result = mapped(record.get("result"))
    titles = {c.get("id"): c.get("title") for c in map(mapped, listed(record.get("candidates")))}
    views = {c.get("id"): c for c in map(mapped, listed(mapped(record.get("plan")).get("checks")))}
    read = [_candidate(mapped(c), record, titles, views, language) for c in listed(result.get("candidates"))]
    return tuple(sorted(read, key=lambda c: not c.judged))


def _candidate(
    given: dict[str, Any], record: Mapping[str, Any], titles: Mapping[Any, Any], views: Mapping[Any, Any], language: str
) -> CandidateView:
    judged = given.get("role") != "reference"
    gates = tuple(_gate(mapped(g), judged, views, language) for g in listed(given.get("gates")))
    deciding = [c for g in gates for c in g.checks if c.decides]
    identity = str(given.get("id") or DASH)
    title = told(titles.get(given.get("id")), language)
    name = f"{title} ({identity})" if title and title != identity else identity
    verdict = _verdict(given.get("verdict"))
    known = [1 - c.confidence for c in deciding if c.confidence is not None]
    return CandidateView(
        id=identity,
        name=name,
        judged=judged,
        verdict=verdict,
        fingerprint=str(given.get("fingerprint") or ""),
        sentence=_sentence(name, verdict, deciding, record, language)
        if judged
        else word("sentence-reference", language, name=name),
        reasons=tuple(str(r) for r in listed(given.get("reasons"))),
        gates=gates,
        deciding=len(deciding),
        bound=min(1.0, sum(known)) if known else None,
    )


def _gate(given: dict[str, Any], judged: bool, views: Mapping[Any, Any], language: str) -> GateView:
    mandatory = given.get("mandatory") is not False
    checks = tuple(
        _check(mapped(c), judged and mandatory, mapped(views.get(mapped(c).get("id"))), language)
        for c in listed(given.get("checks"))
    )
    return GateView(
        name=str(given.get("gate") or DASH), mandatory=mandatory, verdict=_verdict(given.get("verdict")), checks=checks
    )


def _check(given: dict[str, Any], may_decide: bool, planned_check: Mapping[str, Any], language: str) -> CheckView:
    require = str(given.get("require") or "")
    op, threshold = _threshold(require)
    unit = str(given.get("unit") or "")
    counts = {k: count(given.get(k)) for k in ("n", "planned", "failed", "not_asked")}
    whole = counts["planned"] is not None and counts["failed"] is not None and counts["not_asked"] is not None
    texts = listed(given.get("reasons_zh" if language == "zh" else "reasons")) or listed(given.get("reasons"))
    value, low, high = (figure(given.get(k)) for k in ("value", "low", "high"))
    role = str(given.get("role") or "decide")
    return CheckView(
        id=str(given.get("id") or DASH),
        title=_title(given, planned_check, language),
        require=require,
        op=op,
        threshold=threshold,
        unit=unit,
        verdict=_verdict(given.get("verdict")),
        literal=str(given.get("literal")) if given.get("literal") in ("pass", "fail") else "",
        decides=may_decide and role == "decide",
        role=role,
        value=value,
        low=low,
        high=high,
        value_text=share(value, threshold, unit),
        interval_text=interval(low, high, threshold, unit),
        confidence=figure(given.get("confidence")),
        scored=counts["planned"] - counts["failed"] - counts["not_asked"] if whole else None,  # type: ignore[operator]
        method=str(given.get("method") or ""),
        needed=count(given.get("needed")),
        reasons=tuple(str(t) for t in texts),
        parts=tuple(mapped(p) for p in listed(given.get("parts"))),
        **counts,
    )


def _verdict(text: Any) -> str:
    # Anything unreadable is shown as undecided, never as a pass.
    return text if text in ("pass", "fail") else "inconclusive"


def _threshold(require: str) -> tuple[str, float | None]:
    try:
        parsed = parse_require(require)
    except ValueError:
        return "", None
    return parsed.op, None if parsed.op == "in" else parsed.value


def _title(given: Mapping[str, Any], planned: Mapping[str, Any], language: str) -> str:
    metric = metric_title(str(given.get("metric") or given.get("id") or DASH), language)
    under, by = given.get("under"), given.get("by")
    if by:
        said = f"{given.get('id')} {planned.get('view')} {' '.join(k.replace('_', '-') for k, v in planned.items() if v)}"
        view = next((v for v in ("ratio-by", "worst-of") if v in said), "gap-by")
        return word(f"view-{view}", language, metric=metric, by=by)
    if not under:
        return metric
    text = str(under)
    if text.startswith("compared to "):
        return word("view-compare", language, metric=metric, other=text.removeprefix("compared to "))
    if text.startswith("load "):
        return word("view-load", language, metric=metric, load=text.removeprefix("load "))
    return word("view-drop", language, metric=metric, under=text)


def _sentence(name: str, verdict: str, deciding: list[CheckView], record: Mapping[str, Any], language: str) -> str:
    """What was decided about one candidate, in plain words."""
    if not deciding:
        return word("sentence-undeciding", language, name=name)
    levels = [c.confidence for c in deciding if c.confidence is not None]
    facts: dict[str, Any] = {"name": name, "count": len(deciding), "confidence": percent(min(levels)) if levels else DASH}
    same = [c for c in deciding if c.verdict == verdict]
    named = word("and", language).join(f"{c.title} {c.require}" for c in same[:_SHOWN])
    if len(same) > _SHOWN:
        named += word("and", language) + word("more", language, count=len(same) - _SHOWN)
    space = "" if language == "zh" else " "
    if verdict == "pass":
        text = word("sentence-pass", language, **facts)
    elif verdict == "fail":
        text = word("sentence-fail", language, failed=len(same), checks=named, **facts)
    elif same:
        text = word("sentence-inconclusive", language, open=len(same), checks=named, **facts)
        needs = [c.needed for c in same if c.needed is not None]
        if len(needs) == len(same):
            text += space + word("sentence-needed", language, needed=number(max(needs)))
    else:
        status = str(mapped(record.get("result")).get("status") or "")
        text = word("sentence-withheld", language, **facts)
        if status in ("partial", "interrupted"):
            text += space + word("sentence-partial", language, status=word(f"status-{status}", language))
    if not _confirmatory(record):
        text += space + word("sentence-exploratory", language)
    return text


def _confirmatory(record: Mapping[str, Any]) -> bool:
    """Only a record that says so twice: in itself and in its result, where it has one."""
    return record.get("confirmatory") is True and mapped(record.get("result")).get("confirmatory", True) is True


def headline(record: Mapping[str, Any], candidates: tuple[CandidateView, ...], language: str) -> tuple[str, bool, str]:
    """(verdict of the run, whether it is confirmatory, one sentence)."""
    verdict = _verdict(mapped(record.get("result")).get("verdict"))
    judged = [c for c in candidates if c.judged]
    counts = {
        "judged": len(judged),
        "passed": sum(c.verdict == "pass" for c in judged),
        "open": sum(c.verdict == "inconclusive" for c in judged),
    }
    return verdict, _confirmatory(record), word(f"headline-{verdict}", language, **counts)


def false_pass(record: Mapping[str, Any], language: str) -> str:
    """VERDICT.md section 3: the chance that any unready candidate passes, over K candidates and R rounds, by the union bound."""
    result = mapped(record.get("result"))
    family = mapped(result.get("family"))
    alpha, level = figure(family.get("alpha")), figure(result.get("confidence"))
    tried, rounds = count(family.get("candidates")), count(family.get("round"))
    if family.get("corrected") is True:
        return word("false-pass-corrected", language, bound=number(round(1 - level, 12))) if level is not None else DASH
    if alpha is None or tried is None or rounds is None:
        return DASH
    alpha = round(alpha, 12)
    return word("false-pass-open", language, bound=number(round(min(1.0, tried * rounds * alpha), 12)), alpha=number(alpha))


def category(text: Any, language: str) -> str:
    """A category of failures in words."""
    name = str(text or DASH)
    try:
        return word(f"failed-{name}", language)
    except KeyError:
        answer, middle, truth = name.removeprefix("wrong: ").partition(" for ")
        return word("wrong", language, answer=answer, truth=truth) if name.startswith("wrong: ") and middle else name
