"""The doors: signing in and out, the first set-up, and the switch of language and theme, which work without a session too."""

import hmac
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from pilotbase.accounts import members, sessions
from pilotbase.accounts.sessions import Signed
from pilotbase.accounts.throttle import ThrottledError
from pilotbase.console import answers
from pilotbase.console.asked import Asked, own_path
from pilotbase.console.desk import LANGUAGE, SESSION, THEME, THEMES, YEAR, Desk, keep, trouble
from pilotbase.console.provider_door import ProviderDoor
from pilotbase.console.rendering import Trouble, render_frame
from pilotbase.console.words import LANGUAGES, speak
from pilotbase.errors import UserError
from pilotbase.flows.set_up import is_set_up, set_up

__all__ = ["change_look", "come_back", "genuine", "set_up_door", "sign_in", "sign_out"]


def genuine(asked: Asked, signed: Signed) -> bool:
    """Whether a form was sent from a page of ours, in this very session."""
    return asked.own and hmac.compare_digest(asked.form.get("csrf", "").encode(), signed.csrf.encode())


def sign_in(desk: Desk, asked: Asked) -> Response:
    """GET and POST /console/sign-in. Each sign-in begins a session of its own; the one the browser had ends."""
    if not is_set_up(desk.context):
        return answers.lead_on("/console/set-up")
    on = own_path(asked.query.get("next", ""))
    if asked.method != "POST":
        return answers.lead_on(on) if desk.signed(asked) is not None else _door(desk, asked, "sign_in.html.j2", "Sign in")
    if not asked.own:
        return desk.refuse(asked, 403)
    form, now = asked.form, desk.context.clock.now()
    try:
        member = members.sign_in(desk.context.database, form.get("login", ""), form.get("password", ""), asked.address, now)
    except UserError as error:
        told = _door(desk, asked, "sign_in.html.j2", "Sign in", _told(desk, asked, error), error.status)
        if isinstance(error, ThrottledError):
            told.headers["retry-after"] = str(error.seconds)
        return told
    return _begun(desk, asked, member.id, on)


def come_back(desk: Desk, asked: Asked, provider: ProviderDoor) -> Response:
    """GET /console/provider/back. A session of its own begins, as after a password."""
    found = provider.come_back(desk, asked)
    return _begun(desk, asked, *found) if isinstance(found, tuple) else found


def sign_out(desk: Desk, asked: Asked) -> Response:
    """POST /console/sign-out."""
    signed = desk.signed(asked)
    if signed is not None:
        if not genuine(asked, signed):
            return desk.refuse(asked, 403, signed=signed)
        sessions.end(desk.context.database, asked.cookies[SESSION])
    return keep(answers.lead_on("/console/sign-in"), SESSION, "", secure=desk.secure)


def set_up_door(desk: Desk, asked: Asked) -> Response:
    """GET and POST /console/set-up, while there is nobody yet."""
    if is_set_up(desk.context):
        return desk.refuse(asked, 404) if asked.method == "POST" else answers.lead_on("/console/sign-in")
    if asked.method != "POST":
        return _door(desk, asked, "set_up.html.j2", "Set up this base")
    if not asked.own:
        return desk.refuse(asked, 403)
    form: Mapping[str, Any] = asked.form
    try:
        if form.get("password", "") != form.get("again", ""):
            raise UserError("the two passwords are not the same", hint="type the password again, twice the same", status=422)
        member = set_up(
            desk.context,
            code=form.get("code", ""),
            organisation=form.get("organisation", ""),
            login=form.get("login", ""),
            name=form.get("name", ""),
            password=form.get("password", ""),
        )
    except UserError as error:
        status = error.status if error.status != 200 else 422
        return _door(desk, asked, "set_up.html.j2", "Set up this base", trouble(error), status)
    return _begun(desk, asked, member.id, "/console")


def change_look(desk: Desk, asked: Asked) -> Response:
    """POST /console/look: kept with the member, or in the browser before sign-in; then back to where it was asked."""
    signed = desk.signed(asked)
    if not asked.own or (signed is not None and not genuine(asked, signed)):
        return desk.refuse(asked, 403, signed=signed)
    language, theme = asked.form.get("language"), asked.form.get("theme")
    back = answers.lead_on(_came_from(asked))
    if language in LANGUAGES:
        keep(back, LANGUAGE, language, secure=desk.secure, seconds=YEAR)
    if theme is not None:
        keep(back, THEME, theme if theme in THEMES else "", secure=desk.secure, seconds=YEAR)
    if signed is not None:
        one = signed.member
        members.set_profile(
            desk.context.database,
            one.id,
            name=one.name,
            language=language if language in LANGUAGES else one.language,
            theme=theme if theme in THEMES else one.theme,
            version=one.version,
            who=f"member:{one.login}",
            now=desk.context.clock.now(),
        )
    return back


def _told(desk: Desk, asked: Asked, error: UserError) -> Trouble:
    if not isinstance(error, ThrottledError):
        return trouble(error)
    say = speak(desk.language(asked, None))
    hint = say("Wait %(seconds)s s before the next try. Until then the right password is refused too.") % {
        "seconds": error.seconds
    }
    return Trouble(message="Too many failed sign-ins.", hint=hint)


def _came_from(asked: Asked) -> str:
    place = asked.referer.partition("://")[2].partition("/")[2]
    path = "/" + place
    if path.partition("?")[0] in ("/console/sign-in", "/console/set-up"):
        return path if path.isprintable() and "\\" not in path else "/console"
    return own_path(path)


def _door(desk: Desk, asked: Asked, template: str, title: str, error: Trouble | None = None, status: int = 200) -> Response:
    given = {"provider": desk.provider, "on": own_path(asked.query.get("next", ""))}
    return answers.page(render_frame(template, given, desk.frame(asked, None, title, error)), status)


def _begun(desk: Desk, asked: Asked, member: str, on: str) -> Response:
    database = desk.context.database
    if old := asked.cookies.get(SESSION):
        sessions.end(database, old)
    token, _ = sessions.begin(database, member, desk.context.clock.now())
    return keep(answers.lead_on(on), SESSION, token, secure=desk.secure)
