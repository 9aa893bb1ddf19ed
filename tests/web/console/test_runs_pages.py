"""The pages of runs: the list, one run, one case, two side by side; custody, damage and hostile text."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.flows.stories import pilotbase
from tests.flows.support import Base, accuracy, cases

from pilotbase.console.page import Shown, Visit
from pilotbase.console.pages import runs
from pilotbase.console.rendering import render
from pilotbase.console.words import catalogue, speak
from pilotbase.context import Context
from pilotbase.domain.account import Member
from pilotbase.errors import UserError
from pilotbase.pilots.records import create_run

HOSTILE = "<script>alert(1)</script>\"'{{ 7 * 7 }}"
SEEN = datetime(2026, 11, 1, tzinfo=UTC)
PAGES = {page.name: page for page in runs.PAGES}
HELD_MODELS = """
def told(case):
    note = case["note"]
    x = int(note.rsplit("-", 1)[1])
    if x % 11 == 4:
        raise ValueError(f"cannot read {note!r}")
    return f"ANSWERED-{note}" if x % 13 == 5 else "yes" if x % 2 else "no"
"""


def member(*, language: Any = "en") -> Member:
    return Member(
        id="m1", login="lin", name="Lin", organisation="o1", roles=("engineer",), created=SEEN, language=language, theme="light"
    )


def shown(context: Context, name: str, language: str = "en", /, *, place: str = "", **query: str) -> tuple[Shown, str]:
    """A page's answer, and its HTML."""
    visit = Visit(
        context=context,
        member=member(language=language),
        language=language,
        t=speak(language),
        place={"run": place} if place else {},
        query=query,
    )
    found = PAGES[name].show(visit)
    assert isinstance(found, Shown)
    return found, render(found, visit, page=PAGES[name], menu=runs.PAGES, csrf="token")


def text(html: str) -> str:
    """What a reader sees of a page's main part, drawings told too."""
    main = html.partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A run that passes with two candidates, one of each version in another, and one whose evidence is damaged."""
    folder = tmp_path_factory.mktemp("runs")
    base = Base(folder=folder / "pilot", home=folder / "home")
    checks = [accuracy(), accuracy("<= 0.9", **{"gap-by": "site"})]
    base.write(
        rows=cases(120),
        candidates={"good": base.python("good"), "wrong": base.python("wrong")},
        checks=checks,
        data={"groups": ["site"]},
        more={"title": {"en": HOSTILE, "zh": HOSTILE}},
    )
    for _ in range(2):
        base.run(early_stop=False)
    base.write(rows=cases(120), candidates={"good": base.python("good")}, checks=[accuracy()], data={"groups": ["site"]})
    base.run()
    for segment in (base.home / "runs" / "small-3" / "evidence").rglob("*.parquet"):
        data = bytearray(segment.read_bytes())
        data[len(data) // 2] ^= 255
        segment.write_bytes(bytes(data))
    return base


@pytest.fixture
def home(base: Base) -> Iterator[Context]:
    with base.opened() as context:
        yield context


@pytest.fixture
def copied(base: Base, tmp_path: Path) -> Base:
    """The same home for tests that change it."""
    return Base(folder=base.folder, home=shutil.copytree(base.home, tmp_path / "home"), environment=base.environment)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A run on held-out data whose every value can be found again."""
    folder = tmp_path_factory.mktemp("held")
    base = Base(folder=folder / "pilot", home=folder / "home")
    rows = [
        {
            "id": f"PERSON-{x}",
            "note": f"SECRET-{x}",
            "ward": f"WARD-{x % 2}",
            "patient": f"FAMILY-{x // 2}",
            "label": "yes" if x % 2 else "no",
        }
        for x in range(90)
    ]
    checks = [
        {"metric": "accuracy", "require": ">= 0.5"},
        {"metric": "accuracy", "gap-by": "ward", "require": "<= 0.5"},
        {"metric": "labels", "require": "in [yes, no]"},
    ]
    data = {"inputs": ["note"], "groups": ["ward"], "cluster": "patient", "custody": "held-out"}
    base.write(rows=rows, models=HELD_MODELS, data=data, candidates={"told": {"python": "models:told"}}, checks=checks)
    base.run(early_stop=False)
    return base


def test_the_list_shows_the_newest_run_first_and_a_damaged_one_among_them(home: Context) -> None:
    found, html = shown(home, "runs")
    assert [one.run for one in found.values["runs"]] == ["small-3", "small-2", "small-1"]
    assert 'href="/console/runs/small-3"' in html


def test_the_list_is_filtered_by_pilot_and_verdict(home: Context) -> None:
    assert len(shown(home, "runs", pilot="small", verdict="pass")[0].values["runs"]) == 3
    found, html = shown(home, "runs", verdict="fail")
    assert found.values["runs"] == ()
    assert "No run matches." in html
    assert shown(home, "runs", pilot=HOSTILE)[0].values["runs"] == ()
    assert len(shown(home, "runs", verdict=HOSTILE)[0].values["runs"]) == 3


