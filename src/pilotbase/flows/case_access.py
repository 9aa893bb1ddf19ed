"""Which cases a member may read, and which step a member may take."""

from pilotbase.catalog import cases
from pilotbase.catalog.cases import By, Stored
from pilotbase.context import Context
from pilotbase.domain.account import Member, may
from pilotbase.domain.admission import Admission, acting, step_named
from pilotbase.errors import UserError

__all__ = ["acts", "narrowed", "reads", "seen"]


def narrowed(member: Member) -> str | None:
    """The organisation that a member's lists of cases are narrowed to; None for those who read all."""
    return None if may(member, "cases.read", ()) else member.organisation


def reads(member: Member, admission: Admission) -> bool:
    """Whether a member reads all of a case: as one of a party, or of the base."""
    return may(member, "cases.read", admission.parties)


def seen(context: Context, member: Member, case: str) -> Stored:
    """A case that a member may read, if only its published verdict. UserError (404) where there is none, or it is others'."""
    found = cases.find(context.database, case)
    if found is None or not (reads(member, found.admission) or (found.admission.disclosed and may(member, "cases.read"))):
        raise UserError(f"there is no case `{case[:80]}`", hint="take one from the list of cases", status=404)
    return found


def acts(member: Member, admission: Admission, name: str) -> By:
    """As whom a member takes a step. UserError (422) for no step, (403) for one that is others' to take."""
    step = step_named(name)
    if step is None:
        raise UserError(f"`{name[:40]}` is no step of a case", hint="take one that the case's page offers", status=422)
    party = acting(member, admission, step)
    if party is None:
        who = " or ".join(step.parties) + (f" ({', '.join(step.roles)})" if step.roles else "")
        raise UserError(f"you may not take the step `{name}`", hint=f"it is for: {who}", status=403)
    return By(who=f"member:{member.login}", organisation=member.organisation, party=party)
