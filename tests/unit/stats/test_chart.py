import pytest

from pilotbase.stats.chart import cusum_run_length, ewma_run_length, shewhart_run_length


@pytest.mark.parametrize(
    ("threshold", "shift", "known"), [(4.0, 0.0, 167.7), (4.0, 1.0, 8.38), (5.0, 0.0, 465.4), (5.0, 1.0, 10.38)]
)
def test_a_two_sided_cusum_has_the_published_run_lengths(threshold: float, shift: float, known: float) -> None:
    found = cusum_run_length(0.5, threshold, shift)
    assert found == pytest.approx(known, abs=0.05 if known > 100 else 0.005)
    assert cusum_run_length(0.5, threshold, -shift) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize(
    ("weight", "limit", "shift", "known"),
    [
        (0.1, 2.814, 0.0, 499.5),
        (0.1, 2.814, 0.5, 31.3),
        (0.1, 2.814, 1.0, 10.33),
        (0.25, 2.998, 0.0, 499.8),
        (0.25, 2.998, 0.5, 48.3),
        (0.25, 2.998, 1.0, 11.14),
        (0.05, 2.615, 0.0, 499.8),
    ],
)
def test_an_ewma_has_the_published_run_lengths(weight: float, limit: float, shift: float, known: float) -> None:
    assert ewma_run_length(weight, limit, shift) == pytest.approx(known, abs=0.005 if known < 20 else 0.05)


def test_a_shewhart_chart_alarms_once_in_370_and_is_the_ewma_of_weight_one() -> None:
    assert shewhart_run_length(3.0) == pytest.approx(370.4, abs=0.01)
    assert shewhart_run_length(3.0, 1.0) == pytest.approx(43.9, abs=0.01)
    assert ewma_run_length(1.0, 3.0, 1.0) == pytest.approx(shewhart_run_length(3.0, 1.0), rel=1e-9)


def test_charts_that_make_no_sense_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="h > 0"):
        cusum_run_length(0.5, 0.0)
    with pytest.raises(ValueError, match="0 < weight <= 1"):
        ewma_run_length(0.0, 3.0)
    with pytest.raises(ValueError, match="limit -1"):
        shewhart_run_length(-1.0)
