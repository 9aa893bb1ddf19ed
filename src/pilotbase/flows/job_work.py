"""What a job's process does: run an uploaded pilot or go on with its run, tell what it would ask, or seal a dossier."""

from collections.abc import Callable
from typing import Any

from pilotbase.context import Context
from pilotbase.domain.job import Job
from pilotbase.errors import UserError
from pilotbase.flows.dossier import make_dossier
from pilotbase.flows.enclose import Wishes
from pilotbase.flows.explain import explain_loaded
from pilotbase.flows.options import RunOptions
from pilotbase.flows.run import run_pilot
from pilotbase.flows.run_dossier import dossier_place
from pilotbase.flows.uploaded import load_uploaded
from pilotbase.pilots.progress import Progress
from pilotbase.pilots.records import get_run
from pilotbase.pilots.workspaces import folder_of

__all__ = ["do_job"]


def do_job(context: Context, job: Job, progress: Progress, begun: Callable[[str], None]) -> dict[str, Any] | None:
    """Do all of a job; a second time it does what is left. UserError, and Interrupted where its process was told to stop.

    The facts of a forecast; None of other kinds.

    `begun` hears of the run that it makes, within the transaction that makes it, so that no attempt makes a second one.
    """
    if job.kind == "dossier":
        _seal(context, job.run)
        return None
    if job.run and get_run(context.database, job.run).state == "finished":
        return None
    bounded = context.within_bounds()
    loaded = load_uploaded(bounded, folder_of(context.home, job.digest))
    if job.kind == "explain":
        return explain_loaded(bounded, loaded, early_stop=True, commit=False)
    run_pilot(bounded, loaded, _options(context, job), progress, begun=begun)
    return None


def _options(context: Context, job: Job) -> RunOptions:
    """A new run, or the one that was begun, with the words that it was begun with."""
    if not job.run:
        return RunOptions(fresh=True)
    begun = get_run(context.database, job.run).options
    return RunOptions(resume=job.run, only=tuple(begun["only"]), limit=begun["limit"], early_stop=begun["early_stop"])


def _seal(context: Context, run: str) -> None:
    if dossier_place(context, run) is not None:
        return
    record = get_run(context.database, run)
    folder = context.home / "dossiers"
    context.disk.make_folder(folder)
    try:
        make_dossier(context, record, folder / run, Wishes())
    except UserError:
        if dossier_place(context, run) is None:
            raise
