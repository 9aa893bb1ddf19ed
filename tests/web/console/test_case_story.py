"""A case as its three parties live it, in a real browser and on a real run: from an opportunity to a published capability."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.fakes.admissions import listed
from tests.fakes.console_server import PASSWORD, ConsoleServer
from tests.flows.stories import pilotbase
from tests.flows.support import Base, cases
from tests.web.console.test_look import cookies

from pilotbase.accounts import members, organisations
from pilotbase.catalog import entries
from pilotbase.context import SystemClock
from pilotbase.domain.account import Member, Role
from pilotbase.domain.entry import Capability
from pilotbase.flows.case_export import check_case

playwright = pytest.importorskip("playwright.sync_api", reason="NO BROWSER: the package playwright is missing")
from tests.fakes.browser import BROWSER, MISSING, Watch, chromium, watched_context  # noqa: E402

pytestmark = pytest.mark.skipif(not BROWSER.exists(), reason=MISSING)
T = TypeVar("T")


def elsewhere(work: Callable[[], T]) -> T:
    """In a thread of its own: a browser takes this thread's event loop for itself, and a run needs one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(work).result()


@dataclass
class Cast:
    """Three people of three organisations, each in a browser of their own."""

    server: ConsoleServer
    base: Base
    vendor: Any
    owner: Any
    pilot: Any
    watches: list[Watch]
    capability: str


@pytest.fixture
def cast(tmp_path: Path) -> Iterator[Cast]:
    base = Base(folder=tmp_path / "pilot", home=tmp_path / "home").write(rows=cases(60), data={"custody": "held-out"})
    with ConsoleServer(base.home, SystemClock()) as server, chromium() as browser, ExitStack() as stack:  # type: ignore[arg-type]
        people = {
            "vendor": person(server, "Acme", "vendor"),
            "owner": person(server, "市立医院", "owner"),
            "pilot": person(server, "Pilot Base", "operator", "engineer", "reviewer"),
        }
        _, capability = listed(
            server.context, owner=people["owner"].organisation, vendor=people["vendor"].organisation, title="肺结节初筛",
            capability="Nodule finder",
        )  # fmt: skip
        pages, watches = {}, []
        for word, locale in (("vendor", "zh-CN"), ("owner", "zh-CN"), ("pilot", "en-GB")):
            context, watch = stack.enter_context(watched_context(browser, server.url, locale=locale))
            context.add_cookies(cookies(server.signed_in(people[word]), server.url))
            pages[word] = context.new_page()
            watches.append(watch)
        yield Cast(server=server, base=base, watches=watches, capability=capability.id, **pages)


def person(server: ConsoleServer, home: str, *roles: Role) -> Member:
    database, now = server.context.database, server.time.now()
    organisation = organisations.create(database, home, who="test", now=now).id
    return members.create(
        database, login=f"{roles[0]}@story.example", name=roles[0].title(), organisation=organisation, roles=roles,
        password=PASSWORD, who="test", now=now,
    )  # fmt: skip


def take(page: Any, path: str, step: str, **fields: str) -> None:
    """Open the form of a step, fill it in, and send it; the page then says that it is on record."""
    page.goto(path)
    form = page.locator(f"main details:has(input[name=act][value={step}])").first
    form.locator("summary").first.click()
    for name, value in fields.items():
        field = form.locator(f"[name={name}]")
        if field.evaluate("one => one.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    form.locator("button[type=submit]").click()
    page.wait_for_load_state()
    assert page.locator("[role=status]").count() == 1, page.locator("main").inner_text()[:600]


def test_a_case_goes_from_an_opportunity_to_a_published_capability(cast: Cast) -> None:
    vendor, owner, pilot = cast.vendor, cast.owner, cast.pilot
    told = elsewhere(lambda: pilotbase(cast.base.home, "explain", cast.base.pilot, "--commit", "--json").json)
    vendor.goto("/console/cases/new")
    assert "肺结节初筛" in vendor.locator("main").inner_text()
    vendor.locator("main form button[type=submit]").click()
    vendor.wait_for_load_state()
    path = vendor.url.removeprefix(cast.server.url)
    take(vendor, path, "submit", contact="Li Lei 010-1234")
    assert "已提交" in vendor.locator("[aria-current=step]").inner_text()
    assert vendor.locator("main details:has(input[value=screen])").count() == 0, "what is others' to do is not offered"
    pilot.goto("/console")
    pilot.locator("main a", has_text="Nodule finder").first.click()
    take(pilot, path, "screen", text="the papers are complete")
    take(pilot, path, "match", criteria=told["criteria"], candidate="good", rounds="2")
    take(owner, path, "agree")
    take(vendor, path, "agree")
    take(pilot, path, "countersign")
    take(pilot, path, "register", people="20", bearer="City Hospital", diligence="papers seen")
    take(pilot, path, "admit")
    take(pilot, path, "provision", access="personal", day="2026-11-30", text="the test set, at the base")
    take(pilot, path, "begin")
    run = elsewhere(lambda: str(cast.base.run()["run"]))
    assert elsewhere(lambda: pilotbase(cast.base.home, "dossier", run).code) == 0
    take(pilot, path, "run", run=run)
    take(pilot, path, "review", dossier=run)
    owner.goto(path)
    owner.locator("#comment-text").fill("看起来不错")
    owner.locator("form:has(#comment-text) button").click()
    owner.wait_for_load_state()
    vendor.goto(path)
    seen = vendor.locator("main").inner_text()
    assert "准确率" in seen and "看起来不错" in seen and "第 1 轮" in seen
    assert vendor.locator(f"main a[href$='/runs/{run}']").count() == 0, "a vendor is led to no run"
    vendor.locator("#file-file").set_input_files(
        files=[{"name": "说明.txt", "mimeType": "text/plain", "buffer": "你好".encode()}]
    )
    vendor.locator("form:has(#file-file) button").click()
    vendor.wait_for_load_state()
    with owner.expect_download() as fetched:
        owner.goto(path)
        owner.locator("main a[download]").click()
    assert fetched.value.suggested_filename == "说明.txt" and Path(fetched.value.path()).read_text("utf-8") == "你好"
    pilot.goto(path)
    assert pilot.locator(f"main a[href$='/runs/{run}']").count() >= 1
    take(pilot, path, "pass")
    take(pilot, path, "publish")
    offered = entries.find(cast.server.context.database, Capability, cast.capability)
    assert offered is not None and offered.state == "published" and len(offered.evidence) == 1
    vendor.goto("/console/cases?show=published")
    assert "已公示" in vendor.locator("main table").inner_text()
    assert check_case(cast.server.context, path.rpartition("/")[2]).exit_code == 0
    for watch in cast.watches:
        assert not watch.faults and not watch.elsewhere
