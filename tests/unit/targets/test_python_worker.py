"""Answers become plain values, or are refused with what is wrong."""

import enum
import json
import math

import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.targets.frames import read_columns
from pilotbase.targets.python_worker import (
    ANSWERS,
    BIG_ANSWERS,
    FAILED,
    ONE_LIMIT,
    ShapeError,
    answer_list,
    pack,
    pack_columns,
    plain,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(VALUES.filter(lambda v: v is not None), min_size=1, max_size=5))
def test_json_values_come_back_as_they_were(answers: list[object]) -> None:
    kind, body = pack(answers)
    assert kind in (ANSWERS, BIG_ANSWERS)
    found, failed = (orjson if kind == ANSWERS else json).loads(body)
    assert found == answers and failed == []


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(1.5), 1.5),
        (np.int8(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array([[1, 2]]), [[1, 2]]),
        (pl.Series([1.0]), [1.0]),
        (Colour.RED, "red"),
        ((1, 2), [1, 2]),
        ({0: 0.25, True: 0.75}, {"0": 0.25, "true": 0.75}),
    ],
)
def test_values_of_other_libraries_become_plain(value: object, expected: object) -> None:
    assert plain(value) == expected


@pytest.mark.parametrize(
    "value", [math.nan, -math.inf, np.nan, b"a", {1}, object(), {None: 1}, {(1, 2): 1}, np.array([1, np.nan])]
)
def test_values_that_are_no_answers_are_refused(value: object) -> None:
    with pytest.raises(ShapeError):
        plain(value)


def test_nesting_without_an_end_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ShapeError, match="nested"):
        plain(endless)


def test_one_answer_that_is_too_large_does_not_spoil_its_batch() -> None:
    kind, body = pack(["a", "x" * ONE_LIMIT, "b"])
    answers, failed = orjson.loads(body)
    assert kind == ANSWERS and answers == ["a", None, "b"]
    assert [f[:2] for f in failed] == [[1, "too-large"]]


def test_a_batch_of_large_answers_is_refused_as_a_whole() -> None:
    kind, body = pack(["x" * (ONE_LIMIT - 100)] * 20)
    assert kind == FAILED and orjson.loads(body)[0] == "too-large"


@pytest.mark.parametrize("result", [[1], "ab", {"a": 1, "b": 2}, None, 3, np.zeros(3)])
def test_a_batch_needs_as_many_answers_as_cases(result: object) -> None:
    with pytest.raises(ShapeError, match="a batch of 2"):
        answer_list(result, 2)


@pytest.mark.parametrize(
    "result",
    [np.array([1.0, 2.0]), pl.Series([1.0, 2.0]), [1.0, 2.0], np.array([[1.0], [2.0]]), {"label": [1.0, 2.0], "score": [1, 2]}],
)
def test_a_column_of_numbers_is_label_and_score(result: object) -> None:
    columns = read_columns(pack_columns(result, 2)[1], 2)
    assert list(columns.labels or []) == [1.0, 2.0] if isinstance(columns.labels, list) else columns.labels.tolist() == [1.0, 2.0]
    assert columns.scores is not None and columns.scores.tolist() == [1.0, 2.0]


def test_a_column_of_words_is_label_and_text() -> None:
    columns = read_columns(pack_columns(["是", None], 2)[1], 2)
    assert columns.labels == ["是", None] == columns.texts and columns.scores is None
    assert columns.missing(2).tolist() == [False, True]


def test_named_columns_keep_their_parts() -> None:
    frame = pl.DataFrame({"label": [True, False], "score": [0.5, math.nan], "text": ["a", "b"]})
    columns = read_columns(pack_columns(frame, 2)[1], 2)
    assert columns.labels is not None and list(columns.labels) == [True, False]
    assert columns.texts == ["a", "b"] and columns.missing(2).tolist() == [False, True]


@pytest.mark.parametrize("result", [{"lable": [1, 2]}, {}, [1], np.zeros((2, 2)), "ab", {"score": ["a", "b"]}, 3])
def test_a_frame_answered_in_no_known_shape_is_refused(result: object) -> None:
    with pytest.raises((ShapeError, TypeError)):
        pack_columns(result, 2)


@given(st.binary(max_size=64))
def test_columns_that_are_garbage_are_an_error_that_is_expected(body: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        read_columns(body, 3)
        raise ValueError("nothing came, so no columns are there")