def test_the_list_goes_on_from_a_cursor_and_loses_and_repeats_no_run(tmp_path: Path) -> None:
    base = Base(folder=tmp_path / "pilot", home=tmp_path / "home")
    with base.opened() as context:
        for number in range(120):
            create_run(
                context.database,
                pilot=f"p{number % 2}",
                spec_digest="",
                criteria_digest="",
                data_digest="",
                scenario="s",
                options={"candidates": []},
                now="2026-01-01T00:00:00Z",
            )
        seen: list[str] = []
        query: dict[str, str] = {}
        while True:
            found, html = shown(context, "runs", **query)
            seen += [one.run for one in found.values["runs"]]
            if found.values["older"] is None:
                break
            assert f"before={found.values['older']}" in html
            query = {"before": found.values["older"]}
        assert (len(seen), len(set(seen))) == (120, 120)
        assert seen[0] == "p1-60"
        assert len(shown(context, "runs", verdict="none", pilot="p0")[0].values["runs"]) == 50
        with pytest.raises(UserError, match="no run `gone`"):
            shown(context, "runs", before="gone")


def test_an_empty_home_says_how_to_begin(tmp_path: Path) -> None:
    with Base(folder=tmp_path, home=tmp_path / "home").opened() as context:
        assert "pilotbase run PILOT" in shown(context, "runs")[1]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_run_is_told_as_its_dossier_tells_it_with_every_interval_drawn(home: Context, language: str) -> None:
    html = shown(home, "run", language, place="small-1")[1]
    told = text(html)
    verdict = {"en": "Candidates that met every mandatory check: 1 of 2.", "zh": "满足全部必过检验项的被测应用：2 个中有 1 个。"}
    assert verdict[language] in told
    assert html.count('class="chart interval"') == 4
    assert html.count('class="chart group"') == 4
    assert {"en": "planned = scored + failed + not asked", "zh": "计划 = 已评分 + 失败 + 未询问"}[language] in told
    assert ("Seal a dossier" if language == "en" else "封存档案") in told
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_the_accounts_of_every_check_add_up(home: Context) -> None:
    sight = shown(home, "run", place="small-1")[0].values["sight"]
    for check in (c for one in sight["candidates"] for c in one.checks):
        assert check.planned == check.scored + check.failed + check.not_asked == 120


def test_failures_are_quoted_where_custody_is_open_and_lead_to_their_case(home: Context) -> None:
    html = shown(home, "run", place="small-1")[1]
    assert "wrong: no for yes" in html
    case = re.search(r'href="(/console/runs/small-1/case\?id=c\d+)"', html)
    assert case
    told = text(shown(home, "case", place="small-1", id=case[1].rpartition("=")[2])[1])
    assert "answer" in told.lower()
    assert "sha256:" in told


def test_a_case_that_is_not_there_is_refused_with_what_was_looked_for(home: Context) -> None:
    found, html = shown(home, "case", place="small-1", id=HOSTILE)
    assert found.status == 400
    assert "This case cannot be shown." in html
    assert "<script>alert" not in html
    assert "{{ 7 * 7 }}" in unescape(html)


def test_of_held_out_data_no_page_shows_a_row_an_answer_or_the_name_of_a_group(kept: Base) -> None:
    with kept.opened() as context:
        for language in ("en", "zh"):
            pages = [
                shown(context, "run", language, place="small-1")[1],
                shown(context, "run", language, place="small-1", confidence="0.99")[1],
                shown(context, "compare", language, first="small-1", second="small-1")[1],
                shown(context, "case", language, place="small-1")[1],
            ]
            for html in pages:
                assert not re.search("SECRET|ANSWERED|PERSON|WARD|FAMILY", html)
        told = text(shown(context, "run", place="small-1")[1])
        assert "failures appear here as categories and counts only" in told
        assert "the application raised an error" in told
        refused, html = shown(context, "case", place="small-1", id="PERSON-3")
        assert refused.status == 403
        assert "SECRET" not in html
        assert "its rows are shown to nobody" in html


def test_another_confidence_is_marked_exploratory_and_changes_no_record(home: Context) -> None:
    found, html = shown(home, "run", place="small-1", confidence="0.99")
    assert found.values["sight"]["level"] == 0.99
    assert found.values["sight"]["verdict"] == "inconclusive"
    assert "EXPLORATORY" in html
    assert "changes nothing that is recorded" in html
    assert shown(home, "run", place="small-1")[0].values["sight"]["verdict"] == "pass"


@pytest.mark.parametrize("confidence", ["1", "0.2", "nan", "much", HOSTILE])
def test_what_is_no_confidence_is_named_and_the_recorded_criteria_hold(home: Context, confidence: str) -> None:
    found, html = shown(home, "run", place="small-1", confidence=confidence)
    assert found.values["unfit"]
    assert found.values["sight"]["confirmatory"]
    assert "at least 0.5 and less than 1" in html
    assert "<script>alert" not in html


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_damaged_run_shows_what_was_found_and_what_to_do_and_concludes_nothing(home: Context, language: str) -> None:
    found, html = shown(home, "run", language, place="small-3")
    assert found.values["sight"] is None
    trouble = found.values["trouble"]
    assert trouble.message and trouble.hint
    assert trouble.message in unescape(html)
    assert 'class="chart' not in html
    assert {"en": "Bring them back from a copy", "zh": "请从本库的备份中恢复文件"}[language] in html


