"""Members and organisations: listed, made, given roles, let in no more. An initial password is shown in one answer alone."""

from collections.abc import Mapping
from typing import Any

from pilotbase.accounts import members, organisations, passwords, sessions, tokens
from pilotbase.console.page import Act, Page, Shown, To, Visit
from pilotbase.domain.account import ROLES, Member
from pilotbase.errors import UserError
from pilotbase.flows.member_add import add_member
from pilotbase.flows.tokens import tokens_of

__all__ = ["PAGES"]

_PATH = "/console/members"


def _list(visit: Visit, **more: Any) -> Shown:
    database = visit.context.database
    known = organisations.list_organisations(database)
    names = {one.id: one.name for one in known}
    wanted = visit.query.get("organisation", "")
    found = members.list_members(database, wanted if wanted in names else None)
    counts: dict[str, int] = {}
    for one in found if wanted not in names else members.list_members(database):
        counts[one.organisation] = counts.get(one.organisation, 0) + 1
    rows = [{"member": one, "organisation": names.get(one.organisation, one.organisation)} for one in found]
    values = {"rows": rows, "organisations": known, "counts": counts, "wanted": names.get(wanted), "roles": ROLES}
    return Shown(template="members.html.j2", values={**values, "password": None, "made": None, **more})


def _one(visit: Visit, **more: Any) -> Shown:
    found = _found(visit)
    database = visit.context.database
    home = organisations.find(database, found.organisation)
    values = {
        "one": found,
        "organisation": home.name if home is not None else found.organisation,
        "signed_in": len(sessions.list_sessions(database, found.id, visit.context.clock.now())),
        "tokens": tokens_of(visit.context, found),
        "roles": ROLES,
        "is_own": found.id == visit.member.id,
    }
    return Shown(template="member.html.j2", values={**values, "password": None, **more})


def _create(visit: Visit, form: Mapping[str, str]) -> Shown:
    made, password = add_member(
        visit.context,
        login=form.get("login", ""),
        name=form.get("name", ""),
        organisation=form.get("organisation", ""),
        roles=_roles(form),
        who=visit.who,
    )
    # The password goes into this answer and nowhere else: a redirect would have to keep it somewhere.
    return _list(visit, password=password, made=made)


def _create_organisation(visit: Visit, form: Mapping[str, str]) -> To:
    made = organisations.create(visit.context.database, form.get("name", ""), who=visit.who, now=visit.context.clock.now())
    return To(path=_PATH, note=visit.t("The organisation %(name)s was added.") % {"name": made.name})


def _rename_organisation(visit: Visit, form: Mapping[str, str]) -> To:
    now, name = visit.context.clock.now(), form.get("name", "")
    made = organisations.rename(visit.context.database, form.get("organisation", ""), name, who=visit.who, now=now)
    return To(path=_PATH, note=visit.t("The organisation is called %(name)s now.") % {"name": made.name})


def _set_roles(visit: Visit, form: Mapping[str, str]) -> To:
    found, now = _found(visit), visit.context.clock.now()
    members.set_roles(visit.context.database, found.id, _roles(form), version=_version(visit, form), who=visit.who, now=now)
    return To(path=_link(found), note=visit.t("The roles were changed."))


def _disable(visit: Visit, form: Mapping[str, str]) -> To:
    found, now = _found(visit), visit.context.clock.now()
    members.disable(visit.context.database, found.id, version=_version(visit, form), who=visit.who, now=now)
    return To(path=_link(found), note=visit.t("The member may sign in no more; all sessions and tokens ended."))


def _enable(visit: Visit, form: Mapping[str, str]) -> To:
    found, now = _found(visit), visit.context.clock.now()
    members.enable(visit.context.database, found.id, version=_version(visit, form), who=visit.who, now=now)
    return To(path=_link(found), note=visit.t("The member may sign in again."))


def _set_password(visit: Visit, form: Mapping[str, str]) -> Shown:
    found, password = _found(visit), passwords.suggested()
    version, now = _version(visit, form), visit.context.clock.now()
    members.set_password(visit.context.database, found.id, password, version=version, who=visit.who, now=now)
    return _one(visit, password=password)


def _revoke_token(visit: Visit, form: Mapping[str, str]) -> To:
    found, now, name = _found(visit), visit.context.clock.now(), form.get("token", "")
    _, changed = tokens.revoke(visit.context.database, name, who=visit.who, now=now, member=found.id)
    return To(path=_link(found), note=visit.t("The token is revoked." if changed else "The token was revoked before."))


def _found(visit: Visit) -> Member:
    found = members.find(visit.context.database, visit.place.get("member", ""))
    if found is None:
        raise UserError(visit.t("There is no such member."), hint=visit.t("Look at the list of members."), status=404)
    return found


def _version(visit: Visit, form: Mapping[str, str]) -> int:
    """Which version of the member the form was made from."""
    text = form.get("version", "")
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise UserError(visit.t("The form is not whole."), hint=visit.t("Load the page again."), status=422)
    return int(text)


def _roles(form: Mapping[str, str]) -> list[str]:
    return [role for role in ROLES if form.get(f"role-{role}")]


def _link(member: Member) -> str:
    return f"{_PATH}/{member.id}"


PAGES: tuple[Page, ...] = (
    Page(
        name="members",
        path=_PATH,
        title="Members",
        permit="members.read",
        show=_list,
        menu=70,
        acts={
            "create": Act(permit="members.write", do=_create),
            "create-organisation": Act(permit="members.write", do=_create_organisation),
            "rename-organisation": Act(permit="members.write", do=_rename_organisation),
        },
    ),
    Page(
        name="member",
        path=f"{_PATH}/{{member}}",
        title="Member",
        permit="members.read",
        show=_one,
        acts={
            "roles": Act(permit="members.write", do=_set_roles),
            "disable": Act(permit="members.write", do=_disable),
            "enable": Act(permit="members.write", do=_enable),
            "password": Act(permit="members.write", do=_set_password),
            "revoke-token": Act(permit="members.write", do=_revoke_token),
        },
    ),
)
