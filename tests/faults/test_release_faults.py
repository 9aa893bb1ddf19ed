"""Releases under faults: the controller killed at every step, the database away, two controllers, storms: always a safe state."""

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.chat_server import answers
from tests.fakes.gateway import Serving, until
from tests.fakes.gateway_each import Each
from tests.fakes.postgres import ask, place, postgres_server, postgres_url
from tests.fakes.releases import Ready, plan_file, prepare
from tests.fakes.watched import CANARY, WORDS, Killed, Time, World, disagreements, opened, refused, watched
from tests.flows.support import serving

from pilotbase.domain.alert import Alert, Channel
from pilotbase.domain.release import MOVES, Exposure, Move, State
from pilotbase.errors import UserError
from pilotbase.flows.release_start import Start, start_release
from pilotbase.flows.release_words import resume_release, roll_back
from pilotbase.gateway import keys, routes
from pilotbase.gateway.epoch import EpochPage
from pilotbase.gateway.wire import Peer
from pilotbase.release import incidents, records
from pilotbase.release.alerts import MOST_AN_HOUR, list_alerts, raise_alert
from pilotbase.server.keeper import Keeper
from pilotbase.spec.plan import read_plan

__all__ = ["place", "postgres_server", "postgres_url"]

Size = Callable[[int, int], int]
SOON: Sequence[Mapping[str, Any]] = (
    {"rung": "canary", "share": "10 %", "requests": 50, "time": "1s"},
    {"rung": "canary", "share": "50 %", "requests": 50, "time": "1s"},
    {"rung": "full", "requests": 50, "time": "1s"},
)
HELD: Mapping[str, Any] = {"exposure": {"requests": 100}}


def looks(one: World) -> None:
    """The controller looks until it moves the release, as long as a fresh one needs to take the lead and to see enough."""
    before = one.release.version
    for _ in range(12):
        if one.release.version != before:
            return
        one.time.passes(1.0)
        one.look()


def says(move: Move) -> Callable[[World], None]:
    """Somebody says a word, and says it again if he must."""

    def act(one: World) -> None:
        one.moves(move)

    return act


def climbing(one: World) -> None:
    one.passes(60.0, looks=False)


def last_rung(one: World) -> None:
    one.moves("climb")
    one.passes(60.0, looks=False)


def failing(one: World) -> None:
    one.passes(40.0, looks=False, bad=0.8)


def paused(one: World) -> None:
    one.moves("pause")


def held(one: World) -> None:
    one.moves("hold")


def ready_to_end(one: World) -> None:
    one.moves("climb")
    one.moves("climb")


TRANSITIONS: dict[str, tuple[Callable[[World], None], Callable[[World], None], State, Mapping[str, Any]]] = {
    "climb": (climbing, looks, "climbing", {}),
    "to full": (last_rung, looks, "full", {}),
    "hold": (climbing, looks, "held", HELD),
    "back": (failing, looks, "rolled-back", {}),
    "pause": (climbing, says("pause"), "paused", {}),
    "resume": (paused, says("resume"), "climbing", {}),
    "resume a held one": (held, says("resume"), "climbing", {}),
    "end": (ready_to_end, says("end"), "ended", {}),
    "back by word": (climbing, says("back"), "rolled-back", {}),
}