def test_files_of_different_runs_are_told_as_damage(copied: Base) -> None:
    cases_of = copied.home / "runs" / "small-1" / "cases.parquet"
    pl.read_parquet(cases_of).head(7).write_parquet(cases_of)
    with copied.opened() as context:
        html = shown(context, "run", place="small-1")[1]
    assert "the files of this run do not fit together" in html
    assert "from one copy of the home" in html


def test_a_run_that_is_not_there_or_whose_record_is_damaged_is_an_error_that_says_so(tmp_path: Path, home: Context) -> None:
    with pytest.raises(UserError, match="no run `gone`") as refused:
        shown(home, "run", place="gone")
    assert refused.value.status == 404
    with Base(folder=tmp_path, home=tmp_path / "home").opened() as context:
        context.database.execute(
            "INSERT INTO runs (run, pilot, state, created, updated, options) VALUES ('p-1', 'p', 'asking', 'x', 'x', '{')"
        )
        assert [one.run for one in shown(context, "runs")[0].values["runs"]] == ["p-1"]
        for options in ("{", "{}", "[]"):
            context.database.execute("UPDATE runs SET options = ?", (options,))
            with pytest.raises(UserError, match="record of run p-1 cannot be read"):
                shown(context, "run", place="p-1")


def test_an_unfinished_run_says_how_to_go_on(copied: Base) -> None:
    with copied.opened() as context:
        with context.database.transaction():
            context.database.execute("UPDATE runs SET state = 'interrupted', result = NULL, verdict = NULL WHERE run = 'small-3'")
        html = shown(context, "run", place="small-3")[1]
    assert f"pilotbase run {copied.pilot}" in html
    assert "This run is unfinished" in html


def test_two_candidates_of_one_run_stand_side_by_side_paired_by_case(home: Context) -> None:
    found, html = shown(home, "compare", first="small-1", second="small-1", a="good", b="wrong")
    row = found.values["rows"][0]
    assert (row["told"].candidate, row["told"].other, row["told"].agreement) == ("good", "wrong", "disagree")
    assert row["difference"]["high"] < 0
    assert "They disagree" in html
    assert 'class="chart group"' in html


def test_two_runs_of_the_same_candidates_agree(home: Context) -> None:
    found, html = shown(home, "compare", "zh", first="small-1", second="small-2")
    assert found.values["found"].agreement == "agree"
    assert "结论一致。" in html


def test_what_cannot_be_compared_is_told_and_paths_are_no_runs(base: Base, home: Context) -> None:
    for query in (
        {"first": str(base.home), "second": "small-1"},
        {"first": "small-1", "second": HOSTILE},
        {"first": "small-1", "second": "small-2", "a": HOSTILE},
    ):
        found, html = shown(home, "compare", **query)
        assert found.status == 404
        assert "These cannot be compared." in html
        assert "<script>alert" not in html
    assert shown(home, "compare", first="small-1", second="small-2", confidence="2")[0].status == 422
    assert shown(home, "compare")[0].values["found"] is None


def test_hostile_text_in_a_pilot_is_shown_as_text(home: Context) -> None:
    html = shown(home, "run", place="small-1")[1]
    assert "<script>alert" not in html
    assert HOSTILE in unescape(html)
    assert " style=" not in html


def test_a_dossier_in_the_home_is_verified_on_the_page(copied: Base) -> None:
    said = pilotbase(copied.home, "dossier", "small-2")
    assert said.code == 0, said.err
    dossiers = copied.home / "dossiers"
    with copied.opened() as context:
        html = shown(context, "run", place="small-2")[1]
        assert "dossiers/small-2" in html
        assert "Verify this dossier" in html
        found, html = shown(context, "run", place="small-2", verify="1")
        assert found.values["verified"].status == "intact-trusted"
        assert "Verified: intact" in html
        (dossiers / "small-2").rename(dossiers / "small-1")
        found, html = shown(context, "run", place="small-1", verify="1")
        assert found.values["verified"].status == "changed"
        assert "this is the dossier of run small-2, not of small-1" in html
        (dossiers / "small-1" / "report.html").write_text("other")
        assert "do not rely on this dossier" in shown(context, "run", place="small-1", verify="1")[1]


def test_every_text_of_these_pages_has_its_chinese() -> None:
    templates = Path(runs.__file__).parent.parent / "templates"
    spoken = {page.title for page in runs.PAGES} | {"none", *runs.VERDICTS}
    for name in ("runs", "run", "case", "compare"):
        source = (templates / f"{name}.html.j2").read_text(encoding="utf-8")
        spoken |= {double or single for double, single in re.findall(r"""\b_\((?:"([^"]+)"|'([^']+)')\)""", source)}
        spoken |= {text for table in re.findall(r"_\(\{(.*?)\}\[", source) for text in re.findall(r': "([^"]+)"', table)}
    assert len(spoken) > 60
    assert sorted(spoken - catalogue("zh").keys()) == []
