"""Scores of sampled live answers: by the check's own metric, by labels that came later, or by a judge within its daily money."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.live import LiveCheck
from pilotbase.checks.plan import Column
from pilotbase.checks.rows import CaseColumns
from pilotbase.checks.scores import FAILED, ScoredColumn, read_rows
from pilotbase.context import Context
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.price import Price
from pilotbase.domain.quantity import parse_duration
from pilotbase.flows.facts import pilot_of
from pilotbase.flows.live_reading import Said, declared_of, read_sample
from pilotbase.gateway.entry import drawn
from pilotbase.ports import Coded, Judgement, Question
from pilotbase.release import records
from pilotbase.release.records import Release

__all__ = ["judge_costs", "judged", "label_samples", "score_samples", "sweep_samples", "to_judge"]

AT_ONCE = 200
HOUR = 3_600_000_000


def score_samples(context: Context, release: Release, checks: Sequence[LiveCheck], now: int) -> int:
    """Score what was sampled and needs neither labels nor a judge; at most 200 a check. How many were scored."""
    count = 0
    declared = declared_of(pilot_of(release.document["pilot"]), release.document["candidate_id"])
    for one in checks:
        if one.source != "sample" or one.metric.kind == "judged":
            continue
        rows = _drawn(context, release, one, _unscored(context, release, one, 0), now)
        said = [read_sample(row, declared) for row in rows]
        _keep(context, release, one, [row["request"] for row in rows], said, None, now)
        count += len(rows)
    return count


def label_samples(context: Context, release: Release, checks: Sequence[LiveCheck], labels: Mapping[str, str], now: int) -> int:
    """Score kept answers against labels that came for them, by request. How many answers had one."""
    pilot = pilot_of(release.document["pilot"])
    declared = declared_of(pilot, release.document["candidate_id"])
    positive = canonical_label(pilot.data.test.positive)
    names = list(labels)
    found: list[Mapping[str, Any]] = []
    for start in range(0, len(names), AT_ONCE):
        part = names[start : start + AT_ONCE]
        places = ", ".join("?" * len(part))
        rows = context.database.rows(f"SELECT * FROM samples WHERE release_id = ? AND request IN ({places})", (release.id, *part))
        found += [dict(row) for row in rows]
    said = [read_sample(row, declared) for row in found]
    truth = [canonical_label(labels[row["request"]]) or "" for row in found]
    for one in checks:
        if one.source == "label":
            _keep(context, release, one, [row["request"] for row in found], said, truth, now, positive=positive)
    return len(found)


def to_judge(context: Context, release: Release, one: LiveCheck, now: int, limit: int) -> list[tuple[str, Question]]:
    """Sampled answers of the last hour that this check's judge has not seen, oldest first."""
    declared = declared_of(pilot_of(release.document["pilot"]), release.document["candidate_id"])
    found: list[tuple[str, Question]] = []
    for row in _drawn(context, release, one, _unscored(context, release, one, now - HOUR), now):
        if len(found) >= limit:
            break
        said = read_sample(row, declared)
        if said.text is None and said.label is None:
            _write(context, release, one, [(row["request"], None, 1, 0)], now)
            continue
        answer = said.text if said.text is not None else said.label or ""
        found.append((row["request"], Question(key=len(found), inputs=said.inputs, expected=None, answer=answer)))
    return found


def judged(
    context: Context, release: Release, one: LiveCheck, asked: Sequence[tuple[str, Question]], said: Sequence[Judgement], now: int
) -> None:
    """Keep what a judge said. What is neither yes nor no counts against the candidate; a judge that failed said nothing."""
    assert one.check.judge is not None
    rows: list[tuple[str, float | None, int, int]] = []
    for (request, _), judgement in zip(asked, said, strict=True):
        if judgement.failure is not None:
            continue
        value = {"yes": 1.0, "no": 0.0}.get(judgement.choice or "", worst_of(one))
        rows.append((request, value, 0, _cost(one.check.judge.price, judgement.usage)))
    _write(context, release, one, rows, now)


def judge_costs(context: Context, release: Release, one: LiveCheck, since: int) -> int:
    """Nanos that a check's judge cost since a moment."""
    row = context.database.row(
        "SELECT COALESCE(SUM(cost), 0) AS cost FROM live_scores WHERE release_id = ? AND check_id = ? AND at >= ?",
        (release.id, one.id, since),
    )
    return int(row["cost"]) if row is not None else 0