@pytest.mark.parametrize("name", TRANSITIONS)
def test_a_controller_killed_at_any_statement_of_a_transition_leaves_a_safe_state_and_the_next_one_goes_on(
    tmp_path: Path, name: str, size: Size
) -> None:
    before, act, goal, words = TRANSITIONS[name]
    with watched(tmp_path / "home", rungs=SOON, **words) as one:
        before(one)
        begun, time = one.release, one.time
    told: list[str] = []
    with copied(tmp_path, "whole", time) as one:
        one.database.before = told.append
        act(one)
        assert (one.release.state, one.release.version) == (goal, begun.version + 1)
    bounds = [i for i, sql in enumerate(told) if sql in ("begin", "commit", "done")]
    others = [i for i in range(len(told)) if i not in bounds]
    for moment in sorted([*bounds, *others[:: size(7, 1)]]):
        with copied(tmp_path, f"killed-{moment}", time) as one:
            one.database.before = dies_at(moment)
            with suppress(Killed):
                act(one)  # may ask less than before: how often results are counted anew depends on how long that took
            time_of_death = one.time
        with opened(tmp_path / f"killed-{moment}", time_of_death) as one:
            assert disagreements(one) == [], (moment, told[moment])
            assert one.release.version in (begun.version, begun.version + 1)
            if one.release.version == begun.version:
                one.another("second")
                act(one)
            assert (one.release.state, one.release.version) == (goal, begun.version + 1), (moment, told[moment])
            assert disagreements(one) == [], (moment, told[moment])
        shutil.rmtree(tmp_path / f"killed-{moment}")


def copied(folder: Path, name: str, time: Time) -> Any:
    """A copy of the home, with its own time."""
    shutil.copytree(folder / "home", folder / name)
    return opened(folder / name, replace(time))


def dies_at(moment: int) -> Callable[[str], None]:
    """Ends the process when the database is asked for the n-th time."""
    count = iter(range(moment + 1))

    def before(_: str) -> None:
        if next(count, moment) == moment:
            raise Killed

    return before


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    """A candidate with its dossier."""
    with serving(answers("yes")) as server:
        yield prepare(tmp_path_factory.mktemp("ready"), server.url)


def test_a_start_killed_at_any_statement_has_begun_as_a_whole_or_not_at_all(tmp_path: Path, ready: Ready, size: Size) -> None:
    plan = plan_file(tmp_path, [{"rung": "shadow"}, *CANARY])
    wish = Start(route="m", dossier=ready.dossier, plan=plan)
    told: list[str] = []

    def home(name: str) -> Path:
        shutil.copytree(ready.base.home, tmp_path / name)
        return tmp_path / name

    with opened(home("whole"), Time()) as one:
        one.serve_stable()
        one.database.before = told.append
        start_release(one.context, wish, who="test")
    bounds = [i for i, sql in enumerate(told) if sql in ("begin", "commit", "done")]
    for moment in sorted({*bounds, *range(0, len(told), size(9, 1))}):
        with opened(home(f"killed-{moment}"), Time()) as one:
            one.serve_stable()
            one.database.before = dies_at(moment)
            with pytest.raises(Killed):
                start_release(one.context, wish, who="test")
        with opened(tmp_path / f"killed-{moment}", Time()) as one:
            found = records.under_way(one.database, "m")
            stored = routes.find_route(one.database, "m")
            purses = one.database.rows("SELECT * FROM access_keys")
            assert stored is not None
            if found is None:
                assert stored.route.arm is None and not purses, told[moment]
                found = start_release(one.context, wish, who="test").release
            else:
                assert told[moment] == "done" or moment > max(bounds)
                with pytest.raises(UserError, match="under release already"):
                    start_release(one.context, wish, who="test")
            one.name = found.id
            assert disagreements(one) == []
            one.another("second")
            assert one.look() and one.arm is not None and one.arm.shadow == 1.0
        shutil.rmtree(tmp_path / f"killed-{moment}")


@pytest.mark.parametrize(("state", "move"), sorted(MOVES))
def test_a_move_that_is_made_twice_happens_once(tmp_path: Path, state: State, move: Move) -> None:
    ways: dict[State, Sequence[Move]] = {"climbing": (), "paused": ("pause",), "held": ("hold",), "full": ("climb",)}
    with watched(tmp_path) as one:
        for word in ways[state]:
            one.moves(word)
        found = one.release
        assert found.state == state
        first = one.moves(move, found=found)
        assert first is not None and first.changed
        after, events, arm = one.release, one.events, one.arm
        # The same word on what was seen before comes too late; said of what is now, it is done already or is refused.
        assert one.moves(move, found=found) is None
        if move != "climb":
            again = one.moves(move)
            assert again is not None and not again.changed
        assert (one.release, one.events, one.arm) == (after, events, arm) and disagreements(one) == []


