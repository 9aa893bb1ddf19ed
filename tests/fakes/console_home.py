"""A home that has one of everything the console shows. `word` makes the texts that people typed: plain ones, or hostile ones.

furnished = furnish(tmp_path, hostile)
furnished.places["run"]        # what stands for `{run}` in the path of a page
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.watched import CHECKS, WORDS, Time, World, watched
from tests.fakes.workspaces import job_on, kept, pilot_files
from tests.flows.support import Base, cases

from pilotbase.compute import jobs
from pilotbase.domain.quantity import parse_money
from pilotbase.domain.traffic import Route, Tie, Upstream
from pilotbase.flows.incident import Report, contain_incident, report_incident
from pilotbase.flows.incident_facts import Facts
from pilotbase.flows.workspace import change_files
from pilotbase.gateway import keys, routes, stops
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.spec.plan import read_plan

__all__ = ["EVIL", "Furnished", "Word", "furnish", "hostile", "plain"]

Word = Callable[[str], str]
EVIL = "evil-"
"""How the elements and attributes begin that hostile texts would make, if they were not shown as text."""
SHADOW = (
    {"rung": "canary", "share": "50 %", "requests": 100_000, "time": "30s"},
    {"rung": "full", "requests": 100, "time": "30s"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Furnished:
    """`places` are parts of paths by the name that pages give them, `secrets` what no page may ever show."""

    home: Path
    time: Time
    places: Mapping[str, str]
    secrets: tuple[str, ...]
    words: tuple[str, ...] = field(default=())


def plain(place: str) -> str:
    """A text as people write it."""
    return f"the {place}"


def hostile(place: str) -> str:
    """A text that becomes an element, an attribute, a template's value or a place of a translation where it is not escaped."""
    return f"</title><evil-{place} a>\"evil-a='1' 'evil-b=\"1\" {{{{7*7}}}} %(x)s %s &amp; javascript:alert(1)"


def furnish(folder: Path, word: Word = plain) -> Furnished:
    """A run, a release that is under way and one that went back, with its incident and alert, keys, stops, a near miss."""
    home = folder / "home"
    run = _run(folder, home, word)
    plan = read_plan({**WORDS, "bearer": word("bearer"), "rungs": [dict(rung) for rung in SHADOW]})
    with watched(home, bearer=word("bearer")) as one:
        one.passes(12.0, bad=0.9, every=2.0)
        assert one.release.state == "rolled-back", one.events
        one.begin(plan, CHECKS, "r2", "n")
        one.look()
        one.passes(8.0, every=2.0)
        assert not one.release.over
        return _rest(one, home, run, word)


def _run(folder: Path, home: Path, word: Word) -> str:
    base = Base(folder=folder / "pilot", home=home)
    owner, need = word("owner"), word("need")
    rows = [{**case, "site": word("group") if case["x"] % 3 else "south"} for case in cases(40)]
    base.write(
        rows=rows,
        candidates={"good": base.python("good"), "wrong": base.python("wrong")},
        checks=[{"metric": "accuracy", "require": ">= 0.6"}, {"metric": "accuracy", "require": ">= 0.5", "worst-of": "site"}],
        scenario={"owner": owner, "need": need},
        data={"groups": ["site"]},
    )
    return str(base.run(clock=Time())["run"])


def _rest(one: World, home: Path, run: str, word: Word) -> Furnished:
    now, pepper = one.time.now(), load_pepper(home, None)
    key, token = keys.create(one.database, pepper, _wanted(word), who=word("who"), now=now)
    gone, other = keys.create(one.database, pepper, keys.Wanted(name="gone"), who="test", now=now)
    keys.revoke(one.database, gone.id, why=word("revoked"), who=word("who"), now=now)
    tie = Tie(policy="allow", by=word("tie-by"), reason=word("tie-reason"))
    routes.put(one.database, Route(name="quiet", upstreams=(_upstream(word),), tie=tie), who="test", now=now)
    stops.stop(one.database, "route", "quiet", why=word("stop"), who=word("who"), now=now)
    facts = Facts(severity=2, title=word("title"), title_zh=word("title-zh"), summary=word("summary"), group=word("affected"))
    found = report_incident(one.context, Report(route="m", kind="incident", by=word("reporter"), facts=facts), who="test")
    contain_incident(one.context, found.id, "disable", who="test", by=word("container"), note=word("note"))
    report_incident(one.context, Report(route="n", kind="near-miss", facts=Facts(title=word("near"))), who="test")
    workspace, job = _jobs(one, word)
    places = {
        "run": run, "pilot": workspace, "job": job, "candidate": "good", "case": "c3", "route": "quiet", "key": key.id,
        "release": "r2", "incident": found.id, "form": "json",
    }  # fmt: skip
    return Furnished(home=home, time=one.time, places=places, secrets=(token, other, pepper.hex()))


def _jobs(one: World, word: Word) -> tuple[str, str]:
    """A pilot that is wrong, with a version before it that is right, and a job that goes on, with all that a process tells."""
    right = kept(one.context, pilot_files(name="small"), who=word("member"))
    text = f"pilot: {word('spec')}\n  nonsense: [1, 2\n".encode()
    change_files(one.context, right.id, {"pilot.yaml": text}, base=1, whole=False, who=word("member"))
    check = {
        "id": "accuracy", "gate": word("gate"), "title": {"en": "accuracy", "zh": "准确率"}, "require": ">= 0.6", "n": 20,
        "planned": 40, "anytime": True, "verdict": None, "value": 0.95, "low": 0.8, "high": 0.99,
    }  # fmt: skip
    step = {
        "candidate": word("candidate"), "phase": "asking", "done": 20, "total": 40, "failed": 1, "spent": 10**9,
        "currency": "CNY", "decided": 0, "checks": 1,
    }  # fmt: skip
    job = job_on(one.context, right)
    jobs.claim_next(one.database, job.home, "o", one.time.now(), quick=False, most=9)
    told = {"steps": [step], "checks": {word("candidate"): [check]}, "notes": [word("progress")]}
    jobs.beat(one.database, job.id, "o", progress=told)
    return right.id, job.id


def _wanted(word: Word) -> keys.Wanted:
    return keys.Wanted(name=word("key"), budget=parse_money("50 CNY"), rpm=60, routes=("m", "n"))


def _upstream(word: Word) -> Upstream:
    return Upstream(url=f"http://quiet.example/{word('url').replace(' ', '_')}", model=word("model"))
