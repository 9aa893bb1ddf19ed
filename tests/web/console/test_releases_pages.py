"""The pages of releases: what they show of a release as it goes, and the words that move it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.watched import World, watched

from pilotbase.console.page import Page, Shown, To, Visit
from pilotbase.console.pages.releases import PAGES
from pilotbase.console.rendering import render
from pilotbase.console.words import catalogue, speak
from pilotbase.domain.account import Member, may
from pilotbase.domain.incident import Detection, Incident
from pilotbase.domain.scenario import Titles
from pilotbase.errors import UserError
from pilotbase.gateway import audit
from pilotbase.release import incidents, records

LIST, ONE = PAGES
HOSTILE = "<script>alert(1)</script>"
OPERATOR = Member(
    id="m1", login="li.lei", name="Li Lei", organisation="o1", roles=("operator",), created=datetime(2026, 1, 1, tzinfo=UTC)
)
READER = Member(
    id="m2", login="han", name="Han Meimei", organisation="o1", roles=("reviewer",), created=datetime(2026, 1, 1, tzinfo=UTC)
)


def visit(world: World, language: str = "en", member: Member = OPERATOR, release: str = "r1", **query: str) -> Visit:
    return Visit(
        context=world.context, member=member, language=language, t=speak(language), place={"release": release}, query=query
    )


def html(page: Page, seen: Visit) -> str:
    shown = page.show(seen)
    assert isinstance(shown, Shown)
    return render(shown, seen, page=page, csrf="c")


def text(page: str) -> str:
    """What a reader sees, without tags."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def act(name: str, seen: Visit, **form: str) -> To:
    done = ONE.acts[name].do(seen, {"act": name, "csrf": "c", **form})
    assert isinstance(done, To)
    return done


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    diligence = [{"item": f"Staff were told {HOSTILE}", "by": "Dr. Wang", "on": "2026-11-01", "reference": "minutes 7"}]
    with watched(
        tmp_path / "home",
        due_diligence=diligence,
        exposure={"people": 50, "requests": 5000, "spend": "20 CNY", "time": "2h"},
        budget={"failures": "2 %", "over": "30d"},
    ) as one:
        yield one


def logged(world: World) -> list[tuple[str, str]]:
    return [(entry.who, entry.action) for entry in audit.entries(world.database) if entry.action.startswith("release.")]


def test_the_list_shows_releases_under_way_with_state_rung_exposure_and_bearer(world: World) -> None:
    world.passes(10)
    told = text(html(LIST, visit(world)))
    assert (
        "climbing" in told
        and "canary 50 %" in told
        and "Dr. Wang" in told
        and "People : 7 / 50" in told.replace("People:", "People :")
    )
    assert "No release is over yet." in told


def test_the_page_shows_rungs_exposure_budget_and_intervals_against_thresholds(world: World) -> None:
    world.passes(15)
    page = html(ONE, visit(world))
    told = text(page)
    assert 'role="img"' in page and 'class="limit"' in page and "<desc" in page
    for part in ("canary 50 %", "full use", "Exposure against limits", "7 50", "2 % of requests may fail over 30 d",
                 "It waits for", "15 s", "failure-rate", "minutes 7", "Trial-risk register"):  # fmt: skip
        assert part in told, part
    assert "Nobody watches" not in told
    assert 'data-refresh="5"' in page


def test_a_release_that_nobody_watches_says_so_loudly(world: World) -> None:
    world.time.passes(300.0)
    page = html(ONE, visit(world))
    assert 'role="alert"' in page and "Nobody watches this release." in text(page)
    assert "无人监视" in text(html(ONE, visit(world, "zh")))


def test_an_automatic_rollback_is_told_with_its_causes_in_the_readers_language(world: World) -> None:
    world.passes(30, bad=0.6)
    assert world.release.state == "rolled-back"
    english, chinese = text(html(ONE, visit(world))), text(html(ONE, visit(world, "zh")))
    assert "FAILS on live traffic" in english and "在真实流量上不通过" in chinese and "FAILS on live traffic" not in chinese
    assert "Incidents of this release" in english and "inc-" in html(ONE, visit(world))
    assert "on its way" in english  # the log channel was told of the alert
    assert "data-refresh" not in html(ONE, visit(world))
    assert "rolled back" in text(html(LIST, visit(world)))


def test_an_operator_pauses_goes_on_with_higher_limits_and_rolls_back(world: World) -> None:
    world.passes(3)
    assert act("pause", visit(world), why="lunch").note == "The release is paused: it stands on its rung."
    assert "Paused:" in text(html(ONE, visit(world)))
    world.time.passes(1)
    done = act("resume", visit(world), why="back", people="80", requests="", spend="", time="")
    assert done.path == "/console/releases/r1" and world.release.document["plan"]["exposure"]["people"] == 80
    world.time.passes(1)
    done = act("rollback", visit(world, "zh"), why="复诊投诉")
    assert done.note == "发布已回退，全部请求由稳定版本应答。" and world.release.state == "rolled-back" and world.arm is None
    assert logged(world) == [("member:li.lei", f"release.{word}") for word in ("rollback", "resume", "pause")]
    assert records.events(world.database, "r1")[-1].who == "member:li.lei"
    assert "复诊投诉" in text(html(ONE, visit(world)))


def test_rolling_back_twice_changes_nothing_and_says_so(world: World) -> None:
    act("rollback", visit(world), why="first")
    assert act("rollback", visit(world), why="second").note == "It was rolled back before; the stable arm answers everyone."
    assert len(logged(world)) == 1


