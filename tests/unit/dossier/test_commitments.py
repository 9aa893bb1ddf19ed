"""Commitments bind, hide, and open one case at a time."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.dossier import merkle
from pilotbase.dossier.commitments import code, codes, commit, commit_all, frame, leaves, new_secret, salt
from pilotbase.dossier.disclose import check, disclose
from pilotbase.errors import UserError

SECRET = bytes(range(32))
CASES = [({"text": f"case {i}"}, "yes" if i % 2 else "no") for i in range(7)]
LEAVES = list(commit_all(SECRET, "alpha", CASES))
RECORD: dict[str, Any] = {"commitments": {"alpha": {"root": merkle.root(LEAVES).hex(), "count": 7}}}


def opened(position: int) -> dict[str, Any]:
    given_, answer = CASES[position]
    return disclose(SECRET, "alpha", position, given=given_, answer=answer, leaves=LEAVES)


def test_secrets_are_fresh() -> None:
    assert len({new_secret() for _ in range(10)}) == 10


def test_equal_cases_of_two_candidates_and_positions_have_unlike_commitments() -> None:
    found = {*commit_all(SECRET, "alpha", [("x", "y")] * 3), *commit_all(SECRET, "beta", [("x", "y")] * 3)}
    assert len(found) == 6


@given(st.binary(min_size=32, max_size=32), st.integers(0, 10**6), st.text(), st.text())
def test_a_commitment_is_to_this_input_answer_and_position(secret: bytes, position: int, given_: str, answer: str) -> None:
    salted = salt(secret, "alpha", position)
    found = commit(salted, position, given_, answer)
    assert found == commit(salted, position, given_, answer)
    assert found not in (commit(salted, position, given_ + "x", answer), commit(salted, position, given_, answer + "x"))
    assert found != commit(salted, position + 1, given_, answer)


def test_codes_are_equal_for_equal_values_of_a_column_only() -> None:
    found = codes(SECRET, "site", ["a", "b", None, "a"])
    assert found[0] == found[3] != found[1] and found[2] is None
    assert code(SECRET, "site", "a") != code(SECRET, "ward", "a") != code(new_secret(), "ward", "a")
    assert code(SECRET, "a", "bc") != code(SECRET, "ab", "c")
    assert len(code(SECRET, "site", "a")) == 16


def test_the_table_gives_the_leaves_back() -> None:
    assert leaves(frame(LEAVES)) == LEAVES
    assert leaves(frame([])) == []


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame({"x": [1]}),
        frame(LEAVES).reverse(),
        frame(LEAVES)[1:],
        frame(LEAVES).with_columns(commitment=pl.lit("zz")),
        frame(LEAVES).with_columns(commitment=pl.lit(None, dtype=pl.String)),
        frame(LEAVES).with_columns(position=pl.col("position").cast(pl.Float64)),
    ],
)
def test_another_table_is_refused_with_its_file(table: pl.DataFrame) -> None:
    with pytest.raises(UserError) as caught:
        leaves(table, where="commitments/alpha.parquet")
    assert caught.value.where == "commitments/alpha.parquet"


@pytest.mark.parametrize("position", range(7))
def test_an_opened_case_is_proved_from_the_record_alone(position: int) -> None:
    found = check(opened(position), RECORD)
    assert (found.candidate, found.position) == ("alpha", position)
    assert (found.input, found.answer) == CASES[position]


def test_only_what_was_committed_to_can_be_opened() -> None:
    with pytest.raises(UserError, match="not what the dossier is bound to"):
        disclose(SECRET, "alpha", 2, given=CASES[2][0], answer="another", leaves=LEAVES)
    with pytest.raises(UserError, match="positions are 0 to 6"):
        disclose(SECRET, "alpha", 7, given=None, answer=None, leaves=LEAVES)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("answer", "another"),
        ("input", {"text": "case 4"}),
        ("position", 4),
        ("position", True),
        ("position", -1),
        ("salt", "00" * 32),
        ("salt", 5),
        ("proof", []),
        ("proof", "ab"),
        ("proof", ["00" * 32] * 3),
        ("proof", ["00" * 32] * 100),
        ("root", "00" * 32),
        ("candidate", "beta"),
        ("candidate", None),
        ("input", float("nan")),
    ],
)
def test_an_opened_case_that_was_altered_is_not_proved(field: str, value: object) -> None:
    with pytest.raises(UserError):
        check(opened(3) | {field: value}, RECORD)


def test_an_opened_case_with_a_field_too_few_or_of_no_kind_is_refused() -> None:
    for wrong in (None, [], {}, {"position": 1}, opened(1) | {"more": 1}):
        with pytest.raises(UserError, match="exactly the fields"):
            check(wrong, RECORD)


def test_a_record_without_commitments_proves_nothing() -> None:
    for record in ({}, {"commitments": []}, {"commitments": {"alpha": {"root": "x", "count": 7}}}):
        with pytest.raises(UserError, match="no commitments"):
            check(opened(1), record)
