"""`pilotbase release status|ls|pause|resume|promote|rollback|label`: an operator's words, with no gateway running."""

import asyncio
import io
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tests.fakes.chat_server import answers
from tests.fakes.gateway import Serving, until
from tests.fakes.releases import plan_file, prepare
from tests.flows.stories import Said, pilotbase
from tests.flows.support import Base, serving

from pilotbase.cli.watch import follow
from pilotbase.context import Context
from pilotbase.domain.release import State
from pilotbase.errors import InvalidInput, UserError
from pilotbase.flows.release_labels import read_labels
from pilotbase.flows.release_moves import make_move
from pilotbase.flows.release_words import describe_release, promote_release, roll_back
from pilotbase.gateway import keys, routes
from pilotbase.release import records
from pilotbase.release.records import Release

RUNGS = [
    {"rung": "shadow", "requests": 20, "time": "1h"},
    {"rung": "canary", "share": "5 %", "requests": 50, "time": "1h", "feedback": 2},
    {"rung": "full", "requests": 10, "time": "1h", "feedback": 1},
]
LABELS = [{"metric": "accuracy", "live": {"sample": "100 %"}, "require": ">= 0.5"}]
FAILING = {"id": "capability/failure-rate", "mandatory": True, "role": "decide", "verdict": "fail", "require": "<= 0.1"}


