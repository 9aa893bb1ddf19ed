"""Special functions in plain Python floats: incomplete beta and its inverse, normal and Student t quantiles.

The incomplete beta function is the continued fraction of DiDonato & Morris (1992, ACM TOMS 18, 360-373, eq. 9) with the
prefactor by Loader's saddle-point expansion (2000, "Fast and accurate computation of binomial probabilities"), which keeps
ten digits at a + b = 1e7 where a difference of log-gammas keeps eight. The inverse is Newton's method on the logarithm of
a tail in the logit of x: that function is concave there, so the iteration converges from any start.
"""

import math
from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300
_PRECISION = 1e-15
_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)


def log_beta(a: float, b: float) -> float:
    """log B(a, b) for a, b > 0, without cancellation when both are large."""
    if a <= 0.0 or b <= 0.0:
        raise ValueError(f"log_beta needs a > 0 and b > 0, not {a} and {b}")
    if min(a, b) < 10.0:
        small, large = min(a, b), max(a, b)
        if large < 30.0:
            return math.lgamma(small) + math.lgamma(large) - math.lgamma(small + large)
        # log Gamma(large) - log Gamma(large + small) by Stirling's series, term against term
        total = large + small
        ratio = (
            _stirling_error(large)
            - _stirling_error(total)
            + (large - 0.5) * -math.log1p(small / large)
            - small * math.log(total)
            + small
        )
        return math.lgamma(small) + ratio
    total = a + b
    errors = _stirling_error(a) + _stirling_error(b) - _stirling_error(total)
    return (
        _HALF_LOG_TAU
        + errors
        + a * math.log(a / total)
        + b * math.log(b / total)
        + 0.5 * (math.log(total) - math.log(a) - math.log(b))
    )


def log_beta_kernel(a: float, b: float, x: float, y: float) -> float:
    """log of x^a y^b / B(a, b), with y = 1 - x given separately so that neither tail loses digits; x and y in (0, 1)."""
    total = a + b
    errors = _stirling_error(total) - _stirling_error(a) - _stirling_error(b)
    deviance = _deviance(a, total * x) + _deviance(b, total * y)
    # the binomial probability of a in a + b, times a b / (a + b)
    return errors - deviance - _HALF_LOG_TAU + 0.5 * (math.log(a) + math.log(b) - math.log(total))


def beta_cdf(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b) for a, b > 0; x is clipped to [0, 1]."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    return beta_tails(a, b, x, 1.0 - x)[0]


def beta_sf(a: float, b: float, x: float) -> float:
    """1 - I_x(a, b) without cancellation."""
    if x <= 0.0:
        return 1.0
    if x >= 1.0:
        return 0.0
    return beta_tails(a, b, x, 1.0 - x)[1]


def beta_tails(a: float, b: float, x: float, y: float) -> tuple[float, float]:
    """Both tails (I_x(a, b), 1 - I_x(a, b)); the smaller one is computed directly. x, y = 1 - x in (0, 1)."""
    kernel = math.exp(log_beta_kernel(a, b, x, y))
    if x * (a + b) <= a:
        lower = min(1.0, kernel / _fraction(a, b, x, y))
        return lower, 1.0 - lower
    upper = min(1.0, kernel / _fraction(b, a, y, x))
    return 1.0 - upper, upper


def beta_ppf(a: float, b: float, probability: float) -> float:
    """The x in [0, 1] with I_x(a, b) = probability, a, b > 0."""
    if a <= 0.0 or b <= 0.0:
        raise ValueError(f"beta_ppf needs a > 0 and b > 0, not {a} and {b}")
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"beta_ppf needs a probability in [0, 1], not {probability}")
    if probability in (0.0, 1.0):
        return probability
    return logistic(_beta_logit(a, b, probability))


def logistic(t: float) -> float:
    """1 / (1 + exp(-t)) without overflow."""
    if t >= 0.0:
        return 1.0 / (1.0 + math.exp(-t))
    e = math.exp(max(t, -745.0))
    return e / (1.0 + e)


