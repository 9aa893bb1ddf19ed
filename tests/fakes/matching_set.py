"""The labelled set of needs and capabilities (`tests/data/catalog`), and the figures by which a ranking is judged on it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pilotbase.domain.entry import Acceptance, Capability, Need

__all__ = ["Figures", "Labelled", "chance", "judge", "labelled"]

FOLDER = Path(__file__).parents[1] / "data" / "catalog"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
Ranking = Callable[[Need], Sequence[str]]
"""Ids of capabilities for a need, the best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """`grades[need][capability]` is 2 where it would solve the need, 1 where it would help; what is missing is 0."""

    needs: tuple[Need, ...]
    capabilities: tuple[Capability, ...]
    grades: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Means over the needs. `precision` and `recall` count grades above 0; nDCG by Järvelin & Kekäläinen 2002 (gain 2^g - 1)."""

    precision3: float
    recall5: float
    ndcg10: float


def labelled() -> Labelled:
    """The set as it is shipped."""
    needs, grades = [], {}
    for line in (FOLDER / "needs.tsv").read_text("utf-8").splitlines():
        one, area, field, tags, title, text, labels = line.split("\t")
        grades[one] = {name: int(grade) for name, grade in (pair.split("=") for pair in labels.split())}
        check = (Acceptance(metric="accuracy", require=">= 0.9"),)
        needs.append(
            Need(
                id=one, organisation="o", title=title, text=text, field=field, tags=tuple(tags.split(",")), state="published",
                created=NOW, area=area, data="public", acceptance=check,  # type: ignore[arg-type]
            )
        )  # fmt: skip
    capabilities = []
    for line in (FOLDER / "capabilities.tsv").read_text("utf-8").splitlines():
        one, areas, field, tags, title, text = line.split("\t")
        capabilities.append(
            Capability(
                id=one, organisation="v", title=title, text=text, field=field, tags=tuple(tags.split(",")), state="published",
                created=NOW, areas=tuple(areas.split(",")),  # type: ignore[arg-type]
            )
        )  # fmt: skip
    return Labelled(needs=tuple(needs), capabilities=tuple(capabilities), grades=grades)


def judge(found: Labelled, ranking: Ranking, needs: Sequence[Need] | None = None) -> Figures:
    """How good a ranking is, over all needs or some."""
    rows = [_figures(ranking(need), found.grades[need.id]) for need in needs or found.needs]
    return Figures(**{name: sum(getattr(one, name) for one in rows) / len(rows) for name in ("precision3", "recall5", "ndcg10")})


def chance(found: Labelled) -> Figures:
    """What a random order of all capabilities gives in expectation."""
    size = len(found.capabilities)
    rows = []
    for grades in found.grades.values():
        gain = sum(2.0**grade - 1.0 for grade in grades.values()) / size
        ideal = _dcg(sorted(grades.values(), reverse=True)[:10])
        expected = gain * sum(1.0 / math.log2(place + 1) for place in range(1, 11)) / ideal
        rows.append(Figures(precision3=len(grades) / size, recall5=5.0 / size, ndcg10=expected))
    return Figures(**{name: sum(getattr(one, name) for one in rows) / len(rows) for name in ("precision3", "recall5", "ndcg10")})


def _figures(ranked: Sequence[str], grades: Mapping[str, int]) -> Figures:
    hits = [grades.get(one, 0) for one in ranked]
    return Figures(
        precision3=sum(hit > 0 for hit in hits[:3]) / 3.0,
        recall5=sum(hit > 0 for hit in hits[:5]) / len(grades),
        ndcg10=_dcg(hits[:10]) / _dcg(sorted(grades.values(), reverse=True)[:10]),
    )


def _dcg(grades: Sequence[int]) -> float:
    return sum((2.0**grade - 1.0) / math.log2(place + 1) for place, grade in enumerate(grades, 1))
