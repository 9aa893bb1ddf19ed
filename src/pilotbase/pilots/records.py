"""Runs in the database: a small state machine with idempotent transitions; recovery is running again.

States: `asking` (calls are being made, or were when the process ended) -> `finished`, or `interrupted` (a person stopped it).
Both `asking` and `interrupted` go on where they were. Newer means inserted later: a clock may go backwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pilotbase.errors import UserError
from pilotbase.store.database import Database

__all__ = [
    "RunRecord",
    "create_run",
    "earlier_runs",
    "find_criteria",
    "find_run",
    "finish_run",
    "get_run",
    "list_runs",
    "next_round",
    "record_criteria",
    "set_account",
    "set_state",
    "unfinished_run",
]

UNFINISHED = ("asking", "interrupted")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run as the database knows it. `options` holds the plan's documents; `result` is VERDICT.md section 8's in the end."""

    run: str
    pilot: str
    state: str
    created: str
    updated: str
    spec_digest: str
    criteria_digest: str
    data_digest: str
    scenario: str
    round: int
    options: dict[str, Any]
    verdict: str | None
    result: dict[str, Any] | None

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """Fingerprints of the candidates when the run began."""
        return {c["id"]: c["fingerprint"] for c in self.options["candidates"]}


def _record(row: Any) -> RunRecord:
    fields = dict(row)
    fields["options"] = orjson.loads(fields["options"])
    fields["result"] = orjson.loads(fields["result"]) if fields["result"] else None
    return RunRecord(**fields)


def create_run(
    database: Database,
    *,
    pilot: str,
    spec_digest: str,
    criteria_digest: str,
    data_digest: str,
    scenario: str,
    options: Mapping[str, Any],
    now: str,
) -> RunRecord:
    """A new run, with the round that it spends, in one transaction: two that begin at once take one round after the other."""
    with database.transaction():
        round_ = next_round(database, scenario, data_digest)
        taken = database.row("SELECT COUNT(*) AS n FROM runs WHERE pilot = ?", (pilot,))
        number = (taken["n"] if taken else 0) + 1
        while database.row("SELECT 1 FROM runs WHERE run = ?", (f"{pilot}-{number}",)):
            number += 1
        run = f"{pilot}-{number}"
        database.execute(
            "INSERT INTO runs"
            " (run, pilot, state, created, updated, spec_digest, criteria_digest, data_digest, scenario, round, options)"
            " VALUES (?, ?, 'asking', ?, ?, ?, ?, ?, ?, ?, ?)",
            (run, pilot, now, now, spec_digest, criteria_digest, data_digest, scenario, round_, orjson.dumps(options).decode()),
        )
        database.execute(
            "INSERT INTO rounds (scenario, data_digest, round, run, recorded) VALUES (?, ?, ?, ?, ?)",
            (scenario, data_digest, round_, run, now),
        )
        for candidate in options["candidates"]:
            database.execute(
                "INSERT INTO run_candidates (run, candidate, fingerprint, state) VALUES (?, ?, ?, 'asking')",
                (run, candidate["id"], candidate["fingerprint"]),
            )
    return get_run(database, run)


def next_round(database: Database, scenario: str, data_digest: str) -> int:
    """The round that a new run on this scenario and data would be: 1 for the first."""
    row = database.row("SELECT MAX(round) AS r FROM rounds WHERE scenario = ? AND data_digest = ?", (scenario, data_digest))
    return (row["r"] or 0) + 1 if row else 1


def set_state(database: Database, run: str, state: str, now: str) -> None:
    """Move a run on; doing it twice changes nothing."""
    with database.transaction():
        database.execute("UPDATE runs SET state = ?, updated = ? WHERE run = ?", (state, now, run))


def set_account(database: Database, run: str, account: Mapping[str, Any], now: str) -> None:
    """What was asked of each candidate, and why the rest was not."""
    record = get_run(database, run)
    with database.transaction():
        options = orjson.dumps({**record.options, "account": account}).decode()
        database.execute("UPDATE runs SET options = ?, updated = ? WHERE run = ?", (options, now, run))


def finish_run(database: Database, run: str, result: Mapping[str, Any], now: str) -> None:
    """The result, and the end."""
    with database.transaction():
        text = orjson.dumps(result).decode()
        database.execute(
            "UPDATE runs SET state = 'finished', verdict = ?, result = ?, updated = ? WHERE run = ?",
            (result["verdict"], text, now, run),
        )
        database.execute("UPDATE run_candidates SET state = 'finished' WHERE run = ?", (run,))


def get_run(database: Database, run: str) -> RunRecord:
    """A run by its id. UserError where there is none, with the newest ones named."""
    row = database.row("SELECT * FROM runs WHERE run = ?", (run,))
    if row is None:
        newest = ", ".join(r["run"] for r in database.rows("SELECT run FROM runs ORDER BY rowid DESC LIMIT 5"))
        raise UserError(
            f"there is no run `{run}` in this home",
            hint=f"the newest: {newest}" if newest else "no pilot has been run here yet",
            status=404,
        )
    return _record(row)


def find_run(database: Database, run: str) -> RunRecord:
    """A run by its id, or the newest run of the pilot of that name, or the newest of all for `last`."""
    if run == "last":
        row = database.row("SELECT * FROM runs ORDER BY rowid DESC LIMIT 1")
    else:
        row = database.row("SELECT * FROM runs WHERE run = ?", (run,)) or database.row(
            "SELECT * FROM runs WHERE pilot = ? ORDER BY rowid DESC LIMIT 1", (run,)
        )
    return _record(row) if row is not None else get_run(database, run)


def list_runs(database: Database, limit: int = 1000) -> list[RunRecord]:
    """Newest first."""
    return [_record(r) for r in database.rows("SELECT * FROM runs ORDER BY rowid DESC LIMIT ?", (limit,))]


def unfinished_run(database: Database, pilot: str) -> RunRecord | None:
    """The newest run of a pilot that has not finished."""
    row = database.row(
        "SELECT * FROM runs WHERE pilot = ? AND state IN ('asking', 'interrupted') ORDER BY rowid DESC LIMIT 1", (pilot,)
    )
    return _record(row) if row is not None else None


def earlier_runs(database: Database, run: RunRecord) -> Sequence[RunRecord]:
    """Every earlier run in this home on the same data, oldest first."""
    rows = database.rows(
        "SELECT * FROM runs WHERE data_digest = ? AND rowid < (SELECT rowid FROM runs WHERE run = ?) ORDER BY rowid",
        (run.data_digest, run.run),
    )
    return [_record(row) for row in rows]


def record_criteria(database: Database, digest: str, document: bytes, now: str) -> str:
    """Write the criteria down, once; the moment at which they were first recorded."""
    with database.transaction():
        database.execute(
            "INSERT OR IGNORE INTO criteria (digest, recorded, document) VALUES (?, ?, ?)", (digest, now, document.decode())
        )
    row = database.row("SELECT recorded FROM criteria WHERE digest = ?", (digest,))
    assert row is not None  # inserted above
    return str(row["recorded"])


def find_criteria(database: Database, digest: str) -> dict[str, Any]:
    """The criteria that were recorded under a digest; empty where none were."""
    row = database.row("SELECT document FROM criteria WHERE digest = ?", (digest,))
    return dict(orjson.loads(row["document"])) if row is not None else {}
