"""Boards, cases and records in memory, for tests of checks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pilotbase.checks.board import Board, Tracked
from pilotbase.checks.conclude import Account, conclude_check
from pilotbase.checks.plan import plan_checks, plan_family
from pilotbase.checks.rows import CaseColumns
from pilotbase.domain.gate import Check, Gate
from pilotbase.domain.pilot import Candidate, Data, Pilot, TargetSpec, TestData
from pilotbase.domain.scenario import Scenario
from pilotbase.domain.verdict import CheckResult
from pilotbase.ports import Coded, Observations


def pilot(*checks: Check, gates: Sequence[Gate] | None = None, candidates: int = 1, **rest: Any) -> Pilot:
    """A pilot of these checks, on data with every column that a check may name."""
    test = TestData(
        path="cases.csv", inputs=("x",), target=rest.pop("target", "y"), positive=rest.pop("positive", "1"), groups=("g",),
        cluster=rest.pop("cluster", None), incident=rest.pop("incident", None),
    )  # fmt: skip
    named = tuple(Candidate(id=f"c{i}", target=TargetSpec(kind="python", options=None)) for i in range(candidates))
    return Pilot(
        pilot="trial",
        scenario=Scenario(area="science", need="a need", owner="an owner", risk=rest.pop("risk", "medium")),
        data=Data(test=test),
        candidates=named,
        gates=tuple(gates) if gates is not None else (Gate(gate="gate", checks=checks),),
        **rest,
    )


def coded(values: Sequence[Any], names: Sequence[str] | None = None) -> Coded:
    """A column of strings, coded."""
    known = tuple(names) if names is not None else tuple(dict.fromkeys(v for v in values if v is not None))
    return Coded(codes=np.array([-1 if v is None else known.index(v) for v in values], dtype=np.int32), names=known)


def cases(truth: Sequence[Any] | None, *, count: int | None = None, positive: str = "1", **rest: Any) -> CaseColumns:
    """Cases of these truths; `groups`, `clusters` and `incidents` as lists of strings, `numbers` as an array."""
    n = len(truth) if truth is not None else int(count or 0)
    column = coded(truth) if truth is not None else None
    groups = {"g": coded(rest["groups"])} if "groups" in rest else {}
    return CaseColumns(
        count=n,
        ids=[str(i) for i in range(n)],
        truth=column,
        numbers=rest.get("numbers"),
        positive=column.names.index(positive) if column is not None and positive in column.names else -1,
        groups=groups,
        clusters=coded(rest["clusters"]) if "clusters" in rest else None,
        incidents=coded(rest["incidents"]) if "incidents" in rest else None,
    )


def answers(positions: Sequence[int], labels: Sequence[Any] | None = None, *, variant: int = 0, **rest: Any) -> Observations:
    """Recorded answers; `failed` lists positions that failed, other columns by name as arrays."""
    place = np.asarray(positions, dtype=np.int64)
    n = len(place)
    lost = np.isin(place, list(rest.pop("failed", ())))
    score = np.asarray(rest.pop("score", np.full(n, np.nan)), dtype=np.float64)
    given = list(labels) if labels is not None else [None] * n
    return Observations(
        variant=variant, position=place, failed=lost, label=[None if f else v for v, f in zip(given, lost, strict=True)],
        score=np.where(lost, np.nan, score), repetition=rest.pop("repetition", np.zeros(n, dtype=np.int64)), **rest,
    )  # fmt: skip


def board(declared: Pilot, columns: CaseColumns, *, early_stop: bool = True, candidate: str = "c0", **rest: Any) -> Board:
    """A board of a pilot's checks in round 1."""
    planned, variants = plan_checks(declared, plan_family(declared, 1), early_stop=early_stop)
    return Board(candidate, planned, variants, columns, **rest)


def account(made: Board, **rest: Any) -> Account:
    """An account that agrees with what the board was given."""
    return Account(**({"answered": {v: n for v, n in made.rows.items() if n}} | rest))


def conclude(made: Board, number: int = 0, *, accounts: Mapping[str, Account] | None = None, **rest: Any) -> CheckResult:
    """Look, and the result of one check."""
    made.look()
    return conclude_check(made, made.tracked[number], account(made, **rest), accounts=accounts)


def tracked(made: Board, number: int = 0) -> Tracked:
    """One check of a board."""
    return made.tracked[number]


def result(check: Check, columns: CaseColumns, *seen: Observations, early_stop: bool = False, **rest: Any) -> CheckResult:
    """The result of one check on answers, in one go."""
    made = board(pilot(check, cluster="k" if columns.clusters is not None else None), columns, early_stop=early_stop)
    for one in seen:
        made.add(one)
    return conclude(made, **rest)


def portion(seen: Observations, places: Sequence[int]) -> Observations:
    """Some rows of observations, in the order named."""
    at = list(places)

    def cut(column: Any) -> Any:
        if column is None:
            return None
        return column[at] if isinstance(column, np.ndarray) else [column[i] for i in at]

    names = (
        "position",
        "failed",
        "label",
        "score",
        "text",
        "extra",
        "repetition",
        "cost",
        "tokens_in",
        "tokens_out",
        "seconds",
        "ttft",
        "scheduled",
        "late",
    )
    return replace(seen, **{name: cut(getattr(seen, name)) for name in names})


SOURCE = Path(__file__).parents[2] / "src" / "pilotbase"