def test_a_rollback_by_word_needs_no_controller_and_two_workers_obey_at_their_next_request(tmp_path: Path) -> None:
    async def story() -> None:
        async with Each(made.base.home, workers=2, vouching=False) as gateway:
            gateway.route("m", old.url)
            key = gateway.key()
            wish = Start(route="m", dossier=made.dossier, plan=plan_file(tmp_path, [FIRST, *CANARY[1:]]))
            release = start_release(gateway.context, wish, who="test").release
            await gateway.watch(600.0)
            gateway._tasks[0].cancel()  # the keeper's loop, and the controller in it
            workers = await arms(gateway, key, 40)
            assert {name for name, _ in workers} == {"w0", "w1"} and ("w0", True) in workers and ("w1", True) in workers
            moved = roll_back(gateway.context, "m", who="user:li", why="a complaint")
            assert moved.changed and records.find(gateway.context.database, release.id) == moved.release
            assert await arms(gateway, key, 40) == {("w0", False), ("w1", False)}
            assert roll_back(gateway.context, "m", who="user:li", why="again").changed is False
            await gateway.settled()
            assert gateway.reconcile().balanced

    with serving(answers("yes")) as server, serving(answers("no")) as old:
        made = prepare(tmp_path, server.url)
        asyncio.run(story())


def test_workers_that_nobody_vouches_to_answer_everyone_from_the_stable_arm(tmp_path: Path) -> None:
    async def story() -> None:
        async with Each(made.base.home, workers=2, vouching=False) as gateway:
            gateway.route("m", old.url)
            key = gateway.key()
            start_release(
                gateway.context,
                Start(route="m", dossier=made.dossier, plan=plan_file(tmp_path, [FIRST, *CANARY[1:]])),
                who="test",
            )
            assert {candidate for _, candidate in await arms(gateway, key, 30)} == {False}
            await gateway.watch(600.0)
            assert True in {candidate for _, candidate in await arms(gateway, key, 30)}
            await gateway.watch(0.3)
            await until(lambda: not any(worker.plane.watched() for worker in gateway.crew))
            assert {candidate for _, candidate in await arms(gateway, key, 30)} == {False}
            await gateway.watch(600.0)
            assert True in {candidate for _, candidate in await arms(gateway, key, 30)}

    with serving(answers("yes")) as server, serving(answers("no")) as old:
        made = prepare(tmp_path, server.url)
        asyncio.run(story())


FIRST = {"rung": "canary", "share": "90 %", "requests": 10**6, "time": "1h"}


async def arms(gateway: Serving, key: str, count: int) -> set[tuple[str, bool]]:
    """(worker, whether the candidate answered) of so many callers, who come to the workers in turn."""
    found: set[tuple[str, bool]] = set()
    for i in range(count):
        answer = await gateway.chat(key, text=f"question {i}")
        assert answer.status == 200
        said = answer.json["choices"][0]["message"]["content"]
        found.add((answer.headers["x-request-id"].split("-")[0], said == "yes"))
    return found


def test_a_database_that_is_away_for_half_a_minute_costs_a_sound_candidate_nothing(tmp_path: Path) -> None:
    with watched(tmp_path, rungs=[{**CANARY[0], "time": "2m"}, CANARY[1]]) as one:
        one.passes(50.0)
        seen = one.release

        def away(_: str) -> None:
            raise refused()

        one.database.before = away
        for _ in range(30):
            one.time.passes(1.0)
            with pytest.raises(UserError, match="the connection was lost"):
                one.look()
        one.database.before = lambda _: None
        one.alive = False
        for _ in range(3):
            one.look(applied=one.time.wall - 30.0)  # the logs are being caught up with
            one.passes(1.0, looks=False)
        one.passes(40.0)
        assert one.release == seen and not incidents.list_incidents(one.database), one.said
        for _ in range(120):
            one.passes(1.0)
        assert one.release.state == "full" and disagreements(one) == []