def normal_cdf(z: float) -> float:
    """The standard normal distribution function, accurate in both tails."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def normal_ppf(probability: float) -> float:
    """The standard normal quantile of a probability in (0, 1)."""
    return _NORMAL.inv_cdf(probability)


@lru_cache(maxsize=4096)
def t_ppf(probability: float, degrees: float) -> float:
    """The Student t quantile of a probability in (0, 1) with `degrees` > 0 (whole or not; infinity is the normal law)."""
    if not 0.0 < probability < 1.0 or degrees <= 0.0:
        raise ValueError(f"t_ppf needs 0 < probability < 1 and degrees > 0, not {probability} and {degrees}")
    if probability == 0.5:
        return 0.0
    if degrees > 1e10:
        return normal_ppf(probability)
    if probability > 0.5:
        return -t_ppf(1.0 - probability, degrees)
    # degrees / (degrees + t^2) follows Beta(degrees / 2, 1 / 2); its logit gives t without cancellation
    return -math.sqrt(degrees * math.exp(-_beta_logit(0.5 * degrees, 0.5, 2.0 * probability)))


def _beta_logit(a: float, b: float, probability: float) -> float:
    """logit of the quantile, by Newton on the log of whichever tail is at most one half."""
    if probability > 0.5:
        return -_lower_logit(b, a, 1.0 - probability)
    return _lower_logit(a, b, probability)


def _lower_logit(a: float, b: float, probability: float) -> float:
    target = math.log(probability)
    spread = normal_ppf(probability) * math.sqrt(1.0 / a + 1.0 / b)
    # the tail is at most exp(a t) / (a B(a, b)), so the root is never left of the first of these
    t = max((target + math.log(a) + log_beta(a, b)) / a, math.log(a / b) + spread)
    for _ in range(100):
        x, y = logistic(t), logistic(-t)
        if y == 0.0 or x == 0.0:
            return t
        log_kernel = log_beta_kernel(a, b, x, y)
        if x * (a + b) <= a:
            slope = _fraction(a, b, x, y)
            log_tail = log_kernel - math.log(slope)
        else:
            tail = 1.0 - math.exp(log_kernel) / _fraction(b, a, y, x)
            slope = math.exp(log_kernel) / tail
            log_tail = math.log(tail)
        step = (target - log_tail) / slope
        t += step
        if abs(step) <= 1e-14 * max(1.0, abs(t)):
            break
    return t


def _fraction(a: float, b: float, x: float, y: float) -> float:
    """x^a y^b / (B(a, b) I_x(a, b)) by modified Lentz; converges fast for x <= a / (a + b)."""
    value = a * (a * y - b * x + 1.0) / (a + 1.0)
    value = value if value != 0.0 else _TINY
    c, d = value, 0.0
    square = x * x
    limit = 200 + 4 * int(math.sqrt(max(a, b)))
    for m in range(1, limit):
        odd = a + 2 * m - 1.0
        numerator = (a + m - 1.0) * (a + b + m - 1.0) * m * (b - m) * square / (odd * odd)
        denominator = m + m * (b - m) * x / odd + (a + m) * (a * y - b * x + 1.0 + m * (1.0 + y)) / (odd + 2.0)
        d = denominator + numerator * d
        d = 1.0 / (d if d != 0.0 else _TINY)
        c = denominator + numerator / c
        c = c if c != 0.0 else _TINY
        change = c * d
        value *= change
        if abs(change - 1.0) <= _PRECISION:
            break
    return value


def _stirling_error(z: float) -> float:
    """log Gamma(z + 1) minus Stirling's sqrt(2 pi z) (z / e)^z, for z > 0."""
    if z < 16.0:
        return math.lgamma(z + 1.0) - (z + 0.5) * math.log(z) + z - _HALF_LOG_TAU
    s = 1.0 / (z * z)
    return (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s * (1 / 1188 - s * 691 / 360360))))) / z


def _deviance(z: float, mean: float) -> float:
    """z log(z / mean) - z + mean, without cancellation when z is near the mean (Loader 2000)."""
    difference = z - mean
    if abs(difference) < 0.1 * (z + mean):
        v = difference / (z + mean)
        total = difference * v
        term = 2.0 * z * v
        square = v * v
        j = 3
        while True:
            term *= square
            following = total + term / j
            if following == total:
                return total
            total = following
            j += 2
    return z * math.log(z / mean) - difference
