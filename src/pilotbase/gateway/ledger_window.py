"""The ledger as evidence: what became of the requests of one arm of a release, as columns in the order in which they came."""

import numpy as np

from pilotbase.gateway.outcomes import failed
from pilotbase.ports import Results
from pilotbase.store.database import Database

__all__ = ["count_between", "exposed", "read_results"]

NANO = 1e9


def read_results(
    database: Database, release: str, arm: str, since: int, until: int, *, now: int, late: float, limit: int = 20_000
) -> Results:
    """Requests that came in since <= started < until (microseconds), at most `limit` of them, by the moment they came.

    One that took longer than `late` seconds, or is open for longer at the moment `now`, has failed: so that what is slow counts
    the same whether it is read early or late.
    """
    rows = database.rows(
        "SELECT id, copy_of, started, state, outcome, status, seconds, ttft, settled, overrun, tokens_in, tokens_out"
        " FROM requests WHERE release_id = ? AND arm = ? AND started >= ? AND started < ? ORDER BY started, id LIMIT ?",
        (release, arm, since, until, limit),
    )
    n = len(rows)
    bad, pending = np.full(n, np.nan), np.zeros(n, dtype=bool)
    columns = {name: np.full(n, np.nan) for name in ("seconds", "ttft", "cost", "tokens_in", "tokens_out")}
    for i, row in enumerate(rows):
        if row["state"] == "open":
            tardy = now - row["started"] > late * 1e6
            pending[i] = not tardy
            verdict = True if tardy else None
        elif row["seconds"] is not None and row["seconds"] > late:
            verdict = True
        else:
            verdict = failed(row["outcome"], row["status"])
        if verdict is None:
            continue
        bad[i] = float(verdict)
        columns["seconds"][i] = np.inf if verdict else row["seconds"]
        columns["ttft"][i] = np.inf if verdict else np.nan if row["ttft"] is None else row["ttft"]
        columns["cost"][i] = (row["settled"] + row["overrun"]) / NANO
        columns["tokens_in"][i], columns["tokens_out"][i] = row["tokens_in"], row["tokens_out"]
    return Results(
        ids=[row["id"] for row in rows],
        copy_of=[row["copy_of"] for row in rows],
        started=np.array([row["started"] for row in rows], dtype=np.int64),
        bad=bad,
        pending=pending,
        **columns,
    )


def count_between(database: Database, release: str, arm: str, since: int, until: int) -> int:
    """How many requests an arm got in since <= started < until, whatever became of them."""
    row = database.row(
        "SELECT COUNT(*) AS n FROM requests WHERE release_id = ? AND arm = ? AND started >= ? AND started < ?",
        (release, arm, since, until),
    )
    return int(row["n"]) if row is not None else 0


def exposed(database: Database, release: str) -> tuple[int, int, int, str]:
    """(people, requests) that the candidate answered or was asked by, and (nanos, currency) that it cost, shadows included."""
    row = database.row(
        "SELECT COUNT(DISTINCT person) AS people, COUNT(*) AS requests FROM requests WHERE release_id = ? AND arm = 'candidate'",
        (release,),
    )
    cost = database.row(
        "SELECT COALESCE(SUM(settled + overrun), 0) AS nanos, COALESCE(MAX(currency), '') AS currency FROM requests"
        " WHERE release_id = ? AND arm IN ('candidate', 'shadow')",
        (release,),
    )
    assert row is not None and cost is not None
    return int(row["people"]), int(row["requests"]), int(cost["nanos"]), str(cost["currency"])
