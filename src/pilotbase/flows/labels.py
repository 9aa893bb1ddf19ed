"""The labels files of judges: which there are, and whether they can be used."""

from collections.abc import Sequence
from pathlib import Path

from pilotbase.data.files import FileCases
from pilotbase.domain.pilot import Pilot
from pilotbase.errors import UserError
from pilotbase.judges.labels import Label, read_labels

__all__ = ["check_labels", "label_files", "usable_labels"]


def label_files(pilot: Pilot) -> list[str]:
    """The labels files that checks name, each once."""
    return sorted(
        {c.judge.labels for g in pilot.open_gates for c in g.checks if c.judge is not None and c.judge.labels is not None}
    )


def usable_labels(path: Path) -> list[Label]:
    """The rows of a labels file that measure something: `unsure` ones do not."""
    return [row for row in read_labels(path) if row.label != "unsure"]


def check_labels(path: Path, rows: Sequence[Label], cases: FileCases) -> None:
    unanswered = {row.id: row.line for row in rows if row.answer is None}
    missing = unanswered.keys() - set(cases.ids) if unanswered else set()
    if missing:
        name = min(missing, key=lambda n: unanswered[n])
        more = f", and {len(missing) - 1} more rows are like it" * (len(missing) > 1)
        raise UserError(
            f"the label of `{name}` names no answer, and the test data has no such case{more}",
            where=f"{path}:{unanswered[name]}",
            hint="put the answer that was labelled into a column `answer`, or use the ids of the test data",
        )