@dataclass(frozen=True, kw_only=True)
class Story:
    """A home in which the route `m` is under release, on its first rung."""

    folder: Path
    base: Base
    dossier: Path

    def fresh(self, folder: Path, **words: Any) -> "Story":
        """The same with a home of the test's own, its release begun under a plan with these words."""
        shutil.copytree(self.base.home, folder / "home")
        story = replace(self, folder=folder, base=replace(self.base, home=folder / "home"))
        plan = plan_file(folder, words.pop("rungs", RUNGS), **words)
        done = story.say("release", "start", "m", "--dossier", self.dossier, "--plan", plan)
        assert done.code == 0, done.err
        return story

    def say(self, *words: object) -> Said:
        return pilotbase(self.base.home, *words)

    def release(self, *words: object, why: str | None = "test") -> Said:
        """`pilotbase release WORD m ...`."""
        return self.say("release", words[0], "m", *words[1:], *(() if why is None else ("--why", why)))

    @contextmanager
    def opened(self) -> Iterator[Context]:
        with self.base.opened() as context:
            yield context

    def now(self) -> Release:
        with self.opened() as context:
            return records.list_releases(context.database)[0]

    def events(self) -> list[tuple[str, str]]:
        with self.opened() as context:
            return [(e.action, str(e.detail.get("why"))) for e in records.events(context.database, self.now().id)]

    def sees(self, ago: float = 0.0, **words: Any) -> None:
        """What a controller would have seen on the present rung."""
        found = self.now()
        plain: dict[str, Any] = {
            "state": found.state, "rung": found.rung, "since": found.document["rung_since"], "seconds": 0.0, "total": 0.0,
            "requests": 0, "failed": 0, "feedback": 0, "lag": 0.5, "checks": [], "waiting": [], "causes": [],
            "exposed": {"people": 0, "requests": 0, "nanos": 0, "currency": "", "seconds": 0.0},
        }  # fmt: skip
        with self.opened() as context:
            moment = context.clock.now() - timedelta(seconds=ago)
            records.write_sight(context.database, found.id, {**plain, **words}, moment)

    def asked(self, name: str, *, arm: str = "candidate", person: str = "p", cost: int = 0, **more: Any) -> None:
        """A settled request of an arm."""
        row = {
            "id": name, "worker": "w", "access_key": "k", "route": "m", "endpoint": "chat", "day": "2026-11-22",
            "started": self.now().document["rung_since"] + 1, "state": "settled", "currency": "CNY", "reserved": cost,
            "settled": cost, "status": 200, "outcome": "done", "arm": arm, "release_id": self.now().id, "person": person,
            **more,
        }  # fmt: skip
        with self.opened() as context:
            names = ", ".join(row)
            context.database.execute(f"INSERT INTO requests ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))

    def kept(self, name: str, said: str, arm: str = "candidate") -> None:
        """The kept answer of a request."""
        asked = {"model": "m", "messages": [{"role": "user", "content": "7"}]}
        answered = {"choices": [{"index": 0, "message": {"role": "assistant", "content": said}}]}
        with self.opened() as context:
            context.database.execute(
                "INSERT INTO samples (request, release_id, arm, at, endpoint, streamed, asked, answered)"
                " VALUES (?, ?, ?, ?, 'chat', 0, ?, ?)",
                (name, self.now().id, arm, self.now().document["rung_since"] + 1, orjson.dumps(asked).decode(),
                 orjson.dumps(answered).decode()),
            )  # fmt: skip

    def scores(self) -> dict[str, float]:
        with self.opened() as context:
            rows = context.database.rows("SELECT request, value FROM live_scores WHERE check_id = 'release/accuracy'")
            return {row["request"]: row["value"] for row in rows}

    def full(self) -> None:
        """Climb to the last rung, on a person's word."""
        for _ in RUNGS[1:]:
            assert self.release("promote").code == 0
        assert self.now().state == "full"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("words")
    with serving(answers("yes")) as server:
        ready = prepare(folder, server.url)
    added = pilotbase(ready.base.home, "route", "add", "m", "--upstream", "http://stable.example/v1", "--price-per-call", "1CNY")
    assert added.code == 0, added.err
    yield Story(folder=folder, base=ready.base, dossier=ready.dossier)


@pytest.fixture
def story(made: Story, tmp_path: Path) -> Story:
    return made.fresh(tmp_path)


def refused(said: Said, *told: str) -> None:
    assert said.code == 1, (said.out, said.err)
    for word in told:
        assert word in said.err, said.err


def test_pause_and_resume_are_recorded_and_saying_them_twice_changes_nothing(story: Story) -> None:
    assert "is paused: it stands on shadow 100 %" in story.release("pause", why="lunch").out
    version = story.now().version
    assert "was paused before" in story.release("pause").out
    assert story.now().version == version
    assert "it goes on, on shadow 100 %" in story.release("resume", why="lunch is over").out
    assert "goes on already" in story.release("resume").out
    assert story.events() == [("start", "None"), ("pause", "lunch"), ("resume", "lunch is over")]


@pytest.mark.parametrize("word", ["pause", "resume", "promote", "rollback"])
def test_every_word_needs_a_reason_and_a_release(story: Story, word: str) -> None:
    said = story.release(word, why=None)
    assert said.code == 2 and "--why" in said.err
    said = story.release(word, why=" ")
    assert said.code == 2 and "`why` is missing or empty" in said.err
    assert story.now().state == "climbing"
    said = story.say("release", word, "mm", "--why", "x")
    assert said.code == 2 and "there is no route `mm`" in said.err and "did you mean `m`?" in said.err


def test_a_route_that_was_never_released_is_told_how_to_start(story: Story) -> None:
    story.say("route", "add", "other", "--upstream", "http://a.example/v1")
    for words in (("status", "other"), ("pause", "other", "--why", "x"), ("rollback", "other", "--why", "x")):
        said = story.say("release", *words)
        assert said.code == 2 and "the route `other` is not under release" in said.err
        assert "pilotbase release start other" in said.err
    assert story.say("watch", "other", "--once").code == 2


def test_promote_climbs_without_waiting_and_keeps_whose_word_it_was(story: Story) -> None:
    said = story.release("promote", why="the board is in a hurry")
    assert said.code == 0 and "it climbed to canary 5 %, on your word" in said.out
    with story.opened() as context:
        last = records.events(context.database, story.now().id)[-1]
        found = routes.find_route(context.database, "m")
    assert (last.action, last.detail["why"], last.who[:5]) == ("climb", "the board is in a hurry", "user:")
    assert found is not None and found.route.arm is not None and found.route.arm.share == 0.05


def test_promote_is_refused_while_a_mandatory_check_fails(story: Story) -> None:
    story.sees(checks=[FAILING])
    refused(story.release("promote"), "cannot be promoted: capability/failure-rate FAILS on live traffic", "roll it back")
    story.sees(checks=[{**FAILING, "role": "inform"}, {**FAILING, "mandatory": False}])
    assert story.release("promote").code == 0


def test_what_failed_on_the_rung_before_holds_nobody_back_on_this_one(story: Story) -> None:
    story.sees(checks=[FAILING], since=1)
    assert story.release("promote").code == 0


def test_a_paused_release_is_promoted_only_once_it_goes_on(story: Story) -> None:
    story.release("pause")
    refused(story.release("promote"), "is paused", "resume it first: pilotbase release resume m")


def test_a_full_release_ends_on_its_own_evidence_or_anyway(story: Story) -> None:
    story.full()
    refused(story.release("promote"), "cannot end yet: 0 of 10 results; 0 of 3600 s under watch; 0 of 1 users' words", "--anyway")
    story.sees(requests=10, seconds=3599.0, feedback=1)
    refused(story.release("promote"), "cannot end yet: 3599 of 3600 s under watch")
    story.sees(requests=10, seconds=3600.0, feedback=1, checks=[FAILING])
    refused(story.release("promote"), "capability/failure-rate FAILS on live traffic")
    story.sees(requests=10, seconds=3600.0, feedback=1)
    refused(story.release("pause"), "is full: it does not climb")
    said = story.release("promote", why="it held for a day")
    assert said.code == 0 and "is ended: the candidate is the stable arm of m from now on" in said.out


def test_at_the_end_the_candidate_is_the_stable_arm_and_the_purse_is_closed(story: Story) -> None:
    story.full()
    assert story.release("promote", "--anyway").code == 0
    with story.opened() as context:
        found = routes.find_route(context.database, "m")
        purse = keys.find_key(context.database, story.now().document["purse"])
    assert found is not None and found.route.arm is None
    assert "stable.example" not in str(found.route.upstreams[0].url)
    assert found.route.tie.verdict == "pass" and found.route.tie.candidate == "assistant"
    assert purse is not None and purse.revoked is not None
    for word in ("pause", "rollback", "promote"):
        assert "is ended" in story.release(word).err
    assert story.say("route", "rm", "m").code == 0, "nothing binds the route any more"


def test_a_rollback_takes_effect_at_once_with_nobody_running_and_may_be_said_twice(story: Story) -> None:
    story.release("promote")
    said = story.release("rollback", why="complaints")
    assert said.code == 0 and "is rolled-back: the stable arm answers everyone" in said.out
    with story.opened() as context:
        found = routes.find_route(context.database, "m")
        alerts = context.database.rows("SELECT kind FROM alerts")
        epoch = context.database.row("SELECT value FROM control WHERE name = 'epoch'")
    assert found is not None and found.route.arm is None and "stable.example" in str(found.route.upstreams[0].url)
    assert [row["kind"] for row in alerts] == ["operator"]
    again = story.release("rollback")
    assert again.code == 0 and "was rolled back before; the stable arm answers everyone" in again.out
    with story.opened() as context:
        assert context.database.row("SELECT value FROM control WHERE name = 'epoch'") == epoch
        assert len(context.database.rows("SELECT id FROM alerts")) == 1


@pytest.mark.parametrize("state", ["climbing", "paused", "held", "full"])
def test_a_rollback_works_from_every_state_of_a_release_under_way(story: Story, state: State) -> None:
    if state == "full":
        story.full()
    elif state != "climbing":
        hold(story, {"paused": "pause", "held": "hold"}[state])
    assert story.now().state == state
    assert story.release("rollback").code == 0
    assert story.now().state == "rolled-back"


def hold(story: Story, move: Any = "hold") -> None:
    """As the controller does at a limit."""
    with story.opened() as context:
        assert make_move(context, story.now(), move, who="pilotbase", now=context.clock.now()) is not None


def test_a_held_release_goes_on_only_with_limits_that_are_not_reached(made: Story, tmp_path: Path) -> None:
    story = made.fresh(tmp_path, exposure={"people": 2, "requests": 10, "spend": "1 CNY", "time": "1h"})
    for i in range(2):
        story.asked(f"r{i}", person=f"p{i}", cost=600_000_000)
    story.sees(total=4000.0)
    hold(story)
    refused(story.release("promote"), "is held", "resume it first")
    refused(story.release("pause"), "is held: it does not climb")
    refused(
        story.release("resume"),
        "the limit of people is reached: 2 of 2",
        "the limit of money is reached: 1.2 CNY of 1 CNY",
        "the limit of time is reached: 4000 s of 3600 s",
        "raise it with --people, --spend, --time",
    )
    refused(story.release("resume", "--people", "2", "--spend", "2 CNY", "--time", "2h"), "people is reached", "with --people")
    said = story.release("resume", "--people", "5", "--spend", "2 CNY", "--time", "2h", why="the owner agreed")
    assert said.code == 0 and story.now().state == "climbing"
    exposure = story.now().document["plan"]["exposure"]
    assert exposure == {"people": 5, "requests": 10, "spend": "2 CNY", "time": "2h"}, "what was not named stays"
    assert story.events()[-1] == ("resume", "the owner agreed (limits from now on: people 5, spend 2 CNY, time 2h)")


def test_a_full_release_that_was_held_goes_on_as_full(story: Story) -> None:
    story.full()
    hold(story)
    assert story.release("resume").code == 0 and story.now().state == "full"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--people", "0"), "people: a limit of 0 exposes nobody"),
        (("--spend", "much"), "`much` is not an amount"),
        (("--time", "soon"), "`soon` is not a duration"),
        (("--spend", "5 USD"), "the limit is 5 USD, and the candidate is paid in CNY"),
        (("--people", "many"), "invalid int value"),
    ],
)
def test_limits_that_are_none_are_told(story: Story, flags: tuple[str, str], told: str) -> None:
    story.asked("r", cost=5)
    story.release("pause")
    said = story.release("resume", *flags)
    assert said.code == 2 and told in said.err
    assert story.now().state == "paused"


