"""Alerts reach their channels whatever fails on the way, on SQLite and on PostgreSQL alike."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.postgres import place, postgres_server, postgres_url
from tests.fakes.smtp_server import SmtpServer
from tests.fakes.webhook_server import WebhookServer

from pilotbase.domain.alert import Alert, Channel, Outcome
from pilotbase.errors import UserError
from pilotbase.release.alerts import close_alerts, find_alert, list_alerts, raise_alert
from pilotbase.release.deliveries import MOST_TRIES, Courier, Delivery, Senders, claim, deliveries_of, due, wait_after
from pilotbase.store.database import Database

__all__ = ["place", "postgres_server", "postgres_url"]

T = TypeVar("T")
KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
LOG = Channel(log=True)
ALERT = Alert(
    kind="burn", severity=2, route="chat", release="r1", title="the budget burns", title_zh="预算消耗过快", evidence={"n": 9}
)


class Killed(BaseException):
    """The process is gone."""


@dataclass(slots=True)
class Clock:
    moment: datetime = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def pass_(self, **much: float) -> None:
        self.moment += timedelta(**much)


@dataclass(slots=True)
class Home:
    """One keeper: its database, its clock, what it said, and its secrets."""

    database: Database
    clock: Clock = field(default_factory=Clock)
    said: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=lambda: {"KEY": KEY, "USER": "robot", "PASSWORD": "hunter2"})

    def senders(self) -> Senders:
        return Senders(secrets=self.secrets.get, clock=self.clock, say=self.said.append)

    def courier(
        self,
        sender: Callable[[Delivery], Awaitable[Outcome]],
        *,
        limit: float = 30.0,
        together: int = 8,
        inside: "Boundaries | None" = None,
    ) -> Courier:
        return Courier(
            self.database, sender, inside=inside or Boundaries(), clock=self.clock, random=lambda: 0.5, say=self.said.append,
            limit=limit, together=together,
        )  # fmt: skip

    def raise_(self, *channels: Channel, alert: Alert = ALERT) -> str:
        return raise_alert(self.database, alert, channels, self.clock.now()).id

    def story(self, work: Callable[[WebhookServer, Courier], Awaitable[None]], *, limit: float = 30.0) -> None:
        """Run `work` with a receiver and a courier."""

        async def story() -> None:
            senders = self.senders()
            try:
                async with WebhookServer(KEY, self.clock) as server:
                    await work(server, self.courier(senders, limit=limit))
            finally:
                await senders.aclose()
                await senders.aclose()

        asyncio.run(story())

    def states(self, name: str) -> list[tuple[str, int]]:
        return [(one.state, one.tries) for one in deliveries_of(self.database, find_alert(self.database, name).messages)]


@dataclass(slots=True)
class Boundaries:
    """Database work in the courier's own thread; the process dies, or the database is away, before or after the call `at`."""

    at: int = -1
    after: bool = False
    away: bool = False
    count: int = 0

    async def __call__(self, work: Callable[[], T], /) -> T:
        self.count += 1
        if self.count - 1 == self.at and not self.after:
            raise UserError("the database does not answer") if self.away else Killed
        done = work()
        if self.count - 1 == self.at:
            raise Killed
        return done


def hook(server: WebhookServer) -> Channel:
    return Channel(webhook=server.url, key_env="KEY")


def letters(post: SmtpServer) -> Channel:
    mail = Channel(email=("duty@example.org",), smtp=post.address, from_="robot@example.org", tls="none")
    return replace(mail, user_env="USER", password_env="PASSWORD")


@pytest.fixture
def home(place: Path | str) -> Iterator[Home]:
    with Database(place) as database:
        yield Home(database)


def test_log_webhook_and_mail_are_told_of_one_alert(home: Home) -> None:
    async def work(server: WebhookServer, courier: Courier) -> None:
        async with SmtpServer(login=("robot", "hunter2")) as post:
            mail = letters(post)
            name = home.raise_(LOG, hook(server), mail)
            assert await courier.run_once() == 3
            assert await courier.run_once() == 0
            assert home.states(name) == [("delivered", 1)] * 3
            assert server.received[0].id == name and server.received[0].good
            assert post.letters[0].message["Message-ID"] == f"<{name}@example.org>"
            assert home.said == [f"alert {name} [2] route chat: the budget burns (release r1; n 9)"]

    home.story(work)


