"""Releases: the list, and one release with its rungs, evidence, exposure, register of risks, and the words that move it."""

from collections.abc import Callable, Mapping
from functools import partial

from pilotbase.console.page import Act, Page, Shown, To, Visit
from pilotbase.console.release_view import rung_name, view_of
from pilotbase.console.spans import span
from pilotbase.domain.release import Exposure
from pilotbase.errors import UserError
from pilotbase.flows.release_moves import Moved, plan_of
from pilotbase.flows.release_register import list_known, register_of, require_release
from pilotbase.flows.release_words import pause_release, promote_release, resume_release, roll_back
from pilotbase.release.records import Release

__all__ = ["PAGES"]

_LIMITS = ("people", "requests")


def _show_list(visit: Visit) -> Shown:
    route = visit.query.get("route", "").strip()
    known = list_known(visit.context, route=route or None)
    rows = [
        {
            "id": one.release.id,
            "route": one.release.route,
            "state": one.release.state,
            "over": one.release.over,
            "rung": rung_name(one.plan.rungs[one.release.rung], visit.t),
            "step": one.release.rung + 1,
            "steps": len(one.plan.rungs),
            "bearer": one.plan.bearer,
            "candidate": one.release.document["candidate_id"],
            "exposure": one.exposure,
            "started": one.release.started.isoformat(),
            "changed": one.release.changed.isoformat(),
        }
        for one in known
    ]
    values = {
        "under_way": [row for row in rows if not row["over"]],
        "over": [row for row in rows if row["over"]],
        "route": route,
        "span": lambda seconds: span(seconds, visit.t),
    }
    return Shown(template="releases.html.j2", values=values)


def _show_release(visit: Visit) -> Shown:
    release = require_release(visit.context, visit.place["release"])
    return Shown(template="release.html.j2", values=view_of(register_of(visit.context, release), visit))


def _pause(visit: Visit, form: Mapping[str, str]) -> To:
    release, why = _under_way(visit), form.get("why", "")
    return _moved(visit, partial(pause_release, visit.context, release.route, who=visit.who, why=why))


def _resume(visit: Visit, form: Mapping[str, str]) -> To:
    release, why = _under_way(visit), form.get("why", "")
    counts = {word: _count(word, form.get(word, "")) for word in _LIMITS}
    limits = Exposure(**counts, spend=form.get("spend", "").strip() or None, time=form.get("time", "").strip() or None)
    move = partial(resume_release, visit.context, release.route, who=visit.who, why=why, limits=limits)
    return _moved(visit, move)


def _promote(visit: Visit, form: Mapping[str, str]) -> To:
    release, why = _under_way(visit), form.get("why", "")
    if form.get("version") != str(release.version):
        # Who promotes says yes to the rung that he saw: not to another one, on which it stands by now.
        raise UserError(
            "the release has moved since this page was shown", hint="look at where it stands now, then decide", status=409
        )
    anyway = form.get("anyway") == "yes"
    move = partial(promote_release, visit.context, release.route, who=visit.who, why=why, anyway=anyway)
    return _moved(visit, move)


def _roll_back(visit: Visit, form: Mapping[str, str]) -> To:
    release, why = require_release(visit.context, visit.place["release"]), form.get("why", "")
    if release.state == "rolled-back":
        return To(path=_path(release), note=visit.t("It was rolled back before; the stable arm answers everyone."))
    _under_way(visit)
    return _moved(visit, partial(roll_back, visit.context, release.route, who=visit.who, why=why))


def _under_way(visit: Visit) -> Release:
    """The release of the page. UserError (status 409) where it is over: another one of its route is not meant."""
    release = require_release(visit.context, visit.place["release"])
    if release.over:
        raise UserError(f"release {release.id} is {release.state}", hint="nothing moves it any more", status=409)
    return release


def _moved(visit: Visit, move: Callable[[], Moved]) -> To:
    moved = move()
    return To(path=_path(moved.release), note=_note(visit, moved))


def _note(visit: Visit, moved: Moved) -> str:
    t, release = visit.t, moved.release
    if not moved.changed:
        return t("Nothing changed: the release was there before.")
    texts = {
        "paused": t("The release is paused: it stands on its rung."),
        "rolled-back": t("The release is rolled back: the stable arm answers everyone."),
        "ended": t("The release has ended: the candidate is the stable arm from now on."),
        "full": t("The candidate answers everyone now; the stable arm stands by."),
    }
    rung = rung_name(plan_of(release).rungs[release.rung], t)
    return texts.get(release.state) or t("The release goes on, on the rung “%(rung)s”.") % {"rung": rung}


def _count(word: str, text: str) -> int | None:
    if not text.strip():
        return None
    try:
        return int(text.strip().replace(",", ""))
    except ValueError:
        raise UserError(f"{word}: `{text[:40]}` is no whole number", hint="write digits, as in 500", status=422) from None


def _path(release: Release) -> str:
    return f"/console/releases/{release.id}"


PAGES: tuple[Page, ...] = (
    Page(name="releases", path="/console/releases", title="Releases", permit="releases.read", show=_show_list, menu=40),
    Page(
        name="release",
        path="/console/releases/{release}",
        title="Release",
        permit="releases.read",
        show=_show_release,
        acts={
            "pause": Act(permit="releases.move", do=_pause),
            "resume": Act(permit="releases.move", do=_resume),
            "promote": Act(permit="releases.move", do=_promote),
            "rollback": Act(permit="releases.move", do=_roll_back),
        },
    ),
)
