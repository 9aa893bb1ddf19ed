"""What the base answers about its catalogue and its indicators. Moments are ISO 8601 in UTC."""

from dataclasses import dataclass

__all__ = [
    "Acceptance",
    "Capability",
    "CapabilityRecord",
    "Certificate",
    "Component",
    "Figure",
    "Finding",
    "Funnel",
    "FunnelStep",
    "Indicator",
    "IndicatorRecord",
    "Match",
    "MatchedEntry",
    "Matches",
    "Need",
    "NeedRecord",
    "Openness",
    "Point",
    "Projection",
    "Refusal",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A metric and its threshold."""

    metric: str
    require: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A paper that somebody issued; `until` is the last day on which it holds."""

    name: str
    issuer: str
    number: str
    until: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryLine:
    """What needs and capabilities have in common in a list. `published` is when it was first, None where it never was."""

    id: str
    organisation: str
    title: str
    field: str
    tags: tuple[str, ...]
    state: str
    created: str
    published: str | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Need(EntryLine):
    """A need in a list."""

    area: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedRecord(Need):
    """One need; `unknown_metrics` are those of its checks that this base cannot measure."""

    text: str
    deployments: tuple[str, ...]
    risk: str
    authority: str
    data: str
    budget: str
    acceptance: tuple[Acceptance, ...]
    pack: str
    papers: tuple[str, ...]
    access: str
    constraints: str
    unknown_metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability(EntryLine):
    """A capability in a list; `areas` empty: any."""

    areas: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityRecord(Capability):
    """One capability."""

    text: str
    deployments: tuple[str, ...]
    application: str
    data: tuple[str, ...]
    price: str
    evidence: tuple[str, ...]
    certificates: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedEntry:
    """An entry of the other kind."""

    id: str
    organisation: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One condition; `met` None: it could not be compared, and refuses nothing."""

    condition: str
    met: bool | None
    wanted: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What fits, and why: words, tags and field in common, and conditions."""

    entry: MatchedEntry
    score: float
    text: float
    tags: tuple[str, ...]
    field: bool
    terms: tuple[str, ...]
    meaning: float | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What is alike and does not fit: findings whose `met` is False say why."""

    entry: MatchedEntry
    score: float
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The best first, of `of` published ones; `meaning`: so many were compared by vectors too, `trouble` is why not."""

    of: int
    meaning: int | None
    trouble: str
    fits: tuple[Match, ...]
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value between two one-sided bounds of this confidence; None where there is none. `n` counts what it rests on."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component of openness, 0 to 1; `score` None: without evidence."""

    name: str
    score: float | None
    n: int
    measured: Figure | None
    since: str | None
    until: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Openness:
    """The mean of the `known` components with evidence, and what it would be were all the others 0 (`low`), or 1 (`high`)."""

    score: float | None
    low: float
    high: float
    known: int
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """What is counted, of what, of whom, and whence; `basis` is `census` or `sample`."""

    id: str
    title: str
    numerator: str
    denominator: str
    population: str
    source: str
    basis: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The counts of one period, and their share."""

    period: str
    numerator: int
    denominator: int
    recorded: str
    share: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What the programme asks for by the end of `year`, and what the points lead to expect then."""

    year: int
    line: float
    expected: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorRecord(Indicator):
    """An indicator with its points in the order of their periods."""

    points: tuple[Point, ...]
    projected: tuple[Projection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelStep:
    """A stage: how many cases came to it or beyond, their share of the stage before, how many are there, how many ended there."""

    stage: str
    reached: int
    share: Figure | None
    here: int
    ended: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """What became of all cases. `first_verdict` is in days; `replicated` of the cases that passed; `reused` of capabilities."""

    steps: tuple[FunnelStep, ...]
    first_verdict: Figure
    replicated: Figure
    reused: Figure
