"""One's own settings: name, language, theme, password, and where one is signed in."""

from collections.abc import Mapping
from typing import Any

from pilotbase.accounts import members, organisations, sessions
from pilotbase.console.page import Act, Page, Shown, To, Visit
from pilotbase.console.people import ROLE_WORDS
from pilotbase.console.visits import SignedVisit
from pilotbase.console.words import speak
from pilotbase.errors import UserError

__all__ = ["PAGES"]

PATH = "/console/own"


def show(visit: Visit) -> Shown:
    """The page."""
    context, member = visit.context, visit.member
    organisation = organisations.find(context.database, member.organisation)
    values: dict[str, Any] = {
        "organisation": organisation.name if organisation is not None else "—",
        "role_words": ROLE_WORDS,
        "sessions": sessions.list_sessions(context.database, member.id, context.clock.now()),
        "session": visit.session if isinstance(visit, SignedVisit) else "",
    }
    return Shown(template="own.html.j2", values=values)


def _profile(visit: Visit, form: Mapping[str, str]) -> To:
    member = visit.member
    changed = members.set_profile(
        visit.context.database,
        member.id,
        name=form.get("name", ""),
        language=form.get("language", ""),
        theme=form.get("theme", ""),
        version=member.version,
        who=visit.who,
        now=visit.context.clock.now(),
    )
    say = speak(changed.language) if changed.language else visit.t
    return To(path=PATH, note=say("Your settings are saved."))


def _password(visit: Visit, form: Mapping[str, str]) -> To:
    if form.get("new", "") != form.get("again", ""):
        raise UserError("the two passwords are not the same", hint="type the password again, twice the same", status=422)
    signed = visit if isinstance(visit, SignedVisit) else None
    members.change_password(
        visit.context.database,
        visit.member,
        form.get("old", ""),
        form.get("new", ""),
        address=signed.address if signed is not None else "",
        now=visit.context.clock.now(),
        but=signed.token if signed is not None else None,
    )
    return To(path=PATH, note=visit.t("The password is changed. All your other sessions have ended."))


def _end(visit: Visit, form: Mapping[str, str]) -> To:
    now = visit.context.clock.now()
    ended = sessions.end_one(visit.context.database, visit.member.id, form.get("session", ""), who=visit.who, now=now)
    return To(path=PATH, note=visit.t("You are signed out there." if ended else "That session had ended before."))


def _end_all(visit: Visit, form: Mapping[str, str]) -> To:
    token = visit.token if isinstance(visit, SignedVisit) else None
    sessions.end_all(visit.context.database, visit.member.id, token)
    return To(path=PATH, note=visit.t("You are signed out everywhere else."))


PAGES: tuple[Page, ...] = (
    Page(
        name="own",
        path=PATH,
        title="My settings",
        permit="own",
        show=show,
        acts={
            "profile": Act(permit="own", do=_profile),
            "password": Act(permit="own", do=_password),
            "end": Act(permit="own", do=_end),
            "end-all": Act(permit="own", do=_end_all),
        },
    ),
)
