import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from pilotbase.stats.agreement import ac1, agreement, kappa

ratings = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=80)
TABLE = np.array([[44, 5, 1], [7, 20, 3], [9, 5, 6]])  # Fleiss, Cohen & Everitt 1969, table 1, counts in place of shares


def from_table(table: np.ndarray) -> tuple[list[int], list[int]]:
    rows = [(i, j) for i in range(3) for j in range(3) for _ in range(table[i, j])]
    return [a for a, _ in rows], [b for _, b in rows]


def test_kappa_and_its_standard_error_are_those_of_statsmodels() -> None:
    a, b = from_table(10 * TABLE)
    found, oracle = kappa(a, b, 0.95), cohens_kappa(10 * TABLE)
    assert found.value == pytest.approx(oracle.kappa)
    half = 1.6464 * oracle.std_kappa
    # the exact bound of the observed agreement is the wider one here, and not by much
    assert half <= found.value - found.low < 1.2 * half
    assert half * 0.999 <= found.high - found.value < 1.2 * half


@settings(max_examples=60, deadline=None)
@given(rows=ratings)
def test_coefficients_are_enclosed_and_symmetric_in_the_raters(rows: list[tuple[str, str]]) -> None:
    a, b = [x for x, _ in rows], [y for _, y in rows]
    for measure in (kappa, ac1, agreement):
        found, turned = measure(a, b, 0.95), measure(b, a, 0.95)
        assert found.value == pytest.approx(turned.value)
        if found.low is not None:
            assert -1 <= found.low <= found.value <= found.high <= 1
    if kappa(a, b, 0.95).value is not None:
        assert kappa(a, b, 0.95).value == pytest.approx(cohen_kappa_score(a, b), abs=1e-9)


def test_ac1_is_that_of_the_formula() -> None:
    a, b = from_table(TABLE)
    share = np.array([TABLE[k].sum() + TABLE[:, k].sum() for k in range(3)]) / 200
    chance = (share * (1 - share)).sum() / 2
    assert ac1(a, b, 0.95).value == pytest.approx((0.7 - chance) / (1 - chance))


def test_full_agreement_still_has_a_lower_bound_below_one() -> None:
    a = ["x"] * 10 + ["y"] * 10
    for measure in (kappa, ac1, agreement):
        found = measure(a, a, 0.95)
        assert found.value == found.high == pytest.approx(1.0)
        assert 0.5 < found.low < 1.0


def test_one_class_alone_has_no_kappa_and_an_ac1_of_one() -> None:
    assert kappa(["x"] * 9, ["x"] * 9, 0.95).value is None
    assert ac1(["x"] * 9, ["x"] * 9, 0.95).value == 1.0


def test_no_ratings_are_undefined_and_uneven_ones_refused() -> None:
    assert kappa([], [], 0.95).value is None
    assert ac1([], [], 0.95).value is None
    assert agreement([], [], 0.95).value is None
    with pytest.raises(ValueError, match="found 1 and 2 ratings"):
        agreement(["x"], ["x", "y"], 0.95)
