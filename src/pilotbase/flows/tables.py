"""The tables of a dossier: cases with salted codes, scores, arrivals."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from pilotbase.checks.board import Board
from pilotbase.checks.rows import CaseColumns
from pilotbase.dossier import commitments
from pilotbase.ports import Coded

__all__ = ["case_table", "coded_cases", "load_tables", "score_table"]

FEW = 50  # different truths that are classes rather than texts


def coded_cases(columns: CaseColumns, secret: bytes, *, hide: bool) -> tuple[CaseColumns, dict[str, dict[str, str]]]:
    """The cases as the result names their groups: by name with a legend, or by salted code where rows stay with the custodian."""
    if not hide:
        legend = {name: {commitments.code(secret, name, v): v for v in coded.names} for name, coded in columns.groups.items()}
        return columns, legend
    groups = {
        n: Coded(codes=c.codes, names=tuple(commitments.code(secret, n, v) for v in c.names)) for n, c in columns.groups.items()
    }
    return replace(columns, groups=groups), {}


def case_table(columns: CaseColumns, secret: bytes, *, hide: bool = False) -> pl.DataFrame:
    """Truth in the clear, groups, clusters and incidents as salted codes, over positions.

    With `hide`, a truth that is free text (no positive class, and more than FEW different ones) is coded too: scores are already
    made, and from here on only its being equal or not matters.
    """
    frame: dict[str, Any] = {"position": pl.arange(0, columns.count, dtype=pl.UInt32, eager=True)}
    if columns.truth is not None:
        free = hide and columns.positive < 0 and len(columns.truth.names) > FEW
        truth = columns.truth.values()
        frame["truth"] = pl.Series(commitments.codes(secret, "truth", truth) if free else truth, dtype=pl.String)
    if columns.numbers is not None:
        frame["number"] = columns.numbers
    for name, group in columns.groups.items():
        frame[f"g:{name}"] = pl.Series(commitments.codes(secret, name, group.values()), dtype=pl.String)
    if columns.clusters is not None:
        frame["cluster"] = pl.Series(commitments.codes(secret, "cluster", columns.clusters.values()), dtype=pl.String)
    if columns.incidents is not None:
        frame["incident"] = pl.Series(commitments.codes(secret, "incident", columns.incidents.values()), dtype=pl.String)
    return pl.DataFrame(frame)


def score_table(board: Board) -> pl.DataFrame:
    """State and value of each scored column over positions: s0, v0, s1, v1 ..."""
    frame: dict[str, Any] = {"position": pl.arange(0, board.cases.count, dtype=pl.UInt32, eager=True)}
    for k, scored in enumerate(board.columns.values()):
        frame[f"s{k}"] = scored.state
        frame[f"v{k}"] = scored.value
    return pl.DataFrame(frame)


def load_tables(boards: Mapping[str, Board]) -> dict[tuple[str, str], pl.DataFrame]:
    """The arrivals of each load, by candidate and variant."""
    found = {}
    for name, board in boards.items():
        for variant, arrivals in board.arrivals.items():
            table = {c: arrivals.column(c) for c in ("scheduled", "latency", "ttft", "late", "failed")}
            if len(table["scheduled"]):
                found[name, str(variant)] = pl.DataFrame(table)
    return found
