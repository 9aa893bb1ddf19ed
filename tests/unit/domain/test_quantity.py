"""Amounts as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.quantity import Money, parse_duration, parse_money, parse_rate, parse_require, parse_scale


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50 ms", 0.05),
        ("5s", 5.0),
        ("10m", 600.0),
        ("10 min", 600.0),
        ("2h", 7200.0),
        ("1 d", 86400.0),
        (".5s", 0.5),
        ("1e3ms", 1.0),
    ],
)
def test_a_duration_of_every_unit_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "5 sec", "s", "-1s", "0s", "1e999s", "367 d", "nan s", "5 S"])
def test_what_is_no_duration_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"ms, s, m, h or d|more than 0 and at most 366 d"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "rate"), [("50/s", 50.0), ("60 / m", 1.0), ("60/min", 1.0), ("3600/h", 1.0)])
def test_a_rate_of_every_unit_is_read_per_second(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["50", "0/s", "-1/s", "1e9/s", "5/d", "1e999/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "nanos", "currency"), [("0.0001 CNY", 100_000, "CNY"), ("3usd", 3_000_000_000, "USD"), ("0 EUR", 0, "EUR")]
)
def test_money_is_kept_in_billionths(text: str, nanos: int, currency: str) -> None:
    assert parse_money(text) == Money(nanos, currency)


@pytest.mark.parametrize(
    "text", ["1", "CNY", "-1 CNY", "1e10 CNY", "1e-10 CNY", "1 YUAN", "1e1000000 CNY", "1e999999999999999999999 CNY"]
)
def test_what_is_no_amount_is_a_value_error_however_large(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        parse_money(text)


@given(st.integers(0, 10**18), st.sampled_from(["CNY", "USD"]))
def test_money_is_read_as_it_is_written(nanos: int, currency: str) -> None:
    assert parse_money(str(Money(nanos, currency))) == Money(nanos, currency)


@pytest.mark.parametrize(("text", "strength"), [("0.1 sd", (0.1, "sd")), ("0.5", (0.5, "")), ("0sd", (0.0, "sd"))])
def test_a_strength_may_be_a_share_of_the_spread(text: str, strength: tuple[float, str]) -> None:
    assert parse_scale(text) == strength


@pytest.mark.parametrize("text", ["", "-1", "1e999", "0.1 sds", "sd"])
def test_what_is_no_strength_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="strength"):
        parse_scale(text)


@pytest.mark.parametrize(
    ("text", "op", "value", "unit"),
    [
        (">= 0.95", ">=", 0.95, ""),
        ("<=5%", "<=", 0.05, ""),
        ("<= 50 ms", "<=", 0.05, "ms"),
        ("<= 2 h", "<=", 7200.0, "h"),
        ("= 0", "=", 0.0, ""),
        (">= 40 /s", ">=", 40.0, "/s"),
        ("<= 0.01 CNY", "<=", 0.01, "CNY"),
        (">= -0.02", ">=", -0.02, ""),
    ],
)
def test_a_threshold_is_read_in_base_units(text: str, op: str, value: float, unit: str) -> None:
    read = parse_require(text)
    assert (read.op, read.value, read.unit) == (op, pytest.approx(value), unit)
    assert parse_require(str(read)) == read


def test_a_set_is_read_without_its_quotes() -> None:
    read = parse_require("in ['a', \"b\", 良性 ,]")
    assert read.members == ("a", "b", "良性")
    assert str(read) == "in [a, b, 良性]"


@pytest.mark.parametrize("text", ["0.95", "> 0.95", ">= ", "in []", ">= 1e999", ">= 5 %%", "in a, b", "== 1", ">= 0.9 0.8"])
def test_what_is_no_threshold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"requirement|allows nothing|must be finite"):
        parse_require(text)


@given(st.sampled_from([">=", "<=", "="]), st.floats(-1e6, 1e6), st.sampled_from(["", "ms", "s", "m", "h", "d", "CNY", "/s"]))
def test_a_threshold_is_read_as_it_is_written(op: str, number: float, unit: str) -> None:
    read = parse_require(f"{op} {number!r} {unit}")
    again = parse_require(str(read))
    assert math.isclose(again.value, read.value, rel_tol=1e-11, abs_tol=1e-11)
    assert (again.op, again.unit) == (read.op, read.unit)
