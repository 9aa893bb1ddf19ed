"""One's own tokens for the API: made, listed and revoked. A token's text is shown in one answer alone."""

from collections.abc import Mapping
from typing import Any

from pilotbase.accounts import tokens
from pilotbase.console.page import Act, Page, Shown, To, Visit
from pilotbase.domain.account import SCOPES, may
from pilotbase.errors import UserError
from pilotbase.flows.tokens import create_token, tokens_of

__all__ = ["PAGES"]

_PATH = "/console/own/tokens"
_LIVES = ("7d", "30d", "90d", "365d")


def _show(visit: Visit, **more: Any) -> Shown:
    values = {
        "rows": tokens_of(visit.context, visit.member),
        "scopes": [scope for scope in SCOPES if may(visit.member, scope)],
        "lives": _LIVES,
        "text": None,
        "token": None,
    }
    return Shown(template="tokens.html.j2", values={**values, **more})


def _create(visit: Visit, form: Mapping[str, str]) -> Shown:
    token, text = create_token(
        visit.context,
        visit.member,
        name=form.get("name", ""),
        scopes=[scope for scope in SCOPES if form.get(f"scope-{scope}")],
        expires=_life(visit, form),
        who=visit.who,
    )
    # The text goes into this answer and nowhere else: a redirect would have to keep it somewhere.
    return _show(visit, token=token, text=text)


def _life(visit: Visit, form: Mapping[str, str]) -> str:
    found = form.get("expires", "")
    if found not in _LIVES:
        raise UserError(visit.t("The form is not whole."), hint=visit.t("Load the page again."), status=422)
    return found


def _revoke(visit: Visit, form: Mapping[str, str]) -> To:
    now, name = visit.context.clock.now(), form.get("token", "")
    token, changed = tokens.revoke(visit.context.database, name, who=visit.who, now=now, member=visit.member.id)
    text = visit.t("The token %(name)s is revoked.") if changed else visit.t("The token %(name)s was revoked before.")
    return To(path=_PATH, note=text % {"name": token.name})


PAGES: tuple[Page, ...] = (
    Page(
        name="tokens",
        path=_PATH,
        title="My tokens",
        permit="own",
        show=_show,
        acts={"create": Act(permit="own", do=_create), "revoke": Act(permit="own", do=_revoke)},
    ),
)