def test_limits_of_a_release_that_climbs_are_not_changed_in_silence(story: Story) -> None:
    refused(story.release("resume", "--people", "9"), "is climbing: limits change as it goes on again", "release pause m")


def racing(context: Context, found: Release) -> None:
    """Somebody else changes the release."""
    assert records.rewrite(
        context.database, found, state=found.state, rung=found.rung, document=found.document, now=datetime.now(UTC)
    )
    records.note(context.database, found.id, who="pilotbase", action="climb", detail={}, now=datetime.now(UTC))


class Racer:
    """A clock that somebody else uses to come first, `times` times, just before a move is written."""

    def __init__(self, context: Context, times: int) -> None:
        self._context = context
        self._left = times

    def now(self) -> datetime:
        if self._left:
            self._left -= 1
            found = records.under_way(self._context.database, "m")
            assert found is not None
            racing(self._context, found)
        return datetime.now(UTC)


def test_who_comes_second_is_told_what_the_first_did(story: Story) -> None:
    with story.opened() as context, pytest.raises(UserError) as caught:
        promote_release(replace(context, clock=Racer(context, 1)), "m", who="user:li", why="x")
    assert "somebody else came first: pilotbase said `climb`" in caught.value.message
    assert caught.value.code == 1 and "pilotbase release status m" in str(caught.value.hint)
    assert story.now().rung == 0


