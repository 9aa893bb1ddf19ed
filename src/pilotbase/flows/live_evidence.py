"""What is known live of a release on its rung: every check's result, from the ledger, scores, labels and users' words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.judged import Calibration
from pilotbase.checks.live import LiveCheck, conclude_live
from pilotbase.checks.live_feed import LiveFeed
from pilotbase.context import Context
from pilotbase.domain.release import Plan
from pilotbase.domain.verdict import CheckResult
from pilotbase.flows.live_scoring import HOUR, worst_of
from pilotbase.gateway.arms import CANDIDATE, SHADOW, STABLE
from pilotbase.gateway.entry import drawn
from pilotbase.gateway.ledger_window import read_results
from pilotbase.ports import Results
from pilotbase.release.records import Release

__all__ = ["advance", "arm_of", "feedback_count", "first_bad", "results_of", "stalled"]

ARM = {"shadow": SHADOW, "bounded": CANDIDATE, "canary": CANDIDATE, "full": CANDIDATE}
"""Which arm's requests are the evidence of a rung."""
READ = 20_000
BEFORE = 120_000_000
"""Microseconds before a block in which the original of a shadow may have come."""
Values = NDArray[np.float64]


def arm_of(release: Release, plan: Plan) -> str:
    """Whose requests are the evidence of the rung that a release is on."""
    return ARM["full" if release.state == "full" else plan.rungs[release.rung].rung]


def advance(context: Context, release: Release, feed: LiveFeed, arm: str, *, until: int, now: int, late: float) -> bool:
    """Take in what has settled up to `until` (microseconds). Whether all of it is taken in now."""
    if until <= feed.frontier:
        return True

    def read(name: str, since: int, most: int) -> tuple[Results, bool]:
        """Results of an arm, and whether these are all: at least those of one whole block, or reading would not come past it."""
        while True:
            found = read_results(context.database, release.id, name, since, until, now=now, late=late, limit=most)
            if len(found) < most or int(found.started[-1]) >= feed.frontier + feed.block:
                return found, len(found) < most
            most *= 2

    found, whole = read(arm, feed.frontier, READ)
    stable, all_ = None, True
    if feed.needs_stable:
        stable, all_ = read(STABLE, feed.frontier - (BEFORE if arm == SHADOW else 0), 10 * READ)
        # A block counts when both arms' results in it are known.
        until = until if all_ else int(stable.started[-1])
    feed.take(found, stable, until, whole=whole)
    return whole and all_


def results_of(
    context: Context, release: Release, checks: Sequence[LiveCheck], feed: LiveFeed, arm: str, *, since: int
) -> list[tuple[CheckResult, bool]]:
    """Every live check's result on this rung, and whether it is mandatory."""
    found: list[tuple[CheckResult, bool]] = []
    for one in checks:
        if one.source == "ledger":
            units, requests, failed, plain = feed.units(one.id), feed.requests, feed.failed, feed.plain(one.id)
        else:
            plain = None
            units, requests, failed = _scored(context, release, one, feed, arm, since)
            feed.look_back(one, units)
        calibration = release.document.get("calibrations", {}).get(one.id)
        result = conclude_live(
            one,
            units,
            requests,
            failed=failed,
            calibration=Calibration(**calibration) if calibration else None,
            plain=plain,
        )
        found.append((result, one.mandatory))
    return found


def first_bad(context: Context, release: Release, one: LiveCheck, feed: LiveFeed, arm: str) -> str:
    """The first request of the rung that speaks against the candidate by a check; empty where none can be named."""
    if one.source == "ledger":
        return feed.first_bad
    worst, since = worst_of(one), int(release.document["rung_since"])
    if one.source == "feedback":
        row = context.database.row(
            "SELECT r.id FROM feedback f JOIN requests r ON r.id = f.request WHERE r.release_id = ? AND r.arm = ?"
            " AND r.started >= ? AND f.good = ? ORDER BY r.started, r.id LIMIT 1",
            (release.id, arm, since, int(worst)),
        )
    else:
        row = context.database.row(
            "SELECT r.id FROM live_scores l JOIN requests r ON r.id = l.request WHERE l.release_id = ? AND l.check_id = ?"
            " AND r.arm = ? AND r.started >= ? AND l.value = ? ORDER BY r.started, r.id LIMIT 1",
            (release.id, one.id, arm, since, worst),
        )
    return str(row["id"]) if row is not None else feed.first_bad


