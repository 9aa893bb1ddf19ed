"""What `scripts/screenshots` does. The demonstration's figures are made up, but for the pilot, which is really run."""

import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser
from tests.fakes.browser import chromium, watched_context
from tests.fakes.console_server import COOKIE, ConsoleServer, path_of
from tests.fakes.watched import Time, World, opened, record

from pilotbase.console.contents import PAGES
from pilotbase.domain.quantity import parse_money
from pilotbase.domain.traffic import Route, Tie, Upstream
from pilotbase.flows.incident import Report, report_incident
from pilotbase.flows.incident_facts import Facts
from pilotbase.flows.release_moves import serve_arm
from pilotbase.gateway import keys, routes, stops
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.release import records
from pilotbase.spec.plan import read_plan

ROOT = Path(__file__).resolve().parents[1]
MARK = "演示 demonstration"
CHECKS = ({"metric": "failure-rate", "require": "<= 5 %"}, {"metric": "latency.p95", "require": "<= 2 s", "role": "inform"})
RUNGS = (
    {"rung": "shadow", "share": "50 %", "requests": 30, "time": "10s"},
    {"rung": "canary", "share": "5 %", "requests": 100_000, "time": "3d"},
    {"rung": "canary", "share": "25 %", "requests": 100_000, "time": "3d"},
    {"rung": "full", "requests": 100_000, "time": "7d"},
)
PLAN: Mapping[str, Any] = {
    "bearer": f"王芳 Wang Fang, hotline office ({MARK})",
    "evidence": {"block": "1s", "late": "20s", "within": "20s"},
    "exposure": {"people": 300, "requests": 500_000, "spend": "200 CNY", "time": "30d"},
    "due-diligence": [
        {
            "item": "the desk knows how to take a wrongly sent request back",
            "by": "Han Mei",
            "on": "2026-11-05",
            "reference": "minutes 12",
        },
        {"item": "the two clerks agreed to the trial", "by": "Li Lei", "on": "2026-11-06"},
    ],
    "drift": None,
    "budget": {"failures": "2 %", "over": "30d"},
    "rungs": [dict(rung) for rung in RUNGS],
}
PURE_SHADOW: Mapping[str, Any] = {"shadow": {"spend": "1 CNY", "concurrency": 8}}


def main(out: Path, wanted: list[str]) -> int:
    """Fill a home, and take the pictures of the pages that are wanted, or of all."""
    with tempfile.TemporaryDirectory(prefix="pilotbase-") as folder:
        home = Path(folder) / "home"
        places = demonstration(home)
        now = Time(wall=datetime.now(UTC).timestamp())
        with ConsoleServer(home, now) as server, chromium() as browser:
            people = {role: server.member(f"{role}@demo.example", role, name=name) for role, name in PEOPLE.items()}  # type: ignore[arg-type]
            places = {**places, "member": people["engineer"].id, "organisation": people["engineer"].organisation}
            faults = shoot(server, browser, out, places, wanted)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


PEOPLE = {"operator": "李伟 Li Wei", "engineer": "张敏 Zhang Min", "auditor": "陈静 Chen Jing", "owner": "刘洋 Liu Yang"}