def test_a_keeper_without_its_database_vouches_for_nothing_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    class Heard(Peer):
        """A worker's end that counts what it is told."""

        def __init__(self) -> None:
            self.words: list[str] = []

        def tell(self, word: str, body: Any) -> None:
            self.words.append(word)

    def away(_: str) -> None:
        raise refused()

    async def story(one: World, page: EpochPage) -> None:
        said: list[str] = []
        keeper = Keeper(one.context, page, workers=1, say=said.append)
        worker = Heard()
        keeper.joined("w0", worker)
        task = asyncio.create_task(keeper.run())
        await until(lambda: worker.words)
        one.database.before = away
        await until(lambda: said)
        count = len(worker.words)
        assert said == [f"the ledger waits: {refused()}"]
        await asyncio.gather(*(keeper.inside(lambda: None) for _ in range(5)))
        assert len(worker.words) == count and not task.done()
        one.database.before = lambda _: None
        await until(lambda: len(worker.words) > count)
        assert said[-1] == "the ledger goes on" and not any("Traceback" in line for line in said)
        task.cancel()
        await keeper.finish()

    (tmp_path / "home").mkdir()
    with opened(tmp_path / "home", Time()) as one, EpochPage.open(one.home) as page:
        asyncio.run(story(one, page))


def test_connections_that_the_server_ends_stop_no_release(tmp_path: Path, postgres_url: str) -> None:
    end = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'pilotbase' AND datname = current_database()"
    )
    rungs = [{**rung, "climb": "not-failed"} for rung in SOON]
    with watched(tmp_path, rungs=rungs, place=postgres_url) as one:
        for _ in range(6):
            ask(postgres_url, end)
            with suppress(UserError):
                one.passes(2.0)
        for _ in range(40):
            with suppress(UserError):
                one.passes(1.0)
        assert one.release.state == "full" and disagreements(one) == []
        ask(postgres_url, end)
        with suppress(UserError):
            one.moves("end")
        if one.release.state == "full":
            one.moves("end")
        assert one.release.state == "ended" and disagreements(one) == []


def test_two_controllers_at_once_make_one_leader_one_move_one_incident_and_one_alert(
    tmp_path: Path, place: Path | str, size: Size
) -> None:
    """Each with a connection and in a thread of its own, on a release that is to be sent back."""
    for turn in range(size(2, 20)):
        # The first look of the world that prepares the release would make it the leader: it looks at nothing.
        with opened(tmp_path / f"home-{turn}", Time(), place, f"r{turn}") as one:
            one.served = 10_000 * turn
            one.begin(
                read_plan({**WORDS, "rungs": [dict(rung) for rung in CANARY]}),
                [{"metric": "failure-rate", "require": "<= 10 %"}],
                f"r{turn}",
                f"route-{turn}",
            )
            one.alive = True
            one.passes(60.0, looks=False, bad=0.9)
            start = threading.Barrier(2)
            led: list[list[bool]] = [[], []]
            errors: list[BaseException] = []

            def run(number: int, one: World = one, start: Any = start, led: Any = led, errors: Any = errors) -> None:
                try:
                    with opened(one.home, replace(one.time), place, one.name) as other:
                        controller = other.another(f"controller-{number}")
                        start.wait(timeout=60)
                        for _ in range(6):
                            other.time.passes(0.5)
                            controller.step(other.time.wall)
                            led[number].append(controller.leader.term > 0 and controller.leader.holds(other.database))
                except BaseException as error:  # noqa: BLE001
                    errors.append(error)

            threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert errors == []
            assert [any(words) for words in led].count(True) == 1
            assert one.events == ["start", "back"] and disagreements(one) == []
            assert len(incidents.list_incidents(one.database, route=one.release.route)) == 1
            one.database.execute("DELETE FROM leaders")


