"""Has what comes in, or what goes out, moved away from what the pilot saw? One look at a window declared beforehand."""

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pilotbase.errors import UserError
from pilotbase.release.drift_reference import MOST_ROWS, Cell, Column, Reference, cells
from pilotbase.release.drift_report import Aspect, DriftReport, FeatureDrift, Silence
from pilotbase.stats.classifier import classifier_test
from pilotbase.stats.compare import holm
from pilotbase.stats.contingency import fisher, homogeneity
from pilotbase.stats.drift import Stability, look_share, psi, psi_of_counts
from pilotbase.stats.kernel import mmd
from pilotbase.stats.ngrams import vectors
from pilotbase.stats.two_sample import TwoSample, ks, thinned

__all__ = ["LEAST_ROWS", "Values", "compare"]

Values = Sequence[object] | np.ndarray
LEAST_ROWS = 50
MOST_PERMUTATIONS = 9_999
KERNEL_ROWS = 500  # texts a side that become vectors for MMD


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """A test that is counted before any is run."""

    column: Column
    aspect: Aspect
    run: Callable[[], TwoSample]
    stability: Callable[[], Stability] | None = None
    by_permutation: bool = False


def compare(
    reference: Reference,
    window: Mapping[str, Values],
    *,
    confidence: float,
    look: int,
    clusters: Values | None = None,
    seed: int = 0,
) -> DriftReport:
    """Test every column of the reference against the same column of the window.

    The chance that any test of any look says "drifted" where each window has the reference's law is at most 1 - `confidence`:
    Holm over the tests of a look, and look k (1, 2, ...) spends the share 6 / (pi^2 k^2). Windows are declared beforehand and
    do not overlap in what they decide; every one counts as a look, also one that found nothing.

    `window` maps a column's name to its values, all of one length, None for missing; a column that is absent is missing in
    each row. Numbers: KS. Categories: chi-square, and the share of categories that one half of the reference does not know,
    against the other half. Texts: MMD and a classifier on hashed n-grams. All: the share of missing values. A column with fewer
    than 50 values on a side says nothing and is named. `clusters` names the person or conversation of each row: one row of
    each is kept, drawn by `seed`, since rows of one person are not independent. At most 2,000 rows are compared.

    Raises UserError for columns of different lengths, a confidence outside (0, 1) and a look under 1.
    """
    if not 0.0 < confidence < 1.0 or look < 1:
        raise UserError(
            f"found the confidence {confidence} and the look {look}",
            hint="the confidence lies strictly between 0 and 1; looks are counted from 1",
        )
    kept = _kept(window, clusters, np.random.default_rng([seed, look]))
    halves = np.random.default_rng([seed, look, 1]).permutation(reference.rows)
    share = look_share(look)
    alpha = (1.0 - confidence) * share
    planned: list[_Planned] = []
    silent: list[Silence] = []
    for column in reference.columns:
        live = _live(column, window.get(column.name), kept)
        planned += _missing(column, live)
        had, has = _present(column.values), _present(live)
        if min(len(had), len(has)) < LEAST_ROWS:
            silent.append(Silence(feature=column.name, m=len(had), n=len(has), least=LEAST_ROWS))
        else:
            draw = partial(_seed, seed, look, column.name)
            planned += _tests(column, had, has, halves, draw)
    # A permutation's p has a floor: where the first step of Holm is under it, the test is left out, whatever it would say.
    if len(planned) > alpha * (MOST_PERMUTATIONS + 1):
        planned = [test for test in planned if not test.by_permutation]
    return DriftReport(
        look=look,
        confidence=confidence,
        alpha=alpha,
        rows=kept.size,
        findings=_concluded(planned, share, 1.0 - confidence),
        silent=tuple(silent),
        unknown=tuple(sorted(set(window) - {column.name for column in reference.columns})),
    )


def _concluded(planned: Sequence[_Planned], share: float, alpha: float) -> tuple[FeatureDrift, ...]:
    results = [test.run() for test in planned]
    findings = []
    for test, result, held in zip(planned, results, holm([result.p for result in results]), strict=True):
        adjusted = min(1.0, held / share)
        stability = test.stability() if test.stability else None
        findings.append(
            FeatureDrift(
                feature=test.column.name,
                side=test.column.side,
                kind=test.column.kind,
                aspect=test.aspect,
                test=result.method,
                statistic=result.statistic,
                p=result.p,
                adjusted=adjusted,
                drifted=adjusted <= alpha,
                m=result.m,
                n=result.n,
                psi=stability.value if stability else None,
                psi_chance=stability.chance if stability else None,
                psi_size=stability.reading if stability else None,
            )
        )
    return tuple(findings)


