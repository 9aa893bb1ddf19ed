"""Shares, amounts a day, and what a `live` part may say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.gate import Check, JudgeSpec, Live
from pilotbase.domain.pilot import TestData
from pilotbase.domain.price import Price
from pilotbase.domain.quantity import parse_daily, parse_share


@given(st.integers(1, 10_000))
def test_a_share_reads_the_same_in_per_cent_and_as_a_number(hundredths: int) -> None:
    share = parse_share(f"{hundredths / 100} %")
    assert share == pytest.approx(parse_share(f"{hundredths / 10_000:.6f}"))
    assert 0 < share <= 1


@pytest.mark.parametrize("text", ["0 %", "0", "101 %", "-5 %", "1.5"])
def test_a_share_out_of_its_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="more than 0 and at most 100 %"):
        parse_share(text)


def test_a_bare_number_over_one_asks_whether_per_cent_was_meant() -> None:
    with pytest.raises(ValueError, match="did you mean `5 %`"):
        parse_share("5")


@pytest.mark.parametrize("text", ["", "%", "five %", "5 %%", "5 % of it"])
def test_what_is_no_share_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="as in `5 %`"):
        parse_share(text)


@pytest.mark.parametrize(("text", "nanos"), [("1 CNY/day", 10**9), ("0.5CNY / d", 5 * 10**8), (" 2 usd/day ", 2 * 10**9)])
def test_an_amount_a_day_is_read(text: str, nanos: int) -> None:
    assert parse_daily(text).nanos == nanos


@pytest.mark.parametrize("text", ["1 CNY", "1 CNY/week", "1/day", "CNY/day", "/day", "", "1 yuan/day", "-1 CNY/day", "0 CNY/day"])
def test_what_is_no_amount_a_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="`"):
        parse_daily(text)


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"sample": "0 %"}, "sample", "out of range"),
        ({"sample": "most"}, "sample", "is not a share"),
        ({"spend": "1 CNY"}, "spend", "is not an amount a day"),
        ({"windows": 5}, "windows", "given without `window`"),
        ({"window": 500}, "window", "given without `windows`"),
        ({"windows": 0, "window": 500}, "windows", "0 windows"),
        ({"windows": 1001, "window": 500}, "windows", "1001 windows"),
        ({"windows": 5, "window": 29}, "window", "a window of 29 cases"),
    ],
)
def test_a_live_part_says_what_is_wrong_with_it(fields: dict[str, Any], place: str, message: str) -> None:
    (problem,) = Check(metric="accuracy", require=">= 0.5", live=Live(**fields)).problems()
    assert problem.path == ("live", place)
    assert message in problem.message


def test_a_live_part_reads_as_a_sentence_and_as_numbers() -> None:
    live = Live(sample="5 %", spend="1 CNY/day", windows=20, window=500)
    assert list(live.problems()) == []
    assert str(live) == "5 % of requests, 20 windows of 500, at most 1 CNY/day"
    assert (live.share, str(live.daily), Live().share, Live().daily) == (0.05, "1 CNY", 1.0, None)


def _spent(judge: JudgeSpec | None) -> list[tuple[tuple[str | int, ...], str]]:
    check = Check(metric="rubric", require=">= 0.5", judge=judge, live=Live(spend="1 CNY/day", windows=1, window=30))
    return [(p.path, p.message) for p in check.problems()]


def test_a_limit_on_spending_needs_a_judge_with_a_price_in_the_same_currency() -> None:
    def judge(price: Price | None) -> JudgeSpec:
        return JudgeSpec(url="http://judge", model="m", rubric="good?", price=price)

    at = ("live", "spend")
    assert _spent(None) == [(at, "only a judge costs anything to score by, and this check has none")]
    assert _spent(judge(None)) == [(at, "the judge has no price, so nobody can tell what was spent")]
    assert _spent(judge(Price())) == [(at, "the judge has no price, so nobody can tell what was spent")]
    assert _spent(judge(Price(per_call="1 USD"))) == [(at, "the limit is in CNY, and the judge's price in USD")]
    assert _spent(judge(Price(per_call="0.01 CNY"))) == []


def test_a_wrong_price_of_a_judge_is_told_once_and_at_its_place() -> None:
    judge = JudgeSpec(url="http://judge", model="m", rubric="good?", price=Price(per_call="cheap"))
    assert [path for path, _ in _spent(judge)] == [("judge", "price", "per-call")]


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"inputs": ("x", "i")}, ("inputs", 1), "`i` is the incident, which never reaches a candidate"),
        ({"id": "i"}, ("incident",), "`i` is the id too"),
        ({"target": "i"}, ("incident",), "`i` is the target too"),
        ({"cluster": "i"}, ("incident",), "`i` is the cluster too"),
        ({"groups": ("i",)}, ("incident",), "`i` is a group too"),
    ],
)
def test_the_incident_column_is_a_column_of_its_own_that_no_candidate_receives(
    fields: dict[str, Any], place: tuple[str | int, ...], message: str
) -> None:
    (problem,) = TestData(**{"path": "t.csv", "inputs": ("x",), "incident": "i", **fields}).problems()
    assert problem.path == place
    assert message in problem.message


def test_the_incident_column_is_hidden_from_candidates() -> None:
    assert "i" in TestData(path="t.csv", inputs=("x",), incident="i").hidden
