"""The first slice of the shared base as its people live it, in a real browser: set up, invite, stop, look, read the log."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.console_home import Furnished, furnish, plain
from tests.fakes.console_server import PASSWORD, ConsoleServer

from pilotbase.gateway import stops

playwright = pytest.importorskip("playwright.sync_api", reason="NO BROWSER: the package playwright is missing")
from tests.fakes.browser import BROWSER, MISSING, Watch, chromium, watched_context  # noqa: E402

pytestmark = pytest.mark.skipif(not BROWSER.exists(), reason=MISSING)


@dataclass
class World:
    """A furnished base that nobody has set up yet, and a browser."""

    server: ConsoleServer
    browser: Any

    @contextmanager
    def person(self, **options: Any) -> Iterator[tuple[Any, Watch]]:
        """Somebody with a browser of their own, in which nothing may go wrong."""
        with watched_context(self.browser, self.server.url, **options) as (context, watch):
            yield context.new_page(), watch
            assert not watch.faults
            assert not watch.elsewhere


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Furnished:
    return furnish(tmp_path_factory.mktemp("story"), plain)


@pytest.fixture(scope="module")
def browser(furnished: Furnished) -> Iterator[Any]:
    # Behind the furnishing, whose pilot needs the event loop that a browser takes for itself.
    with chromium() as found:
        yield found


@pytest.fixture
def world(tmp_path: Path, furnished: Furnished, browser: Any) -> Iterator[World]:
    home = tmp_path / "home"
    shutil.copytree(furnished.home, home)
    with ConsoleServer(home, replace(furnished.time)) as server:
        yield World(server, browser)


def fill(page: Any, **fields: str) -> None:
    for name, value in fields.items():
        page.locator(f"main [name={name}]:visible").first.fill(value)


def send(page: Any) -> None:
    """Send the form whose field was filled in last."""
    page.locator("main form:visible button[type=submit]").first.click()
    page.wait_for_load_state()


def sign_in(page: Any, login: str, password: str = PASSWORD) -> None:
    page.goto("/console/sign-in")
    fill(page, login=login, password=password)
    send(page)


def test_a_base_is_set_up_people_are_invited_and_each_does_what_they_may(world: World) -> None:
    server = world.server
    with world.person(locale="en-GB") as (page, _):
        page.goto("/")
        assert page.url.startswith(f"{server.url}/console/set-up")
        fill(
            page, code=server.code, login="wang@base.example", name="Wang Fang", organisation="First Hospital", password=PASSWORD
        )
        for again in page.locator("main input[type=password]:visible").all():
            again.fill(PASSWORD)
        send(page)
        if "/sign-in" in page.url:
            sign_in(page, "wang@base.example")
        assert page.url.rstrip("/") == f"{server.url}/console"
        assert "Wang Fang" in page.locator("header").inner_text()
        passwords = {role: invite(page, f"{role}@base.example", role) for role in ("engineer", "auditor")}
        stop_route(page, "m")
        assert [(stop.kind, stop.name, stop.why) for stop in stops.list_stops(server.context.database) if stop.name == "m"] == [
            ("route", "m", "the answers are wrong")
        ]
    with world.person(locale="zh-CN") as (page, watch):
        sign_in(page, "engineer@base.example", passwords["engineer"])
        page.goto("/console/gateway")
        assert page.locator("html").get_attribute("lang") == "zh-CN"
        page.locator("main a[href$='/routes/m']").first.click()
        page.wait_for_load_state()
        assert "the answers are wrong" in page.locator("main").inner_text()
        assert page.locator("main form[method=post]").count() == 0
        watch.expected = (404,)
        assert page.goto("/console/audit").status == 404
    with world.person(locale="en-GB") as (page, _):
        sign_in(page, "auditor@base.example", passwords["auditor"])
        page.locator("nav a[href='/console/audit']").click()
        page.wait_for_load_state()
        told = page.locator("main").inner_text()
        assert "member:wang@base.example" in told or "wang@base.example" in told
        assert "the answers are wrong" in told or "stop" in told
        for password in passwords.values():
            assert password not in told


def invite(page: Any, login: str, role: str) -> str:
    """Create a member through the page, and the password that it shows once."""
    page.goto("/console/members")
    form = page.locator("main form:has([name=login])").first
    form.locator("[name=login]").fill(login)
    form.locator("[name=name]").fill(role.title())
    form.locator(f"[name=role-{role}]").check()
    organisation = form.locator("select[name=organisation]")
    if organisation.count():
        organisation.select_option(index=organisation.locator("option").count() - 1)
    form.locator("button[type=submit]").first.click()
    page.wait_for_load_state()
    told: str = page.locator("main .once").last.inner_text()
    assert len(told.strip()) >= 10
    return told.strip()


def stop_route(page: Any, route: str) -> None:
    page.goto("/console/gateway")
    page.locator(f"main a[href$='/routes/{route}']").first.click()
    page.wait_for_load_state()
    act = page.locator("main details:has(input[name=act][value=stop])").first
    act.locator("summary").click()
    act.locator("[name=why], [name=reason]").first.fill("the answers are wrong")
    act.locator("button[type=submit]").click()
    page.wait_for_load_state()
    assert page.locator("[role=status]").count() == 1


def test_the_language_is_kept_by_member_wherever_they_sign_in(world: World) -> None:
    server = world.server
    server.member("li@base.example", "operator")
    with world.person(locale="en-GB") as (page, _):
        sign_in(page, "li@base.example")
        assert page.locator("html").get_attribute("lang") == "en"
        page.locator("form[action='/console/look'] button").click()
        page.wait_for_load_state()
        assert page.locator("html").get_attribute("lang") == "zh-CN"
        page.goto("/console/runs")
        assert page.locator("html").get_attribute("lang") == "zh-CN"
    with world.person(locale="en-GB") as (page, _):
        page.goto("/console/sign-in")
        assert page.locator("html").get_attribute("lang") == "en"
        sign_in(page, "li@base.example")
        assert page.locator("html").get_attribute("lang") == "zh-CN"


def test_the_language_before_sign_in_is_the_browsers_and_can_be_switched(world: World) -> None:
    world.server.member("li@base.example", "operator")
    with world.person(locale="zh-CN") as (page, _):
        page.goto("/console/sign-in")
        assert page.locator("html").get_attribute("lang") == "zh-CN"
        page.locator("form[action='/console/look'] button").click()
        page.wait_for_load_state()
        assert page.locator("html").get_attribute("lang") == "en"


def test_a_person_signs_in_and_goes_about_by_keyboard_alone(world: World) -> None:
    world.server.member("li@base.example", "operator")
    with world.person(locale="en-GB") as (page, _):
        page.goto("/console/sign-in")
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") != "INPUT":
            assert page.evaluate("document.activeElement.className") == "skip"
            page.keyboard.press("Enter")
        reach(page, "login")
        page.keyboard.type("li@base.example")
        reach(page, "password")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/console(#main)?$"))
        for _ in range(30):
            page.keyboard.press("Tab")
            assert page.evaluate(OUTLINE), "where the focus is cannot be seen"
            if page.evaluate("document.activeElement.getAttribute('href')") == "/console/runs":
                break
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/runs")


def reach(page: Any, name: str) -> None:
    """Go on with the key Tab until the field of that name has the focus."""
    for _ in range(15):
        if page.evaluate("document.activeElement.getAttribute('name')") == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the key Tab does not lead to the field `{name}`")


OUTLINE = """() => { const s = getComputedStyle(document.activeElement);
  return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== "none"; }"""


def test_a_refused_form_keeps_what_was_filled_in_and_says_why(world: World) -> None:
    world.server.member("li@base.example", "operator")
    with world.person(locale="en-GB") as (page, watch):
        watch.expected = (401, 422)
        sign_in(page, "li@base.example", "not-the-password")
        assert page.locator("[role=alert]").count() == 1
        assert page.locator("main [name=login]").input_value() == "li@base.example"
        assert page.locator("main [name=password]").input_value() == ""