def test_promoting_is_refused_where_the_release_has_moved_since_the_page_was_shown(world: World) -> None:
    version = str(world.release.version)
    world.moves("pause")
    world.moves("resume")
    with pytest.raises(UserError, match="has moved"):
        act("promote", visit(world), why="looks good", version=version)
    done = act("promote", visit(world), why="looks good", version=str(world.release.version))
    assert done.note == "The candidate answers everyone now; the stable arm stands by." and world.release.state == "full"
    assert "End and keep the candidate" in text(html(ONE, visit(world)))


def test_words_on_a_release_that_is_over_never_reach_another_one_of_its_route(world: World) -> None:
    act("rollback", visit(world), why="over")
    for word in ("pause", "resume", "promote"):
        with pytest.raises(UserError, match="is rolled-back"):
            act(word, visit(world), why="x", version="1")


@pytest.mark.parametrize("form", [{"why": ""}, {"why": "a\nb"}, {"why": "x" * 501}])
def test_a_move_without_a_sound_reason_is_refused(world: World, form: dict[str, str]) -> None:
    with pytest.raises(UserError, match="why"):
        act("rollback", visit(world), **form)
    assert world.release.state == "climbing" and not logged(world)


def test_a_limit_that_is_no_number_is_refused_with_a_hint(world: World) -> None:
    world.moves("pause")
    with pytest.raises(UserError, match="no whole number"):
        act("resume", visit(world), why="on", people="many")


def test_who_may_only_read_sees_no_form(world: World) -> None:
    page = html(ONE, visit(world, member=READER))
    assert 'value="rollback"' not in page and 'value="rollback"' in html(ONE, visit(world))
    assert all(one.permit == "releases.move" and not may(READER, one.permit) for one in ONE.acts.values())


def test_hostile_texts_are_shown_as_text(world: World) -> None:
    act("pause", visit(world), why=HOSTILE)
    page = html(ONE, visit(world))
    assert HOSTILE not in page and page.count("&lt;script&gt;alert(1)") == 2
    assert HOSTILE not in html(LIST, visit(world, route=HOSTILE))


def test_an_unknown_release_is_not_found(world: World) -> None:
    with pytest.raises(UserError) as caught:
        ONE.show(visit(world, release="none"))
    assert caught.value.status == 404


def test_no_page_carries_style_or_script_of_its_own(world: World) -> None:
    world.passes(15)
    for page in (html(LIST, visit(world)), html(ONE, visit(world))):
        assert " style=" not in page and "<style" not in page and not re.search(r"<script(?![^>]*\bsrc=)", page)
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids))


def test_every_text_of_the_pages_has_its_chinese(world: World) -> None:
    said: set[str] = set()

    def hear(words: str) -> str:
        said.add(words)
        return words

    world.passes(30, bad=0.6)
    seen: Any = Visit(context=world.context, member=OPERATOR, language="zh", t=hear, place={"release": "r1"})
    ONE.show(seen)
    LIST.show(seen)
    templates = Path("src/pilotbase/console/templates")
    for name in ("releases.html.j2", "release.html.j2"):
        said |= set(re.findall(r'\b_\("([^"]+)"\)', (templates / name).read_text("utf-8")))
    assert sorted(said - set(catalogue("zh"))) == []


def test_the_risk_register_names_near_misses_of_the_route_and_until_when_samples_are_kept(world: World) -> None:
    near = Incident(
        route="m", kind="near-miss", severity=4, detected=world.time.now(), detected_by=Detection(by="user"),
        title=Titles(en="Nearly the wrong ward", zh="险些送错病区"),
    )  # fmt: skip
    incidents.open_incident(world.database, near, "anonymous", world.time.now())
    world.database.execute(
        "INSERT INTO samples (request, release_id, arm, at, endpoint, streamed, asked, answered)"
        " VALUES ('q', 'r1', 'candidate', ?, 'chat', 0, '{}', '{}')",
        (int(world.time.wall * 1e6),),
    )
    page = html(ONE, visit(world, "zh"))
    assert "险些送错病区" in text(page) and "最晚保留至 2027-01-22 08:00 UTC" in text(page) and "每条保留 7 天" in text(page)
    assert "Nearly the wrong ward" in text(html(ONE, visit(world)))


def test_an_alert_is_shown_with_what_became_of_its_messages(world: World) -> None:
    world.passes(30, bad=0.6)
    world.database.execute("UPDATE deliveries SET state = 'given-up', tries = 12, said = 'no answer'")
    told = text(html(ONE, visit(world)))
    assert "given up , 12 tries, no answer" in told or "given up, 12 tries, no answer" in told


def test_a_look_for_drift_is_told_in_the_readers_language(world: World) -> None:
    found = {"feature": "age", "test": "ks", "adjusted": 0.001, "english": "age drifts", "chinese": "年龄发生漂移"}
    for look, drifted in ((1, []), (2, [found])):
        detail = {"look": look, "rows": 500, "alpha": 0.01, "first": 0, "last": 1, "tests": 6, "drifted": drifted}
        records.note(world.database, "r1", who="pilotbase", action="drift", detail=detail, now=world.time.now())
    english, chinese = text(html(ONE, visit(world))), text(html(ONE, visit(world, "zh")))
    assert "age drifts" in english and "look 1 found none" in english
    assert "年龄发生漂移" in chinese and "age drifts" not in chinese
