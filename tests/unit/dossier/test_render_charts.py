"""Charts: well-formed, told in words, and true to the figures."""

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import records

from pilotbase.dossier import charts
from pilotbase.dossier.reading import CheckView, read_candidates


def view(
    require: str = ">= 0.95", verdict: str = "pass", value: Any = 0.98, low: Any = 0.96, high: Any = 0.99, **rest: Any
) -> CheckView:
    gates = [
        {
            "gate": "g",
            "mandatory": True,
            "verdict": verdict,
            "checks": [records.check("g", "accuracy", require, verdict, value, low, high, **rest)],
        }
    ]
    made = records.record()
    made["result"]["candidates"] = [made["result"]["candidates"][0] | {"gates": gates}]
    return read_candidates(made, "en")[0].checks[0]


def drawn(check: CheckView, language: str = "en") -> ET.Element:
    return ET.fromstring(str(charts.interval_chart(check, "u", language)))


def ends(chart: ET.Element) -> tuple[float, float, float]:
    """(low end, value, high end) in the drawing."""
    bar = next(e for e in chart.iter("line") if (e.get("class") or "").startswith("bar"))
    dot = next(chart.iter("circle"))
    return float(bar.get("x1", "")), float(dot.get("cx", "")), float(bar.get("x2", ""))


def test_a_chart_tells_its_figures_to_those_who_do_not_see_it() -> None:
    chart = drawn(view())
    title, desc = chart[0], chart[1]
    assert chart.get("role") == "img"
    assert chart.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert title.text == "Accuracy: interval against threshold"
    assert desc.text == "Measured 0.98. The interval runs from 0.96 to 0.99. Required >= 0.95; the shaded side passes. PASS"


@pytest.mark.parametrize(("require", "left"), [(">= 0.95", False), ("<= 0.95", True)])
def test_the_side_that_passes_is_shaded(require: str, left: bool) -> None:
    chart = drawn(view(require, "inconclusive"))
    side = next(e for e in chart.iter("rect"))
    limit = next(e for e in chart.iter("line") if e.get("class") == "limit")
    start, end = float(side.get("x", "")), float(side.get("x", "")) + float(side.get("width", ""))
    assert (end if left else start) == pytest.approx(float(limit.get("x1", "")), abs=0.11)
    assert (start if left else end) == (0 if left else 300)


def test_an_open_end_is_an_arrow_to_the_edge() -> None:
    chart = drawn(view("<= 0.5", "fail", 0.7, 0.6, None))
    arrows = [e.get("d", "") for e in chart.iter("path") if "L" in e.get("d", "")]
    assert len(arrows) == 1
    assert "L298.0 " in arrows[0]
    assert "no bound" in (chart[1].text or "")


def test_a_check_without_figures_has_no_chart() -> None:
    assert charts.interval_chart(view(verdict="inconclusive", value=None, low=None, high=None), "u", "en") == ""


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), st.floats(-1e6, 1e6))
def test_a_value_lies_within_its_interval_and_all_within_the_drawing(figures: list[float], threshold: float) -> None:
    low, value, high = sorted(figures)
    left, dot, right = ends(drawn(view(f">= {threshold:f}", "inconclusive", value, low, high)))
    assert -0.1 <= left <= dot + 0.11
    assert dot <= right + 0.11 <= 300.7


def test_every_group_is_drawn_on_one_axis() -> None:
    check = next(c for c in read_candidates(records.record(), "zh")[0].checks if c.parts)
    axis = charts.group_span(check)
    assert axis is not None
    assert axis[0] <= 0.7942
    assert 0.9969 <= axis[1] <= 1
    for part in check.parts:
        chart = ET.fromstring(str(charts.group_chart(part, axis, "", "u", "zh")))
        assert part["group"] in (chart[0].text or "")


def test_a_histogram_has_a_bar_for_each_range_as_high_as_its_count() -> None:
    bins = [{"from": 0.0, "to": 0.01, "count": 10}, {"from": 0.01, "to": 0.1, "count": 40}, {"from": 0.1, "to": None, "count": 0}]
    chart = ET.fromstring(str(charts.histogram(bins, "u", "en")))
    heights = [float(e.get("height", "")) for e in chart.iter("rect")]
    assert heights[1] == pytest.approx(4 * heights[0], rel=0.01)
    assert heights[2] == 0
    assert chart[1].text == "50 calls in 3 ranges of time; most fell in 10 ms to 100 ms."


def test_a_histogram_of_no_calls_is_left_out() -> None:
    assert charts.histogram([], "u", "en") == ""
    assert charts.histogram([{"from": 0, "to": 1, "count": None}], "u", "en") == ""


def test_a_calibrated_score_lies_on_the_diagonal() -> None:
    rows = [{"n": 10, "mean_score": x, "share_positive": x, "low": None, "high": 1.0} for x in (0.1, 0.5, 0.9)]
    chart = ET.fromstring(str(charts.calibration_chart(rows, "u", "zh")))
    limit = next(e for e in chart.iter("line"))
    x1, y1 = float(limit.get("x1", "")), float(limit.get("y1", ""))
    for dot in chart.iter("circle"):
        assert float(dot.get("cx", "")) - x1 == pytest.approx(y1 - float(dot.get("cy", "")), abs=0.11)


def test_charts_hold_no_style_of_their_own() -> None:
    text = str(charts.interval_chart(view(), "u", "en"))
    assert not re.search(r"style=|fill=|stroke=", text)