def test_a_rollback_goes_through_whoever_else_moves_the_release(story: Story) -> None:
    with story.opened() as context:
        done = roll_back(replace(context, clock=Racer(context, 3)), "m", who="user:li", why="x")
    assert done.changed and story.now().state == "rolled-back"


def test_two_rollbacks_at_once_are_one(story: Story) -> None:
    class Other:
        def now(self) -> datetime:
            found = records.under_way(context.database, "m")
            if found is not None:
                make_move(context, found, "back", who="pilotbase", now=datetime.now(UTC))
            return datetime.now(UTC)

    with story.opened() as context:
        done = roll_back(replace(context, clock=Other()), "m", who="user:li", why="x")
    assert not done.changed and done.release.state == "rolled-back"


def test_status_says_loudly_when_nobody_watches(story: Story) -> None:
    loud = "nobody watches this release"
    assert loud not in story.say("release", "status", "m").out, "it has only begun"
    story.sees(ago=14.0)
    assert loud not in story.say("release", "status", "m").out
    story.sees(ago=16.0)
    for words in (("release", "status", "m"), ("watch", "m", "--once")):
        text = story.say(*words).out
        assert loud in text and "workers answer from the stable arm; is `pilotbase serve` running?" in text
    assert story.say("release", "status", "m", "--json").json["watched"] is False
    story.release("rollback")
    assert loud not in story.say("release", "status", "m").out, "nothing is to be watched any more"


