"""Indicators in the console: declared whole or not at all, recorded, drawn beside their lines, projected with bounds."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.console import act, render, visit

from pilotbase.console.page import To
from pilotbase.console.pages import indicators
from pilotbase.context import Context, open_context
from pilotbase.errors import InvalidInput, UserError
from pilotbase.store.audit import entries
from pilotbase.store.disk import LocalDisk

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
LIST, NEW, ONE = indicators.PAGES
FORM = {
    "title": "端侧助手普及率", "numerator": "装有助手的手机", "denominator": "在用手机", "population": "全省居民",
    "source": "抽样调查", "basis": "sample",
}  # fmt: skip


class Still:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Context]:
    with open_context(tmp_path / "home", disk=LocalDisk(), clock=Still(), secrets={}.get) as context:
        yield context


def declared(base: Context, **form: str) -> str:
    done = act(NEW, "declare", visit(base), **{**FORM, **form})
    assert isinstance(done, To)
    return done.path.rpartition("/")[2]


def recorded(base: Context, one: str, **counts: str) -> None:
    for period, count in counts.items():
        form = {"period": period.lstrip("y").replace("_", "-"), "numerator": count, "denominator": "1,000"}
        act(ONE, "record", visit(base, place={"indicator": one}), **form)


def test_a_share_without_its_denominator_or_population_is_refused_by_name(base: Context) -> None:
    for word, name in (("denominator", "分母"), ("population", "总体"), ("numerator", "分子"), ("source", "数据来源")):
        with pytest.raises(InvalidInput) as refused:
            act(NEW, "declare", visit(base, language="zh"), **{**FORM, word: " "})
        assert refused.value.problems == (f"{name}未填写，或超过 400 个字符",)
    assert "尚未声明指标" in render(LIST, visit(base, language="zh"))


def test_a_series_is_shown_with_what_it_is_of_and_projected_from_three_periods_on(base: Context) -> None:
    one = declared(base)
    seen = visit(base, place={"indicator": one})
    assert "No period is recorded yet." in render(ONE, seen)
    recorded(base, one, y2023="200", y2024="350")
    page = render(ONE, seen)
    assert "not projected from 2 periods: 3 are needed" in page and "在用手机" in page and 'class="band"' not in page
    recorded(base, one, y2025="500")
    page = render(ONE, seen)
    assert "not projected" not in page and 'class="band"' in page and "70 %" in page and "90 %" in page
    assert "50.0 % (47." in page and 'class="whisker"' in page
    listed = render(LIST, visit(base, role="owner"))
    assert "端侧助手普及率" in listed and "n = 1,000" in listed and "全省居民" in listed and "A new indicator" not in listed


def test_a_census_has_no_sampling_error(base: Context) -> None:
    one = declared(base, basis="census")
    recorded(base, one, y2025="500")
    page = render(ONE, visit(base, place={"indicator": one}))
    assert "50.0 %" in page and "50.0 % (" not in page and 'class="whisker"' not in page


def test_counts_are_corrected_and_the_audit_log_keeps_what_they_were(base: Context) -> None:
    one = declared(base)
    recorded(base, one, y2026_Q3="200")
    recorded(base, one, y2026_q3="210")
    page = render(ONE, visit(base, place={"indicator": one}))
    assert "210" in page and ">200<" not in page and page.count("2026-Q3</th>") == 1
    found = [one for one in entries(base.database, limit=9) if one.action == "indicator.record"]
    assert sorted(one.detail.get("before", []) for one in found) == [[], [200, 1000]]


def test_counts_that_are_no_share_are_refused(base: Context) -> None:
    one = declared(base)
    seen = visit(base, place={"indicator": one})
    good = {"period": "2025", "numerator": "1", "denominator": "2"}
    for wrong, told in (
        ({"period": "2026"}, "The period is one that has ended: 2026, 2026-Q3 or 2026-06"),
        ({"numerator": "3"}, "The numerator is not more than the denominator"),
        ({"numerator": "0", "denominator": "0"}, "The denominator is more than 0"),
    ):
        with pytest.raises(InvalidInput) as refused:
            act(ONE, "record", seen, **{**good, **wrong})
        assert refused.value.problems == (told,)
    for wrong in ({"numerator": "many"}, {"denominator": ""}, {"numerator": "-1"}):
        with pytest.raises(UserError, match="is no whole number"):
            act(ONE, "record", seen, **{**good, **wrong})
    with pytest.raises(UserError) as missing:
        act(ONE, "record", visit(base, place={"indicator": "ind_none"}), **good)
    assert missing.value.status == 404


def test_only_an_operator_declares_and_lists_are_paged(base: Context) -> None:
    for _ in range(22):
        declared(base)
    page = render(LIST, visit(base))
    assert page.count("<section class") == 21 and "Older ones" in page
    with pytest.raises(UserError) as refused:
        act(NEW, "declare", visit(base, role="engineer"), **FORM)
    assert refused.value.status == 403
