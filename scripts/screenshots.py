"""What `scripts/screenshots` does: fill a home with `pilotbase demo`, and take pictures of the console over it."""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser
from tests.fakes.browser import chromium, watched_context
from tests.fakes.console_server import COOKIE, ConsoleServer, path_of
from tests.fakes.watched import Time

from pilotbase.accounts import members, organisations
from pilotbase.catalog import cases, indicators
from pilotbase.console.contents import PAGES
from pilotbase.context import Context, SystemClock, open_context
from pilotbase.demo.fill import fill
from pilotbase.domain.account import Member
from pilotbase.gateway import keys
from pilotbase.release import incidents, records
from pilotbase.store.disk import LocalDisk

OPERATOR = "operator@demo.example"
README = ("home", "admission")
"""The pages whose pictures stand in README."""


def main(out: Path, wanted: Sequence[str]) -> int:
    """Take the pictures of the pages that are wanted, or of all; with `--readme` the two of README alone."""
    with tempfile.TemporaryDirectory(prefix="pilotbase-") as folder:
        home = Path(folder) / "home"
        with open_context(home, disk=LocalDisk(), clock=SystemClock(), secrets=os.environ.get) as context:
            fill(context, lambda line: print(line, file=sys.stderr, flush=True), environment=os.environ)
            places = places_of(context)
        with ConsoleServer(home, Time(wall=datetime.now(UTC).timestamp())) as server, chromium() as browser:
            operator = members.find_login(server.context.database, OPERATOR)
            assert operator is not None
            faults = shoot(server, browser, operator, out, places, wanted)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def places_of(context: Context) -> dict[str, str]:
    """What stands for the names in braces of the pages' paths: what the demonstration has most to show of."""
    database = context.database
    case = next(one for one in cases.list_cases(database) if one.state == "promoted")
    release = next(one for one in records.list_releases(database) if one.state == "rolled-back")
    run = next(name for _, name in case.runs)
    return {
        "need": case.need,
        "capability": case.capability,
        "admission": case.id,
        "indicator": indicators.list_indicators(database)[0].id,
        "run": run,
        "candidate": case.candidate,
        "case": "1",
        "pilot": "hotline-routing",
        "route": "hotline",
        "key": keys.list_keys(database)[0].id,
        "release": release.id,
        "incident": incidents.list_incidents(database)[0].id,
        "form": "json",
        "member": members.list_members(database)[0].id,
        "organisation": organisations.list_organisations(database)[0].id,
    }


def shoot(
    server: ConsoleServer, browser: Browser, operator: Member, out: Path, places: Mapping[str, str], wanted: Sequence[str]
) -> list[str]:
    """PNGs named PAGE-LANGUAGE-THEME-WIDTH; what went wrong on the way. What the demonstration has nothing of is told."""
    out.mkdir(parents=True, exist_ok=True)
    faults: list[str] = []
    readme = "--readme" in wanted
    names = README if readme else wanted
    for language in ("en", "zh"):
        members.set_look(server.context.database, operator.id, language=language)
        locale = "en-GB" if language == "en" else "zh-CN"
        with watched_context(browser, server.url, locale=locale, timezone_id="Asia/Shanghai") as (context, watch):
            token = str(server.signed_in(operator).cookie())
            context.add_cookies([{"name": COOKIE, "value": token, "domain": "127.0.0.1", "path": "/console"}])
            page = context.new_page()
            for one in PAGES:
                if names and one.name not in names:
                    continue
                try:
                    path = path_of(one.path, places)
                except KeyError as missing:
                    print(f"{one.name}: the demonstration has no {missing}", file=sys.stderr)
                    continue
                looks = [("light", 1280)] if readme else [(t, w) for t in ("light", "dark") for w in (1280, 390)]
                for theme, width in looks:
                    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
                    page.set_viewport_size({"width": width, "height": 900 if width > 400 else 844})
                    answer = page.goto(server.url + path)
                    if answer is not None and answer.status != 200:
                        faults.append(f"{one.name} in {language}: {answer.status}")
                    name = f"console-{one.name}-{language}" if readme else f"{one.name}-{language}-{theme}-{width}"
                    page.screenshot(path=str(out / f"{name}.png"), full_page=not readme)
            faults += watch.faults + watch.elsewhere
    return faults + server.said


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
