"""A release under the eyes of a controller, in a home without a gateway: its time passes, and its ledger fills, as a test says.

    with watched(tmp_path) as one:
        one.passes(30.0, bad=0.5)     # half a minute of traffic on both arms, and a look after each second of it
        one.release.state, one.arm, one.events

Rows come as the keeper would have applied them; nothing is served. `open` gives another controller's view of the same home.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import orjson

from pilotbase.context import Context
from pilotbase.domain.quantity import parse_money
from pilotbase.domain.release import Move, Plan
from pilotbase.domain.traffic import Arm, Route, Tie, Upstream
from pilotbase.errors import UserError
from pilotbase.flows.release_control import Controller
from pilotbase.flows.release_moves import Moved, make_move, plan_of, serve_arm
from pilotbase.gateway import keys, routes
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.release import incidents, records
from pilotbase.release.alerts import list_alerts
from pilotbase.release.records import Release
from pilotbase.spec.plan import plan_document, read_plan
from pilotbase.store.database import Database, Row, Values
from pilotbase.store.disk import LocalDisk

__all__ = ["CANARY", "WORDS", "Faulty", "Killed", "Time", "World", "disagreements", "opened", "record", "refused", "watched"]

CANARY: tuple[Mapping[str, Any], ...] = (
    {"rung": "canary", "share": "50 %", "requests": 100, "time": "30s"},
    {"rung": "full", "requests": 100, "time": "30s"},
)
CHECKS: tuple[Mapping[str, Any], ...] = ({"metric": "failure-rate", "require": "<= 10 %"},)
WORDS: Mapping[str, Any] = {
    "bearer": "Dr. Wang",
    "evidence": {"block": "1s", "late": "20s", "within": "20s"},
    "drift": None,
    "budget": None,
}


class Killed(BaseException):
    """The process is gone: nothing of it catches this."""


class Faulty(Database):
    """A database at which `before` is called ahead of every statement, beginning and end of a transaction; what it raises happens
    there. `before` is told `begin`, `commit`, `done`, or the statement.
    """

    before: Callable[[str], None] = staticmethod(lambda _: None)

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        outer = not self._inside
        if outer:
            self.before("begin")
        with super().transaction():
            yield self
            if outer:
                self.before("commit")
        if outer:
            self.before("done")

    def execute(self, sql: str, values: Values = ()) -> int:
        self.before(sql)
        return super().execute(sql, values)

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        self.before(sql)
        return super().rows(sql, values)

    def row(self, sql: str, values: Values = ()) -> Row | None:
        self.before(sql)
        return super().row(sql, values)


@dataclass
class Time:
    """A wall clock, which may be set, and a monotonic one."""

    wall: float = 1_800_000_000.0
    clock: float = 1_000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.wall, UTC)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.clock += seconds


@dataclass
class World:
    """See the module. `alive` is whether the controller said at its last look that releases are being watched."""

    home: Path
    database: Faulty
    time: Time
    name: str = ""
    alive: bool = False
    said: list[str] = field(default_factory=list)
    served: int = 0
    _owed: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.context = Context(home=self.home, database=self.database, disk=LocalDisk(), clock=self.time, secrets=lambda _: None)
        self.controller = self.another("first")

    def another(self, name: str, *, clock: Callable[[], float] | None = None) -> Controller:
        """A controller that knows nothing yet."""
        self.controller = Controller(
            self.context, name, wall=lambda: self.time.wall, clock=clock or (lambda: self.time.clock), say=self.said.append
        )
        return self.controller

    def serve_stable(self, route: str = "m") -> None:
        """Put the route that a release starts from."""
        routes.put(self.database, _route(route, "http://stable.example"), who="test", now=self.time.now())

    def begin(self, plan: Plan, checks: Sequence[Mapping[str, Any]], name: str, route: str = "m") -> Release:
        """Put a release of a made-up candidate on record, as `release start` does it, with the purse of its shadows."""
        now = self.time.now()
        self.serve_stable(route)
        wanted = keys.Wanted(name=f"shadows of {name}", budget=parse_money("1 CNY"), routes=(route,))
        key, _ = keys.create(self.database, load_pepper(self.home, None), wanted, who="test", now=now)
        release = record(name, route, plan, checks, now, purse=key.id)
        with self.database.transaction():
            records.create(self.database, release, who="test")
            serve_arm(self.context, release, plan, who="test", now=now)
        self.name = name
        return release

    @property
    def release(self) -> Release:
        found = records.find(self.database, self.name)
        assert found is not None
        return found

    @property
    def arm(self) -> Arm | None:
        """What the workers see."""
        found = routes.find_route(self.database, self.release.route)
        assert found is not None
        return found.route.arm

    @property
    def events(self) -> list[str]:
        return [event.action for event in records.events(self.database, self.name)]

    @property
    def causes(self) -> list[str]:
        """The kinds of causes of the last move that had any."""
        found = [event.detail["causes"] for event in records.events(self.database, self.name) if event.detail.get("causes")]
        return [one["kind"] for one in found[-1]] if found else []

    def serve(self, arm: str, count: int, *, span: float, bad: float = 0.0, **more: Any) -> None:
        """Put `count` settled requests of an arm on record, spread over the last `span` seconds; every so many are failures."""
        start = self.time.wall - span
        rows = []
        for i in range(count):
            self.served += 1
            owed = self._owed[arm] = self._owed.get(arm, 0.0) + bad
            failed = owed >= 1.0
            if failed:
                self._owed[arm] = owed - 1.0
            row = {
                "id": f"{arm}-{self.served}", "worker": "w", "access_key": "k", "route": self.release.route, "endpoint": "chat",
                "day": "2027-01-15", "started": int((start + span * (i + 0.5) / count) * 1e6), "state": "settled",
                "currency": "CNY", "reserved": 0, "settled": 1_000_000, "seconds": 0.1, "ttft": 0.05,
                "outcome": "failed" if failed else "answered", "status": 500 if failed else 200, "arm": arm,
                "release_id": self.name, "person": f"p{self.served % 7}", **more,
            }  # fmt: skip
            rows.append(row)
        if rows:
            words = ", ".join(rows[0])
            self.database.execute_many(
                f"INSERT INTO requests ({words}) VALUES ({', '.join('?' * len(rows[0]))})", [tuple(row.values()) for row in rows]
            )

    def look(self, applied: float | None = None) -> bool:
        """One look of the controller; what it said of being watched."""
        self.alive = False
        self.alive = self.controller.step(self.time.wall if applied is None else applied)
        return self.alive

    def passes(
        self, seconds: float, *, candidate: int = 10, stable: int = 10, bad: float = 0.0, looks: bool = True, every: float = 1.0
    ) -> None:
        """Time passes with so many requests of each arm in every second; the candidate gets none where it is not exposed or the
        controller did not say that somebody watches.
        """
        until = self.time.clock + seconds - 1e-6
        while self.time.clock < until:
            self.time.passes(every)
            arm = self.arm
            exposed = self.alive and arm is not None and (arm.share > 0.0 or bool(arm.people))
            if candidate and exposed:
                self.serve("candidate", round(candidate * every), span=every, bad=bad)
            if candidate and self.alive and arm is not None and arm.shadow:
                self.serve("shadow", round(candidate * every), span=every, bad=bad)
            if stable:
                self.serve("stable", round(stable * every), span=every)
            if looks:
                self.look()

    def moves(self, move: Move, *, who: str = "test", found: Release | None = None, **more: Any) -> Moved | None:
        """Make a move by hand."""
        return make_move(self.context, found or self.release, move, who=who, now=self.time.now(), why="because", **more)


def record(name: str, route: str, plan: Plan, checks: Sequence[Mapping[str, Any]], now: datetime, *, purse: str = "") -> Release:
    """A release as `release start` makes it, of a made-up candidate."""
    pilot = {
        "pilot": "small",
        "scenario": {
            "area": "industry", "field": "tests", "owner": "nobody", "need": "An answer.", "risk": "medium",
            "authority": "user-only",
        },
        "seed": 7,
        "data": {"test": {"path": "test.csv", "id": "id", "inputs": ["x"], "target": "label", "positive": "yes"}},
        "candidates": [
            {
                "id": "assistant",
                "target": {"openai": {"url": "http://candidate.example", "model": "m"}},
                "messages": [{"role": "user", "content": "{x}"}],
            }
        ],
        "gates": [{"gate": "capability", "checks": [dict(check) for check in checks]}],
    }  # fmt: skip
    document = {
        "plan": plan_document(plan), "pilot": pilot, "run": "r", "dossier": "d", "candidate_id": "assistant", "fingerprint": "f",
        "scenario": "industry/tests", "packs": [], "risk": "medium", "tie": {},
        "candidate": routes.document_of(_route(route, "http://candidate.example")), "calibrations": {},
        "rung_since": int(now.timestamp() * 1e6), "purse": purse,
    }  # fmt: skip
    return Release(
        id=name, route=route, state="climbing", rung=0, version=1, started=now, changed=now,
        document=orjson.loads(orjson.dumps(document)),
    )  # fmt: skip


@contextmanager
def opened(home: Path, time: Time, place: Path | str | None = None, name: str = "r1") -> Iterator[World]:
    """A home as it is, with a controller of its own."""
    home.mkdir(exist_ok=True)
    with Faulty(place or home / "pilotbase.db") as database:
        if not isinstance(place, str):
            database.rows("PRAGMA synchronous = OFF")  # no machine ends here, only processes
        yield World(home=home, database=database, time=time, name=name)


@contextmanager
def watched(
    home: Path,
    *,
    rungs: Sequence[Mapping[str, Any]] = CANARY,
    checks: Sequence[Mapping[str, Any]] = CHECKS,
    place: Path | str | None = None,
    **words: Any,
) -> Iterator[World]:
    """A new home with one release on its first rung, looked at once; `words` are of its plan."""
    told = {word.replace("_", "-"): value for word, value in words.items()}
    plan = read_plan({**WORDS, "rungs": [dict(rung) for rung in rungs], **told})
    with opened(home, Time(), place) as one:
        one.begin(plan, checks, "r1")
        one.look()
        yield one


def disagreements(one: World) -> list[str]:
    """What of a release's row, its route's arm, its incident, its alerts and its purse does not fit together."""
    release, arm = one.release, one.arm
    plan = plan_of(release)
    found: list[str] = []
    key = keys.find_key(one.database, release.document["purse"])
    assert key is not None
    if release.over != (arm is None):
        found.append(f"{release.state}, and the route's arm is {arm}")
    if release.over != (key.revoked is not None):
        found.append(f"{release.state}, and the purse was revoked at {key.revoked}")
    moved = [event for event in records.events(one.database, release.id) if event.action not in ("drift", "tripped")]
    if release.version != len(moved):
        found.append(f"version {release.version} after {[event.action for event in moved]}")
    if arm is not None:
        rung = plan.rungs[release.rung]
        share = 1.0 if release.state == "full" else rung.part if rung.rung == "canary" and release.state != "held" else 0.0
        if arm.share != share:
            found.append(f"{release.state} on {rung}, and the share is {arm.share}")
    backs = [event for event in moved if event.action == "back"]
    by_itself = sum(1 for event in backs if event.detail["causes"])
    stored = incidents.list_incidents(one.database, route=release.route)
    if [incident.state for incident in stored] != ["contained"] * by_itself:
        found.append(f"{by_itself} automatic rollbacks, and incidents {[incident.state for incident in stored]}")
    raised = [alert for alert in list_alerts(one.database, release=release.id) if alert.alert.kind not in ("limit", "drift")]
    if bool(raised) != bool(backs):
        found.append(f"{len(backs)} rollbacks, and alerts {[alert.alert.kind for alert in raised]}")
    if any(alert.count > 1 for alert in raised):
        found.append("an alert was raised twice")
    return found


def _route(name: str, url: str) -> Route:
    return Route(name=name, upstreams=(Upstream(url=url),), tie=Tie(policy="allow"))


def refused() -> UserError:
    """What a database that is away is told as."""
    return UserError("the connection was lost", where="the database", hint="run the same command again", status=503)
