"""From scored numbers to an estimate, one function for each kind of metric; pure, so that anyone can derive it again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilotbase.checks.labels import FN, FP, TP
from pilotbase.stats import cluster, mean, proportion, rank, ratio, sequential
from pilotbase.stats.estimate import Estimate, census, undefined

__all__ = ["Sample", "estimate", "estimate_difference"]

BOOTSTRAPS = 1999
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Scored cases in the recorded order: `value` (NaN: not in the denominator), and what the estimator may need beside it.

    `classes` are codes of the truth, `positive` marks the positive class, `clusters` are codes or None.
    """

    value: Values
    classes: NDArray[np.int32]
    positive: NDArray[np.bool_]
    clusters: NDArray[np.int64] | None = None

    def where(self, mask: NDArray[np.bool_]) -> "Sample":
        """The cases where `mask` is true."""
        clusters = None if self.clusters is None else self.clusters[mask]
        return Sample(value=self.value[mask], classes=self.classes[mask], positive=self.positive[mask], clusters=clusters)

    @property
    def counted(self) -> "Sample":
        """The cases in the denominator."""
        inside = ~np.isnan(self.value)
        return self if inside.all() else self.where(inside)


def _proportion(sample: Sample, confidence: float, anytime: bool, bounds: tuple[float, float]) -> Estimate:
    value = sample.value
    n = len(value)
    if anytime:
        # Shares of readers between 0 and 1 too: the likelihood ratio is convex in the value, so by Jensen the wealth stays a
        # supermartingale. One method at every look; two, chosen by the data, would each spend alpha.
        return sequential.proportion(min(float(n), float(value.sum())), n, confidence)
    if not np.isin(value, (0.0, 1.0)).all():
        return _bounded(sample, confidence, anytime, bounds)
    plain = proportion.exact(int(value.sum()), n, confidence)
    return plain if sample.clusters is None else cluster.ratio(value, np.ones(n), sample.clusters, confidence, plain)


def _bounded(sample: Sample, confidence: float, anytime: bool, bounds: tuple[float, float]) -> Estimate:
    value = np.clip(sample.value, *bounds)
    if sample.clusters is not None:
        plain = mean.bounded(value, *bounds, confidence)
        ones, share = np.ones(len(value)), bounds == (0.0, 1.0)
        return cluster.ratio(value, ones, sample.clusters, confidence, plain, lower=bounds[0], upper=bounds[1], share=share)
    return (sequential.mean if anytime else mean.bounded)(value, *bounds, confidence)


def _loss(sample: Sample, confidence: float, anytime: bool, bounds: tuple[float, float]) -> Estimate:
    if np.isfinite(bounds).all():
        return _bounded(sample, confidence, anytime, bounds)
    plain = mean.student(sample.value, confidence)
    if sample.clusters is None:
        return plain
    return cluster.ratio(sample.value, np.ones(len(sample.value)), sample.clusters, confidence, plain, share=False)


def _root_mean_square(sample: Sample, confidence: float, anytime: bool, bounds: tuple[float, float]) -> Estimate:
    plain = mean.root_mean_square(sample.value, confidence)
    if np.isfinite(bounds).all():
        plain = _rooted(mean.bounded(sample.value, bounds[0] ** 2, bounds[1] ** 2, confidence))
    if sample.clusters is None:
        return plain
    return _wider(_bootstrap(sample, lambda rows: float(np.sqrt(np.mean(sample.value[rows]))), confidence), plain)


def _rooted(square: Estimate) -> Estimate:
    value, low, high = (None if v is None else float(np.sqrt(v)) for v in (square.value, square.low, square.high))
    return Estimate(value=value, low=low, high=high, n=square.n, method=f"root of {square.method}", confidence=square.confidence)


def _f1(sample: Sample, confidence: float, anytime: bool, bounds: tuple[float, float]) -> Estimate:
    def of(rows: NDArray[np.int64]) -> float:
        cells = sample.value[rows]
        hit = 2 * np.count_nonzero(cells == TP)
        below = hit + np.count_nonzero(cells == FP) + np.count_nonzero(cells == FN)
        return float(hit / below) if below else 0.0

    tp, fp, fn = (int(np.count_nonzero(sample.value == cell)) for cell in (TP, FP, FN))
    plain = ratio.f1(tp, fp, fn, confidence)
    return plain if sample.clusters is None else _wider(_bootstrap(sample, of, confidence), plain)


