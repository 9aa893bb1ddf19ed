"""Reasons in both languages."""

import re
import string

import pytest
from tests.fakes.boards import SOURCE

from pilotbase.domain.reason import REASONS, Reason


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("code", sorted(REASONS))
def test_every_reason_says_the_same_figures_in_both_languages(code: str) -> None:
    english, chinese = REASONS[code]
    assert _fields(english) == _fields(chinese)
    figures = {name: f"<{name}>" for name in _fields(english)}
    for language, told in (("en", Reason(code, figures).text()), ("zh", Reason(code, figures).text("zh-CN"))):
        assert all(shown in told for shown in figures.values())
        assert bool(re.search(r"[一-鿿]", told)) == (language == "zh")


def test_a_bound_is_named_in_the_reader_s_language() -> None:
    reason = Reason("met", {"bound": "low", "value": "0.96", "require": ">= 0.95"})
    assert reason.text() == "low 0.96 keeps >= 0.95"
    assert reason.text("zh") == "下界 0.96 满足 >= 0.95"


def test_every_reason_is_used_and_every_used_one_exists() -> None:
    told = "".join(p.read_text("utf-8") for p in (SOURCE / "checks").glob("*.py"))
    assert {code for code in REASONS if f'"{code}"' not in told} == set()
    assert set(re.findall(r'Reason\("([a-z-]+)"', told)) <= set(REASONS)
