"""Jobs in the database. A change reads the row and writes it in one transaction of the only writer, so that one owner wins."""

from collections.abc import Callable, Mapping
from datetime import datetime
from secrets import token_hex
from typing import Any

import orjson

from pilotbase.domain import job as moves
from pilotbase.domain.job import Ending, Job, JobKind, LostJobError
from pilotbase.errors import UserError
from pilotbase.store.audit import stamp, write
from pilotbase.store.database import Database, Row

__all__ = [
    "ask_stop",
    "beat",
    "claim_next",
    "create",
    "find",
    "finish",
    "forecast_of",
    "get",
    "jobs_page",
    "newest_of_run",
    "newest_of_workspace",
    "note_run",
    "release",
    "running",
]

_TEXTS = (
    *("id", "kind", "home", "workspace", "digest", "run", "organisation", "who"),
    *("state", "owner", "host", "process", "stop_by", "told"),
)
_MOMENTS = ("created", "started", "ended")
_CHANGING = ("state", "attempt", "beat", "owner", "host", "process", "stop_by", "told", "run", "started", "ended")


def create(
    database: Database,
    kind: JobKind,
    *,
    home: str,
    who: str,
    now: datetime,
    workspace: str = "",
    digest: str = "",
    run: str = "",
    organisation: str = "",
) -> Job:
    """A new job that waits."""
    made = Job(
        id=f"job_{token_hex(8)}", kind=kind, home=home, who=who, created=now, workspace=workspace, digest=digest, run=run,
        organisation=organisation,
    )  # fmt: skip
    with database.transaction():
        database.execute(
            "INSERT INTO jobs (id, kind, home, workspace, digest, run, organisation, who, state, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (made.id, kind, home, workspace, digest, run, organisation, who, made.state, stamp(now)),
        )
        write(database, who=who, action=f"job.{kind}", subject=made.id, detail={"workspace": workspace, "run": run}, at=now)
    return made


def find(database: Database, job: str) -> Job | None:
    """A job by its id."""
    row = database.row("SELECT * FROM jobs WHERE id = ?", (job,))
    return _read(row) if row is not None else None


def get(database: Database, job: str) -> Job:
    """The same; UserError (404) where there is none."""
    found = find(database, job)
    if found is None:
        raise UserError(f"there is no job `{job[:80]}`", hint="look at the list of jobs", status=404)
    return found


def jobs_page(database: Database, *, before: str = "", limit: int = 50) -> tuple[list[Job], str | None]:
    """Jobs, the newest first, older than the job `before`; and the cursor of those that are older still."""
    where, values = "", ()
    if before:
        last = get(database, before)
        where, values = "WHERE created < ? OR (created = ? AND id < ?) ", (stamp(last.created), stamp(last.created), last.id)  # type: ignore[assignment]
    rows = database.rows(f"SELECT * FROM jobs {where}ORDER BY created DESC, id DESC LIMIT ?", (*values, limit + 1))
    found = [_read(row) for row in rows[:limit]]
    return found, found[-1].id if len(rows) > limit else None


def newest_of_run(database: Database, run: str) -> Job | None:
    """The job that was started last for a run."""
    row = database.row("SELECT * FROM jobs WHERE run = ? ORDER BY created DESC, id DESC LIMIT 1", (run,))
    return _read(row) if row is not None else None


def newest_of_workspace(database: Database, workspace: str, limit: int = 20) -> list[Job]:
    """The jobs that were started last on a workspace."""
    rows = database.rows("SELECT * FROM jobs WHERE workspace = ? ORDER BY created DESC, id DESC LIMIT ?", (workspace, limit))
    return [_read(row) for row in rows]


def forecast_of(database: Database, workspace: str, digest: str) -> Job | None:
    """The newest forecast for a version of a workspace."""
    row = database.row(
        "SELECT * FROM jobs WHERE workspace = ? AND digest = ? AND kind = 'explain' ORDER BY created DESC, id DESC LIMIT 1",
        (workspace, digest),
    )
    return _read(row) if row is not None else None


