"""Progress of a run on standard error: rate, time left and spend for each candidate and phase."""

import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pilotbase.cli.console import Errors
from pilotbase.domain.quantity import NANO
from pilotbase.pilots.progress import Step

__all__ = ["Live"]

EVERY_SECONDS = 0.1


class Live:
    """Implements `pilots.progress.Progress` with bars; a pipe gets the notes only."""

    def __init__(self) -> None:
        self._console = Errors()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[more]}"),
            console=self._console,
            refresh_per_second=5,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[tuple[str, str], tuple[TaskID, float, int]] = {}
        self._told = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def note(self, message: str) -> None:
        """One line above the bars."""
        self._console.print(message, markup=False, style="dim")

    def step(self, step: Step) -> None:
        """Move a bar; more often than ten times a second is let pass."""
        now = time.monotonic()
        key = (step.candidate, step.phase)
        if key in self._tasks and now - self._told < EVERY_SECONDS and step.done < step.total:
            return
        self._told = now
        if key not in self._tasks:
            task = self._bars.add_task(f"{step.candidate} · {step.phase}", total=step.total, rate="", more="")
            self._tasks[key] = (task, now, step.done)
        task, since, first = self._tasks[key]
        rate = f"{(step.done - first) / (now - since):,.0f}/s" if now - since > 0.5 else ""
        parts = [f"{step.decided}/{step.checks} checks decided early"] * bool(step.checks and step.decided)
        parts += [f"{step.failed} failed"] * bool(step.failed)
        parts += [f"{step.spent / NANO:.4g} {step.currency}"] * bool(step.currency)
        self._bars.update(task, completed=step.done, rate=rate, more=" · ".join(parts))
