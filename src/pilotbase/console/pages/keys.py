"""Customers' keys: their limits and what they spent; made, renewed and revoked. A key's text is shown in one answer alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from pilotbase.console.page import Act, Page, Shown, To, Visit
from pilotbase.domain.access import AccessKey
from pilotbase.domain.quantity import parse_money
from pilotbase.errors import UserError
from pilotbase.flows import keys
from pilotbase.flows.traffic_stop import resume_traffic, stop_traffic
from pilotbase.gateway import routes, stops

__all__ = ["PAGES"]

_PATH = "/console/gateway/keys"


def _show(visit: Visit, **more: Any) -> Shown:
    stopped = {stop.name: stop for stop in stops.list_stops(visit.context.database) if stop.kind == "key"}
    rows = [{**one, "stop": stopped.get(one["id"]), "used": _used(one)} for one in keys.list_keys(visit.context)]
    known = [one.route.name for one in routes.list_routes(visit.context.database)]
    return Shown(template="keys.html.j2", values={"rows": rows, "known": known, "token": None, "key": None, **more})


def _create(visit: Visit, form: Mapping[str, str]) -> Shown:
    wish = keys.KeyWish(
        name=form.get("name", ""),
        budget=form.get("budget", "").strip() or None,
        rpm=_number(visit, form, "rpm"),
        tpm=_number(visit, form, "tpm"),
        routes=_routes(form),
        expires=form.get("expires", "").strip() or None,
        admin=form.get("admin") == "yes",
    )
    return _once(visit, *keys.create_key(visit.context, keys.pepper_of(visit.context), wish, who=visit.who))


def _rotate(visit: Visit, form: Mapping[str, str]) -> Shown:
    pepper = keys.pepper_of(visit.context)
    keep = form.get("keep", "").strip() or None
    return _once(visit, *keys.rotate_key(visit.context, pepper, form.get("key", ""), keep=keep, who=visit.who))


def _once(visit: Visit, key: AccessKey, token: str) -> Shown:
    # The text goes into this answer and nowhere else: a redirect would have to keep it somewhere.
    return _show(visit, token=token, key=key)


def _revoke(visit: Visit, form: Mapping[str, str]) -> To:
    why, cut = _why(visit, form), form.get("cut") == "yes"
    key, changed = keys.revoke_key(visit.context, form.get("key", ""), why=why, cut=cut, who=visit.who)
    text = visit.t("The key %(name)s is revoked.") if changed else visit.t("The key %(name)s was revoked before.")
    return To(path=_PATH, note=text % {"name": key.name})


def _stop(visit: Visit, form: Mapping[str, str]) -> To:
    key = keys.find_one(visit.context, form.get("key", ""))
    stop_traffic(visit.context, key.id, why=_why(visit, form), kind="key", who=visit.who)
    return To(path=_PATH, note=visit.t("The key %(name)s is stopped.") % {"name": key.name})


def _resume(visit: Visit, form: Mapping[str, str]) -> To:
    key = keys.find_one(visit.context, form.get("key", ""))
    resume_traffic(visit.context, key.id, why=_why(visit, form), kind="key", who=visit.who)
    return To(path=_PATH, note=visit.t("The key %(name)s goes on.") % {"name": key.name})


def _why(visit: Visit, form: Mapping[str, str]) -> str:
    why = form.get("why", "").strip()
    if not why:
        raise UserError(visit.t("A reason is missing."), hint=visit.t("It is kept in the audit log."), status=422)
    return why


def _number(visit: Visit, form: Mapping[str, str], word: str) -> int | None:
    text = form.get(word, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        message = visit.t("%(text)s is no whole number.") % {"text": text[:40]}
        raise UserError(message, hint=visit.t("Write digits alone, or leave the field empty for no limit."), status=422)
    return int(text)


def _routes(form: Mapping[str, str]) -> Sequence[str] | None:
    """The names in the field, between commas or blanks; none of them means all routes."""
    return form.get("routes", "").replace(",", " ").replace("，", " ").split() or None


def _used(one: Mapping[str, Any]) -> tuple[float, float] | None:
    """(spent, budget) in the budget's currency, for a bar; None without a budget."""
    if one["budget"] is None:
        return None
    budget = parse_money(one["budget"])
    spent = (text.rpartition(" ") for text in one["spent"])
    return sum(float(amount) for amount, _, currency in spent if currency == budget.currency), budget.nanos / 1e9


PAGES: tuple[Page, ...] = (
    Page(
        name="keys",
        path=_PATH,
        title="Access keys",
        permit="keys.read",
        show=_show,
        acts={
            "create": Act(permit="keys.write", do=_create),
            "rotate": Act(permit="keys.write", do=_rotate),
            "revoke": Act(permit="keys.write", do=_revoke),
            "stop": Act(permit="routes.stop", do=_stop),
            "resume": Act(permit="routes.stop", do=_resume),
        },
    ),
)
