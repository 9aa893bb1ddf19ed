"""Results are compared field by field, and the place of a difference is named."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.dossier.differences import differences

RESULT: dict[str, Any] = {
    "verdict": "pass",
    "candidates": [
        {
            "id": "alpha",
            "verdict": "pass",
            "gates": [
                {
                    "gate": "capability",
                    "checks": [{"id": "accuracy", "value": 0.8, "n": 5, "low": None, "reasons": ["a"], "parts": []}],
                }
            ],
        },
        {"id": "beta", "verdict": "fail", "gates": []},
    ],
}


def check(result: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = result["candidates"][0]["gates"][0]["checks"][0]
    return found


def test_equal_results_differ_nowhere() -> None:
    assert list(differences(RESULT, deepcopy(RESULT))) == []


@pytest.mark.parametrize(
    ("key", "value"), [("value", 0.8 + 1e-7), ("n", 6), ("low", 0.1), ("value", None), ("n", True), ("value", 10**400)]
)
def test_a_number_that_differs_is_named_with_its_check(key: str, value: object) -> None:
    changed = deepcopy(RESULT)
    check(changed)[key] = value
    ((place, sentence),) = differences(changed, RESULT)
    assert place == "alpha/capability/accuracy"
    assert sentence.startswith(f"{key}: the dossier says ")


def test_numbers_agree_to_nine_digits_and_sentences_may_change() -> None:
    changed = deepcopy(RESULT)
    check(changed).update(value=0.8 * (1 + 1e-10), n=5.0, reasons=["in other words"])
    assert list(differences(changed, RESULT)) == []


def test_a_candidate_or_a_field_too_many_or_too_few_is_named() -> None:
    fewer = deepcopy(RESULT)
    fewer["candidates"].pop()
    ((place, sentence),) = differences(fewer, RESULT)
    assert place == "beta" and "missing" in sentence
    ((place, sentence),) = differences(RESULT, fewer)
    assert place == "beta" and "do not give it" in sentence
    more = deepcopy(RESULT)
    check(more)["extra"] = 1
    assert [place for place, _ in differences(more, RESULT)] == ["alpha/capability/accuracy"]
    assert [place for place, _ in differences(RESULT, more)] == ["alpha/capability/accuracy"]


def test_the_order_of_candidates_does_not_matter() -> None:
    turned = deepcopy(RESULT)
    turned["candidates"].reverse()
    assert list(differences(turned, RESULT)) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "gate", "x"]), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_any_two_documents_can_be_compared(one: Any, other: Any) -> None:
    list(differences(one, other))
    assert list(differences(one, deepcopy(one))) == []
