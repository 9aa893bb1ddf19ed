"""The catalogue: needs and capabilities, what fits them, and how open a scenario is."""

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from pilotbase.api.shapes.closed import CLOSED
from pilotbase.catalog.matching import Finding
from pilotbase.domain.entry import Acceptance, Certificate, DataAccess, DataClass, Deployment, EntryState
from pilotbase.domain.openness import Name
from pilotbase.domain.scenario import Area, Authority, Risk
from pilotbase.stats.estimate import Estimate

__all__ = [
    "AcceptanceWanted",
    "CapabilityAdded",
    "CapabilityLine",
    "CapabilityOut",
    "CapabilityWanted",
    "CertificateWanted",
    "ComponentOut",
    "MatchOut",
    "MatchedEntry",
    "MatchesOut",
    "NeedAdded",
    "NeedLine",
    "NeedOut",
    "NeedWanted",
    "OpennessOut",
    "RefusalOut",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceWanted:
    """A metric, as in a gate, and its threshold, as in `>= 0.95`."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    metric: str
    require: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateWanted:
    """A paper that somebody issued; `until` is the last day on which it holds."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    name: str
    issuer: str = ""
    number: str = ""
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedWanted:
    """What a need says; docs/catalog.md tells what each word means. What is left out is empty, also in a change."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    title: str
    text: str
    area: Area
    field: str = ""
    tags: tuple[str, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    risk: Risk = "medium"
    authority: Authority = "user-only"
    data: DataClass = "general"
    budget: str = ""
    acceptance: tuple[AcceptanceWanted, ...] = ()
    pack: str = ""
    papers: tuple[str, ...] = ()
    access: DataAccess = ""
    constraints: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedAdded(NeedWanted):
    """A need to draft, for one's own organisation where no other one is named by its id."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    organisation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityWanted:
    """What a capability says; docs/catalog.md tells what each word means. What is left out is empty, also in a change."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    title: str
    text: str
    field: str = ""
    tags: tuple[str, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    application: str = ""
    areas: tuple[Area, ...] = ()
    data: tuple[DataClass, ...] = ()
    price: str = ""
    evidence: tuple[str, ...] = ()
    certificates: tuple[CertificateWanted, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityAdded(CapabilityWanted):
    """A capability to draft, for one's own organisation where no other one is named by its id."""

    __pydantic_config__: ClassVar[dict[str, object]] = CLOSED

    organisation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryLine:
    """What needs and capabilities have in common in a list. `published` is when it was first, null where it never was."""

    id: str
    organisation: str
    title: str
    field: str
    tags: tuple[str, ...]
    state: EntryState
    created: str
    published: str | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedLine(EntryLine):
    """A need in a list."""

    area: Area


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedOut(NeedLine):
    """One need. `unknown_metrics` are those of its checks that this base cannot measure."""

    text: str
    deployments: tuple[Deployment, ...]
    risk: Risk
    authority: Authority
    data: DataClass
    budget: str
    acceptance: tuple[Acceptance, ...]
    pack: str
    papers: tuple[str, ...]
    access: DataAccess
    constraints: str
    unknown_metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityLine(EntryLine):
    """A capability in a list. `areas` empty: any."""

    areas: tuple[Area, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityOut(CapabilityLine):
    """One capability."""

    text: str
    deployments: tuple[Deployment, ...]
    application: str
    data: tuple[DataClass, ...]
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
class MatchOut:
    """What fits, and why: words, tags and field in common, conditions that are met (`met` null: not to be compared)."""

    entry: MatchedEntry
    score: float
    text: float
    tags: tuple[str, ...]
    field: bool
    terms: tuple[str, ...]
    meaning: float | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalOut:
    """What is alike and does not fit: `findings` whose `met` is false say why."""

    entry: MatchedEntry
    score: float
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchesOut:
    """The best first, of `of` published ones. `meaning`: so many were compared by vectors too, null without a model; `trouble` is
    why not.
    """

    of: int
    meaning: int | None
    trouble: str
    fits: tuple[MatchOut, ...]
    refused: tuple[RefusalOut, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentOut:
    """One component, 0 to 1; `score` null: without evidence. `n` counts what it rests on."""

    name: Name
    score: float | None
    n: int
    measured: Estimate | None
    since: str | None
    until: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpennessOut:
    """The mean of the `known` components with evidence, and what it would be were all the others 0 (`low`), or 1 (`high`)."""

    score: float | None
    low: float
    high: float
    known: int
    components: tuple[ComponentOut, ...]
