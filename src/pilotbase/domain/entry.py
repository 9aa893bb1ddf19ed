"""What the catalogue lists: needs of scenarios (场景机会) and capabilities (能力), each of one organisation.

Both go draft -> published -> withdrawn, and from withdrawn back to draft. What is published can be matched.
"""

from collections.abc import Iterator, Sized
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, get_args

from pilotbase.domain.problem import Path, Problem
from pilotbase.domain.quantity import parse_money, parse_require
from pilotbase.domain.scenario import AREAS, Area, Authority, Risk

__all__ = [
    "ACCESS_FORMS",
    "DATA_CLASSES",
    "DEPLOYMENTS",
    "ENTRY_STATES",
    "Acceptance",
    "Capability",
    "Certificate",
    "DataAccess",
    "DataClass",
    "Deployment",
    "Entry",
    "EntryState",
    "Need",
]

DataClass = Literal["public", "general", "personal", "sensitive", "important", "core"]
"""`general`, `important` and `core` are the grades of GB/T 43697-2024; `personal` and `sensitive` (personal information) those of
the Personal Information Protection Law, articles 4 and 28; `public` may be seen by anybody.
"""
Deployment = Literal["on-premises", "private-cloud", "public-cloud", "edge"]
DataAccess = Literal["", "open", "application", "enclave", "none"]
"""How an applicant gets at the data: anybody, on application, inside the owner's walls alone, not at all; empty: not said."""
EntryState = Literal["draft", "published", "withdrawn"]

DATA_CLASSES: tuple[DataClass, ...] = get_args(DataClass)
DEPLOYMENTS: tuple[Deployment, ...] = get_args(Deployment)
ACCESS_FORMS: tuple[DataAccess, ...] = get_args(DataAccess)
ENTRY_STATES: tuple[EntryState, ...] = get_args(EntryState)
_LINE, _PROSE, _MOST = 160, 20_000, 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What must hold for an application to be taken: a metric, as in a gate, and its threshold (`>= 0.95`)."""

    metric: str
    require: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A paper that somebody issued: its number, and the last day on which it holds (None: no end is known)."""

    name: str
    issuer: str = ""
    number: str = ""
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What needs and capabilities have in common. `title` and `text` are in the owner's words; `field` is a branch (`radiology`).

    `deployments`: forms that are acceptable to a need, or offered by a capability. `version` rises with each change.
    """

    id: str
    organisation: str
    title: str
    text: str
    field: str = ""
    tags: tuple[str, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    state: EntryState = "draft"
    created: datetime
    published: datetime | None = None
    version: int = 1

    def problems(self) -> Iterator[Problem]:
        """What nobody can read, or look for."""
        yield from _line(("title",), self.title, required=True)
        if not 1 <= len(self.text.strip()) <= _PROSE:
            yield Problem(("text",), f"a description is 1 to {_PROSE:,} characters", "say in your own words what it is about")
        yield from _line(("field",), self.field)
        yield from _few(("tags",), self.tags)
        for i, tag in enumerate(self.tags):
            yield from _line(("tags", i), tag, required=True)
        yield from _known(("deployments",), self.deployments, DEPLOYMENTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need(Entry):
    """A need that a scenario's owner publishes. `budget` is an amount (`500000 CNY`), `pack` names a published gate pack.

    `papers` are names of certificates that an application must hold; `constraints` are the owner's words for what no field says.
    """

    area: Area
    risk: Risk = "medium"
    authority: Authority = "user-only"
    data: DataClass = "general"
    budget: str = ""
    acceptance: tuple[Acceptance, ...] = ()
    pack: str = ""
    papers: tuple[str, ...] = ()
    access: DataAccess = ""
    constraints: str = ""

    def problems(self) -> Iterator[Problem]:
        yield from super(Need, self).problems()
        yield from _known(("area",), (self.area,), AREAS)
        yield from _known(("risk",), (self.risk,), get_args(Risk))
        yield from _known(("authority",), (self.authority,), get_args(Authority))
        yield from _known(("data",), (self.data,), DATA_CLASSES)
        yield from _known(("access",), (self.access,), ACCESS_FORMS)
        yield from _amount(("budget",), self.budget)
        yield from _line(("pack",), self.pack)
        if len(self.constraints) > _PROSE:
            yield Problem(("constraints",), f"constraints are at most {_PROSE:,} characters", "shorten them")
        yield from _few(("papers",), self.papers)
        for i, paper in enumerate(self.papers):
            yield from _line(("papers", i), paper, required=True)
        yield from _few(("acceptance",), self.acceptance)
        for i, one in enumerate(self.acceptance):
            yield from _line(("acceptance", i, "metric"), one.metric, required=True)
            try:
                parse_require(one.require)
            except ValueError as error:
                yield Problem(("acceptance", i, "require"), str(error), "as in `>= 0.95`")
        if self.state == "published" and not self.acceptance and not self.pack:
            hint = "add a check such as `sensitivity >= 0.95`, or name a gate pack"
            yield Problem(("acceptance",), "a need without acceptance checks cannot be published", hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability(Entry):
    """An application that a vendor offers. `areas` empty: any. `data`: the classes that it may be given. `price` is an amount.

    `evidence` are digests of dossiers (`sha256:...`) that speak for it; they prove as much as their verification does.
    """

    application: str = ""
    areas: tuple[Area, ...] = ()
    data: tuple[DataClass, ...] = ()
    price: str = ""
    evidence: tuple[str, ...] = ()
    certificates: tuple[Certificate, ...] = ()

    def problems(self) -> Iterator[Problem]:
        yield from super(Capability, self).problems()
        yield from _line(("application",), self.application)
        yield from _known(("areas",), self.areas, AREAS)
        yield from _known(("data",), self.data, DATA_CLASSES)
        yield from _amount(("price",), self.price)
        yield from _few(("evidence",), self.evidence)
        yield from _few(("certificates",), self.certificates)
        for i, one in enumerate(self.evidence):
            plain = one.removeprefix("sha256:")
            if len(plain) != 64 or any(c not in "0123456789abcdef" for c in plain):
                hint = "`sha256:` and 64 digits, as `verify` prints"
                yield Problem(("evidence", i), f"`{one[:80]}` is no digest of a dossier", hint)
        for i, paper in enumerate(self.certificates):
            yield from _line(("certificates", i, "name"), paper.name, required=True)
            yield from _line(("certificates", i, "issuer"), paper.issuer)
            yield from _line(("certificates", i, "number"), paper.number)


def _line(path: Path, text: str, *, required: bool = False) -> Iterator[Problem]:
    if (required and not text.strip()) or len(text) > _LINE or (text and not text.isprintable()):
        least = 1 if required else 0
        yield Problem(path, f"this is {least} to {_LINE} printable characters on one line", "shorten it, or fill it in")


def _few(path: Path, given: Sized) -> Iterator[Problem]:
    if len(given) > _MOST:
        yield Problem(path, f"more than {_MOST} are too many", f"keep the {_MOST} that say most")


def _known(path: Path, given: tuple[str, ...], allowed: tuple[str, ...]) -> Iterator[Problem]:
    for one in given:
        if one not in allowed:
            yield Problem(path, f"there is no `{one[:40]}`", f"one of {', '.join(allowed)}")


def _amount(path: Path, text: str) -> Iterator[Problem]:
    if text:
        try:
            parse_money(text)
        except ValueError as error:
            yield Problem(path, str(error), "as in `500000 CNY`")
