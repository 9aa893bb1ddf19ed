"""Average run lengths of the classical control charts on independent normal values, to choose a chart and to check our own.

By the Markov chain of Brook & Evans 1972 (Biometrika 59, 539) for CUSUM, and of Lucas & Saccucci 1990 (Technometrics 32, 1)
for EWMA. `shift` is the true mean less the target; shifts, references and limits are in standard deviations of one value
(the limit of EWMA in those of the chart). Run lengths count values from the chart's start at its target.
"""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["cusum_run_length", "ewma_run_length", "shewhart_run_length"]

_CUSUM_STATES = 200
_EWMA_STATES = 401


def cusum_run_length(reference: float, threshold: float, shift: float = 0.0) -> float:
    """The two-sided CUSUM with reference k and decision interval h (Page 1954), relative error under 0.1 %.

    The two sides combine as 1/ARL = 1/ARL+ + 1/ARL- (Kemp 1961; van Dobben de Bruyn 1968). ValueError unless k >= 0, h > 0.
    """
    if not (reference >= 0.0 and 0.0 < threshold < math.inf):
        raise ValueError(f"found the reference {reference} and the threshold {threshold}: give k >= 0 and a finite h > 0")
    sides = [_one_sided(reference, threshold, way * shift) for way in (1.0, -1.0)]
    return 1.0 / sum(1.0 / side for side in sides)


def ewma_run_length(weight: float, limit: float, shift: float = 0.0) -> float:
    """The two-sided EWMA z = (1 - weight) z + weight x, alarm beyond +/- limit * sqrt(weight / (2 - weight)).

    ValueError unless 0 < weight <= 1 and the limit is above 0.
    """
    if not (0.0 < weight <= 1.0 and 0.0 < limit < math.inf):
        raise ValueError(f"found the weight {weight} and the limit {limit}: give 0 < weight <= 1 and a finite limit above 0")
    bound = limit * math.sqrt(weight / (2.0 - weight))
    half = bound / _EWMA_STATES
    centres = -bound + half * (2.0 * np.arange(_EWMA_STATES) + 1.0)
    ways = (centres[None, :] - (1.0 - weight) * centres[:, None]) / weight - shift
    return _from_state(_normal_cdf(ways + half / weight) - _normal_cdf(ways - half / weight), _EWMA_STATES // 2)


def shewhart_run_length(limit: float, shift: float = 0.0) -> float:
    """The chart that alarms at one value beyond +/- limit: 1 / P(alarm). ValueError unless the limit is finite and above 0."""
    if not 0.0 < limit < math.inf:
        raise ValueError(f"found the limit {limit}: give a finite number above 0")
    root = math.sqrt(2.0)
    return 2.0 / (math.erfc((limit - shift) / root) + math.erfc((limit + shift) / root))


def _one_sided(reference: float, threshold: float, shift: float) -> float:
    """State 0 holds [0, w / 2) and state i the w around i w, with w = 2 h / (2 t - 1) for t states."""
    width = 2.0 * threshold / (2 * _CUSUM_STATES - 1)
    steps = np.arange(-_CUSUM_STATES + 1, _CUSUM_STATES + 1)
    # what leads at most half a state beyond a step
    reached = _normal_cdf((steps.astype(np.float64) - 0.5) * width + reference - shift)
    here = np.arange(_CUSUM_STATES)
    offset = here[None, :] - here[:, None] + _CUSUM_STATES
    chain = reached[offset] - reached[offset - 1]
    chain[:, 0] = reached[offset[:, 0]]
    return _from_state(chain, 0)


def _from_state(chain: NDArray[np.float64], start: int) -> float:
    """Mean steps until the chain is left: (I - Q) N = 1."""
    lengths = np.linalg.solve(np.eye(len(chain)) - chain, np.ones(len(chain)))
    return float(lengths[start])


def _normal_cdf(values: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled = (values / -math.sqrt(2.0)).ravel()
    tails = np.fromiter((0.5 * math.erfc(value) for value in scaled.tolist()), dtype=np.float64, count=scaled.size)
    return tails.reshape(values.shape)
