"""People, a need and a capability for cases, and cases that were brought some way along.

parties = people(context)                       # a vendor, an owner, an operator, an engineer, a reviewer of three organisations
case = opened(context, parties)                 # a draft
case = walked(context, parties, case, "begin")  # up to and with that step, each by who may take it
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, cast

from pilotbase.accounts import organisations
from pilotbase.accounts.rows import COLUMNS, values
from pilotbase.catalog import entries
from pilotbase.context import Context
from pilotbase.domain.account import Member, Role
from pilotbase.domain.admission import Admission
from pilotbase.domain.admission_steps import Facts
from pilotbase.domain.entry import Acceptance, Capability, Need
from pilotbase.domain.trial_risk import Register
from pilotbase.flows.case_steps import open_case, take_step

__all__ = ["CRITERIA", "WAY", "Parties", "facts_of", "opened", "people", "walked"]

CRITERIA = "sha256:" + "a" * 64
WAY = (
    ("submit", "vendor"), ("screen", "engineer"), ("match", "engineer"), ("agree", "owner"), ("agree", "vendor"),
    ("countersign", "reviewer"), ("register", "engineer"), ("admit", "operator"), ("provision", "engineer"),
    ("begin", "engineer"), ("run", "engineer"), ("review", "engineer"), ("pass", "reviewer"), ("publish", "operator"),
)  # fmt: skip
"""The usual way, with the role that takes each step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """One member of each role, and the entries that the case is about."""

    members: Mapping[str, Member]
    need: Need
    capability: Capability

    def __getitem__(self, role: str) -> Member:
        return self.members[role]


def people(context: Context, *, language: str = "", title: str = "Find nodules", capability: str = "Nodule finder") -> Parties:
    """Three organisations with their members, without the work of passwords, a published need and a capability."""
    database, now = context.database, context.clock.now()
    homes = {name: organisations.create(database, name, who="test", now=now).id for name in ("Acme", "Hospital", "Pilot Base")}
    wanted: dict[str, tuple[str, Role]] = {
        "vendor": ("Acme", "vendor"), "owner": ("Hospital", "owner"), "operator": ("Pilot Base", "operator"),
        "engineer": ("Pilot Base", "engineer"), "reviewer": ("Pilot Base", "reviewer"), "auditor": ("Pilot Base", "auditor"),
    }  # fmt: skip
    members = {
        word: _member(context, f"{word}@case.example", homes[home], role, language, now) for word, (home, role) in wanted.items()
    }
    need, offered = listed(context, owner=homes["Hospital"], vendor=homes["Acme"], title=title, capability=capability)
    return Parties(members=members, need=need, capability=offered)


def listed(context: Context, *, owner: str, vendor: str, title: str, capability: str) -> tuple[Need, Capability]:
    """A published need of one organisation, and a drafted capability of another."""
    database, now = context.database, context.clock.now()
    checks = (Acceptance(metric="accuracy", require=">= 0.7"),)
    need = entries.create(
        database,
        Need(id="", organisation=owner, created=now, title=title, text=title, area="livelihood", acceptance=checks),
        who="test", now=now,
    )  # fmt: skip
    need = entries.set_state(database, Need, need.id, "published", version=1, who="test", now=now)
    offered = Capability(id="", organisation=vendor, created=now, title=capability, text=capability)
    return need, entries.create(database, offered, who="test", now=now)


def _member(context: Context, login: str, organisation: str, role: Role, language: str, now: datetime) -> Member:
    made = Member(
        id=f"mem_{login.partition('@')[0]}", login=login, name=role.title(), organisation=organisation, roles=(role,),
        created=now, language=cast(Any, language),
    )  # fmt: skip
    marks = ", ".join("?" * (len(values(made)) + 1))
    context.database.execute(f"INSERT INTO members ({COLUMNS}, password) VALUES ({marks})", (*values(made), "none"))
    return made


def opened(context: Context, parties: Parties) -> Admission:
    """A draft."""
    return open_case(context, parties["vendor"], need=parties.need.id, capability=parties.capability.id).admission


def facts_of(step: str, **more: Any) -> Facts:
    """What a step of the usual way is told."""
    usual = {
        "submit": Facts(contact="Li Lei, 010-1234"),
        "screen": Facts(text="the papers are complete"),
        "match": Facts(criteria=CRITERIA, candidate="good", rounds=2),
        "register": Facts(register=Register(people=20, bearer="Hospital", diligence="papers seen")),
        "provision": Facts(access="personal", day=date(2026, 11, 30), text="the test set, behind the counter"),
    }
    return replace(usual.get(step, Facts()), **more)


def walked(
    context: Context, parties: Parties, case: Admission, last: str, told: Mapping[str, Facts] | None = None, **more: Any
) -> Admission:
    """The case after the step `last` of the usual way; `told` has other facts by step, `more` goes to `take_step`."""
    names = [name for name, _ in WAY]
    for name, role in WAY[_done(context, case) : len(names) - names[::-1].index(last)]:
        facts = (told or {}).get(name) or facts_of(name)
        given = more if name in ("review", "run") else {}
        case = take_step(context, parties[role], case.id, name, facts, **given).admission  # type: ignore[arg-type]
    return case


def _done(context: Context, case: Admission) -> int:
    """How many steps of the way were taken, where no others were."""
    return case.version - 1