def test_a_server_that_was_down_gets_the_message_once_it_is_up(home: Home) -> None:
    async def work(server: WebhookServer, courier: Courier) -> None:
        name = home.raise_(hook(server))
        await server.down()
        assert await courier.run_once() == 1
        assert await courier.run_once() == 0
        home.clock.pass_(seconds=10)
        await courier.run_once()
        await server.up()
        home.clock.pass_(seconds=29)
        assert await courier.run_once() == 0
        home.clock.pass_(seconds=1)
        assert await courier.run_once() == 1
        assert home.states(name) == [("delivered", 3)] and [one.id for one in server.received] == [name]
        assert len(home.said) == 1 and "not delivered yet, no connection could be made" in home.said[0]

    home.story(work)


def test_a_server_that_always_fails_is_given_up_after_twelve_tries_in_a_day_and_the_log_says_so(home: Home) -> None:
    async def work(server: WebhookServer, courier: Courier) -> None:
        server.answers = [500]
        name = home.raise_(hook(server))
        begun = home.clock.now()
        while home.states(name)[0][0] == "waiting":
            (waiting,) = home.database.rows("SELECT due FROM deliveries")
            home.clock.moment = datetime.fromtimestamp(waiting["due"], UTC)
            assert await courier.run_once() == 1
        assert home.states(name) == [("given-up", MOST_TRIES)] and len(server.received) == MOST_TRIES
        assert {one.id for one in server.received} == {name}
        assert timedelta(hours=20) < home.clock.now() - begun < timedelta(hours=26)
        assert len(home.said) == 2 and "given up after 12 tries, answered 500; it said: the budget burns" in home.said[1]
        home.clock.pass_(days=30)
        assert await courier.run_once() == 0

    home.story(work)


def test_a_receiver_that_is_gone_is_asked_once(home: Home) -> None:
    async def work(server: WebhookServer, courier: Courier) -> None:
        server.answers = [410]
        name = home.raise_(hook(server))
        await courier.run_once()
        home.clock.pass_(days=1)
        await courier.run_once()
        assert home.states(name) == [("given-up", 1)] and len(server.received) == 1
        assert "given up after 1 tries" in home.said[0]

    home.story(work)


def test_a_server_that_asks_for_time_gets_it_for_everything_that_waits(home: Home) -> None:
    async def work(server: WebhookServer, courier: Courier) -> None:
        server.answers = [(503, {"Retry-After": "900"}), 200]
        first = home.raise_(hook(server))
        second = home.raise_(hook(server), alert=replace(ALERT, check="other", severity=3))
        assert await courier.run_once() == 1
        home.clock.pass_(seconds=899)
        assert await courier.run_once() == 0
        home.clock.pass_(seconds=200)
        assert await courier.run_once() == 2
        assert home.states(first) == [("delivered", 2)] and home.states(second) == [("delivered", 1)]

    home.story(work)


def test_a_slow_server_fails_when_the_limit_is_over_and_keeps_no_other_channel_waiting(home: Home) -> None:
    async def work(server: WebhookServer, courier: Courier) -> None:
        server.gate.clear()
        slow = home.raise_(hook(server), LOG)
        await courier.run_once()
        assert [one.state for one in deliveries_of(home.database, (slow,))] == ["delivered", "waiting"]
        assert deliveries_of(home.database, (slow,))[1].said == "no answer within 0.3 s"
        server.gate.set()
        home.clock.pass_(minutes=1)
        await courier.run_once()
        assert {one.state for one in deliveries_of(home.database, (slow,))} == {"delivered"}
        assert {one.id for one in server.received} == {slow}

    home.story(work, limit=0.3)


def test_a_wrong_key_is_mended_by_the_right_one(home: Home) -> None:
    async def work(server: WebhookServer, courier: Courier) -> None:
        home.secrets["KEY"] = OTHER
        name = home.raise_(hook(server))
        await courier.run_once()
        assert home.states(name) == [("waiting", 1)] and not server.received[0].good and "answered 401" in home.said[0]
        home.secrets["KEY"] = KEY
        home.clock.pass_(seconds=10)
        await courier.run_once()
        assert home.states(name) == [("delivered", 2)] and server.received[1].good

    home.story(work)


