"""The console's pages in a real browser: accessible, in two languages, light and dark, on a phone, quiet, on their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.fakes.console_home import furnish, furnish_token, plain
from tests.fakes.console_server import COOKIE, Client, ConsoleServer, path_of

from pilotbase.console.contents import PAGES
from pilotbase.domain.account import Member

playwright = pytest.importorskip("playwright.sync_api", reason="NO BROWSER: the package playwright is missing")
from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from tests.fakes.browser import BROWSER, MISSING, Watch, chromium, watched_context  # noqa: E402

pytestmark = pytest.mark.skipif(not BROWSER.exists(), reason=MISSING)
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}}
LANGUAGES = ("en", "zh")
NAMES = [page.name for page in PAGES]


@dataclass
class Shown:
    """A base with everything on it, and a browser in which its operator is signed in, for each language."""

    server: ConsoleServer
    contexts: dict[str, Any]
    watches: dict[str, Watch]
    places: dict[str, str]

    def page(self, language: str, path: str, *, width: int = 1280, theme: str = "light") -> Any:
        """A page in the language's own tab, which is made once: a new one takes the browser as long as several pages."""
        context = self.contexts[language]
        found = context.pages[0] if context.pages else context.new_page()
        found.set_viewport_size({"width": width, "height": 900})
        found.emulate_media(color_scheme=theme)
        answer = found.goto(path)
        assert answer.status == 200, (path, answer.status)
        return found

    def headings(self, language: str, path: str) -> set[str]:
        """What the console itself says on a page, read without showing it."""
        context = self.contexts[language]
        found = context.pages[0] if context.pages else context.new_page()
        answer = context.request.get(path, headers={"Accept-Language": language})
        assert answer.status == 200, (path, answer.status)
        assert f'<html lang="{language}' in answer.text()
        return set(found.evaluate(HEADINGS, answer.text()))


def cookies(client: Client, url: str) -> list[dict[str, str]]:
    return [
        {
            "name": COOKIE,
            "value": str(client.cookie()),
            "domain": url.split("//")[1].split(":", maxsplit=1)[0],
            "path": "/console",
        }
    ]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    furnished = furnish(tmp_path_factory.mktemp("look"), plain)
    with ConsoleServer(furnished.home, furnished.time) as server, chromium() as browser:
        people: dict[str, Member] = {one: server.member(f"{one}@base.example", "operator", name="Li Wei") for one in LANGUAGES}
        for one in people.values():
            furnish_token(server.context, one)
        english, chinese = (server.signed_in(people[one]) for one in LANGUAGES)
        with (
            watched_context(browser, server.url, locale="en-GB") as (en, en_watch),
            watched_context(browser, server.url, locale="zh-CN") as (zh, zh_watch),
        ):
            en.add_cookies(cookies(english, server.url))
            zh.add_cookies(cookies(chinese, server.url))
            places = {**furnished.places, "member": people["en"].id, "organisation": people["en"].organisation}
            yield Shown(server, {"en": en, "zh": zh}, {"en": en_watch, "zh": zh_watch}, places)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_is_accessible_fits_every_width_is_quiet_and_asks_no_other_host(
    shown: Shown, page: Any, language: str, full: bool
) -> None:
    if not full and language != LANGUAGES[NAMES.index(page.name) % 2]:
        pytest.skip("REDUCED: one language a page; both with --full")
    watch = shown.watches[language]
    watch.faults.clear()
    seen = shown.page(language, path_of(page.path, shown.places))
    assert seen.evaluate("document.documentElement.lang").startswith(language)
    assert seen.locator("h1").count() == 1
    # Colours alone differ between the themes.
    for theme, rules in (("light", RULES), ("dark", {"runOnly": {"type": "rule", "values": ["color-contrast"]}})):
        if theme == "dark":
            seen.emulate_media(color_scheme=theme)
            seen.reload()  # colours that are on their way to another theme would be judged too
        seen.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert not (found := serious(Axe().run(seen, options=rules))), (theme, found)
    for width in (1280, 768, 390):
        seen.set_viewport_size({"width": width, "height": 900})
        assert not seen.evaluate("document.documentElement.scrollWidth > innerWidth"), (width, seen.evaluate(WIDEST))
    assert not watch.faults
    assert not watch.elsewhere


def serious(found: Any) -> list[str]:
    """What the rules of axe find that keeps people out, with the elements that it is about."""
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes']][:3]}"
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]


WIDEST = """() => [...document.querySelectorAll("main *, header *, nav *")]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, nav"))
  .slice(0, 4).map(e => e.tagName + "." + e.className + " " + (e.textContent || "").trim().slice(0, 40))"""


def test_a_chinese_page_has_no_english_sentence_of_the_consoles_own(shown: Shown) -> None:
    left = {}
    for page in PAGES:
        path = path_of(page.path, shown.places)
        both = shown.headings("en", path) & shown.headings("zh", path)
        own = [text for text in both if any(letter.isascii() and letter.isalpha() for letter in text) and " " in text]
        if found := [text for text in own if not _data(text)]:
            left[page.name] = found
    assert not left


HEADINGS = """page => [...new DOMParser().parseFromString(page, "text/html").querySelectorAll(
    "h1, h2, h3, th[scope=col], label, legend, button, summary, dt, .empty, nav a, caption")]
  .map(e => e.textContent.trim().replace(/\\s+/g, " "))"""


def _data(text: str) -> bool:
    """Whether a text is the base's content, which is in whatever language it was written in."""
    return text.startswith("the ") or text.endswith(" · capability") or "Dr. Wang" in text or "Li Wei" in text


def test_the_theme_that_a_member_chose_wins_over_the_systems(shown: Shown) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = (shown.page("en", "/console", theme=theme).evaluate(ground) for theme in ("light", "dark"))
    assert light != dark
    page = shown.page("en", "/console/own", theme="dark")
    page.locator("select[name=theme], input[name=theme]").first.wait_for()
    if page.locator("select[name=theme]").count():
        page.select_option("select[name=theme]", "light")
    else:
        page.check("input[name=theme][value=light]")
    page.locator("form:has([name=theme]) button[type=submit]").first.click()
    page.goto("/console")
    assert page.evaluate(ground) == light


def test_pages_work_without_a_script_and_print(shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> None:
    browser = shown.contexts["en"].browser
    with watched_context(browser, shown.server.url, java_script_enabled=False) as (context, watch):
        client = shown.server.signed_in(shown.server.member("plain@base.example", "operator"))
        context.add_cookies(cookies(client, shown.server.url))
        seen = context.new_page()
        for page in PAGES:
            assert seen.goto(path_of(page.path, shown.places)).status == 200
            assert seen.locator("main h1").is_visible()
        seen.locator("form[action='/console/look'] button").click()
        assert seen.locator("html").get_attribute("lang") == "zh-CN"
        assert seen.pdf().startswith(b"%PDF-")
        assert not watch.elsewhere


def test_the_console_says_what_is_not_there_in_both_languages(shown: Shown) -> None:
    for language, word in (("en", "not"), ("zh", "不存在")):
        seen = shown.page(language, "/console")
        shown.watches[language].expected = (404,)
        assert seen.goto("/console/no-such-page").status == 404
        assert word in seen.locator("main").inner_text()
        assert seen.locator("main a").count() >= 1
