"""The pages of jobs: the list, one as it goes; and what dossiers need beside the run's own page: download, and verifying."""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote

from pilotbase.compute import jobs
from pilotbase.console.page import Act, Live, Page, Sent, Shown, To, Visit
from pilotbase.dossier.figures import interval, number
from pilotbase.dossier.packing import pack
from pilotbase.errors import UserError
from pilotbase.flows.job_sight import job_sight, resume_job
from pilotbase.flows.run_dossier import dossier_place
from pilotbase.flows.run_list import opened_run
from pilotbase.flows.verify import verify_dossier

__all__ = ["PAGES"]

PATH = "/console/jobs"
LARGEST = (200 << 20) + (1 << 20)
FINDINGS = 50
KINDS: Mapping[str, str] = {"run": "Run", "resume": "Resumed run", "dossier": "Dossier", "explain": "Forecast"}
REFRESH = 5


def _list(visit: Visit) -> Shown:
    found, older = jobs.jobs_page(visit.context.database, before=visit.query.get("before", ""))
    values = {"jobs": found, "older": older, "later": "before" in visit.query, "kinds": KINDS}
    return Shown(template="jobs.html.j2", values=values)


def _values(visit: Visit) -> dict[str, Any]:
    seen = job_sight(visit.context, visit.place["job"])
    return {
        "seen": seen,
        "job": seen.job,
        "kinds": KINDS,
        "interval_of": partial(interval, threshold=None),
        "figure_of": number,
        "run_path": f"/console/runs/{quote(seen.job.run, safe='')}" if seen.job.run else "",
        "titled": partial(_titled, visit.language),
    }


def _titled(language: str, title: Mapping[str, str]) -> str:
    return title.get(language) or title.get("en", "")


def _job(visit: Visit) -> Shown:
    values = _values(visit)
    return Shown(template="job.html.j2", values={**values, "refresh": REFRESH if "refresh" in visit.query else 0})


def _moving(visit: Visit) -> Live:
    values = _values(visit)
    return Live(template="job_part.html.j2", values=values, more=not values["job"].over)


def _stop(visit: Visit, form: Mapping[str, str]) -> To:
    job = jobs.ask_stop(visit.context.database, visit.place["job"], who=visit.who, now=visit.context.clock.now())
    note = visit.t("It is stopped.") if job.over else visit.t("It will stop in a moment. What was recorded is kept.")
    return To(path=f"{PATH}/{job.id}", note=note)


def _resume(visit: Visit, form: Mapping[str, str]) -> To:
    job = resume_job(visit.context, visit.place["job"], visit.member, visit.who)
    return To(path=f"{PATH}/{job.id}", note=visit.t("The run goes on where it was."))


def _run_live(visit: Visit) -> To:
    """Where a run is watched: at its newest job, or at the run itself where the command line started it."""
    record = opened_run(visit.context, visit.place["run"])
    job = jobs.newest_of_run(visit.context.database, record.run)
    return To(path=f"{PATH}/{job.id}" if job is not None else f"/console/runs/{quote(record.run, safe='')}")


def _dossier(visit: Visit) -> Sent | To:
    """The dossier of a run as one zip; the run's page where there is none."""
    record = opened_run(visit.context, visit.place["run"])
    place = dossier_place(visit.context, record.run)
    if place is None:
        return To(path=f"/console/runs/{quote(record.run, safe='')}#dossier")
    if place.is_file():
        return Sent(name=f"{record.run}.zip", media_type="application/zip", data=place)
    draft = _aside(visit) / f"{record.run}.zip"
    try:
        return Sent(name=f"{record.run}.zip", media_type="application/zip", data=pack(place, draft).read_bytes())
    finally:
        shutil.rmtree(draft.parent, ignore_errors=True)


def _aside(visit: Visit) -> Path:
    folder = visit.context.scratch() / f"dossier-{token_hex(8)}"
    visit.context.disk.make_folder(folder)
    return folder


def _verify_form(visit: Visit) -> Shown:
    return Shown(template="verify.html.j2", values={"verified": None, "name": "", "most": FINDINGS})


def _verify(visit: Visit, form: Mapping[str, str]) -> Shown:
    """Check a dossier that was sent, without unpacking it."""
    sent = visit.files.get("file")
    if sent is None:
        raise UserError("no file was chosen", hint="choose a dossier as one zip", status=422)
    folder = _aside(visit)
    try:
        path = folder / "dossier.zip"
        with path.open("wb") as file:
            shutil.copyfileobj(sent.file, file)
        found = verify_dossier(visit.context, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Shown(template="verify.html.j2", values={"verified": found, "name": sent.name, "most": FINDINGS})


PAGES: tuple[Page, ...] = (
    Page(name="jobs", path=PATH, title="Jobs", permit="pilots.read", show=_list, menu=22),
    Page(
        name="job",
        path=PATH + "/{job}",
        title="Job",
        permit="pilots.read",
        show=_job,
        live=_moving,
        acts={"stop": Act(permit="runs.start", do=_stop), "resume": Act(permit="runs.start", do=_resume)},
    ),
    Page(name="run-live", path="/console/runs/{run}/live", title="Job", permit="pilots.read", show=_run_live),
    Page(name="run-dossier", path="/console/runs/{run}/dossier", title="Dossier", permit="runs.read", show=_dossier),
    Page(
        name="verify",
        path="/console/verify",
        title="Verify a dossier",
        permit="runs.read",
        show=_verify_form,
        acts={"verify": Act(permit="runs.read", do=_verify)},
        uploads=LARGEST,
    ),
)
