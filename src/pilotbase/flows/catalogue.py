"""The catalogue as its members see it: what is published is there for all, the rest for its organisation and the base."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pilotbase.accounts import organisations
from pilotbase.catalog import entries
from pilotbase.catalog.entries import Event, kind_of
from pilotbase.catalog.journeys import read_journeys
from pilotbase.checks.metrics import metrics
from pilotbase.context import Context
from pilotbase.domain.account import Member, may
from pilotbase.domain.entry import ENTRY_STATES, Acceptance, Capability, Entry, EntryState, Need
from pilotbase.domain.openness import Openness, openness
from pilotbase.domain.problem import nearest
from pilotbase.domain.scenario import AREAS
from pilotbase.errors import UserError

__all__ = [
    "Asked",
    "Listed",
    "change",
    "draft",
    "history",
    "list_visible",
    "may_write",
    "move",
    "named",
    "openness_of",
    "see",
    "unknown_metrics",
]

E = TypeVar("E", bound=Entry)
WRITE: Final[Mapping[type[Entry], str]] = {Need: "needs.write", Capability: "capabilities.write"}
SHOWN = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which entries are wanted; an empty word asks for all. `before`: those older than the entry of that id."""

    state: str = ""
    area: str = ""
    organisation: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[E]):
    """One page, newest first; `more` is whether there are older ones."""

    entries: tuple[E, ...]
    more: bool


def list_visible(context: Context, member: Member, kind: type[E], asked: Asked, *, limit: int = SHOWN) -> Listed[E]:
    """A page of what a member may see. UserError (422) for a word that there is not, (404) for an unknown `before`."""
    for word, words in (("state", ENTRY_STATES), ("area", AREAS)):
        wanted = getattr(asked, word)
        if wanted and wanted not in words:
            raise UserError(f"{word}: there is no `{wanted[:40]}`", hint=f"one of {', '.join(words)}", status=422)
    _refuse(member, "catalogue.read")
    found = entries.list_entries(
        context.database,
        kind,
        state=asked.state or None,  # type: ignore[arg-type]
        organisation=asked.organisation or None,
        area=asked.area,
        reach=None if may(member, "catalogue.read", ()) else member.organisation,
        before=asked.before or None,
        limit=limit + 1,
    )
    return Listed(entries=tuple(found[:limit]), more=len(found) > limit)


def see(context: Context, member: Member, kind: type[E], entry: str) -> E:
    """An entry that a member may see. UserError (404) for one that is not there, and for one that the member may not see."""
    found = entries.find(context.database, kind, entry)
    if found is None or not _visible(member, found):
        raise UserError(f"there is no such {kind_of(kind)}", hint="look at the list", status=404)
    return found


def may_write(member: Member, entry: Entry) -> bool:
    """Whether a member may change this entry."""
    return may(member, WRITE[type(entry)], {entry.organisation})


def draft(context: Context, member: Member, entry: E, *, who: str = "") -> E:
    """Keep a new entry as a draft of the organisation that it names. InvalidInput for what it may not say.

    `who` is what the audit log says, the member where it is empty; so in all of these.

    UserError: 403 for another organisation than one's own by somebody from outside the base, 422 for one that there is not.
    """
    _refuse(member, WRITE[type(entry)], entry)
    if organisations.find(context.database, entry.organisation) is None:
        raise UserError("there is no such organisation", hint="choose one of the list", status=422)
    return entries.create(context.database, entry, who=who or _who(member), now=context.clock.now())


def change(context: Context, member: Member, entry: E, *, who: str = "") -> E:
    """Keep an entry as it is now, made from the version that it names. Errors as in `draft`, 409 where another came first."""
    _refuse(member, WRITE[type(entry)], see(context, member, type(entry), entry.id))
    return entries.change(context.database, entry, who=who or _who(member), now=context.clock.now())


def move(context: Context, member: Member, kind: type[E], entry: str, state: EntryState, *, version: int, who: str = "") -> E:
    """Publish, withdraw, or take up again. Errors as in `change`, and 409 for a way that there is not."""
    _refuse(member, WRITE[kind], see(context, member, kind, entry))
    now = context.clock.now()
    return entries.set_state(context.database, kind, entry, state, version=version, who=who or _who(member), now=now)


def history(context: Context, entry: Entry) -> list[Event]:
    """What happened to it, the oldest first."""
    return entries.events(context.database, entry.id)


def openness_of(context: Context, need: Need) -> Openness:
    """How open the need's scenario is, from its publication and its cases."""
    return openness(need, list(read_journeys(context.database, need=need.id)), context.clock.now())


def named(context: Context) -> dict[str, str]:
    """The names of organisations by id."""
    return {one.id: one.name for one in organisations.list_organisations(context.database)}


def unknown_metrics(acceptance: Iterable[Acceptance]) -> list[tuple[str, str]]:
    """(metric, the nearest known one or "") of checks whose metric this base cannot measure: fine to publish, not yet to run."""
    known = metrics()
    words = {one.metric.split("[")[0].strip() for one in acceptance}
    return [(word, nearest(word, known) or "") for word in sorted(words) if word not in known]


def _visible(member: Member, entry: Entry) -> bool:
    return may(member, "catalogue.read", None if entry.state == "published" else {entry.organisation})


def _refuse(member: Member, permit: str, entry: Entry | None = None) -> None:
    if not may(member, permit, {entry.organisation} if entry is not None else None):
        whose = "another organisation's entries" if entry is not None else "this"
        raise UserError(f"you may not do this with {whose}", hint="ask an operator of this base", status=403)


def _who(member: Member) -> str:
    return f"member:{member.login}"