def test_a_release_that_nobody_ever_looked_at_is_unwatched_once_it_is_old(story: Story) -> None:
    class Later:
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(seconds=20)

    with story.opened() as context:
        assert describe_release(context, story.now())["watched"] is True
        assert describe_release(replace(context, clock=Later()), story.now())["watched"] is False


def test_status_tells_the_evidence_against_what_is_needed(story: Story) -> None:
    story.release("promote")
    result = {
        **FAILING, "metric": "failure-rate", "verdict": "inconclusive", "value": 0.02, "low": 0.0, "high": 0.2, "unit": "",
        "n": 31, "confidence": 0.98, "method": "m", "reasons": [],
    }  # fmt: skip
    exposed = {"people": 4, "requests": 31, "nanos": 0, "currency": "", "seconds": 900.0}
    story.sees(requests=31, seconds=600.0, feedback=1, checks=[result], exposed=exposed, waiting=[["31 of 50 results", "x"]])
    text = story.say("release", "status", "m").out
    for line in (
        "▶ canary 5 %  31 of 50 results · 10 min of 1 h · 1 of 2 users' words",
        "✔ shadow 100 %",
        "? open capability/failure-rate",
        "people   4, no limit",
        "31 of 50 results",
        "climb by user:",
    ):
        assert line in text, text
    document = story.say("release", "status", "m", "--json").json
    assert document["ladder"][1]["requests"] == 50 and document["seen"]["requests"] == 31
    assert [one["id"] for one in document["checks"]] == ["capability/failure-rate"]
    assert story.say("watch", "m", "--once").out.splitlines()[0] == text.splitlines()[0]


def test_ls_lists_every_release_newest_first(story: Story) -> None:
    assert story.say("release", "ls", "--route", "other").out.startswith("no releases")
    story.release("rollback")
    plan = plan_file(story.folder, RUNGS)
    assert story.say("release", "start", "m", "--dossier", story.dossier, "--plan", plan).code == 0
    found = story.say("release", "ls", "--json").json
    assert [one["state"] for one in found] == ["climbing", "rolled-back"]
    lines = story.say("release", "ls").out.splitlines()
    assert len(lines) == 3 and "climbing" in lines[1] and "shadow 100 %" in lines[1] and "Dr. Wang" in lines[1]


def test_watch_draws_until_ctrl_c_and_leaves_the_last_frame(story: Story) -> None:
    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt

    waits: list[float] = []
    console = Console(file=io.StringIO(), force_terminal=True, width=60, height=40)
    with story.opened() as context:
        assert follow(context, "m", console, wait=wait) == 0
    assert waits == [1.0, 1.0]
    assert isinstance(console.file, io.StringIO)
    after = console.file.getvalue().rpartition("\x1b[?1049l")[2]
    assert "climbing" in after, "the other screen is left first"


def test_watch_ends_with_the_release(story: Story) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=60, height=40)
    with story.opened() as context:
        assert follow(context, "m", console, wait=lambda _: no_more(context)) == 0
    assert isinstance(console.file, io.StringIO)
    assert "rolled-back" in console.file.getvalue()


def no_more(context: Context) -> None:
    """The controller goes back."""
    found = records.under_way(context.database, "m")
    assert found is not None
    make_move(context, found, "back", who="pilotbase", now=context.clock.now())


