"""What a dossier shows beside the verdicts: service figures, calibration, failures, history, what was not tested."""

import platform
from collections.abc import Mapping
from importlib.metadata import distributions
from typing import Any

import numpy as np
import polars as pl

from pilotbase.checks.board import Board
from pilotbase.checks.rows import CaseColumns
from pilotbase.context import Context
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.quantity import Money
from pilotbase.flows.evidence import read_log
from pilotbase.flows.failures import failures_of
from pilotbase.pilots.records import RunRecord, earlier_runs
from pilotbase.stats import proportion

__all__ = ["environment", "figures_of", "history", "not_tested"]

BINS = 10
EXAMPLES = 3  # of each kind of failure


def figures_of(context: Context, record: RunRecord, pilot: Pilot, columns: CaseColumns, *, quote: bool) -> dict[str, Any]:
    """`service`, `calibration` and `failures` of the record; failures are quoted only where the dossier encloses the data."""
    service: dict[str, Any] = {}
    calibration: dict[str, Any] = {}
    fields = ["variant", "position", "failure", "score", "seconds", "cost", "tokens_in", "tokens_out", "attempts"]
    for identity in record.options["candidates"]:
        name = identity["id"]
        frames = list(read_log(context, record.run, name, fields))
        if not frames:
            continue
        frame = pl.concat(frames)
        currency = next((c.price.currency for c in pilot.candidates if c.id == name and c.price is not None), None)
        service[name] = _service(frame, currency)
        curve = _calibration(frame, columns)
        if curve:
            calibration[name] = curve
    return {"service": service, "calibration": calibration, "failures": failures_of(context, record, EXAMPLES, quote=quote)}


def _service(frame: pl.DataFrame, currency: str | None) -> dict[str, Any]:
    plain = frame.filter((pl.col("variant") == 0) & pl.col("failure").is_null())
    seconds = np.sort(plain["seconds"].drop_nulls().to_numpy())
    spent = int(frame["cost"].sum() or 0)
    return {
        "calls": frame.height,
        "attempts": int(frame["attempts"].sum() or 0),
        "seconds_p50": _at(seconds, 0.5),
        "seconds_p95": _at(seconds, 0.95),
        "cost": str(Money(spent, currency)) if currency else None,
        "tokens_in": _sum(frame["tokens_in"]),
        "tokens_out": _sum(frame["tokens_out"]),
        "latency_histogram": _histogram(seconds),
    }


def _sum(column: pl.Series) -> int | None:
    return int(column.sum()) if column.null_count() < len(column) else None


def _at(ordered: Any, q: float) -> float | None:
    return float(ordered[min(len(ordered) - 1, int(q * len(ordered)))]) if len(ordered) else None


def _histogram(seconds: Any) -> list[dict[str, Any]]:
    if not len(seconds) or seconds[-1] <= 0:
        return []
    low, high = max(seconds[0], 1e-6), max(seconds[-1], 2e-6)
    edges = np.geomspace(low, high * (1 + 1e-9), 25) if high > low * 1.01 else np.array([low * 0.99, high * 1.01])
    counts = np.histogram(np.clip(seconds, edges[0], edges[-1]), edges)[0]
    return [{"from": float(a), "to": float(b), "count": int(n)} for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)]


def _calibration(frame: pl.DataFrame, columns: CaseColumns) -> list[dict[str, Any]]:
    """Share of positives among equal bins of the score, with exact 95 % one-sided bounds; only where scores are probabilities."""
    rows = frame.filter((pl.col("variant") == 0) & pl.col("score").is_not_null())
    positions = rows["position"].to_numpy().astype(np.int64)
    ordinary = columns.ordinary[positions]
    score, positions = rows["score"].to_numpy()[ordinary], positions[ordinary]
    if columns.positive < 0 or not len(score) or score.min() < 0 or score.max() > 1 or len(np.unique(score)) < 3:
        return []
    positive = columns.is_positive(positions)
    place = np.minimum((score * BINS).astype(int), BINS - 1)
    curve = []
    for b in range(BINS):
        inside = place == b
        n = int(inside.sum())
        if n:
            share = proportion.exact(int(positive[inside].sum()), n, 0.95)
            curve.append({"from": b / BINS, "to": (b + 1) / BINS, "n": n, "mean_score": float(score[inside].mean()),
                          "share_positive": share.value, "low": share.low, "high": share.high})  # fmt: skip
    return curve


def history(context: Context, record: RunRecord) -> list[dict[str, Any]]:
    """Every earlier run in this home on the same data."""
    return [
        {
            "run": r.run,
            "created": r.created,
            "round": r.round,
            "verdict": r.verdict or r.state,
            "candidates": [c["id"] for c in r.options["candidates"]],
            "same_criteria": r.criteria_digest == record.criteria_digest,
            "same_candidates": sorted(set(r.fingerprints.values()) & set(record.fingerprints.values())) != [],
        }
        for r in earlier_runs(context.database, record)
    ]


def not_tested(record: RunRecord, pilot: Pilot, boards: Mapping[str, Board], columns: CaseColumns) -> list[dict[str, str]]:
    """What this pilot says nothing about, told from what it lacks."""
    checks = [c for g in pilot.open_gates for c in g.checks]
    found: list[dict[str, str]] = []

    def add(english: str, chinese: str) -> None:
        found.append({"en": english, "zh": chinese})

    add(
        "real use: these answers come from a test set; shadow, bounded use and canary come after",
        "真实使用：以上回答来自测试集；影子、限定使用与金丝雀发布在其后",
    )
    add("other sites and populations than this data's; replication at a second site", "本数据以外的场所与人群；在第二现场的复现")
    if pilot.scenario.authority == "user-only":
        add(
            "people deciding with the candidate's help: only the candidate's own answers were tried",
            "人在被测应用协助下的决策：仅测试了被测应用自身的回答",
        )
    if not any(c.drop_under for c in checks):
        add("robustness: no check perturbs the inputs", "鲁棒性：没有检验项扰动输入")
    if not any(c.group for c in checks):
        add("differences between groups: no check looks at groups", "分组差异：没有检验项考察分组")
    if not any(c.load for c in checks):
        add("behaviour under load: no check puts the candidate under load", "负载下的表现：没有检验项施加负载")
    if columns.clusters is None:
        add(
            "dependence between cases: each case counts as independent, as no cluster column is declared",
            "用例间的相关性：未声明聚类列，各用例按独立处理",
        )
    if record.options["partial"]:
        add(f"part of the pilot: {record.options['partial']}", f"中试的一部分：{record.options['partial']}")
    early = sum(1 for b in boards.values() for t in b.tracked if t.frozen is not None and t.frozen.n < len(t.need))
    if early:
        add(
            f"cases after a decision: {early} checks were decided early, so later cases may not have been asked",
            f"得出结论之后的用例：{early} 个检验项提前得出结论，其后的用例可能未询问",
        )
    return found


def environment() -> dict[str, Any]:
    """The interpreter and the installed packages."""
    packages = {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
    return {"python": platform.python_version(), "platform": platform.platform(), "packages": dict(sorted(packages.items()))}
