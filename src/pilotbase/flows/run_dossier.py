"""The dossier of a run in the home's `dossiers` folder: whether there is one, and whether it still holds."""

from dataclasses import replace
from pathlib import Path

from pilotbase.context import Context
from pilotbase.dossier.verify import Finding, Verification
from pilotbase.errors import UserError
from pilotbase.flows.verify import verify_dossier

__all__ = ["check_dossier", "dossier_place"]


def dossier_place(context: Context, run: str) -> Path | None:
    """Where the dossier of a run lies in the home, as a folder or one file; None where there is none."""
    folder = context.home / "dossiers"
    return next((place for place in (folder / run, folder / f"{run}.zip") if place.exists()), None)


def check_dossier(context: Context, run: str) -> Verification:
    """Verify the dossier that lies under the run's name. One that is intact but of another run counts as changed.

    UserError where there is none.
    """
    place = dossier_place(context, run)
    if place is None:
        raise UserError(f"there is no dossier of run {run} in this home", hint=f"seal it: pilotbase dossier {run}", status=404)
    found = verify_dossier(context, place)
    sealed = found.record["run"]["id"] if found.record is not None and found.status != "changed" else run
    if sealed != run:
        other = Finding(
            file="record.json", message=f"this is the dossier of run {str(sealed)[:80]}, not of {run}", record="run/id"
        )
        return replace(found, status="changed", findings=(*found.findings, other))
    return found
