"""The pages of pilots on the base: the list, and one with its source, its mistakes at their lines, its versions and its jobs."""

from collections.abc import Mapping
from typing import Any

from pilotbase.compute import jobs
from pilotbase.console.page import Act, Page, Shown, To, Upload, Visit
from pilotbase.errors import UserError
from pilotbase.flows.workspace import change_files, change_spec, facts_of, keep_files, received, sight, start_run, template
from pilotbase.pilots import workspaces

__all__ = ["PAGES"]

PATH = "/console/pilots"
LARGEST = (50 << 20) + (1 << 20)


def _list(visit: Visit) -> Shown:
    found, older = workspaces.workspaces_page(visit.context.database, before=visit.query.get("before", ""))
    values = {"pilots": found, "older": older, "later": "before" in visit.query}
    return Shown(template="pilots.html.j2", values=values)


def _new(visit: Visit, form: Mapping[str, str]) -> To:
    made = keep_files(visit.context, template(visit.context), visit.member, visit.who)
    return To(path=f"{PATH}/{made.id}", note=visit.t("A pilot from the template. Change it below."))


def _send(visit: Visit, form: Mapping[str, str]) -> To:
    sent = _sent(visit)
    made = keep_files(visit.context, received(visit.context, sent.name, sent.size, sent.file), visit.member, visit.who)
    return To(path=f"{PATH}/{made.id}", note=visit.t("The pilot is kept."))


def _sent(visit: Visit) -> Upload:
    sent = visit.files.get("file")
    if sent is None:
        raise UserError("no file was chosen", hint="choose a pilot.yaml or a zip of its folder", status=422)
    return sent


def _pilot(visit: Visit) -> Shown:
    told = visit.query.get("version", "")
    seen = sight(visit.context, visit.place["pilot"], int(told) if told.isdigit() and len(told) < 9 else None)
    lines = seen.text.splitlines() or [""]
    values: dict[str, Any] = {
        "seen": seen,
        "newest": seen.version.version == seen.workspace.version,
        "lines": [(number, line, _at(seen.mistakes, number)) for number, line in enumerate(lines, 1)],
        "elsewhere": [one for one in seen.mistakes if not 1 <= one.line <= len(lines)],
        "versions": workspaces.versions(visit.context.database, seen.workspace.id),
        "jobs": [one for one in jobs.newest_of_workspace(visit.context.database, seen.workspace.id) if one.kind != "explain"],
        "facts": facts_of(seen.forecast),
    }
    return Shown(template="pilot.html.j2", values=values)


def _at(mistakes: Any, line: int) -> list[tuple[str, str]]:
    """The mistakes of a line: the space before its caret, and what is wrong."""
    return [(" " * (one.column - 1), one.message) for one in mistakes if one.line == line]


def _base(form: Mapping[str, str]) -> int:
    told = form.get("version", "")
    if not told.isdigit() or len(told) > 9:
        raise UserError("the form names no version", hint="load the page again", status=422)
    return int(told)


def _save(visit: Visit, form: Mapping[str, str]) -> To:
    changed = change_spec(visit.context, visit.place["pilot"], form.get("text", ""), base=_base(form), who=visit.who)
    return To(path=f"{PATH}/{changed.id}", note=visit.t("Version %(version)s is kept.") % {"version": changed.version})


def _change(visit: Visit, form: Mapping[str, str]) -> To:
    sent, base = _sent(visit), _base(form)
    files = received(visit.context, sent.name, sent.size, sent.file)
    whole = sent.name.lower().endswith(".zip")
    changed = change_files(visit.context, visit.place["pilot"], files, base=base, whole=whole, who=visit.who)
    return To(path=f"{PATH}/{changed.id}", note=visit.t("Version %(version)s is kept.") % {"version": changed.version})


def _start(visit: Visit, form: Mapping[str, str]) -> To:
    job = start_run(visit.context, visit.place["pilot"], _base(form), visit.member, visit.who)
    return To(path=f"/console/jobs/{job.id}", note=visit.t("The run is on its way."))


PAGES: tuple[Page, ...] = (
    Page(
        name="pilots",
        path=PATH,
        title="Pilots",
        permit="pilots.read",
        show=_list,
        menu=15,
        acts={"new": Act(permit="pilots.write", do=_new), "send": Act(permit="pilots.write", do=_send)},
        uploads=LARGEST,
    ),
    Page(
        name="pilot",
        path=PATH + "/{pilot}",
        title="Pilot",
        permit="pilots.read",
        show=_pilot,
        acts={
            "save": Act(permit="pilots.write", do=_save),
            "change": Act(permit="pilots.write", do=_change),
            "start": Act(permit="runs.start", do=_start),
        },
        uploads=LARGEST,
    ),
)
