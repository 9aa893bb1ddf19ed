"""The runs of a home, a page at a time, newest first."""

from dataclasses import dataclass

from pilotbase.context import Context
from pilotbase.errors import UserError
from pilotbase.pilots.records import RunRecord, get_run

__all__ = ["RunLine", "RunsPage", "opened_run", "pilots_with_runs", "runs_page"]

PILOTS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """One run in a list. `verdict` is None until it has finished."""

    run: str
    pilot: str
    state: str
    verdict: str | None
    round: int
    created: str
    updated: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsPage:
    """Some runs, and the cursor of the older ones; None where there are none."""

    lines: tuple[RunLine, ...]
    older: str | None


def runs_page(context: Context, *, pilot: str = "", verdict: str = "", before: str = "", limit: int = 50) -> RunsPage:
    """Runs that began before the run `before`, of one pilot and with one verdict where these are given (`none`: without one).

    Only what a list shows is read, so a run whose record is damaged stands in it like any other.
    UserError where no run is `before`.
    """
    conditions, values = [], []
    if pilot:
        conditions.append("pilot = ?")
        values.append(pilot)
    if verdict:
        conditions.append("verdict IS NULL" if verdict == "none" else "verdict = ?")
        values += [] if verdict == "none" else [verdict]
    if before:
        if context.database.row("SELECT 1 FROM runs WHERE run = ?", (before,)) is None:
            raise UserError(f"there is no run `{before[:80]}` to go on from", hint="begin at the newest run", status=404)
        conditions.append("rowid < (SELECT rowid FROM runs WHERE run = ?)")
        values.append(before)
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    rows = context.database.rows(
        f"SELECT run, pilot, state, verdict, round, created, updated FROM runs {where}ORDER BY rowid DESC LIMIT ?",
        (*values, limit + 1),
    )
    lines = tuple(RunLine(**{name: row[name] for name in RunLine.__slots__}) for row in rows[:limit])
    return RunsPage(lines=lines, older=lines[-1].run if len(rows) > limit else None)


def pilots_with_runs(context: Context) -> list[str]:
    """The names of the pilots that were run here, in order."""
    return [row["pilot"] for row in context.database.rows("SELECT DISTINCT pilot FROM runs ORDER BY pilot LIMIT ?", (PILOTS,))]


def opened_run(context: Context, run: str) -> RunRecord:
    """A run by its id. UserError where there is none, or where its record in the database is damaged."""
    try:
        record = get_run(context.database, run)
        record.options["document"]["data"]["test"]["custody"]  # whoever shows a run asks this first
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"the record of run {run} cannot be read: {error!r}",
            where="the table `runs` of the database",
            hint="restore the database from a copy of the home",
        ) from None
    return record
