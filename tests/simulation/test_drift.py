"""False alarms of drift over many looks at many features, and what is found where something moved."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from pilotbase.release.drift import compare
from pilotbase.release.drift_reference import Column, Kind, Reference, cells

Maker = Callable[[np.random.Generator, int], dict[str, list[object]]]
ALPHA = 0.2
WORDS = "预约挂号门诊医生检查报告复诊住院药费医保"
OTHERS = "发票增值税申报退税滞纳金登记企业所得纳税"


def text(generator: np.random.Generator, letters: str) -> str:
    return "".join(generator.choice(list(letters), 12))


def features(generator: np.random.Generator, count: int) -> dict[str, list[object]]:
    """Skewed, coarse and plain numbers, few and many categories, missing values, and two columns that go together."""
    base = generator.normal(size=count)
    ill = generator.random(count) < 0.1
    return {
        "plain": base.tolist(),
        "tied": (base + generator.normal(size=count)).tolist(),
        "skewed": generator.lognormal(0, 2, count).tolist(),
        "coarse": generator.integers(1, 6, count).tolist(),
        "gaps": [None if gone else float(value) for gone, value in zip(ill, base, strict=True)],
        "few": generator.choice(["a", "b", "c", "d"], count, p=[0.7, 0.2, 0.07, 0.03]).tolist(),
        "many": [str(value) for value in generator.zipf(1.6, count)],
    }


KINDS: dict[str, Kind] = {
    "plain": "numeric",
    "tied": "numeric",
    "skewed": "numeric",
    "coarse": "numeric",
    "gaps": "numeric",
    "few": "categorical",
    "many": "categorical",
    "text": "text",
}


def learnt(values: dict[str, list[object]]) -> Reference:
    return Reference.sampled(
        [Column(name=name, side="input", kind=KINDS[name], values=cells(KINDS[name], found)) for name, found in values.items()],
        seed=0,
    )


def test_false_alarms_over_many_looks_and_features_stay_below_alpha(size: Callable[[int, int], int]) -> None:
    trials, looks = size(16, 400), size(4, 10)
    generator = np.random.default_rng(1)
    alarms = 0
    for _ in range(trials):
        reference = learnt(features(generator, 250))
        alarms += any(
            compare(reference, features(generator, 80), confidence=1 - ALPHA, look=look).drifted for look in range(1, looks + 1)
        )
    assert alarms / trials <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / trials)


def test_looking_without_a_correction_would_alarm_on_most_quiet_routes(size: Callable[[int, int], int]) -> None:
    trials, looks = size(6, 500), 5
    generator = np.random.default_rng(2)
    naive = 0
    for _ in range(trials):
        reference = learnt(features(generator, 250))
        reports = [compare(reference, features(generator, 80), confidence=1 - ALPHA, look=1) for _ in range(looks)]
        naive += any(found.p <= ALPHA for report in reports for found in report.findings)
    assert naive / trials > 0.6


def test_false_alarms_on_texts_stay_below_alpha(size: Callable[[int, int], int]) -> None:
    trials = size(6, 500)
    generator = np.random.default_rng(3)
    alarms = 0
    for _ in range(trials):
        reference = learnt({"text": [text(generator, WORDS) for _ in range(150)]})
        alarms += any(
            compare(reference, {"text": [text(generator, WORDS) for _ in range(60)]}, confidence=1 - ALPHA, look=k).drifted
            for k in (1, 2, 3)
        )
    assert alarms / trials <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / trials)


def shifted(generator: np.random.Generator, count: int) -> dict[str, list[object]]:
    found = features(generator, count)
    return {**found, "plain": [float(value) + 0.5 for value in found["plain"]]}  # type: ignore[arg-type]


def another_category(generator: np.random.Generator, count: int) -> dict[str, list[object]]:
    found = features(generator, count)
    return {**found, "few": ["e" if generator.random() < 0.1 else value for value in found["few"]]}


@pytest.mark.parametrize(("moved", "feature"), [(shifted, "plain"), (another_category, "few")])
def test_a_moved_mean_and_a_new_category_are_found_at_the_third_look(
    moved: Maker, feature: str, size: Callable[[int, int], int]
) -> None:
    trials = size(7, 500)
    generator = np.random.default_rng(4)
    found = 0
    for _ in range(trials):
        report = compare(learnt(features(generator, 500)), moved(generator, 250), confidence=0.95, look=3)
        found += feature in {one.feature for one in report.drifted}
    assert found / trials >= 0.8


def test_chinese_texts_of_which_a_fifth_are_on_another_topic_are_found_at_the_third_look(
    size: Callable[[int, int], int],
) -> None:
    trials = size(3, 200)
    generator = np.random.default_rng(5)
    found = 0
    for _ in range(trials):
        reference = learnt({"text": [text(generator, WORDS) for _ in range(300)]})
        window = [text(generator, OTHERS if row % 5 == 0 else WORDS) for row in range(150)]
        found += bool(compare(reference, {"text": window}, confidence=0.95, look=3).drifted)
    assert found / trials >= 0.8
