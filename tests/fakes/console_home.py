"""A home that has one of everything the console shows. `word` makes the texts that people typed: plain ones, or hostile ones.

furnished = furnish(tmp_path, hostile)
furnished.places["run"]        # what stands for `{run}` in the path of a page
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from tests.fakes.console_cases import furnish_case
from tests.fakes.watched import CHECKS, WORDS, Time, World, watched
from tests.fakes.workspaces import job_on, kept, pilot_files
from tests.flows.support import Base, cases

from pilotbase.accounts import organisations
from pilotbase.catalog import entries, indicators
from pilotbase.compute import jobs
from pilotbase.context import Context
from pilotbase.domain.account import Member
from pilotbase.domain.entry import Acceptance, Capability, Certificate, Need
from pilotbase.domain.indicator import Indicator, Point
from pilotbase.domain.quantity import parse_money
from pilotbase.domain.traffic import Route, Tie, Upstream
from pilotbase.flows.incident import Report, contain_incident, report_incident
from pilotbase.flows.incident_facts import Facts
from pilotbase.flows.tokens import create_token
from pilotbase.flows.workspace import change_files
from pilotbase.gateway import keys, routes, stops
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.spec.plan import read_plan

__all__ = ["EVIL", "Furnished", "Word", "furnish", "furnish_token", "hostile", "plain"]

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
    """A run, a release under way and one that went back, with its incident and alert, keys, stops, a near miss, a case."""
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


def furnish_token(context: Context, member: Member, word: Word = plain) -> str:
    """A token of a member, whose name somebody typed; its text, which no page may show again."""
    name = word("token")[:120]
    wish = {"name": name, "scopes": ["home.read"], "expires": "30d"}
    return create_token(context, member, who="test", **wish)[1]  # type: ignore[arg-type]


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
        **_catalogue(one, word),
        "indicator": _indicator(one, word),
        "run": run, "pilot": workspace, "job": job, "candidate": "good", "case": "c3", "route": "quiet", "key": key.id,
        "release": "r2", "incident": found.id, "form": "json", "admission": furnish_case(one.context, word, run, found.id),
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


def _catalogue(one: World, word: Word) -> Mapping[str, str]:
    """A need and a capability, both published, which are matched; a draft of each kind."""
    now = one.time.now()
    home = organisations.create(one.database, word("hospital")[:120], who="test", now=now).id
    check = Acceptance(metric="sensitivity", require=">= 0.95")
    need = Need(
        id="", organisation=home, created=now, title=word("need"), text=f"{word('need-text')} 胸片 肺结节",
        area="livelihood", field=word("field"), tags=(word("tag"), "胸片"), data="personal", access="application",
        budget="500000 CNY",
        acceptance=(check, Acceptance(metric=word("metric"), require=">= 1")), papers=(word("paper"),), pack=word("pack"),
        constraints=word("constraints"), deployments=("on-premises",),
    )  # fmt: skip
    capability = Capability(
        id="", organisation=home, created=now, title=word("capability"), text=f"{word('offer')} 胸片 肺结节 检出",
        application=word("application"), areas=("livelihood",), data=("personal",), price="200000 CNY",
        tags=(word("tag"), "胸片"), field=word("field"), deployments=("on-premises",), evidence=("sha256:" + "0" * 64,),
        certificates=(Certificate(name=word("paper"), issuer=word("issuer"), number=word("number"), until=date(2099, 1, 1)),),
    )  # fmt: skip
    places = {}
    for kind, entry in (("need", need), ("capability", capability)):
        entries.create(one.database, replace(entry, title=word("draft")), who="test", now=now)
        made = entries.create(one.database, entry, who="test", now=now)
        entries.set_state(one.database, type(entry), made.id, "published", version=1, who="test", now=now)
        places[kind] = made.id
    return places


def _indicator(one: World, word: Word) -> str:
    """A share with counts of four years: enough to be projected."""
    now = one.time.now()
    texts = {name: word(name) for name in ("title", "numerator", "denominator", "population", "source")}
    made = indicators.create(one.database, Indicator(id="", **texts, basis="sample", created=now), who="test", now=now)
    for year, count in (("2022", 120), ("2023", 210), ("2024", 390), ("2025", 560)):
        point = Point(period=year, numerator=count, denominator=1000, recorded=now)
        indicators.put(one.database, made.id, point, who="test", now=now)
    return made.id


def _wanted(word: Word) -> keys.Wanted:
    return keys.Wanted(name=word("key"), budget=parse_money("50 CNY"), rpm=60, routes=("m", "n"))


def _upstream(word: Word) -> Upstream:
    return Upstream(url=f"http://quiet.example/{word('url').replace(' ', '_')}", model=word("model"))
