"""Needs and capabilities in the console: filled in, refused without loss, published, seen by those who may, withdrawn."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.console import act, render, visit

from pilotbase.accounts import organisations
from pilotbase.catalog import entries
from pilotbase.console.page import Page, To, Visit
from pilotbase.console.pages import catalog
from pilotbase.context import Context, open_context
from pilotbase.domain.account import Role
from pilotbase.domain.entry import Capability, Certificate, Need
from pilotbase.errors import InvalidInput, UserError
from pilotbase.flows import catalogue
from pilotbase.store.disk import LocalDisk

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
PAGES = {page.name: page for page in catalog.PAGES}
NEED = {
    "title": "肺结节初筛", "text": "基层医院胸片初筛", "area": "livelihood", "tags": "胸片，肺结节, 胸片", "data": "personal",
    "deployment-on-premises": "yes", "budget": "500,000 CNY", "acceptance": "sensitivity ≥ 0.95\n\nlatency.p95<=2 s",
    "papers": "NMPA III", "access": "application",
}  # fmt: skip
OFFER = {
    "title": "Nodule finder", "text": "Finds nodules", "area-livelihood": "yes", "data-personal": "yes", "price": "2000 CNY",
    "certificates": "NMPA III | NMPA | 123 | 2028-12-31\nISO 13485\nCE | 2027-01-01",
}  # fmt: skip


class Still:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Context]:
    with open_context(tmp_path / "home", disk=LocalDisk(), clock=Still(), secrets={}.get) as context:
        yield context


@pytest.fixture
def homes(base: Context) -> tuple[str, str]:
    """Two organisations."""
    first, second = (organisations.create(base.database, name, who="test", now=NOW).id for name in ("Hospital", "Vendor"))
    return first, second


def by(base: Context, role: Role, organisation: str, **place: str) -> Visit:
    return visit(base, role=role, organisation=organisation, place=place)


def made(base: Context, home: str, **form: str) -> str:
    done = act(PAGES["need-new"], "save", by(base, "owner", home), **{**NEED, **form})
    assert isinstance(done, To)
    return done.path.rpartition("/")[2]


def test_a_need_is_drafted_by_its_owner_and_published_to_all(base: Context, homes: tuple[str, str]) -> None:
    hospital, vendor = homes
    need = made(base, hospital)
    kept = entries.find(base.database, Need, need)
    assert kept is not None and (kept.organisation, kept.state, kept.tags) == (hospital, "draft", ("胸片", "肺结节"))
    assert [(one.metric, one.require) for one in kept.acceptance] == [("sensitivity", ">= 0.95"), ("latency.p95", "<=2 s")]
    assert (kept.budget, kept.papers, kept.deployments) == ("500000 CNY", ("NMPA III",), ("on-premises",))
    with pytest.raises(UserError) as hidden:
        render(PAGES["need"], by(base, "vendor", vendor, need=need))
    assert hidden.value.status == 404 and "肺结节" not in render(PAGES["needs"], by(base, "vendor", vendor))
    assert "肺结节初筛" in render(PAGES["need"], by(base, "engineer", "base", need=need))
    act(PAGES["need"], "publish", by(base, "owner", hospital, need=need), version="1")
    seen = render(PAGES["need"], by(base, "vendor", vendor, need=need))
    assert "肺结节初筛" in seen and "500000 CNY" in seen and "Withdraw" not in seen and "Edit" not in seen


def test_another_organisations_entries_are_read_and_not_changed(base: Context, homes: tuple[str, str]) -> None:
    need = made(base, homes[0], then="publish")
    stranger = by(base, "owner", homes[1], need=need)
    led = PAGES["need-edit"].show(stranger)
    assert isinstance(led, To) and led.path == f"/console/needs/{need}"
    for page, word in (("need", "withdraw"), ("need-edit", "save")):
        with pytest.raises(UserError) as refused:
            act(PAGES[page], word, stranger, **NEED, version="2")
        assert refused.value.status == 403
    with pytest.raises(UserError) as refused:
        act(PAGES["need-new"], "save", by(base, "owner", homes[1]), **NEED, organisation=homes[0])
    assert refused.value.status == 403


def test_an_engineer_writes_for_an_organisation_that_there_is(base: Context, homes: tuple[str, str]) -> None:
    assert "Hospital" in render(PAGES["need-new"], by(base, "engineer", "base"))
    done = act(PAGES["need-new"], "save", by(base, "engineer", "base"), **NEED, organisation=homes[0])
    assert isinstance(done, To) and f'value="{homes[0]}"' not in render(PAGES["need-new"], by(base, "owner", homes[0]))
    with pytest.raises(UserError, match="no such organisation"):
        act(PAGES["need-new"], "save", by(base, "engineer", "base"), **NEED, organisation="org_x")


def test_what_is_wrong_is_told_at_once_in_the_readers_language_and_nothing_is_kept(base: Context, homes: tuple[str, str]) -> None:
    wrong = {**NEED, "title": "", "budget": "much", "acceptance": "sensitivity\naccuracy >= 0.9\nf1 > 0.5"}
    seen = visit(base, role="owner", organisation=homes[0], language="zh")
    with pytest.raises(InvalidInput) as refused:
        act(PAGES["need-new"], "save", seen, **wrong)
    told = refused.value.problems
    assert [line.split("：")[0] for line in told] == ["预算", "验收检验项", "验收检验项", "标题"]
    assert "第 1 行“sensitivity”" in told[1] and "第 3 行" in told[2]
    with pytest.raises(InvalidInput) as refused:
        act(PAGES["need-new"], "save", seen, **{**NEED, "acceptance": "", "then": "publish"})
    assert "没有验收检验项的场景机会不能发布" in refused.value.problems[0]
    assert entries.list_entries(base.database, Need) == []


def test_a_metric_that_the_base_does_not_know_is_kept_with_a_warning(base: Context, homes: tuple[str, str]) -> None:
    done = act(PAGES["need-new"], "save", by(base, "owner", homes[0]), **{**NEED, "acceptance": "sensitivty >= 0.95"})
    assert isinstance(done, To) and "no metric `sensitivty`" in done.note and "mean `sensitivity`" in done.note
    need = done.path.rpartition("/")[2]
    assert "has no such metric yet" in render(PAGES["need"], by(base, "owner", homes[0], need=need))


def test_a_capability_keeps_its_papers_and_shows_them_again_in_the_form(base: Context, homes: tuple[str, str]) -> None:
    done = act(PAGES["capability-new"], "save", by(base, "vendor", homes[1]), **OFFER, then="publish")
    assert isinstance(done, To)
    one = done.path.rpartition("/")[2]
    kept = entries.find(base.database, Capability, one)
    assert kept is not None and kept.state == "published"
    assert [(paper.name, paper.issuer, str(paper.until)) for paper in kept.certificates] == [
        ("NMPA III", "NMPA", "2028-12-31"), ("ISO 13485", "", "None"), ("CE", "", "2027-01-01"),
    ]  # fmt: skip
    form = render(PAGES["capability-edit"], by(base, "vendor", homes[1], capability=one))
    assert "NMPA III | NMPA | 123 | 2028-12-31\nISO 13485\nCE |  |  | 2027-01-01" in form
    again = {**OFFER, "certificates": "CE |  |  | 2027-01-01", "version": "2"}
    act(PAGES["capability-edit"], "save", by(base, "vendor", homes[1], capability=one), **again)
    changed = entries.find(base.database, Capability, one)
    assert changed is not None and (changed.state, changed.certificates) == (
        "published",
        (replace(Certificate(name="CE"), until=kept.certificates[2].until),),
    )
    with pytest.raises(InvalidInput, match="kept yet"):
        act(PAGES["capability-new"], "save", by(base, "vendor", homes[1]), **{**OFFER, "certificates": "a | b | c | d | e"})


def test_who_saves_second_is_told_so(base: Context, homes: tuple[str, str]) -> None:
    need = made(base, homes[0])
    seen = by(base, "owner", homes[0], need=need)
    act(PAGES["need-edit"], "save", seen, **{**NEED, "title": "first"}, version="1")
    for version in ("1", "x", ""):
        with pytest.raises(UserError, match="somebody else changed this need") as refused:
            act(PAGES["need-edit"], "save", seen, **{**NEED, "title": "second"}, version=version)
        assert refused.value.status == 409


def test_a_withdrawn_entry_is_gone_for_others_and_can_come_back(base: Context, homes: tuple[str, str]) -> None:
    need = made(base, homes[0], then="publish")
    own = by(base, "owner", homes[0], need=need)
    act(PAGES["need"], "withdraw", own, version="2")
    with pytest.raises(UserError, match="no such need"):
        render(PAGES["need"], by(base, "vendor", homes[1], need=need))
    assert "Make it a draft again" in render(PAGES["need"], own)
    act(PAGES["need"], "reopen", own, version="3")
    act(PAGES["need"], "publish", own, version="4")
    assert "肺结节初筛" in render(PAGES["need"], by(base, "vendor", homes[1], need=need))


def test_lists_are_filtered_paged_and_say_what_to_do_where_they_are_empty(base: Context, homes: tuple[str, str]) -> None:
    empty = render(PAGES["needs"], by(base, "owner", homes[0]))
    assert "A new need" in empty and "No need is published yet" in empty
    assert "A new need" not in render(PAGES["needs"], by(base, "vendor", homes[1]))
    for number in range(catalogue.SHOWN + 2):
        made(base, homes[number % 2], title=f"need {number}", area="industry" if number else "science")
    own = by(base, "owner", homes[0])
    assert render(PAGES["needs"], own).count('<li class="card">') == catalogue.SHOWN // 2 + 1
    first = render(PAGES["needs"], visit(base, role="operator"))
    assert first.count('<li class="card">') == catalogue.SHOWN and "Older ones" in first
    page: Page = PAGES["needs"]
    assert render(page, visit(base, query={"area": "science"})).count('<li class="card">') == 1
    assert render(page, visit(base, query={"organisation": homes[1]})).count('<li class="card">') == catalogue.SHOWN // 2 + 1
    assert "None is like that." in render(page, visit(base, query={"state": "published"}))
    with pytest.raises(UserError, match="there is no `gone`"):
        render(page, visit(base, query={"state": "gone"}))


def test_a_need_shows_what_fits_it_and_what_is_refused_with_the_reasons(base: Context, homes: tuple[str, str]) -> None:
    need = made(base, homes[0], then="publish")
    offer = {**OFFER, "title": "肺结节检出", "tags": "胸片", "deployment-on-premises": "yes", "then": "publish"}
    act(PAGES["capability-new"], "save", by(base, "vendor", homes[1]), **offer)
    dear = {**offer, "title": "肺结节云服务", "price": "900000 CNY", "data-personal": ""}
    act(PAGES["capability-new"], "save", by(base, "vendor", homes[1]), **dear)
    seen = render(PAGES["need"], visit(base, role="owner", organisation=homes[0], language="zh", place={"need": need}))
    fits, refused = seen.split("内容相近但不符合条件：1 条")
    assert "肺结节检出" in fits and "<mark>肺结节</mark>" in fits and "共有标签： 胸片" in fits and "价格在预算内" in fits
    assert (
        "肺结节云服务" in refused and "数据类别：要求个人信息，实为无" in refused and "要求500000 CNY，实为900000 CNY" in refused
    )
