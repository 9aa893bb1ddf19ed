"""Rates and means measured by an imperfect judge, corrected by answers that people have labelled."""

import math

import numpy as np
from numpy.typing import NDArray

from pilotbase.stats.estimate import Estimate, unbounded, undefined
from pilotbase.stats.mean import variance_degrees
from pilotbase.stats.proportion import effective, exact
from pilotbase.stats.special import t_ppf


def rogan_gladen(
    judged_positive: int,
    judged: int,
    true_positive: int,
    labelled_positive: int,
    true_negative: int,
    labelled_negative: int,
    confidence: float,
) -> Estimate:
    """True rate from a judge's rate: (p + specificity - 1) / (sensitivity + specificity - 1), clipped to [0, 1].

    Rogan & Gladen 1978 (Am. J. Epidemiol. 107, 71). The bounds carry the sampling error of the judged rate (judged_positive of
    judged) and of the judge's own sensitivity (true_positive of labelled_positive) and specificity (true_negative of
    labelled_negative), combined by MOVER for a monotone function (Donner & Zou 2012, Stat. Methods Med. Res. 21, 347) on
    Clopper-Pearson limits. Where the judge cannot be told from chance (lower bound of sensitivity + specificity - 1 at most
    0) the bounds are 0 and 1. Measured at 0.95 for rates 0 to 0.95 and 50 to 200 labels a class: misses <= 0.051.
    """
    method = "Rogan-Gladen, MOVER on exact limits"
    rate = exact(judged_positive, judged, confidence)
    sensitivity = exact(true_positive, labelled_positive, confidence)
    specificity = exact(true_negative, labelled_negative, confidence)
    p, se, sp = rate.value, sensitivity.value, specificity.value
    n = judged
    if p is None or se is None or sp is None:
        return Estimate(value=None, low=0.0, high=1.0, n=n, method=method, confidence=confidence)
    skill_low = se + sp - 1.0 - math.hypot(se - (sensitivity.low or 0.0), sp - (specificity.low or 0.0))
    if skill_low <= 0.0:
        value = None if se + sp <= 1.0 else _clip((p + sp - 1.0) / (se + sp - 1.0))
        return Estimate(value=value, low=0.0, high=1.0, n=n, method=method, confidence=confidence)

    def corrected(rate_: float | None, sensitivity_: float | None, specificity_: float | None) -> float:
        skill = max((sensitivity_ or 0.0) + (specificity_ or 0.0) - 1.0, skill_low)
        return ((rate_ or 0.0) + (specificity_ or 0.0) - 1.0) / skill

    # the point moves up with the judged rate and with specificity, and down with sensitivity, wherever it lies in [0, 1]
    point = corrected(p, se, sp)
    below = math.hypot(
        point - corrected(rate.low, se, sp),
        point - corrected(p, sensitivity.high, sp),
        point - corrected(p, se, specificity.low),
    )
    above = math.hypot(
        corrected(rate.high, se, sp) - point,
        corrected(p, sensitivity.low, sp) - point,
        corrected(p, se, specificity.high) - point,
    )
    value = _clip(point)
    return Estimate(
        value=value,
        low=min(value, _clip(point - below)),
        high=max(value, _clip(point + above)),
        n=n,
        method=method,
        confidence=confidence,
    )


def prediction_powered(
    judged_all: NDArray[np.float64],
    judged_labelled: NDArray[np.float64],
    labels: NDArray[np.float64],
    confidence: float,
) -> Estimate:
    """Mean of the true labels from a judge's scores on all answers and labels on a random few: PPI++ (Angelopoulos et al. 2023).

    mean(labels) - lambda (mean(judged_labelled) - mean(judged_all)), lambda in [0, 1] tuned to the least variance. `judged_all`
    may hold the labelled answers or only the others: the larger of the two variances is taken. judged_labelled and labels go
    pairwise. t with as many degrees as the labels' residuals support; where labels and scores are all in [0, 1], joined with
    exact bounds on the effective sample size, and widened by the share of disagreement that n labels could have missed where
    they show none. Otherwise asymptotic in n. Measured at 0.95 for rates 0.5 to 0.98, 20 to 200 labels: misses <= 0.05.
    """
    every = np.asarray(judged_all, dtype=np.float64)
    judged, truth = np.asarray(judged_labelled, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    method = "prediction-powered"
    if judged.shape != truth.shape:
        raise ValueError(f"found {judged.size} judged answers for {truth.size} labels: give one of each per labelled answer")
    n, total = truth.size, every.size
    if n == 0:
        return undefined(0, method, confidence)
    if n < 2 or total < 2:
        return unbounded(float(truth.mean()), n, method, confidence)
    tuning = _tuning(every, judged, truth)
    value = float(truth.mean() - tuning * (judged.mean() - every.mean()))
    spread_all = float(np.var(every, ddof=1))
    apart = tuning**2 * spread_all / total + float(np.var(truth - tuning * judged, ddof=1)) / n
    covariance = float(np.cov(truth, judged)[0, 1])
    share = max(0.0, 1.0 / n - 1.0 / total)
    within = float(np.var(truth, ddof=1)) / n + share * (tuning**2 * spread_all - 2.0 * tuning * covariance)
    variance = max(apart, within)
    rectifiers = truth - tuning * judged
    degrees = variance_degrees(rectifiers - rectifiers.mean())
    half = t_ppf(confidence, degrees) * math.sqrt(variance)
    low, high = value - half, value + half
    if all(bool(np.all((part >= 0.0) & (part <= 1.0))) for part in (every, judged, truth)):
        unseen = 0.0
        if float(np.ptp(rectifiers)) == 0.0:
            # no disagreement among n labels: the share of answers with one is still up to 1 - alpha^(1/n)
            unseen = exact(0, n, confidence).high or 0.0
        value = _clip(value)
        share_low, share_high = effective(value, variance, degrees, float(n), confidence)
        low, high = max(0.0, min(low, share_low) - unseen), min(1.0, max(high, share_high) + unseen)
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=n, method=method, confidence=confidence)


def _tuning(every: NDArray[np.float64], judged: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """The lambda of least variance, cov(label, score) / ((1 + n / N) var(score)), clipped to [0, 1]."""
    spread = float(np.var(np.concatenate((every, judged)), ddof=1))
    if spread <= 0.0:
        return 0.0
    covariance = float(np.cov(truth, judged)[0, 1])
    return _clip(covariance / ((1.0 + truth.size / every.size) * spread))


def _clip(number: float) -> float:
    return min(1.0, max(0.0, number))