def sweep_samples(context: Context, now: int) -> int:
    """Remove sampled bodies that are older than the plan of their release keeps them; scores stay. How many."""
    count = 0
    rows = context.database.rows("SELECT DISTINCT release_id FROM samples")
    for row in rows:
        found = records.find(context.database, row["release_id"])
        keep = parse_duration(found.document["plan"]["evidence"]["keep"]) if found is not None else 0.0
        count += context.database.execute(
            "DELETE FROM samples WHERE release_id = ? AND at < ?", (row["release_id"], now - int(keep * 1e6))
        )
    return count


def worst_of(one: LiveCheck) -> float:
    """What a failure scores in a share: the side that speaks against the candidate."""
    return 1.0 if one.require.op == "<=" else 0.0


def _cost(price: Price | None, usage: Mapping[str, int]) -> int:
    if price is None:
        return 0
    call, read, wrote = price.amounts()
    nanos = call.nanos if call else 0
    nanos += (read.nanos if read else 0) * int(usage.get("tokens_in", usage.get("input", 0)) or 0) // 1_000_000
    return nanos + (wrote.nanos if wrote else 0) * int(usage.get("tokens_out", usage.get("output", 0)) or 0) // 1_000_000


def _unscored(context: Context, release: Release, one: LiveCheck, since: int) -> list[dict[str, Any]]:
    rows = context.database.rows(
        "SELECT s.*, CASE WHEN COALESCE(r.copy_of, '') <> '' THEN r.copy_of ELSE s.request END AS root"
        " FROM samples s LEFT JOIN requests r ON r.id = s.request"
        " WHERE s.release_id = ? AND s.at >= ? AND s.answered IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM live_scores l WHERE l.request = s.request AND l.check_id = ?) ORDER BY s.at LIMIT ?",
        (release.id, since, one.id, AT_ONCE),
    )
    return [dict(row) for row in rows]


def _drawn(context: Context, release: Release, one: LiveCheck, rows: Sequence[dict[str, Any]], now: int) -> list[dict[str, Any]]:
    """Those that are in a check's own sample. The others, kept for other checks, are put down as outside it: a queue that they
    filled would hide what comes after them.
    """
    inside = [row for row in rows if drawn(f"sample {row['root']}", one.sample)]
    names = {row["request"] for row in inside}
    _write(context, release, one, [(row["request"], None, 0, 0) for row in rows if row["request"] not in names], now)
    return inside


def _keep(
    context: Context,
    release: Release,
    one: LiveCheck,
    requests: Sequence[str],
    said: Sequence[Said],
    truth: Sequence[str] | None,
    now: int,
    *,
    positive: str | None = None,
) -> None:
    if not requests:
        return
    n = len(requests)
    names = tuple(dict.fromkeys(truth)) if truth is not None else ()
    coded = None
    if truth is not None:
        coded = Coded(codes=np.array([names.index(t) for t in truth], dtype=np.int32), names=names)
    place = names.index(positive) if positive in names else -1
    cases = CaseColumns(count=n, ids=list(requests), truth=coded, numbers=_numbers(truth), positive=place)
    answers = [one_said.text if one_said.text is not None else one_said.label for one_said in said]
    rows = read_rows(np.arange(n), answers, cases)
    rows.failed = np.array([answer is None for answer in answers])
    scored = ScoredColumn(Column(one.check.metric, b"", 0), one.check, n)
    scored.add(rows, cases)
    inside = one.metric.denominator(cases) if one.metric.denominator is not None else np.ones(n, dtype=bool)
    kept = [
        (request, None if np.isnan(value) or not counts else float(value), int(state == FAILED), 0)
        for request, value, state, counts in zip(requests, scored.value, scored.state, inside, strict=True)
    ]
    _write(context, release, one, kept, now)


def _numbers(truth: Sequence[str] | None) -> NDArray[np.float64] | None:
    """Labels as numbers, NaN for those that are none; None where no label is one."""
    found = np.array([_number(text) for text in truth or ()])
    return None if truth is None or np.isnan(found).all() else found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _write(
    context: Context, release: Release, one: LiveCheck, rows: Sequence[tuple[str, float | None, int, int]], now: int
) -> None:
    context.database.execute_many(
        "INSERT INTO live_scores (request, check_id, release_id, value, failed, cost, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (request, check_id) DO UPDATE SET value = excluded.value, failed = excluded.failed, at = excluded.at",
        [(request, one.id, release.id, value, failed, cost, now) for request, value, failed, cost in rows],
    )
