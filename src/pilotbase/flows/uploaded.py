"""Reading a pilot that a member sent: the rules of every pilot, and beside them what the bounds of this base do not allow.

It reads its own files and no others, calls only where it may, and its problems stand at their lines like all others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pilotbase import plugins
from pilotbase.checks.rules import metric_problems
from pilotbase.context import Context
from pilotbase.domain.bounds import Bounds, file_problems, url_problems
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.problem import Problem
from pilotbase.errors import InvalidInput, UserError
from pilotbase.spec.load import Loaded, load_text

__all__ = ["SPEC", "Mistake", "load_uploaded", "mistakes", "outside"]

SPEC = "pilot.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A problem of a spec for a page: `line` and `column` from 1; 0 where it has no place in the file."""

    line: int
    column: int
    message: str


def load_uploaded(context: Context, folder: Path) -> Loaded:
    """The pilot of a folder that was sent. InvalidInput with every problem, UserError where there is no pilot.yaml."""
    path = folder / SPEC
    try:
        text = path.read_bytes()
    except OSError:
        raise UserError("there is no pilot.yaml among the files", hint="put it at the top of the folder", status=422) from None
    return load_text(
        text, path, metric_problems=lambda pilot: chain(metric_problems(pilot), outside(pilot, context.bounds, folder))
    )


def mistakes(error: UserError, folder: Path) -> list[Mistake]:
    """An error of `load_uploaded` as problems with their places in the spec; in a pack's file they have no place here."""
    lines = (
        error.problems if isinstance(error, InvalidInput) else [f"{error.message}; {error.hint}" if error.hint else error.message]
    )
    return [_mistake(line, folder) for line in lines]


def _mistake(line: str, folder: Path) -> Mistake:
    # A line is `FILE:LINE:COLUMN: field: message`, and the folder's name, which is the machine's own business, is in front of it.
    told = line.removeprefix(f"{folder}/")
    name, _, rest = told.partition(":")
    row, _, rest = rest.partition(":")
    column, _, message = rest.partition(":")
    if name == SPEC and row.isdigit() and column.isdigit():
        return Mistake(line=int(row), column=int(column), message=message.strip())
    return Mistake(line=0, column=0, message=told.replace(f"{folder}/", ""))


def outside(pilot: Pilot, bounds: Bounds, folder: Path) -> Iterator[Problem]:
    """What a pilot would reach that its bounds do not allow, with paths in the pilot. Calls nothing."""
    yield from file_problems(pilot.data.test.path, "data", "test", "path")
    for i, candidate in enumerate(pilot.candidates):
        kind, options = candidate.target.kind, candidate.target.options
        check = getattr(plugins.load("targets", kind), "outside", None)
        if check is None:
            told = f"candidates that are reached by `{kind}` cannot come by upload"
            yield Problem(("candidates", i, "target", kind), told, "run this pilot on the command line of the base")
            continue
        yield from (one.under("candidates", i, "target", kind) for one in check(options, bounds, folder))
    for g, gate in enumerate(pilot.open_gates):
        for c, judge in ((c, check.judge) for c, check in enumerate(gate.checks) if check.judge is not None):
            found = chain(url_problems(bounds, judge.url, judge.key_env), file_problems(judge.labels or "labels", "labels"))
            yield from (one.under("gates", g, "checks", c, "judge") for one in found)