def feedback_count(context: Context, release: Release, since: int) -> int:
    """How many users' words on the candidate's answers came since a moment."""
    row = context.database.row(
        "SELECT COUNT(*) AS n FROM feedback f JOIN requests r ON r.id = f.request"
        " WHERE r.release_id = ? AND r.arm = ? AND r.started >= ?",
        (release.id, CANDIDATE, since),
    )
    return int(row["n"]) if row is not None else 0


def stalled(context: Context, release: Release, checks: Sequence[LiveCheck], before: int) -> list[LiveCheck]:
    """Checks with about five answers or more that were sampled before a moment and have no score, and no score since: their
    evidence has stopped. What a judge did not see in time it never will (`to_judge`), and is not waited for.
    """
    found = []
    for one in checks:
        if one.source != "sample":
            continue
        since = int(release.document["rung_since"])
        if one.check.judge is not None:
            since = max(since, before - HOUR)
        waiting = context.database.row(
            "SELECT COUNT(*) AS n FROM samples s WHERE s.release_id = ? AND s.at < ? AND s.at >= ? AND s.answered IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM live_scores l WHERE l.request = s.request AND l.check_id = ?)",
            (release.id, before, since, one.id),
        )
        scored = context.database.row(
            "SELECT 1 FROM live_scores WHERE release_id = ? AND check_id = ? AND at >= ? AND (value IS NOT NULL OR failed = 1)",
            (release.id, one.id, before),
        )
        if waiting is not None and int(waiting["n"]) * one.sample >= 5 and scored is None:
            found.append(one)
    return found


def _scored(context: Context, release: Release, one: LiveCheck, feed: LiveFeed, arm: str, since: int) -> tuple[Values, int, int]:
    """(units, results, failures of them) of a check that the ledger alone does not tell."""
    own = _rows(context, release, one, arm, since)
    if one.source != "feedback":
        # A request that failed has no answer to score: it scores the worst (VERDICT.md section 5).
        own += [(started, worst_of(one)) for started, root in feed.bad if drawn(f"sample {root}", one.sample)]
        own.sort()
    failed = sum(1 for started, root in feed.bad if one.source != "feedback" and drawn(f"sample {root}", one.sample))
    values = np.array([value for _, value in own])
    if not one.anytime:
        return values, len(own), failed
    numbers, means = _blocks(own, since, feed.block)
    if one.against:
        others = dict(zip(*_blocks(_rows(context, release, one, STABLE, since), since, feed.block), strict=True))
        means = [mean - others[number] for number, mean in zip(numbers, means, strict=True) if number in others]
    return np.array(means), len(own), failed


def _rows(context: Context, release: Release, one: LiveCheck, arm: str, since: int) -> list[tuple[int, float]]:
    if one.source == "feedback":
        rows = context.database.rows(
            "SELECT r.started, f.good AS value FROM feedback f JOIN requests r ON r.id = f.request"
            " WHERE r.release_id = ? AND r.arm = ? AND r.started >= ? ORDER BY r.started, r.id",
            (release.id, arm, since),
        )
    else:
        rows = context.database.rows(
            "SELECT r.started, l.value FROM live_scores l JOIN requests r ON r.id = l.request"
            " WHERE l.release_id = ? AND l.check_id = ? AND r.arm = ? AND r.started >= ? AND l.value IS NOT NULL"
            " ORDER BY r.started, r.id",
            (release.id, one.id, arm, since),
        )
    return [(int(row["started"]), float(row["value"])) for row in rows]


def _blocks(rows: Sequence[tuple[int, float]], since: int, block: int) -> tuple[list[int], list[float]]:
    """(numbers of blocks, the mean of each)."""
    sums: dict[int, list[float]] = {}
    for started, value in rows:
        sums.setdefault((started - since) // block, []).append(value)
    numbers = sorted(sums)
    return numbers, [float(np.mean(sums[number])) for number in numbers]