def _balanced(sample: Sample, confidence: float, anytime: bool, bounds: tuple[float, float]) -> Estimate:
    def parts(rows: NDArray[np.int64]) -> list[tuple[float, int]]:
        classes, value = sample.classes[rows], sample.value[rows]
        return [(float(value[classes == c].sum()), int(np.count_nonzero(classes == c))) for c in np.unique(sample.classes)]

    def of(rows: NDArray[np.int64]) -> float:
        return float(np.mean([hits / n for hits, n in parts(rows) if n]))

    plain = ratio.balanced_accuracy(parts(np.arange(len(sample.value))), confidence)
    return plain if sample.clusters is None else _wider(_bootstrap(sample, of, confidence), plain)


def _auroc(sample: Sample, confidence: float, anytime: bool, bounds: tuple[float, float]) -> Estimate:
    if sample.positive.all() or not sample.positive.any():
        return undefined(len(sample.value), "needs both classes", confidence)
    ranks = _finite(sample.value)
    if sample.clusters is not None:
        return rank.auroc_clustered(ranks, sample.positive, sample.clusters, confidence)
    return rank.auroc(ranks, sample.positive, confidence)


def _count(sample: Sample, confidence: float, anytime: bool, bounds: tuple[float, float]) -> Estimate:
    return census(float(sample.value.sum()), len(sample.value), confidence)


_KINDS: dict[str, Callable[[Sample, float, bool, tuple[float, float]], Estimate]] = {
    "proportion": _proportion,
    "mean": _bounded,
    "loss": _loss,
    "root-mean-square": _root_mean_square,
    "f1": _f1,
    "balanced": _balanced,
    "auroc": _auroc,
    "count": _count,
    "members": _count,
}


def estimate(
    kind: str, sample: Sample, confidence: float, *, anytime: bool, bounds: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """The estimate of a kind of metric on cases in order. `bounds` is the metric's range (infinite where it is open).

    Nothing in the denominator gives no value and no bounds. Clusters under the minimum of 20 give a value without bounds.
    """
    sample = sample.counted
    if not len(sample.value):
        return undefined(0, "no case in the denominator", confidence)
    census_of = kind in ("count", "members")  # all were counted: clusters or not, nothing was sampled
    if not census_of and sample.clusters is not None and len(np.unique(sample.clusters)) < cluster.MINIMUM:
        alone = _KINDS[kind](
            Sample(value=sample.value, classes=sample.classes, positive=sample.positive), confidence, False, bounds
        )
        return Estimate(value=alone.value, low=None, high=None, n=alone.n, method="too few clusters", confidence=confidence)
    return _KINDS[kind](sample, confidence, anytime, bounds)


def estimate_difference(
    difference: Values, clusters: NDArray[np.int64] | None, confidence: float, *, anytime: bool, width: float
) -> Estimate:
    """A paired difference by case, each within +-`width` (infinite for open losses); NaN leaves a case out."""
    inside = ~np.isnan(difference)
    clusters = None if clusters is None else clusters[inside]
    empty = np.zeros(int(inside.sum()), dtype=np.int32)
    sample = Sample(value=difference[inside], classes=empty, positive=empty.astype(bool), clusters=clusters)
    return estimate("loss", sample, confidence, anytime=anytime, bounds=(-width, width))


def _finite(scores: Values) -> Values:
    """Ranks in place of scores, so that the infinities of failed cases stay in order and finite."""
    return np.unique(scores, return_inverse=True)[1].astype(np.float64)


def _bootstrap(sample: Sample, statistic: Callable[[NDArray[np.int64]], float], confidence: float) -> Estimate:
    assert sample.clusters is not None
    return cluster.bootstrap(statistic, sample.clusters, confidence, seed=0, repetitions=BOOTSTRAPS)


def _wider(clustered: Estimate, plain: Estimate) -> Estimate:
    """Never narrower than the unclustered interval (VERDICT.md section 6)."""
    low = None if clustered.low is None or plain.low is None else min(clustered.low, plain.low)
    high = None if clustered.high is None or plain.high is None else max(clustered.high, plain.high)
    return Estimate(
        value=clustered.value, low=low, high=high, n=clustered.n, method=clustered.method, confidence=clustered.confidence
    )