def test_what_a_real_controller_sees_is_told_and_an_operators_word_takes_effect(tmp_path: Path) -> None:
    rungs: list[dict[str, Any]] = [{"rung": "canary", "share": "50 %", "requests": 500, "time": "1h"}, {"rung": "full"}]
    budget = {"failures": "2 %", "over": "30d"}
    bounds = {"people": 1000, "spend": "1000 CNY"}

    async def served(story: Story) -> None:
        async with Serving(story.base.home) as gateway:
            key = gateway.key()
            await until(gateway.crew[0].plane.watched)

            def counted() -> int:
                found = records.read_sight(gateway.context.database, story.now().id)
                return found[1]["exposed"]["requests"] if found is not None else 0

            for i in range(2000):
                await gateway.chat(key, text=f"question {i}")
                if counted() >= 20:
                    break
            text = story.say("release", "status", "m").out
            assert "▶ canary 50 %" in text and "capability/failure-rate" in text and "┃" in text and "error budget: 2 %" in text
            assert "of 1,000 " in text and " CNY of 1000 CNY" in text and "waits for" in text and "nobody watches" not in text
            assert story.release("rollback", why="it is enough").code == 0
            for i in range(20):
                assert (await gateway.chat(key, text=f"after {i}")).status == 200
            await gateway.settled()
            assert {row["arm"] for row in gateway.rows()[-20:]} == {""}

    with serving(answers("yes")) as server:
        ready = prepare(tmp_path / "ready", server.url)
        pilotbase(ready.base.home, "route", "add", "m", "--upstream", server.url, "--price-per-call", "1CNY")
        story = Story(folder=tmp_path / "ready", base=ready.base, dossier=ready.dossier)
        plan = plan_file(tmp_path, rungs, budget=budget, exposure=bounds)
        assert story.say("release", "start", "m", "--dossier", ready.dossier, "--plan", plan).code == 0
        asyncio.run(served(story))


def write(story: Story, name: str, text: str) -> Path:
    path = story.folder / name
    path.write_text(text, "utf-8")
    return path


def test_labels_score_the_kept_answers_and_say_why_others_met_none(made: Story, tmp_path: Path) -> None:
    story = made.fresh(tmp_path, checks=LABELS)
    for name, answer in (("a", "yes"), ("b", "no")):
        story.asked(name)
        story.kept(name, answer)
    story.asked("unsampled")
    story.asked("elsewhere", release_id="")
    rows = "request,label\na,yes\nb,yes\nunsampled,yes\nelsewhere,no\nnever,no\n"
    said = story.release("label", write(story, "labels.csv", rows), why=None)
    assert (said.code, said.err) == (0, "")
    assert "5 labels kept; 2 met a kept answer of release rel-" in said.out
    assert "1 name no request in this ledger" in said.out
    assert "1 name a request outside this release" in said.out
    assert "1 name a request whose answer was not sampled, or is kept no longer" in said.out
    assert story.scores() == {"a": 1.0, "b": 0.0}


def test_the_last_word_on_a_label_counts(made: Story, tmp_path: Path) -> None:
    story = made.fresh(tmp_path, checks=LABELS)
    story.asked("a")
    story.kept("a", "yes")
    for label, score in (("no", 0.0), ("yes", 1.0), ("yes", 1.0)):
        file = write(story, "labels.jsonl", orjson.dumps({"request": "a", "label": label}).decode() + "\n")
        assert story.release("label", file, why=None).code == 0
        assert story.scores() == {"a": score}
    with story.opened() as context:
        (row,) = context.database.rows("SELECT label, who FROM live_labels")
    assert row["label"] == "yes" and row["who"].startswith("user:")


def test_a_label_of_a_request_holds_for_its_copy_too(made: Story, tmp_path: Path) -> None:
    story = made.fresh(tmp_path, checks=LABELS)
    story.asked("original", arm="stable")
    story.asked("copy", arm="shadow", copy_of="original")
    story.kept("copy", "yes", arm="shadow")
    said = story.release("label", write(story, "labels.csv", "label,request\nyes,original\n"), why=None)
    assert "1 labels kept; 1 met a kept answer" in said.out and story.scores() == {"copy": 1.0}