def test_a_leader_that_is_replaced_between_its_decision_and_its_write_writes_nothing(tmp_path: Path, place: Path | str) -> None:
    with watched(tmp_path, place=place) as one:
        one.passes(40.0, looks=False, bad=0.9)
        begun: list[str] = []
        with opened(tmp_path, one.time, place) as other:
            successor = other.another("second", clock=iter((0.0, 60.0)).__next__)

            def replaced(sql: str) -> None:
                # The first transaction of a look is the leader's own; the second would write the decision.
                begun.extend([sql] if sql == "begin" else [])
                if sql == "begin" and len(begun) == 2:
                    assert not successor.leader.campaign(other.database)
                    assert successor.leader.campaign(other.database)

            one.database.before = replaced
            one.look()
            assert len(begun) == 2 and one.events == ["start"] and one.release.state == "climbing"
            assert not incidents.list_incidents(one.database) and not list_alerts(one.database)
            other.another("second")
            other.time.passes(1.0)
            assert other.look()
            assert other.events == ["start", "back"] and disagreements(other) == []


def test_a_thousand_failing_releases_tell_a_channel_of_no_more_than_its_limit(tmp_path: Path, size: Size) -> None:
    count = size(MOST_AN_HOUR + 30, 1_000)
    channels = [{"log": True}, {"webhook": "https://hooks.example/x", "key-env": "KEY"}]
    with watched(tmp_path, alerts=channels) as one:
        plan = one.release.document["plan"]
        with one.database.transaction():
            for i in range(count):
                one.begin(read_plan(plan), [{"metric": "failure-rate", "require": "<= 10 %"}], f"s{i}", f"route-{i}")
                one.alive = True
                one.time.passes(0.01)
        for i in range(count):
            one.controller.trip(f"s{i}", "w0", 9)
        one.time.passes(1.0)
        one.look()
        states = one.database.rows("SELECT state, COUNT(*) AS n FROM releases GROUP BY state ORDER BY state")
        assert [(row["state"], row["n"]) for row in states] == [("climbing", 1), ("rolled-back", count)]
        assert len(incidents.list_incidents(one.database, limit=10_000)) == count
        rows = one.database.rows("SELECT channel, COUNT(*) AS n FROM deliveries GROUP BY channel")
        # One summary more says what was held back.
        assert [row["n"] for row in rows] == [MOST_AN_HOUR + 1] * 2


def test_ten_thousand_alerts_of_few_causes_are_told_once_each(tmp_path: Path, size: Size) -> None:
    count = size(1_000, 10_000)
    with watched(tmp_path) as one:
        channels = [Channel(log=True), Channel(webhook="https://hooks.example/x", key_env="KEY")]
        with one.database.transaction():
            for i in range(count):
                alert = Alert(kind="drift", severity=3, route=f"route-{i % 5}", title="drift", title_zh="漂移", evidence={"n": i})
                raise_alert(one.database, alert, channels, one.time.now())
        row = one.database.row("SELECT COUNT(*) AS n FROM deliveries")
        assert row is not None and row["n"] == 5 * len(channels)
        assert [(alert.count, alert.latest["n"]) for alert in sorted(list_alerts(one.database), key=lambda a: a.alert.route)] == [
            (count // 5, count - 5 + k) for k in range(5)
        ]


def test_limits_and_holds_survive_a_new_controller(tmp_path: Path) -> None:
    with watched(tmp_path, exposure={"time": "20s"}) as one:
        one.passes(12.0)
        one.another("second")
        one.passes(30.0)
        assert one.release.state == "held" and disagreements(one) == []
        key = keys.find_key(one.database, one.release.document["purse"])
        assert key is not None and key.revoked is None
        one.another("third")
        one.passes(10.0, bad=1.0)
        assert one.release.state == "held"
        resume_release(one.context, "m", who="test", why="go on", limits=Exposure(time="1h"))
        one.passes(1.0)
        assert one.release.state == "climbing" and one.alive
