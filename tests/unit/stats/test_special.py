import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special as oracle
from scipy import stats as oracle_stats

from pilotbase.stats.special import beta_cdf, beta_ppf, beta_sf, log_beta, logistic, normal_cdf, normal_ppf, t_ppf

shapes = st.floats(-0.5, 7.0).map(lambda power: 10.0**power)
tails = st.tuples(st.floats(-6.0, -0.4), st.booleans()).map(lambda pair: 1 - 10 ** pair[0] if pair[1] else 10 ** pair[0])


@settings(max_examples=300, deadline=None)
@given(a=shapes, b=shapes, p=tails)
def test_the_inverse_incomplete_beta_agrees_with_scipy(a: float, b: float, p: float) -> None:
    expected = oracle.betaincinv(a, b, p)
    assume(1e-290 < expected < 1 - 1e-9)
    found = beta_ppf(a, b, p)
    # scipy's own inverse is off by up to 3e-8 in corners (a = 1e3, b = 1e7), its forward function is not: so both are asked
    assert found == pytest.approx(expected, rel=1e-6)
    assert oracle.betainc(a, b, found) == pytest.approx(p, rel=1e-9)


@settings(max_examples=300, deadline=None)
@given(a=shapes, b=shapes, p=tails)
def test_both_tails_of_the_beta_agree_with_scipy(a: float, b: float, p: float) -> None:
    x = float(oracle.betaincinv(a, b, p))
    assume(1e-290 < x < 1 - 1e-12)
    assert beta_cdf(a, b, x) == pytest.approx(oracle.betainc(a, b, x), rel=1e-10)
    assert beta_sf(a, b, x) == pytest.approx(oracle.betaincc(a, b, x), rel=1e-10)


@settings(max_examples=200, deadline=None)
@given(a=shapes, b=shapes)
def test_log_beta_agrees_with_scipy(a: float, b: float) -> None:
    # scipy itself keeps only nine digits where one shape is large
    assert log_beta(a, b) == pytest.approx(oracle.betaln(a, b), rel=1e-8, abs=1e-8)


@settings(deadline=None)
@given(b=shapes)
def test_log_beta_of_one_is_minus_a_logarithm(b: float) -> None:
    assert log_beta(1.0, b) == pytest.approx(-math.log(b), rel=1e-12, abs=1e-12)


@settings(max_examples=300, deadline=None)
@given(degrees=st.floats(0.0, 7.0).map(lambda power: 10.0**power), p=tails)
def test_student_quantiles_agree_with_scipy(degrees: float, p: float) -> None:
    assert t_ppf(p, degrees) == pytest.approx(oracle_stats.t.ppf(p, degrees), rel=1e-9, abs=1e-10)


def test_student_quantiles_agree_with_the_printed_table() -> None:
    assert t_ppf(0.95, 19) == pytest.approx(1.729133, abs=1e-6)
    assert t_ppf(0.5, 3) == 0.0


@settings(deadline=None)
@given(z=st.floats(-8, 8))
def test_the_normal_distribution_agrees_with_scipy(z: float) -> None:
    assert normal_cdf(z) == pytest.approx(oracle_stats.norm.cdf(z), rel=1e-12)


def test_the_normal_quantile_is_the_familiar_one() -> None:
    assert normal_ppf(0.975) == pytest.approx(1.959963984540054, rel=1e-14)


def test_the_ends_of_the_range_are_exact() -> None:
    assert (beta_cdf(2, 3, 0.0), beta_cdf(2, 3, 1.0), beta_sf(2, 3, 0.0), beta_sf(2, 3, 1.0)) == (0.0, 1.0, 1.0, 0.0)
    assert (beta_ppf(2, 3, 0.0), beta_ppf(2, 3, 1.0)) == (0.0, 1.0)
    assert logistic(-1000.0) == pytest.approx(0.0, abs=1e-300)
    assert logistic(1000.0) == 1.0


@pytest.mark.parametrize(
    "call", [lambda: log_beta(0, 1), lambda: beta_ppf(1, -1, 0.5), lambda: beta_ppf(1, 1, 2), lambda: t_ppf(1, 3)]
)
def test_arguments_outside_the_domain_are_refused(call) -> None:
    with pytest.raises(ValueError, match="needs"):
        call()


def test_a_ten_million_case_quantile_keeps_ten_digits() -> None:
    assert beta_ppf(9_000_000, 1_000_001, 0.05) == pytest.approx(oracle.betaincinv(9_000_000, 1_000_001, 0.05), rel=1e-12)
    assert math.isclose(beta_ppf(1, 10_000_000, 1e-6), -math.expm1(math.log1p(-1e-6) / 1e7), rel_tol=1e-10)