def demonstration(home: Path) -> dict[str, str]:
    """A pilot that was really run, routes, keys, usage, one release under way, one that came back, its incident."""
    done = subprocess.run(
        [sys.executable, "-m", "pilotbase", "run", str(ROOT / "examples" / "breast-screening"), "--quiet"],
        env={"PILOTBASE_HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}, stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1, 3), done.returncode
    time = Time(wall=(datetime.now(UTC) - timedelta(minutes=4)).timestamp())
    with opened(home, time) as one:
        key = _keys(one)
        _quiet_routes(one)
        _release(one, "hotline-v1", "citizen-hotline", key)
        one.passes(30.0, bad=0.5, every=5.0)
        one.another("second")
        _release(one, "claims-v2", "claims-triage", key)
        one.passes(60.0, candidate=20, stable=20, bad=0.004, every=5.0)
        _usage(one, key)
        incident = _incidents(one)
    return {
        "run": "breast-screening-1", "pilot": "breast-screening", "candidate": "logistic", "case": "1", "route": "claims-triage",
        "key": key, "release": "claims-v2", "incident": incident, "form": "json",
    }  # fmt: skip


def _release(one: World, name: str, route: str, key: str) -> None:
    """Put a release on its first rung, and begin to serve it."""
    plan, now = read_plan({**PLAN, **PURE_SHADOW}), one.time.now()
    one.serve_stable(route)
    purse, _ = keys.create(
        one.database, load_pepper(one.home, None), keys.Wanted(name=f"shadows of {name}", budget=parse_money("1 CNY")),
        who="member:operator@demo.example", now=now,
    )  # fmt: skip
    made = record(name, route, plan, CHECKS, now, purse=purse.id)
    document = {**made.document, "scenario": f"public-services/{route}", "candidate_id": "router-2", "note": MARK}
    with one.database.transaction():
        records.create(one.database, replace(made, document=document), who="member:operator@demo.example")
        serve_arm(one.context, replace(made, document=document), plan, who="member:operator@demo.example", now=now)
    one.name = name
    one.look()


def _keys(one: World) -> str:
    pepper, now = load_pepper(one.home, None), one.time.now()
    made, _ = keys.create(
        one.database, pepper, keys.Wanted(name=f"第一医院 First Hospital ({MARK})", budget=parse_money("500 CNY"), rpm=600),
        who="test",
        now=now,
    )  # fmt: skip
    keys.create(one.database, pepper, keys.Wanted(name=f"区热线办 hotline office ({MARK})", tpm=100_000), who="test", now=now)
    gone, _ = keys.create(one.database, pepper, keys.Wanted(name=f"former vendor ({MARK})"), who="test", now=now)
    keys.revoke(one.database, gone.id, why="the contract ended", who="test", now=now)
    return made.id


def _quiet_routes(one: World) -> None:
    tie = Tie(policy="allow", by="operator@demo.example", reason=f"a {MARK} on this machine")
    for name in ("screening-assistant", "policy-answers"):
        upstream = Upstream(url=f"http://{name}.internal.example/v1", model=f"{name}-1")
        routes.put(one.database, Route(name=name, upstreams=(upstream,), tie=tie), who="test", now=one.time.now())
    why = f"答复引用了过期文件 answers quoted an outdated document ({MARK})"
    stops.stop(one.database, "route", "policy-answers", why=why, who="member:operator@demo.example", now=one.time.now())


def _usage(one: World, key: str) -> None:
    """Four weeks of requests, fewer at week ends."""
    chance, now = random.Random(7), one.time.now()
    rows = []
    for back in range(28):
        day = now - timedelta(days=back)
        for number in range(chance.randint(20, 60) // (4 if day.weekday() > 4 else 1)):
            rows.append(
                (
                    f"demo-{back}-{number}",
                    "w",
                    key,
                    chance.choice(("screening-assistant", "claims-triage", "citizen-hotline")),
                    "chat",
                    day.strftime("%Y-%m-%d"),
                    int(day.timestamp() * 1e6) - number * 1_000_000,
                    "settled",
                    "CNY",
                    0,
                    chance.randint(5, 90) * 1_000_000,
                    0.2 + chance.random(),
                    0.1,
                    "answered",
                    200,
                    "stable",
                )
            )
    words = (
        "id, worker, access_key, route, endpoint, day, started, state, currency, reserved, settled, seconds, ttft, outcome,"
        " status, arm"
    )
    one.database.execute_many(f"INSERT INTO requests ({words}) VALUES ({', '.join('?' * 16)})", rows)


def _incidents(one: World) -> str:
    facts = Facts(
        severity=3, title="Requests about lifts were sent to the wrong office", title_zh="电梯类诉求派错部门",
        summary=f"After a silent update four in ten answers named an office that does not exist. ({MARK})", requests=120,
        people=37,
        group="citizens who asked about lifts",
    )  # fmt: skip
    report = Report(route="citizen-hotline", by="张敏 Zhang Min", facts=facts)
    found = report_incident(one.context, report, who="member:engineer@demo.example")
    near = Facts(
        title="A clerk noticed an answer in the wrong language before it was sent", title_zh="坐席发出前发现答复语言有误"
    )
    report_incident(one.context, Report(route="claims-triage", kind="near-miss", facts=near), who="member:engineer@demo.example")
    return found.id


def shoot(server: ConsoleServer, browser: Browser, out: Path, places: Mapping[str, str], wanted: list[str]) -> list[str]:
    """PNGs named PAGE-LANGUAGE-THEME-WIDTH; what went wrong on the way."""
    out.mkdir(parents=True, exist_ok=True)
    faults: list[str] = []
    operator = server.member("demo@demo.example", "operator", name="演示 Demo")
    for language in ("en", "zh"):
        locale = "en-GB" if language == "en" else "zh-CN"
        with watched_context(browser, server.url, locale=locale, timezone_id="Asia/Shanghai") as (context, watch):
            token = str(server.signed_in(operator).cookie())
            context.add_cookies([{"name": COOKIE, "value": token, "domain": "127.0.0.1", "path": "/console"}])
            page = context.new_page()
            for one in PAGES:
                if wanted and one.name not in wanted:
                    continue
                for theme, width in ((theme, width) for theme in ("light", "dark") for width in (1280, 390)):
                    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
                    page.set_viewport_size({"width": width, "height": 900 if width > 400 else 844})
                    answer = page.goto(path_of(one.path, places))
                    if answer is None or answer.status != 200:
                        faults.append(f"{one.name} in {language}: {answer.status if answer else 'no answer'}")
                    page.screenshot(path=str(out / f"{one.name}-{language}-{theme}-{width}.png"), full_page=True)
            faults += watch.faults + watch.elsewhere
    return faults + server.said


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
