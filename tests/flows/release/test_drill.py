"""`pilotbase drill`: a copy of traffic gets worse, the real controller notices or not, and the live release is left alone."""

import asyncio
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.chat_server import answers
from tests.fakes.gateway import Serving, until
from tests.fakes.releases import plan_file, prepare, start
from tests.flows.stories import pilotbase
from tests.flows.support import serving

from pilotbase.context import Context, SystemClock, open_context
from pilotbase.errors import UserError
from pilotbase.flows.drill import Drill, Wish, drill
from pilotbase.flows.drill_arrivals import twin
from pilotbase.flows.release_start import Start, start_release
from pilotbase.gateway.entry import drawn
from pilotbase.gateway.ledger_rows import COLUMNS
from pilotbase.release import incidents, records
from pilotbase.release.drift_reference import Column
from pilotbase.release.drills import KINDS, read_injection, shifted
from pilotbase.release.records import Release
from pilotbase.store.disk import LocalDisk

CANARY = ({"rung": "canary", "share": "50 %", "requests": 1000, "time": "1h"}, {"rung": "full", "requests": 10, "time": "1s"})
SECOND = 1_000_000
FULL = dict.fromkeys(COLUMNS, 0) | {
    "worker": "w",
    "access_key": "k",
    "route": "m",
    "upstream": "u",
    "endpoint": "chat",
    "day": "2026-11-05",
    "state": "settled",
    "currency": "CNY",
    "source": "upstream",
    "outcome": "answered",
    "status": 200,
    "detail": "{}",
    "person": "",
    "copy_of": "",
}
"""A row of the ledger, answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A home with a release under way on the route `m`."""

    context: Context
    release: Release
    secrets: list[str]

    def add(
        self,
        count: int,
        *,
        arm: str = "candidate",
        seconds: float = 0.2,
        every: float = 0.05,
        bad: float = 0.0,
        said: str | None = "yes",
    ) -> list[str]:
        """So many requests, one each `every` seconds, with their answers kept; their ids."""
        chance, start = Random(1), int(self.release.document["rung_since"])
        rows, kept = [], []
        for i in range(count):
            failed = chance.random() < bad
            name = f"{arm}-{i:05}"
            row = FULL | {
                "id": name,
                "arm": arm,
                "release_id": self.release.id,
                "started": start + int(i * every * SECOND),
                "person": f"p{i % 40}",
                "seconds": seconds * (0.8 + 0.4 * chance.random()),
                "ttft": seconds / 2,
                "tokens_out": 1,
                **({"outcome": "failed", "status": 500} if failed else {}),
            }
            rows.append(tuple(row[word] for word in COLUMNS))
            if not failed and said is not None:
                asked = {"messages": [{"role": "user", "content": str(chance.randrange(80))}]}
                answered = {"choices": [{"message": {"content": said}}]}
                texts = (orjson.dumps(one).decode() for one in (asked, answered))
                kept.append((name, self.release.id, arm, row["started"], "chat", *texts))
        places = ", ".join("?" * len(COLUMNS))
        self.context.database.execute_many(f"INSERT INTO requests ({', '.join(COLUMNS)}) VALUES ({places})", rows)
        self.context.database.execute_many(
            "INSERT INTO samples (request, release_id, arm, at, endpoint, asked, answered) VALUES (?, ?, ?, ?, ?, ?, ?)", kept
        )
        return [str(row[0]) for row in rows]

    def drill(self, kind: Any, **more: Any) -> Drill:
        return drill(self.context, Wish(route="m", kind=kind, **more), who="test")

    def rows(self, *, but: Sequence[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
        """Everything in the database."""
        names = [row["name"] for row in self.context.database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: self.context.database.rows(f"SELECT * FROM {name}") for name in names if name not in but}
        return {name: sorted((tuple(row) for row in rows), key=repr) for name, rows in found.items()}


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home, a pilot that passed in it, and its dossier."""
    folder = tmp_path_factory.mktemp("drill")
    with serving(answers("yes")) as server:
        ready = prepare(folder, server.url, rows=80)
        added = pilotbase(ready.base.home, "route", "add", "m", "--upstream", server.url)
        assert added.code == 0, added.err
    return folder


class Homes:
    """Makes a home with its plan; it is closed at the end."""

    def __init__(self, tried: Path, folder: Path) -> None:
        self._tried, self._folder = tried, folder
        self._open = ExitStack()

    def make(self, rungs: Sequence[Mapping[str, Any]] = CANARY, **words: Any) -> Home:
        home = self._folder / "home"
        shutil.copytree(self._tried / "home", home)
        plan = plan_file(self._folder, rungs, **{"evidence": {"block": "1s", "late": "5s", "within": "5s"}, **words})
        asked: list[str] = []
        opened = open_context(home, disk=LocalDisk(), clock=SystemClock(), secrets=asked.append)
        context = self._open.enter_context(opened)
        started = start_release(context, Start(route="m", dossier=self._tried / "dossier", plan=plan), who="test")
        return Home(context=context, release=started.release, secrets=asked)

    def close(self) -> None:
        self._open.close()


@pytest.fixture
def homes(tried: Path, tmp_path: Path) -> Iterator[Homes]:
    made = Homes(tried, tmp_path)
    yield made
    made.close()


def test_errors_are_noticed_contained_and_timed(homes: Homes) -> None:
    home = homes.make()
    home.add(300, bad=0.02, every=0.1)
    ticks = iter(range(1000))
    done = drill(home.context, Wish(route="m", kind="errors", strength="50 %"), who="test", meter=lambda: float(next(ticks)))
    assert done.proved and done.first == 100 and done.control.requests == 300 and done.injected is not None
    alarm, back = done.injected.alarm, done.injected.back
    assert alarm is not None and back is not None and alarm.check == back.check == "capability/failure-rate"
    assert 0 < alarm.requests < 200 and 0.0 < alarm.seconds < 20.0
    assert done.injected.look == 1.0
    assert done.injected.answered is not None and done.injected.failed is not None and done.injected.people is not None
    assert done.injected.failed >= done.injected.hit >= 5 and 1 <= done.injected.people <= done.injected.failed


def test_the_live_release_is_not_touched_and_nobody_is_alerted(homes: Homes) -> None:
    home = homes.make(alerts=[{"webhook": "https://ops.example.org/alerts", "key-env": "ALERT_KEY"}])
    home.add(300)
    home.secrets.clear()
    before = home.rows(but=["incidents"])
    assert home.drill("errors", strength="50 %").proved
    assert home.rows(but=["incidents"]) == before
    assert home.secrets == [] and not (home.context.scratch() / "drill").exists()


def test_slower_answers_are_noticed_by_a_check_of_seconds(homes: Homes) -> None:
    home = homes.make(checks=[{"metric": "latency.p95", "require": "<= 500 ms"}])
    home.add(200)
    for strength in (None, "+2s"):
        done = home.drill("latency", strength=strength, record=False)
        assert done.proved and done.injected is not None and done.injected.alarm is not None
        assert done.injected.alarm.check == "release/latency.p95"


def test_worse_answers_are_noticed_by_a_check_of_samples(homes: Homes) -> None:
    home = homes.make(checks=[{"metric": "regex", "pattern": "yes", "require": ">= 0.9", "live": {"sample": "50 %"}}])
    home.add(300)
    done = home.drill("quality", strength="80 %")
    assert done.proved and done.injected is not None and done.injected.alarm is not None
    assert done.injected.alarm.check == "release/regex" and done.injected.failed == 0


def test_worse_answers_are_noticed_by_labels_that_came_for_them(homes: Homes) -> None:
    home = homes.make(checks=[{"metric": "accuracy", "require": ">= 0.8", "live": {"sample": "100 %"}}])
    names = home.add(300, said=None)
    home.context.database.execute_many(
        "INSERT INTO live_scores (request, check_id, release_id, value, at) VALUES (?, 'release/accuracy', ?, 1.0, 0)",
        [(name, home.release.id) for name in names],
    )
    done = home.drill("quality", strength="100 %")
    assert done.proved and done.injected is not None and done.injected.alarm is not None
    assert done.injected.alarm.check == "release/accuracy"


@pytest.mark.parametrize("action", ["alert", "rollback"])
def test_drift_is_noticed_and_contained_where_the_plan_goes_back_for_it(homes: Homes, action: str) -> None:
    home = homes.make(drift={"every": 50, "action": action})
    home.add(150)
    done = home.drill("drift", strength="3")
    assert done.proved and done.injected is not None and done.injected.alarm is not None
    assert done.injected.alarm.kind == "drift"
    assert (done.injected.back is not None) == (action == "rollback")
    assert done.incident is not None
    assert incidents.find(home.context.database, done.incident).state == ("closed" if action == "rollback" else "open")


def test_numbers_in_a_chat_message_are_no_drift_from_the_numbers_of_the_pilot(homes: Homes) -> None:
    home = homes.make(drift={"every": 100})
    home.add(110)
    assert home.drill("drift", record=False).control.alarm is None


def test_what_the_plan_tolerates_raises_no_alarm_and_says_which_words_would_help(homes: Homes) -> None:
    home = homes.make()
    home.add(200)
    done = home.drill("errors", strength="5 %")
    assert not done.proved and done.control.alarm is None and done.injected is not None and done.injected.alarm is None
    assert "tolerates 10 %, and 5 % were injected" in done.words[0]
    assert any(word.startswith("budget:") for word in done.words)
    assert done.incident is not None
    found = incidents.find(home.context.database, done.incident)
    assert found.kind == "exercise" and found.state == "open" and found.summary.en == "5 % of requests fail: NO ALARM"


def test_slowness_that_no_check_looks_at_is_told_with_the_check_to_add(homes: Homes) -> None:
    home = homes.make()
    home.add(150)
    done = home.drill("latency", record=False)
    assert not done.proved and "latency.p95" in done.words[0] and "no mandatory check" in done.words[0]
    assert not any(word.startswith("monitor:") for word in done.words)


def test_an_alarm_without_any_injection_proves_nothing_and_is_said(homes: Homes) -> None:
    home = homes.make()
    home.add(200, bad=0.6)
    done = home.drill("errors")
    assert not done.proved and done.control.alarm is not None and done.injected is None and done.incident is None


def test_an_exercise_is_recorded_with_its_times_and_needs_no_regression_case(homes: Homes) -> None:
    home = homes.make()
    home.add(300)
    done = home.drill("errors", strength="50 %")
    assert done.incident is not None and done.injected is not None and done.injected.alarm is not None
    found = incidents.find(home.context.database, done.incident)
    assert found.kind == "exercise" and found.state == "closed" and found.regressions == ()
    assert found.times.detect == pytest.approx(done.injected.alarm.seconds, abs=1e-3)
    assert found.times.contain == pytest.approx(done.injected.look, abs=1e-3)
    assert found.affected.requests == 0 and found.subject.release == home.release.id
    before = len(incidents.list_incidents(home.context.database))
    assert home.drill("errors", strength="50 %", record=False).incident is None
    assert len(incidents.list_incidents(home.context.database)) == before


def test_the_same_seed_gives_the_same_alarm(homes: Homes) -> None:
    home = homes.make()
    home.add(300, bad=0.02)
    first, again = (home.drill("errors", strength="50 %", seed=7, record=False).injected for _ in range(2))
    assert first is not None and again is not None and first.alarm == again.alarm and first.back == again.back


def test_a_quiet_route_is_copied_several_times(homes: Homes) -> None:
    home = homes.make()
    home.add(60)
    with pytest.raises(UserError, match="only 60 requests to copy, and a drill needs 100") as refused:
        home.drill("errors")
    assert refused.value.hint is not None and "--repeat 2" in refused.value.hint
    done = home.drill("errors", strength="80 %", repeat=4, record=False)
    assert done.proved and done.control.requests == 240


def test_only_the_last_requests_or_the_last_time_are_copied(homes: Homes) -> None:
    home = homes.make()
    names = home.add(300)
    for last in ("120", "6s"):
        rows = home.drill("latency", last=last, record=False).traffic.rows
        assert len(rows) in (120, 121) and rows[-1]["id"] == names[-1]
    for wrong, told in (("5", "100 to 20,000"), ("much", "neither a number nor a duration")):
        with pytest.raises(UserError, match=told):
            home.drill("latency", last=wrong)


def test_a_release_that_is_over_is_drilled_on_the_stable_arm_s_traffic(homes: Homes) -> None:
    home = homes.make()
    home.add(200, bad=0.6)
    home.add(300, arm="stable", every=0.1)
    done = pilotbase(home.context.home, "release", "rollback", "m", "--why", "it failed")
    assert done.code == 0, done.err
    assert home.drill("errors", record=False).control.alarm is not None
    again = home.drill("errors", strength="50 %", arm="stable", record=False)
    assert again.proved and again.traffic.arm == "stable"


def test_a_shadow_is_drilled_too_and_clients_meet_nothing_of_it(homes: Homes) -> None:
    home = homes.make(({"rung": "shadow", "requests": 1000, "time": "1h"}, {"rung": "full"}), shadow={"spend": "10 CNY"})
    home.add(300, arm="stable")
    home.add(300, arm="shadow")
    home.context.database.execute("UPDATE requests SET copy_of = 'stable-' || SUBSTR(id, 8) WHERE arm = 'shadow'")
    done = home.drill("errors", strength="50 %")
    assert done.proved and done.traffic.arm == "shadow" and done.injected is not None
    assert done.injected.answered is None and done.injected.failed is None


def test_failures_in_a_row_count_as_a_worker_counts_them(homes: Homes) -> None:
    home = homes.make()
    home.add(200)
    done = home.drill("errors", strength="100 %", record=False)
    assert done.proved and done.injected is not None and done.injected.back is not None
    assert done.injected.back.requests <= 40


@pytest.mark.parametrize(
    ("kind", "words", "told"),
    [
        ("quality", {}, "no live check of release .* scores answers"),
        ("drift", {}, "does not look for drift"),
        ("drift", {"drift": {"every": 500}}, "every 500 kept answers, and the copy has 150"),
    ],
)
def test_what_cannot_be_drilled_is_said(homes: Homes, kind: str, words: Mapping[str, Any], told: str) -> None:
    home = homes.make(**words)
    home.add(150)
    with pytest.raises(UserError, match=told):
        home.drill(kind)


def test_drift_needs_a_reference(homes: Homes) -> None:
    home = homes.make(drift={"every": 60})
    home.add(150)
    home.context.database.execute("DELETE FROM release_references")
    with pytest.raises(UserError, match="has no reference"):
        home.drill("drift")


def test_a_route_without_traffic_without_release_or_unknown_is_said(homes: Homes) -> None:
    home = homes.make()
    with pytest.raises(UserError, match="no request to copy, and a drill needs 100"):
        home.drill("errors")
    added = pilotbase(home.context.home, "route", "add", "other", "--upstream", "http://127.0.0.1:9/v1")
    assert added.code == 0
    for route, told in (("other", "never under release"), ("none", "no route")):
        with pytest.raises(UserError, match=told):
            drill(home.context, Wish(route=route, kind="errors"), who="test")


def test_traffic_of_a_gateway_that_goes_on_serving_is_drilled(tmp_path: Path) -> None:
    async def story(url: str) -> None:
        async with Serving(ready.base.home) as gateway:
            gateway.route("m", url)
            key = gateway.key()
            plan = plan_file(tmp_path, [{"rung": "canary", "share": "50 %", "requests": 10_000, "time": "1h"}, {"rung": "full"}])
            started = start(gateway, ready, plan)
            await until(gateway.crew[0].plane.watched)
            for i in range(260):
                await gateway.chat(key, text=f"question {i}")
            await gateway.settled()
            before = len(gateway.rows())
            done = await asyncio.to_thread(
                pilotbase, ready.base.home, "drill", "m", "--inject", "errors", "--strength", "60 %", "--json"
            )
            assert done.code == 0, done.err + done.out
            assert done.json["copied"]["arm"] == "candidate" and done.json["injected"]["back"]["seconds"] > 0
            found = records.find(gateway.context.database, started.release.id)
            assert found is not None and found.state == "climbing" and len(gateway.rows()) == before
            assert (await gateway.chat(key)).status == 200

    with serving(answers("yes")) as server:
        ready = prepare(tmp_path, server.url)
        asyncio.run(story(server.url))


def test_the_command_tells_a_person_and_a_program(homes: Homes) -> None:
    home = homes.make()
    home.add(300, every=0.1)
    said = pilotbase(home.context.home, "drill", "m", "--inject", "errors", "--strength", "50 %")
    assert said.code == 0, said.err
    for words in ("no alarm without the injection: 300 requests", "rolled back to the stable arm", "at most 1 s", "exercise"):
        assert words in said.out
    quiet = pilotbase(home.context.home, "drill", "m", "--inject", "errors", "--strength", "2 %", "--no-record")
    assert quiet.code == 1 and "NONE" in quiet.out and "would help" in quiet.out
    machine = pilotbase(home.context.home, "drill", "m", "--inject", "errors", "--strength", "50 %", "--json", "--at", "0.5")
    assert machine.code == 0 and machine.json["proved"] is True and machine.json["inject"]["from"] == 151
    wrong = pilotbase(home.context.home, "drill", "m", "--inject", "errors", "--at", "2")
    assert wrong.code == 2 and "is no share" in wrong.err


@given(name=st.text(min_size=1), shares=st.lists(st.floats(0.05, 1.0), max_size=3), mark=st.sampled_from(["0", "7-stable"]))
def test_a_twin_is_in_the_samples_of_its_original(name: str, shares: list[float], mark: str) -> None:
    found = twin(name, mark, shares)
    assert found != name and found.startswith(f"{name}~{mark}")
    for share in shares:
        assert drawn(f"sample {found}", share) == drawn(f"sample {name}", share)


@given(value=st.floats(-1e6, 1e6), deviations=st.floats(0.01, 100), seed=st.integers(0, 100))
def test_numbers_move_by_standard_deviations_and_what_is_missing_stays_missing(
    value: float, deviations: float, seed: int
) -> None:
    columns = [
        Column(name="n", side="input", kind="numeric", values=(0.0, 2.0)),
        Column(name="t", side="input", kind="text", values=("abc",)),
        Column(name="c", side="output", kind="categorical", values=("a", "b", "c")),
        Column(name="gone", side="input", kind="numeric", values=(1.0,)),
    ]
    injection = read_injection("drift", f"{deviations}")
    found = shifted(columns, {"n": value, "t": "some words", "c": "a", "gone": None}, injection, Random(seed))
    assert found["n"] == pytest.approx(value + deviations * 2**0.5) and found["gone"] is None
    assert sorted(found["t"]) == sorted("some words")
    if deviations >= 1.0:
        assert found["c"] in ("b", "c")


@pytest.mark.parametrize(
    ("kind", "strength"),
    [("errors", "0"), ("errors", "x3"), ("quality", "120 %"), ("latency", "0.5"), ("latency", "+never"), ("latency", "20 %"),
     ("drift", "-1"), ("drift", "nan"), ("drift", "much")],
)  # fmt: skip
def test_a_strength_that_means_nothing_is_refused_with_how_to_write_it(kind: Any, strength: str) -> None:
    with pytest.raises(UserError, match="is no strength of") as refused:
        read_injection(kind, strength)
    assert refused.value.hint is not None and "`" in refused.value.hint


def test_every_kind_has_a_usual_strength() -> None:
    for kind in KINDS:
        assert all(read_injection(kind, None).told)
