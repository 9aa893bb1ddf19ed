"""Which capabilities fit a need, and which needs a capability: conditions first, then likeness; each answer says why. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Literal

from pilotbase.catalog.similarity import Index, Terms, fold, terms
from pilotbase.domain.entry import Capability, Entry, Need
from pilotbase.domain.quantity import parse_money

__all__ = ["FIELD", "TAGS", "TEXT", "Condition", "Finding", "Match", "Refusal", "conditions", "likeness", "rank", "terms_of"]

Condition = Literal["state", "area", "data", "deployment", "price", "certificate"]
TEXT, TAGS, FIELD = 0.7, 0.2, 0.1
"""What the likeness of the texts, the tags in common and the same field count; set before the labelled set was made."""
_AMONG = 60.0
"""The constant of reciprocal rank fusion: Cormack, Clarke & Buettcher 2009 (SIGIR, 758) found 60 and that it matters little."""
_key, _money = lru_cache(maxsize=1 << 16)(fold), lru_cache(maxsize=1 << 12)(parse_money)
"""Tags, fields and amounts come again and again, in every entry that is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One condition: what the need wants, what the capability has. `met` None: it could not be compared, and refuses nothing."""

    condition: Condition
    met: bool | None
    wanted: str = ""
    found: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """An entry that fits. `score` is `TEXT * text + TAGS * tags + FIELD * field`, 0 to about 1; `meaning` is the cosine of the
    vectors where a model gave them. `terms`, `tags` and `findings` say why.
    """

    entry: Entry
    score: float
    text: float
    tags: tuple[str, ...]
    field: bool
    terms: tuple[str, ...]
    findings: tuple[Finding, ...]
    meaning: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An entry that is alike and does not fit: the conditions that are not met."""

    entry: Entry
    score: float
    findings: tuple[Finding, ...]


def conditions(need: Need, capability: Capability, today: date) -> Iterator[Finding]:
    """Every condition that the need or the capability sets; what neither sets is no condition."""
    if capability.areas:
        yield Finding(condition="area", met=need.area in capability.areas, wanted=need.area, found=", ".join(capability.areas))
    if need.data != "public":
        # What nobody declared to be allowed is not allowed.
        yield Finding(condition="data", met=need.data in capability.data, wanted=need.data, found=", ".join(capability.data))
    if need.deployments and capability.deployments:
        common = set(need.deployments) & set(capability.deployments)
        told = ", ".join(capability.deployments)
        yield Finding(condition="deployment", met=bool(common), wanted=", ".join(need.deployments), found=told)
    if need.budget and capability.price:
        budget, price = _money(need.budget), _money(capability.price)
        fits = price.nanos <= budget.nanos if price.currency == budget.currency else None
        yield Finding(condition="price", met=fits, wanted=need.budget, found=capability.price)
    for paper in need.papers:
        valid, told = _paper(paper, capability, today)
        yield Finding(condition="certificate", met=valid, wanted=paper, found=told)


def terms_of(entry: Entry) -> Terms:
    """What is compared of an entry: its title (twice, for it says most), field, text and tags."""
    application = entry.application if isinstance(entry, Capability) else ""
    return terms("\n".join((entry.title, entry.title, entry.field, entry.text, application, *entry.tags)))


def likeness(one: Entry, other: Entry, text: float) -> tuple[float, tuple[str, ...], bool]:
    """(score, tags in common, whether the field is the same) of two entries whose texts are alike by `text`.

    Tags count by their Dice coefficient, 2 |A and B| / (|A| + |B|).
    """
    ours, theirs = {_key(tag): tag for tag in one.tags}, {_key(tag) for tag in other.tags}
    common = tuple(tag for folded, tag in ours.items() if folded in theirs)
    shared = 2.0 * len(common) / (len(ours) + len(theirs)) if ours and theirs else 0.0
    field = bool(one.field) and _key(one.field) == _key(other.field)
    return TEXT * text + TAGS * shared + FIELD * field, common, field


def rank(
    asking: Need | Capability,
    others: Sequence[Entry],
    index: Index,
    rows: Sequence[int],
    today: date,
    *,
    meanings: Mapping[str, float] | None = None,
    most: int = 20,
) -> tuple[list[Match], list[Refusal]]:
    """(those that fit, those that are alike and do not fit), the most alike first, at most `most` of each.

    `others[i]` is of the other kind and stands in row `rows[i]` of the index. Only published ones are matched, and none that has
    nothing in common. `meanings`: cosines by id; then the order is that of both rankings fused by reciprocal rank.
    """
    asked = terms_of(asking)
    shares = index.shares(asked)
    fits: list[Match] = []
    refused: list[Refusal] = []
    told = meanings or {}
    for other, row in zip(others, rows, strict=True):
        if other.state != "published":
            continue
        text = float(shares[row])
        score, tags, field = likeness(asking, other, text)
        if score <= 0.0 and other.id not in told:
            continue
        findings = tuple(_between(asking, other, today))
        if any(one.met is False for one in findings):
            refused.append(Refusal(entry=other, score=score, findings=findings))
        else:
            fits.append(
                Match(
                    entry=other, score=score, text=text, tags=tags, field=field, terms=(), findings=findings,
                    meaning=told.get(other.id),
                )
            )  # fmt: skip
    first = [_explained(one, index, asked) for one in _ordered(fits)[:most]]
    return first, sorted(refused, key=lambda one: (-one.score, one.entry.id))[:most]


def _between(one: Entry, other: Entry, today: date) -> Iterable[Finding]:
    if isinstance(one, Need) and isinstance(other, Capability):
        return conditions(one, other, today)
    if isinstance(one, Capability) and isinstance(other, Need):
        return conditions(other, one, today)
    raise TypeError("a need is matched with capabilities, and a capability with needs")


def _ordered(fits: list[Match]) -> list[Match]:
    alike = sorted(fits, key=lambda one: (-one.score, one.entry.id))
    if all(one.meaning is None for one in fits):
        return alike
    # Who has no vector yet stands behind all that have one, and is still found by its words.
    near = sorted(fits, key=lambda one: (one.meaning is None, -(one.meaning or 0.0), one.entry.id))
    points: dict[str, float] = {}
    for ranking in (alike, near):
        for place, one in enumerate(ranking, 1):
            points[one.entry.id] = points.get(one.entry.id, 0.0) + 1.0 / (_AMONG + place)
    return sorted(fits, key=lambda one: (-points[one.entry.id], -one.score, one.entry.id))


def _explained(one: Match, index: Index, asked: Terms) -> Match:
    return replace(one, terms=tuple(index.why(asked, terms_of(one.entry))))


def _paper(wanted: str, capability: Capability, today: date) -> tuple[bool, str]:
    """Whether a certificate of that name is there and valid, and what was found."""
    named = [one for one in capability.certificates if fold(wanted) in fold(one.name)]
    valid = [one for one in named if one.until is None or one.until >= today]
    for one in valid or named:
        return bool(valid), f"{one.name} ({one.until.isoformat()})" if one.until else one.name
    return False, ""
