"""The demonstration's trials: the bundled examples, really run and sealed."""

import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pilotbase.context import Context
from pilotbase.demo.examples import copy_example, free_port, served
from pilotbase.errors import UserError
from pilotbase.flows.dossier import make_dossier
from pilotbase.flows.enclose import Wishes
from pilotbase.flows.explain import explain_pilot
from pilotbase.flows.options import RunOptions
from pilotbase.flows.prepare import load_pilot
from pilotbase.flows.run import run_pilot
from pilotbase.pilots.progress import Silent
from pilotbase.pilots.records import get_run

__all__ = ["EXAMPLES", "Trial", "Tried", "answering", "criteria_of", "prepare_trials", "try_pilot"]

Say = Callable[[str], None]
SCREENING = "breast-screening"
EXAMPLES = (SCREENING, "docs-assistant", "guarded-release")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """An example, copied into the home. `port` is where its own server has to listen, None where it needs none."""

    name: str
    folder: Path
    port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A run that ended, each candidate's verdict, and where its dossier lies."""

    run: str
    verdicts: Mapping[str, str]
    dossier: Path


def prepare_trials(folder: Path, wanted: Collection[str], say: Say) -> dict[str, Trial]:
    """The wanted examples by name. The one that needs scikit-learn is left out, and said so, where that is not installed."""
    found: dict[str, Trial] = {}
    if SCREENING in wanted and find_spec("sklearn") is None:
        say("left out: the breast-screening trial, which needs scikit-learn (pip install 'pilotbase[examples]')")
    elif SCREENING in wanted:
        copied = copy_example(SCREENING, folder)
        _prepare(copied)
        found[SCREENING] = Trial(name=SCREENING, folder=copied, port=None)
    for name in (one for one in EXAMPLES if one in wanted and one != SCREENING):
        port = free_port()
        found[name] = Trial(name=name, folder=copy_example(name, folder, port=port), port=port)
    return found


def criteria_of(context: Context, trial: Trial) -> str:
    """The digest of a trial's criteria, written down in the home before anything is called."""
    return str(explain_pilot(context, trial.folder, early_stop=True, commit=True)["criteria"])


@contextmanager
def answering(trial: Trial) -> Iterator[None]:
    """The trial's server, where it has one, for as long as the block lasts."""
    if trial.port is None:
        yield
        return
    with served(trial.folder, trial.port):
        yield


def try_pilot(context: Context, trial: Trial, say: Say) -> Tried:
    """Run the trial to its verdict, and seal it in the home. Its server must answer."""
    result = run_pilot(context, load_pilot(trial.folder), RunOptions(fresh=True), Silent())
    record = get_run(context.database, result.run)
    dossier = make_dossier(context, record, context.home / "dossiers" / result.run, Wishes())
    verdicts = {one.id: str(one.verdict) for one in result.candidates}
    say(f"tried: {result.run}: " + ", ".join(f"{name} {verdict}" for name, verdict in verdicts.items()))
    return Tried(run=result.run, verdicts=verdicts, dossier=dossier)


def _prepare(folder: Path) -> None:
    """Write the example's data, by its own script."""
    done = subprocess.run([sys.executable, "prepare.py"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise UserError(f"the example's data could not be written: {done.stderr.strip()[-300:]}", where=str(folder))