def test_labels_for_a_release_that_is_over_still_count(made: Story, tmp_path: Path) -> None:
    story = made.fresh(tmp_path, checks=LABELS)
    story.asked("a")
    story.kept("a", "yes")
    story.release("rollback")
    assert story.release("label", write(story, "labels.csv", "request,label\na,yes\n"), why=None).code == 0
    assert story.scores() == {"a": 1.0}


def test_labels_that_no_check_reads_are_kept_with_a_note(story: Story) -> None:
    said = story.release("label", write(story, "labels.csv", "request,label\na,yes\n"), why=None)
    assert said.code == 0 and "no check of this release reads labels" in said.err


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("l.csv", "request,label\na,yes\nb\n,no\nd,\ne,yes\n", ["l.csv:3: 1 fields", "l.csv:4: `request`", "l.csv:5: `label`"]),
        ("l.csv", "request,label\n\n\"a\nb\",yes\nc\n", ["l.csv:5: 1 fields where the header has 2"]),
        ("l.csv", "request,label\na,yes\na,no\n", ["l.csv:3: request `a` is labelled otherwise in line 2"]),
        ("l.csv", 'request,label\na,"yes', ["l.csv:2: this is no CSV"]),
        ("l.csv", "id,label\na,yes\n", ["l.csv:1: no column `request`", "the columns are id, label"]),
        ("l.csv", "reqest,label\na,yes\n", ["did you mean `reqest`?"]),
        ("l.csv", "request,label\n", ["the file holds no label"]),
        ("l.csv", "", ["the file holds no label"]),
        ("l.jsonl", '{"request": "a", "label": "x"}\n{\n[1]\n{"request": 7, "label": "x"}\n{"request": "b", "label": {}}\n',
         ["l.jsonl:2: this is not JSON", "l.jsonl:3: this is no JSON object", "l.jsonl:4: `request`", "l.jsonl:5: `label`"]),
        ("l.txt", "a,yes", ["labels are read from CSV or JSON Lines"]),
    ],
)  # fmt: skip
def test_everything_wrong_with_a_file_of_labels_is_told_with_its_line(
    story: Story, name: str, text: str, told: list[str]
) -> None:
    said = story.release("label", write(story, name, text), why=None)
    assert said.code == 2 and "Traceback" not in said.err
    for word in told:
        assert word in said.err, said.err
    with story.opened() as context:
        assert context.database.rows("SELECT * FROM live_labels") == [], "all of a file or none of it"


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(b"request,label\na,\xff\n")
    with pytest.raises(UserError, match="is not UTF-8") as caught:
        read_labels(tmp_path / "l.csv")
    assert caught.value.where == "l.csv:2"
    with pytest.raises(UserError, match="cannot be read"):
        read_labels(tmp_path / "gone.csv")


def test_many_wrong_lines_are_counted_and_not_all_shown(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("request,label\n" + ",x\n" * 50)
    with pytest.raises(InvalidInput) as caught:
        read_labels(tmp_path / "l.csv")
    assert "50 lines are no label" in caught.value.message and caught.value.problems[-1] == "and 30 more"


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(lambda text: text.strip() == text)


@given(st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=20))
def test_labels_are_read_alike_from_either_format(tmp_path_factory: pytest.TempPathFactory, labels: Mapping[str, str]) -> None:
    folder = tmp_path_factory.mktemp("labels")
    lines = [orjson.dumps({"request": request, "label": label}) for request, label in labels.items()]
    (folder / "l.jsonl").write_bytes(b"\n".join(lines))
    quoted = ['"' + '","'.join(text.replace('"', '""') for text in pair) + '"' for pair in labels.items()]
    (folder / "l.csv").write_text("request,label\r\n" + "\r\n".join(quoted), "utf-8", newline="")
    assert read_labels(folder / "l.jsonl") == read_labels(folder / "l.csv") == labels