def test_no_secret_reaches_the_database_or_the_log(home: Home) -> None:
    async def work(server: WebhookServer, courier: Courier) -> None:
        async with SmtpServer(login=("robot", "another")) as post:
            mail = letters(post)
            server.answers = [500, 410]
            home.raise_(hook(server), mail, LOG)
            await courier.run_once()
            home.clock.pass_(minutes=5)
            await courier.run_once()
            kept = [str(dict(row)) for table in ("alerts", "deliveries") for row in home.database.rows(f"SELECT * FROM {table}")]
            for text in (*kept, *home.said):
                assert KEY[6:] not in text and "hunter2" not in text

    home.story(work)


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_the_message_is_delivered_under_the_same_id(home: Home, after: bool) -> None:
    """Steps: finding channels, claiming, recording, claiming nothing more; the message is sent between the second and third."""

    async def story() -> None:
        senders = home.senders()
        async with WebhookServer(KEY, home.clock) as server:
            sent_twice = 0
            for at in range(4):
                server.received.clear()
                name = home.raise_(hook(server), alert=replace(ALERT, check=f"c{at}"))
                dying = home.courier(senders, inside=Boundaries(at=at, after=after))
                with suppress(Killed):
                    await dying.run_once()
                home.clock.pass_(seconds=61)
                await home.courier(senders).run_once()
                assert home.states(name)[0][0] == "delivered"
                assert {one.id for one in server.received} == {name}
                sent_twice += len(server.received) == 2
            # Only a death before its record makes a message go out again.
            assert sent_twice == (0 if after else 1)
        await senders.aclose()

    asyncio.run(story())


def test_killed_while_it_sends_the_message_goes_out_again(home: Home) -> None:
    async def story() -> None:
        senders = home.senders()

        async def dies(delivery: Delivery) -> Outcome:
            await senders(delivery)
            raise Killed

        async with WebhookServer(KEY, home.clock) as server:
            name = home.raise_(hook(server))
            with pytest.raises(Killed):
                await home.courier(dies).run_once()
            assert await home.courier(senders).run_once() == 0
            home.clock.pass_(seconds=60)
            assert await home.courier(senders).run_once() == 1
            assert [one.id for one in server.received] == [name, name]
            assert home.states(name) == [("delivered", 2)]
        await senders.aclose()

    asyncio.run(story())


def test_two_couriers_at_once_send_each_message_once(home: Home) -> None:
    sent: list[str] = []

    async def story() -> None:
        async def sender(delivery: Delivery) -> Outcome:
            sent.append(delivery.id)
            await asyncio.sleep(0)
            return Outcome(result="delivered")

        names = [home.raise_(LOG, alert=replace(ALERT, check=f"c{i}")) for i in range(20)]
        await asyncio.gather(home.courier(sender).run_once(), home.courier(sender).run_once())
        assert sorted(sent) == sorted(names)

    asyncio.run(story())


def test_while_the_database_is_away_nothing_is_lost(home: Home) -> None:
    async def story() -> None:
        senders = home.senders()
        async with WebhookServer(KEY, home.clock) as server:
            name = home.raise_(hook(server))
            for at in range(3):
                with pytest.raises(UserError, match="does not answer"):
                    await home.courier(senders, inside=Boundaries(at=at, away=True)).run_once()
                home.clock.pass_(seconds=61)
            await home.courier(senders).run_once()
            assert home.states(name)[0][0] == "delivered" and {one.id for one in server.received} == {name}
        await senders.aclose()

    asyncio.run(story())


def test_an_error_of_ours_with_one_message_does_not_keep_the_others_from_going_out(home: Home) -> None:
    async def sender(delivery: Delivery) -> Outcome:
        if delivery.body["data"]["check"] == "bad":
            raise ZeroDivisionError("secret words")
        return Outcome(result="delivered")

    async def story() -> None:
        bad = home.raise_(LOG, alert=replace(ALERT, check="bad", severity=1))
        good = home.raise_(LOG, alert=replace(ALERT, check="good"))
        await home.courier(sender).run_once()
        await home.courier(sender).run_once()
        assert home.states(good) == [("delivered", 1)] and home.states(bad) == [("waiting", 1)]
        assert "ZeroDivisionError" in home.said[0] and "secret words" not in home.said[0]

    asyncio.run(story())


def test_the_worst_alert_goes_first_and_a_failing_channel_is_not_hammered(home: Home) -> None:
    asked: list[int] = []

    async def sender(delivery: Delivery) -> Outcome:
        asked.append(delivery.body["data"]["severity"])
        return Outcome(result="delivered" if len(asked) != 3 else "failed", said="busy")

    async def story() -> None:
        for severity in (4, 3, 2, 1):
            home.raise_(LOG, alert=replace(ALERT, check=f"c{severity}", severity=severity))
            home.clock.pass_(seconds=1)
        assert await home.courier(sender).run_once() == 3
        assert asked == [1, 2, 3]
        assert await home.courier(sender).run_once() == 1
        assert asked == [1, 2, 3, 4]

    asyncio.run(story())