def _kept(window: Mapping[str, Values], clusters: Values | None, generator: np.random.Generator) -> NDArray[np.int64]:
    """The rows that are compared: one of each cluster, 2,000 at most."""
    lengths = {name: len(values) for name, values in window.items()}
    if clusters is not None:
        lengths["clusters"] = len(clusters)
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in sorted(lengths.items()))
        raise UserError(f"the window's columns have different lengths: {told}", hint="give None for a missing value")
    rows = np.arange(next(iter(lengths.values()), 0), dtype=np.int64)
    if clusters is not None:
        order = generator.permutation(rows)
        chosen: dict[object, int] = {}
        for row in order.tolist():
            name = clusters[row]
            chosen.setdefault(("row", row) if name is None else ("cluster", name), row)
        rows = np.array(sorted(chosen.values()), dtype=np.int64)
    return rows[thinned(rows.size, MOST_ROWS, generator)]


def _live(column: Column, values: Values | None, kept: NDArray[np.int64]) -> tuple[Cell, ...]:
    if values is None:
        return (None,) * kept.size
    return cells(column.kind, values[kept] if isinstance(values, np.ndarray) else [values[row] for row in kept.tolist()])


def _present(values: Sequence[Cell]) -> list[Cell]:
    return [value for value in values if value is not None]


def _missing(column: Column, live: Sequence[Cell]) -> list[_Planned]:
    """The test of missing values; none where nothing is missing, since it could not say anything."""
    m, n = len(column.values), len(live)
    first, second = column.values.count(None), live.count(None)
    if min(m, n) < LEAST_ROWS or first + second in (0, m + n):
        return []
    return [_Planned(column=column, aspect="missing", run=partial(_shares, first, m, second, n))]


def _tests(
    column: Column,
    had: list[Cell],
    has: list[Cell],
    halves: NDArray[np.int64],
    draw: Callable[[str], int],
) -> list[_Planned]:
    """The tests of a column's values, by its kind."""
    if column.kind == "numeric":
        x, y = np.array(had, dtype=np.float64), np.array(has, dtype=np.float64)
        return [_Planned(column=column, aspect="values", run=partial(ks, x, y), stability=partial(psi, x, y))]
    if column.kind == "text":
        texts = [str(cell) for cell in had], [str(cell) for cell in has]
        by_kernel = partial(_by_kernel, *texts, draw("kernel"))
        by_classifier = partial(_by_classifier, *texts, draw("classifier"))
        return [
            _Planned(column=column, aspect="values", run=by_kernel, by_permutation=True),
            _Planned(column=column, aspect="values", run=by_classifier),
        ]
    before, after = Counter(had), Counter(has)
    names = sorted(str(name) for name in before.keys() | after.keys())
    first = np.array([before[name] for name in names], dtype=np.int64)
    second = np.array([after[name] for name in names], dtype=np.int64)
    tested, counted = partial(homogeneity, first, second, seed=draw("categories")), partial(psi_of_counts, first, second)
    return [
        _Planned(column=column, aspect="values", run=tested, stability=counted),
        *_unknown(column, has, halves),
    ]


def _unknown(column: Column, has: Sequence[Cell], halves: NDArray[np.int64]) -> list[_Planned]:
    """Categories that one half of the reference does not know, in the window against the other half.

    Against the whole reference every window of many rare categories would look new: the reference knows all of its own.
    """
    half = halves.size // 2
    known = {column.values[row] for row in halves[:half].tolist()}
    other = _present([column.values[row] for row in halves[half:].tolist()])
    first, second = sum(cell not in known for cell in other), sum(cell not in known for cell in has)
    if not other or first + second == 0:
        return []
    return [_Planned(column=column, aspect="new", run=partial(_shares, first, len(other), second, len(has), "less"))]


def _by_kernel(first: Sequence[str], second: Sequence[str], seed: int) -> TwoSample:
    generator = np.random.default_rng(seed)
    x, y = (vectors([texts[row] for row in thinned(len(texts), KERNEL_ROWS, generator)]) for texts in (first, second))
    return mmd(x, y, seed=seed, permutations=MOST_PERMUTATIONS)


def _by_classifier(first: Sequence[str], second: Sequence[str], seed: int) -> TwoSample:
    return classifier_test(vectors(first), vectors(second), seed=seed)


def _shares(first: int, m: int, second: int, n: int, side: Literal["two-sided", "less"] = "two-sided") -> TwoSample:
    """Fisher's test of two shares; the statistic is the second less the first."""
    p = fisher(first, m, second, n, side)
    return TwoSample(statistic=second / n - first / m, p=p, m=m, n=n, method="Fisher, exact")


def _seed(seed: int, look: int, name: str, test: str) -> int:
    return zlib.crc32(f"{seed} {look} {name} {test}".encode())
