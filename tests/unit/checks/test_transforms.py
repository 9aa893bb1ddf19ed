"""Transforms: what they change, what they leave, and that noise belongs to a position."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pilotbase.checks.transforms import TRANSFORMS, choose_transform
from pilotbase.errors import UserError

TEXT = ["the quick brown fox", "jumps over", None, "中文 and Latin", "", "all letters here"]
FRAME = pl.DataFrame(
    {"n": [1, 2, None, 4, 5, 6] * 5, "x": [0.5, 1.5, 2.5, None, 4.5, 5.5] * 5, "t": TEXT * 5, "b": [True, None, False] * 10}
)
SPREAD = {"n": 2.0, "x": 3.0}


def change(name: str, frame: pl.DataFrame = FRAME, start: int = 0, **more: object) -> pl.DataFrame:
    settings_ = {"seed": 7, "strength": 0.5, "unit": "", "spread": SPREAD, **more}
    return TRANSFORMS[name].apply(frame, start, **settings_)  # type: ignore[arg-type]


@given(name=st.sampled_from(sorted(TRANSFORMS)), cuts=st.lists(st.integers(1, 29), max_size=6), start=st.integers(0, 2**40))
@settings(max_examples=60, deadline=None)
def test_a_row_gets_the_same_noise_whatever_slice_it_is_asked_in(name: str, cuts: list[int], start: int) -> None:
    whole = change(name, start=start)
    bounds = sorted({0, 30, *cuts})
    pieces = [change(name, FRAME[a:b], start + a) for a, b in pairwise(bounds)]
    assert_frame_equal(pl.concat(pieces), whole, check_exact=True)


@pytest.mark.parametrize("name", ["gaussian-noise", "missing", "typos", "full-width"])
def test_another_seed_gives_other_noise(name: str) -> None:
    assert not change(name, seed=1).equals(change(name, seed=2))
    assert change(name, seed=1).equals(change(name, seed=1))


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_strength_zero_changes_no_value(name: str) -> None:
    changed = change(name, strength=0.0)
    assert_frame_equal(changed.cast(FRAME.schema), FRAME)


@pytest.mark.parametrize("name", ["gaussian-noise", "scale", "typos", "full-width"])
def test_nulls_stay_nulls_and_columns_of_other_types_stay_as_they_are(name: str) -> None:
    changed = change(name, strength=1.0)
    assert changed.null_count().row(0) == FRAME.null_count().row(0)
    untouched = ["t", "b"] if TRANSFORMS[name].applies_to == "numeric" else ["n", "x", "b"]
    assert_frame_equal(changed.select(untouched), FRAME.select(untouched))


def test_gaussian_noise_has_the_spread_that_was_asked_for() -> None:
    frame = pl.DataFrame({"x": np.zeros(40_000), "n": np.zeros(40_000, dtype=np.int64)})
    in_sd = change("gaussian-noise", frame, strength=0.1, unit="sd")
    absolute = change("gaussian-noise", frame, strength=0.1)
    assert in_sd["x"].std() == pytest.approx(0.3, rel=0.02)
    assert absolute["x"].std() == pytest.approx(0.1, rel=0.02)
    assert absolute["x"].mean() == pytest.approx(0.0, abs=0.002)
    assert absolute["n"].dtype == pl.Float64
    share = float((absolute["x"].abs() > 0.196).mean() or 0)
    assert share == pytest.approx(0.05, abs=0.005)


def test_columns_and_transforms_have_independent_noise() -> None:
    frame = pl.DataFrame({"x": np.zeros(10_000), "y": np.zeros(10_000)})
    noisy = change("gaussian-noise", frame)
    assert abs(np.corrcoef(noisy["x"], noisy["y"])[0, 1]) < 0.04
    assert abs(np.corrcoef(noisy["x"][1:], noisy["x"][:-1])[0, 1]) < 0.04


def test_missing_empties_the_share_of_cells_that_was_asked_for() -> None:
    frame = pl.DataFrame({"x": np.arange(20_000), "l": [[1, 2]] * 20_000})
    changed = change("missing", frame, strength=0.2)
    assert changed["x"].null_count() == pytest.approx(4000, abs=250)
    assert changed["l"].null_count() == pytest.approx(4000, abs=250)
    assert changed["x"].dtype == frame["x"].dtype
    assert change("missing", frame, strength=1.0)["x"].null_count() == 20_000


def test_scale_multiplies_and_refuses_a_unit() -> None:
    assert change("scale", strength=0.1)["x"][1] == pytest.approx(1.65)
    with pytest.raises(UserError, match="`scale` takes no unit, and `sd` was given"):
        change("scale", unit="sd")


def test_every_latin_word_is_misspelt_at_strength_one_and_others_stay() -> None:
    changed = change("typos", strength=1.0)["t"].to_list()
    for before, after in zip(TEXT, changed, strict=False):
        if not before:
            assert after == before
            continue
        for old, new in zip(before.split(), (after or "").split(), strict=True):
            assert (new == old) == (not old.isascii()), (old, new)
            assert len(old) - len(new) in (0, 1)


def test_full_width_writes_ascii_in_full_width_and_leaves_spaces() -> None:
    frame = pl.DataFrame({"t": ["Ab 1~ 中"]})
    assert change("full-width", frame, strength=1.0)["t"].to_list() == ["Ａｂ １～ 中"]


def test_named_columns_alone_are_changed() -> None:
    changed = change("gaussian-noise", columns=["x"])
    assert_frame_equal(changed.select("n", "t", "b"), FRAME.select("n", "t", "b"))
    assert not changed["x"].equals(FRAME["x"])


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("typos", {"frame": FRAME.select("n")}, "finds no text column"),
        ("gaussian-noise", {"columns": ["t"]}, "`t` is String"),
        ("gaussian-noise", {"columns": ["z"]}, "`z`, which is no input"),
        ("gaussian-noise", {"strength": -1.0}, "0 or more"),
        ("gaussian-noise", {"strength": float("nan")}, "0 or more"),
        ("gaussian-noise", {"unit": "sd", "spread": {}}, "standard deviation of `n` is not known"),
        ("missing", {"strength": 1.1}, "a chance from 0 to 1"),
        ("typos", {"unit": "sd"}, "takes no unit"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(name: str, more: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        change(name, **more)  # type: ignore[arg-type]


def test_an_unknown_transform_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean `gaussian-noise`"):
        choose_transform("gausian-noise")


def test_every_row_says_what_it_does_and_where_it_comes_from() -> None:
    for name, row in TRANSFORMS.items():
        assert row.name == name
        assert row.source
        assert "0.25" in row.describe(0.25, "") or name == "scale"
    assert "standard deviation of 0.1 of each" in TRANSFORMS["gaussian-noise"].describe(0.1, "sd")