def running(database: Database, home: str) -> list[Job]:
    """The jobs of a home that processes have."""
    rows = database.rows("SELECT * FROM jobs WHERE home = ? AND state = 'running' ORDER BY created, id", (home,))
    return [_read(row) for row in rows]


def claim_next(database: Database, home: str, owner: str, now: datetime, *, quick: bool, most: int) -> Job | None:
    """Take the job that has waited longest; None where none waits, or where `most` of the home's run already.

    `quick` looks at forecasts alone, and otherwise at all others: nobody waits for a forecast behind a long run.
    """
    lane = "kind = 'explain'" if quick else "kind <> 'explain'"
    with database.transaction():
        busy = database.row(f"SELECT count(*) AS n FROM jobs WHERE home = ? AND state = 'running' AND {lane}", (home,))
        if busy is None or busy["n"] >= most:
            return None
        row = database.row(
            f"SELECT * FROM jobs WHERE home = ? AND state = 'queued' AND {lane} ORDER BY created, id LIMIT 1", (home,)
        )
        if row is None:
            return None
        found = moves.claim(_read(row), owner, now)
        _put(database, found)
        return found


def beat(
    database: Database, job: str, owner: str, *, host: str = "", process: str = "", progress: Mapping[str, Any] | None = None
) -> Job:
    """Show that the job's process lives, and how far it is. LostJobError where it is another's."""
    with database.transaction():
        found = _change(database, job, lambda one: moves.beat(one, owner, host=host, process=process))
        if progress is not None:
            database.execute("UPDATE jobs SET progress = ? WHERE id = ?", (orjson.dumps(progress).decode(), job))
        return found


def note_run(database: Database, job: str, owner: str, run: str) -> None:
    """Keep the run that the job made, in the transaction that makes it. LostJobError where it is another's, which undoes both."""
    with database.transaction():
        if moves.beat(get(database, job), owner).run != run:
            database.execute("UPDATE jobs SET run = ? WHERE id = ?", (run, job))


def finish(database: Database, job: str, owner: str, ending: Ending, *, now: datetime, told: str = "") -> Job:
    """The job's process is through. LostJobError where it is another's."""
    return _change(database, job, lambda one: moves.finish(one, owner, ending, now, told))


def release(database: Database, job: str, owner: str, *, now: datetime, why: str = "", beat: int | None = None) -> Job:
    """The process is gone, or is given up; with `beat` only where that is where its beat stood still."""

    def decide(one: Job) -> Job:
        return one if beat is not None and one.beat != beat else moves.release(one, owner, now, why=why)

    return _change(database, job, decide)


def ask_stop(database: Database, job: str, *, who: str, now: datetime) -> Job:
    """Have a job stopped; nothing happens where it has ended."""
    with database.transaction():
        before = get(database, job)
        after = _change(database, job, lambda one: moves.ask_stop(one, who, now))
        if after != before:
            write(database, who=who, action="job.stop", subject=job, detail={"run": after.run}, at=now)
        return after


def _change(database: Database, job: str, decide: Callable[[Job], Job]) -> Job:
    with database.transaction():
        before = find(database, job)
        if before is None:
            raise LostJobError(job)
        after = decide(before)
        if after != before:
            _put(database, after)
        return after


def _put(database: Database, job: Job) -> None:
    values = [_written(getattr(job, name)) for name in _CHANGING]
    database.execute(f"UPDATE jobs SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE id = ?", (*values, job.id))


def _written(value: Any) -> Any:
    return stamp(value) if isinstance(value, datetime) else value


def _read(row: Row) -> Job:
    fields: dict[str, Any] = {name: datetime.fromisoformat(row[name]) if row[name] else None for name in _MOMENTS}
    fields |= {name: row[name] for name in _TEXTS}
    return Job(**fields, attempt=int(row["attempt"]), beat=int(row["beat"]), progress=orjson.loads(row["progress"]))
