"""A second site for the demonstration: another home with a key of its own, which runs the same pilot again."""

from pathlib import Path

from pilotbase.context import Context, open_context
from pilotbase.demo.trials import Trial
from pilotbase.domain.account import Member
from pilotbase.domain.admission_steps import Facts
from pilotbase.dossier import trust
from pilotbase.dossier.packing import pack
from pilotbase.flows.case_files import attach
from pilotbase.flows.case_steps import take_step
from pilotbase.flows.dossier import make_dossier
from pilotbase.flows.enclose import Wishes
from pilotbase.flows.options import RunOptions
from pilotbase.flows.prepare import load_pilot
from pilotbase.flows.run import run_pilot
from pilotbase.pilots.progress import Silent
from pilotbase.pilots.records import get_run
from pilotbase.signing import Key

__all__ = ["replicate"]


def replicate(context: Context, trial: Trial, case: str, owner: Member, operator: Member) -> None:
    """Run the trial at the second site, trust its key, attach its dossier to the case, and promote. Its server must answer."""
    home = context.home / "demo" / "second-site"
    with open_context(home, disk=context.disk, clock=context.clock, secrets=context.secrets) as second:
        packed = _sealed(second, trial)
        trust.add(context.database, Key.load_or_create(home).public_key("second-site"), context.clock.now())
    with packed.open("rb") as file:
        attached = attach(context, "second-site.zip", packed.stat().st_size, file)
    stored = take_step(context, owner, case, "file", Facts(), file=attached)
    take_step(context, operator, case, "promote", Facts(), dossier=f"file:{stored.admission.version}")


def _sealed(second: Context, trial: Trial) -> Path:
    result = run_pilot(second, load_pilot(trial.folder), RunOptions(fresh=True), Silent())
    folder = make_dossier(second, get_run(second.database, result.run), second.home / "dossiers" / result.run, Wishes())
    return pack(folder, second.home / "second-site.zip", second.disk)
