"""Numbers, times and texts as readers see them."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.dossier.figures import interval, moment, number, percent, share, tidy


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "", "—"),
        (0.952, "", "0.952"),
        (0.95238095, "", "0.9524"),
        (1.0, "", "1"),
        (0, "", "0"),
        (12345, "", "12,345"),
        (1234567.891, "", "1,234,568"),
        (1e-9, "", "1e-09"),
        (-0.0052, "", "-0.0052"),
        (0.0483, "s", "48.3 ms"),
        (1.25, "s", "1.25 s"),
        (0.0, "s", "0 s"),
        (0.0123, "CNY", "0.0123 CNY"),
        (51.234, "/s", "51.23/s"),
        (10**400, "", f"{10**400:,}"),
        (1e300, "", "1e+300"),
    ],
)
def test_a_number_is_written_with_four_significant_digits_and_its_unit(value: float | None, unit: str, text: str) -> None:
    assert number(value, unit) == text


def test_a_bound_just_under_its_threshold_is_never_rounded_onto_it() -> None:
    assert share(0.94999996, 0.95) == "0.94999996"
    assert interval(0.94999996, 0.99, 0.95) == "[0.94999996, 0.99]"
    assert share(0.95, 0.95) == "0.95"


@given(st.floats(0, 1), st.floats(0.01, 0.99))
def test_a_share_and_its_threshold_are_written_on_the_side_on_which_they_are(value: float, threshold: float) -> None:
    shown = share(value, threshold)
    if value == threshold or abs(value - threshold) < 1e-12:
        return
    limits = [number(threshold, "", digits) for digits in range(4, 16)]
    assert any(float(shown) != float(limit) and (float(shown) > float(limit)) == (value > threshold) for limit in limits)


def test_an_open_end_and_an_unknown_interval_are_dashes() -> None:
    assert interval(0.07, None, 0.05, "s") == "[70 ms, —]"
    assert interval(None, None, 0.05) == "—"


def test_a_confidence_is_a_percentage_that_no_line_breaks() -> None:
    assert percent(0.95) == "95\u00a0%"
    assert percent(1 - 0.05 * 6 / 3.141592653589793**2 / 3) == "98.99\u00a0%"


def test_a_time_is_written_plainly_and_what_is_none_stays_as_it_is() -> None:
    assert moment("2026-11-21T18:44:08+00:00") == "2026-11-21 18:44:08 UTC"
    assert moment("yesterday") == "yesterday"
    assert moment(None) == "—"


@given(st.text(st.characters(codec=None)))
def test_tidied_text_can_stand_in_utf_8_and_in_xml(text: str) -> None:
    clean = tidy({"k": [text]})["k"][0]
    assert tidy(clean) == clean
    element = ET.Element("a", {"b": clean})
    assert ET.fromstring(ET.tostring(element, encoding="utf-8")).get("b") == re.sub("\r\n?", lambda m: m[0], clean)


def test_direction_controls_and_non_finite_numbers_are_taken_out() -> None:
    assert tidy({"a\u202e": [float("nan"), float("inf"), "x\u2066y", "\ud800"]}) == {
        "a\ufffd": [None, None, "x\ufffdy", "\ufffd"]
    }