def test_at_most_so_many_channels_are_told_side_by_side(home: Home) -> None:
    under_way, most = 0, 0

    async def sender(_: Delivery) -> Outcome:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _turn in range(3):
            await asyncio.sleep(0)
        under_way -= 1
        return Outcome(result="delivered")

    home.raise_(*(Channel(webhook=f"http://127.0.0.1:1/{i}", key_env="KEY") for i in range(9)))
    assert asyncio.run(home.courier(sender, together=3).run_once()) == 9
    assert most == 3


def test_a_clock_that_was_set_back_holds_nothing_up(home: Home) -> None:
    home.raise_(LOG)
    home.clock.pass_(days=-3)
    assert asyncio.run(home.courier(home.senders()).run_once()) == 1


def test_a_message_that_was_replaced_while_it_was_sent_stays_replaced(home: Home) -> None:
    async def sender(delivery: Delivery) -> Outcome:
        if not home.said:
            home.said.append("once")
            home.raise_(LOG, alert=replace(ALERT, severity=1))
        return Outcome(result="failed" if len(delivery.id.split("-")) == 1 else "delivered", said="away")

    async def story() -> None:
        name = home.raise_(LOG)
        await home.courier(sender).run_once()
        await home.courier(sender).run_once()
        old, new = deliveries_of(home.database, find_alert(home.database, name).messages)
        assert (old.state, old.said) == ("given-up", f"{name}-2 took its place") and new.state == "delivered"
        assert home.said == ["once"]

    asyncio.run(story())


def test_a_storm_makes_one_delivery_a_cause_and_channel(home: Home, size: Callable[[int, int], int]) -> None:
    channel = Channel(webhook="http://127.0.0.1:1/", key_env="KEY")
    with home.database.transaction():
        for i in range(size(1000, 10_000)):
            home.raise_(LOG, channel, alert=replace(ALERT, check=f"c{i % 20}", severity=4))
    assert len(due(home.database, home.clock.now())) == 40
    assert sum(stored.count for stored in list_alerts(home.database)) == size(1000, 10_000)


def test_the_summary_of_what_was_held_back_comes_when_the_hour_is_over_and_closes_itself(home: Home) -> None:
    async def story() -> None:
        courier = home.courier(home.senders())
        for i in range(75):
            home.raise_(LOG, alert=replace(ALERT, check=f"c{i}", severity=3))
        assert await courier.run_once() == 60
        home.clock.pass_(hours=1)
        assert await courier.run_once() == 1
        assert "15 alerts beyond the limit of 60 an hour" in home.said[60] and "2026-05-04 10:00 to 11:00 UTC" in home.said[60]
        assert [one.state for one in list_alerts(home.database, limit=200) if one.alert.kind == "held-back"] == ["closed"]
        assert await courier.run_once() == 0

    asyncio.run(story())


def test_what_is_closed_before_it_was_told_is_told(home: Home) -> None:
    name = home.raise_(LOG)
    assert close_alerts(home.database, id=name, who="user:li", why="known", now=home.clock.now()) == 1
    assert asyncio.run(home.courier(home.senders()).run_once()) == 1


def test_a_claimed_message_is_nobody_elses_for_a_minute(home: Home) -> None:
    home.raise_(LOG)
    taken = claim(home.database, "log", home.clock.now())
    assert taken is not None and taken.tries == 1
    assert claim(home.database, "log", home.clock.now()) is None
    home.clock.pass_(seconds=60)
    again = claim(home.database, "log", home.clock.now())
    assert again is not None and (again.id, again.tries) == (taken.id, 2)


@given(tries=st.integers(1, 1000), asked=st.none() | st.floats(0, 1e9), luck=st.floats(0, 1, exclude_max=True))
def test_waits_grow_within_their_bounds_and_are_never_shorter_than_asked(tries: int, asked: float | None, luck: float) -> None:
    wait = wait_after(tries, asked, lambda: luck)
    assert 7.5 <= wait <= 1.25 * max(5 * 3600, 6 * 3600)
    assert wait >= min(asked or 0.0, 6 * 3600)
    assert wait_after(tries + 1, None, lambda: luck) >= wait_after(tries, None, lambda: luck)
