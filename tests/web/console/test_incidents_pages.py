"""The pages of incidents: filters, one incident from open to resolved, near misses without a name, and exports."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import orjson
import pytest
from tests.fakes.watched import Time, World, opened

from pilotbase.console.page import Page, Shown, To, Visit
from pilotbase.console.pages.incidents import PAGES
from pilotbase.console.rendering import render
from pilotbase.console.words import catalogue, speak
from pilotbase.domain.account import Member, may
from pilotbase.domain.incident import Detection, Incident
from pilotbase.domain.scenario import Titles
from pilotbase.errors import UserError
from pilotbase.gateway import audit
from pilotbase.release import incidents

LIST, ONE, EXPORT = PAGES
HOSTILE = "<img src=x onerror=alert(1)>"
ENGINEER = Member(
    id="m1", login="li.lei", name="Li Lei", organisation="o1", roles=("engineer",), created=datetime(2026, 1, 1, tzinfo=UTC)
)
AUDITOR = replace(ENGINEER, id="m2", login="han", roles=("auditor",))


def visit(
    world: World, language: str = "en", member: Member = ENGINEER, query: dict[str, str] | None = None, **place: str
) -> Visit:
    return Visit(context=world.context, member=member, language=language, t=speak(language), place=place, query=query or {})


def html(page: Page, seen: Visit) -> str:
    shown = page.show(seen)
    assert isinstance(shown, Shown)
    return render(shown, seen, page=page, csrf="c")


def text(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def act(page: Page, name: str, seen: Visit, **form: str) -> To:
    done = page.acts[name].do(seen, {"act": name, "csrf": "c", **form})
    assert isinstance(done, To)
    return done


def report(world: World, **form: str) -> str:
    """The id of a new incident."""
    done = act(LIST, "open", visit(world), **{"kind": "incident", "route": "m", **form})
    return done.path.rpartition("/")[2]


def entries(world: World) -> list[tuple[str, str]]:
    return [(one.who, one.action) for one in audit.entries(world.database) if one.action.startswith("incident.")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened(tmp_path / "home", Time()) as one:
        one.serve_stable("m")
        yield one


def test_an_incident_goes_from_open_over_contained_to_resolved(world: World) -> None:
    name = report(world, title="Wrong department", severity="2", since="2h", requests="1,200", harms="money\nhealth\n")
    assert incidents.find(world.database, name).harms == ("money", "health")
    world.time.passes(600)
    assert (
        act(ONE, "contain", visit(world, incident=name), action="rollback", note="at once").path == f"/console/incidents/{name}"
    )
    world.time.passes(3000)
    done = act(ONE, "resolve", visit(world, incident=name), cause="a stale index", note="", people="40")
    assert "regression case" in done.note
    told = text(html(ONE, visit(world, incident=name)))
    for part in ("Wrong department", "2 serious", "From the first bad request to detection 2 h", "containment 10 min",
                 "resolution 1 h",
                 "1,200 requests, 40 people", "money, health", "a stale index", "at once", "contained: rolled back"):  # fmt: skip
        assert part in told, part
    assert entries(world) == [("member:li.lei", f"incident.{word}") for word in ("resolve", "contain", "open")]


def test_a_resolved_incident_shows_the_command_that_closes_it(world: World) -> None:
    name = report(world)
    act(ONE, "contain", visit(world, incident=name), action="other")
    act(ONE, "resolve", visit(world, incident=name))
    page = html(ONE, visit(world, incident=name))
    assert f"pilotbase incident close {name} --pilot PILOT --case FILE --cause TEXT" in page and 'value="close"' not in page
    with pytest.raises(UserError):
        act(ONE, "close", visit(world, incident=name), cause="it was so")


def test_an_exercise_is_closed_here_for_it_needs_no_case(world: World) -> None:
    drill = Incident(
        route="m",
        kind="exercise",
        severity=4,
        detected=world.time.now(),
        detected_by=Detection(by="user"),
        title=Titles(en="drill"),
    )
    name = incidents.open_incident(world.database, drill, "test", world.time.now())
    act(ONE, "contain", visit(world, incident=name), action="rollback")
    act(ONE, "resolve", visit(world, incident=name), cause="staged")
    assert 'value="close"' in html(ONE, visit(world, incident=name))
    act(ONE, "close", visit(world, incident=name), cause="staged")
    assert incidents.find(world.database, name).state == "closed"
    page = html(ONE, visit(world, incident=name))
    assert 'name="act" value="contain"' not in page


def test_of_a_near_miss_no_name_is_kept_anywhere(world: World) -> None:
    done = act(LIST, "open", visit(world), kind="near-miss", route="m", summary="Nearly sent to the wrong ward.")
    assert "No name was recorded" in done.note
    name = done.path.rpartition("/")[2]
    act(ONE, "contain", visit(world, incident=name), action="human-takeover", note="asked a nurse")
    act(ONE, "resolve", visit(world, incident=name), cause="two wards of one name")
    stored = orjson.dumps(incidents.document_of(incidents.find(world.database, name))).decode()
    logged = orjson.dumps([(e.who, e.action, e.subject, dict(e.detail)) for e in audit.entries(world.database)]).decode()
    assert "li.lei" not in stored and "li.lei" not in logged and "Li Lei" not in stored
    assert {who for who, _ in entries(world)} == {"anonymous"} and len(entries(world)) == 3
    assert "no name is recorded for any step" in html(ONE, visit(world, incident=report(world, kind="near-miss")))


def test_telling_the_same_twice_changes_and_logs_nothing(world: World) -> None:
    name = report(world)
    for _ in range(2):
        world.time.passes(1)
        act(ONE, "contain", visit(world, incident=name), action="throttle", note="half")
    assert entries(world) == [("member:li.lei", "incident.contain"), ("member:li.lei", "incident.open")]


def test_the_list_is_filtered_by_state_severity_kind_and_route(world: World) -> None:
    world.serve_stable("n")
    first = report(world, title="first", severity="1")
    second = report(world, title="second", kind="near-miss", route="n")
    act(ONE, "contain", visit(world, incident=first), action="disable")
    for word, value, wanted in (
        ("state", "contained", first), ("severity", "1", first), ("kind", "near-miss", second), ("route", "n", second),
    ):  # fmt: skip
        page = html(LIST, visit(world, query={word: value}))
        assert {first: first in page, second: second in page} == {first: wanted == first, second: wanted == second}, word
    assert "No incident is like that." in html(LIST, visit(world, query={"state": "closed"}))
    with pytest.raises(UserError, match="there is no `seven`"):
        LIST.show(visit(world, query={"severity": "seven"}))


def test_the_list_goes_on_page_by_page_and_shows_each_incident_once(world: World) -> None:
    for i in range(120):
        one = Incident(
            route="m", kind="incident", severity=3, detected=world.time.now() - timedelta(seconds=i // 7),
            detected_by=Detection(by="user"), title=Titles(en=f"number {i}"),
        )  # fmt: skip
        incidents.open_incident(world.database, one, "test", world.time.now())
    seen: list[str] = []
    query = {"state": "open"}
    while True:
        page = html(LIST, visit(world, query=query))
        seen += re.findall(r'<small class="mono">(inc-[^<]+)', page)
        older = re.search(r'href="/console/incidents\?([^"]*before=[^"]*)"', page)
        if older is None:
            break
        query = dict(part.split("=", 1) for part in unescape(older[1]).split("&"))
    assert len(seen) == len(set(seen)) == 120


@pytest.mark.parametrize("form", ["json", "csv", "atlas", "aiid"])
def test_each_export_is_shown_as_text_and_offered_as_a_download_without_names(world: World, form: str) -> None:
    name = report(world, title="Call 13912345678", first_bad="")
    page = html(EXPORT, visit(world, incident=name, form=form))
    link = re.search(r'href="data:([^,]+),([^"]*)" download="([^"]+)"', page)
    assert link is not None and link[3].startswith(f"{name}.")
    body = unquote(unescape(link[2]))
    assert name in body and "li.lei" not in body and "13912345678" not in body
    assert name in text(page)
    assert f"/console/incidents/{name}/export/{form}" in html(ONE, visit(world, incident=name))


def test_an_unknown_export_incident_route_action_or_number_is_refused(world: World) -> None:
    name = report(world)
    with pytest.raises(UserError) as caught:
        EXPORT.show(visit(world, incident=name, form="exe"))
    assert caught.value.status == 404
    with pytest.raises(UserError) as caught:
        ONE.show(visit(world, incident="inc-0"))
    assert caught.value.status == 404
    for form in ({"route": "none"}, {"kind": "exercise"}, {"severity": "9"}, {"requests": "many"}, {"since": "soon"}):
        with pytest.raises(UserError):
            report(world, **form)
    with pytest.raises(UserError, match="there is no `shout`"):
        act(ONE, "contain", visit(world, incident=name), action="shout")
    assert len(entries(world)) == 1


def test_who_may_only_read_sees_no_form(world: World) -> None:
    name = report(world)
    for page in (html(LIST, visit(world, member=AUDITOR)), html(ONE, visit(world, member=AUDITOR, incident=name))):
        assert 'name="act"' not in page.split("<main")[1]
    acts = (*LIST.acts.values(), *ONE.acts.values())
    assert all(one.permit == "incidents.write" and not may(AUDITOR, one.permit) for one in acts)


def test_hostile_texts_are_shown_as_text(world: World) -> None:
    words = ("title", "summary", "group", "harms")
    name = report(world, **dict.fromkeys(words, HOSTILE))
    act(ONE, "contain", visit(world, incident=name), action="other", note=HOSTILE, techniques=f"AML.TA0011/AML.T0029={HOSTILE}")
    act(ONE, "resolve", visit(world, incident=name), cause=HOSTILE)
    pages = [html(ONE, visit(world, incident=name)), html(LIST, visit(world))]
    pages += [html(EXPORT, visit(world, incident=name, form=form)) for form in ("json", "csv", "atlas", "aiid")]
    pages.append(html(LIST, visit(world, query={"route": HOSTILE, "open": HOSTILE, "release": HOSTILE})))
    assert not [page for page in pages if "<img" in page]
    assert all("&lt;img" in page for page in pages[:2])


def test_no_page_carries_style_or_script_of_its_own_nor_an_id_twice(world: World) -> None:
    name = report(world)
    act(ONE, "contain", visit(world, incident=name), action="other")
    for page in (html(LIST, visit(world)), html(ONE, visit(world, incident=name))):
        assert " style=" not in page and "<style" not in page and not re.search(r"<script(?![^>]*\bsrc=)", page)
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids))


def test_every_text_of_the_pages_has_its_chinese(world: World) -> None:
    said: set[str] = set()

    def hear(words: str) -> str:
        said.add(words)
        return words

    name = report(world)
    seen = Visit(context=world.context, member=ENGINEER, language="zh", t=hear, place={"incident": name})
    for page, steps in ((LIST, ()), (ONE, ("contain", "resolve"))):
        for step in steps:
            page.acts[step].do(seen, {"action": "rollback"})
        page.show(seen)
    for kind in ("incident", "near-miss"):
        LIST.acts["open"].do(seen, {"kind": kind, "route": "m"})
    templates = Path("src/pilotbase/console/templates")
    for file in ("incidents.html.j2", "incident.html.j2"):
        said |= set(re.findall(r'\b_\("([^"]+)"\)', (templates / file).read_text("utf-8")))
    assert sorted(said - set(catalogue("zh"))) == []
    told = text(html(ONE, visit(world, "zh", incident=name)).split("<main")[1])
    assert "从发现到控制" in told and "已解决" in told and "resolved" not in told
