"""Bringing messages to their channels: at least once, under one id, with more and more patience, and never in silence.

A message is claimed before it is sent, which counts the try and puts its next one off; what came of it is recorded afterwards.
Whoever dies between the two leaves a message that is due again soon, and receivers know it by its id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import orjson

from pilotbase.domain.alert import Channel, Outcome, clean_line, read_channel
from pilotbase.ports import Clock, Secrets
from pilotbase.release.mail import Letter, Mails, tell_log
from pilotbase.release.webhook import Webhooks
from pilotbase.store.database import Database, Row

__all__ = [
    "MOST_TRIES",
    "Courier",
    "Delivery",
    "Inside",
    "Sender",
    "Senders",
    "claim",
    "deliveries_of",
    "due",
    "queue_letter",
    "record",
    "wait_after",
]

T = TypeVar("T")
MOST_TRIES = 12
FIRST_WAIT = 10.0
LONGEST_WAIT = 5 * 3600.0
LONGEST_ASKED = 6 * 3600.0
CLAIM = 60.0
STRANGE = 2 * LONGEST_ASKED
LIMIT = 10.0
TOGETHER = 8
MOST_READ = 500

Sender = Callable[["Delivery"], Awaitable[Outcome]]
"""Tells one channel. Never raises for what a server did."""


class Inside(Protocol):
    """Runs work in the thread that has the database."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message on its way to a channel. `id` is the message's own, the same at every try; `body` is what receivers read.

    `state` is waiting, delivered or given-up; `tries` counts those begun; `due` is in seconds since the epoch; `said` is what
    came of the last try.
    """

    id: str
    place: str
    channel: Channel
    body: Mapping[str, Any]
    state: str
    tries: int
    due: float
    said: str


def due(database: Database, now: datetime, *, place: str | None = None, limit: int = 100) -> list[Delivery]:
    """The messages that are due, the longest overdue first; with `place`, those of one channel's name.

    One that waits for longer than any rule makes it wait is due too: the clock was set back.
    """
    at = now.timestamp()
    one = " AND channel = ?" if place is not None else ""
    rows = database.rows(
        f"SELECT {_COLUMNS} FROM deliveries WHERE state = 'waiting' AND (due <= ? OR due > ?){one} ORDER BY due, alert LIMIT ?",
        (at, at + STRANGE, *((place,) if place is not None else ()), limit),
    )
    return [_delivery(row) for row in rows]


def deliveries_of(database: Database, messages: tuple[str, ...]) -> list[Delivery]:
    """What became of an alert's messages, in order; `messages` are its `StoredAlert.messages`."""
    return [
        _delivery(row)
        for name in messages
        for row in database.rows(f"SELECT {_COLUMNS} FROM deliveries WHERE alert = ? ORDER BY channel", (name,))
    ]


def claim(database: Database, place: str, now: datetime) -> Delivery | None:
    """The worst message that is due to a channel, its try counted; None where none is due. Nobody else gets it for a minute."""
    with database.transaction():
        found = due(database, now, place=place, limit=MOST_READ)
        if not found:
            return None
        # A slow server must not keep the worst alert waiting behind small ones.
        first = min(found, key=lambda one: (one.body["data"]["severity"], one.due))
        taken = replace(first, tries=first.tries + 1, due=now.timestamp() + CLAIM)
        database.execute(
            "UPDATE deliveries SET tries = ?, due = ? WHERE alert = ? AND channel = ?", (taken.tries, taken.due, taken.id, place)
        )
        return taken


def record(database: Database, delivery: Delivery, outcome: Outcome, now: datetime, random: Callable[[], float]) -> str:
    """Keep what came of a try; the state that the message is in now, or `replaced` where another took its place meanwhile.

    Where the channel asked to be left alone, everything that waits for it is put off.
    """
    state = "delivered" if outcome.result == "delivered" else "waiting"
    if outcome.result == "gone" or (outcome.result == "failed" and delivery.tries >= MOST_TRIES):
        state = "given-up"
    next_due = delivery.due if state != "waiting" else now.timestamp() + wait_after(delivery.tries, outcome.after, random)
    key = (delivery.id, delivery.place)
    with database.transaction():
        changed = database.execute(
            "UPDATE deliveries SET state = ?, due = ?, said = ? WHERE alert = ? AND channel = ? AND state = 'waiting'",
            (state, next_due, clean_line(outcome.said), *key),
        )
        if outcome.after is not None:
            until = now.timestamp() + min(outcome.after, LONGEST_ASKED)
            database.execute(
                "UPDATE deliveries SET due = ? WHERE channel = ? AND state = 'waiting' AND due < ?",
                (until, delivery.place, until),
            )
        if state != "waiting":
            # A summary is nothing that a person could mend: it ends when it was told.
            database.execute("UPDATE alerts SET state = 'closed' WHERE id = ? AND kind = 'held-back'", (delivery.id,))
    return state if changed else "replaced"


def queue_letter(database: Database, channel: Channel, letter: Letter, now: datetime) -> None:
    """Have a letter brought to the addresses of a channel; queued again under the same id it stays the one that it is."""
    target = {"channel": channel.document(), "body": letter.document(), "lane": "letter", "queued": now.isoformat()}
    database.execute(
        "INSERT INTO deliveries (alert, channel, state, tries, due, said, target) VALUES (?, ?, 'waiting', 0, ?, '', ?) "
        "ON CONFLICT (alert, channel) DO NOTHING",
        (letter.id, channel.name, now.timestamp(), orjson.dumps(target).decode()),
    )


def wait_after(tries: int, asked: float | None, random: Callable[[], float]) -> float:
    """Seconds to wait after the `tries`-th failed try (from 1): min(5 h, 10 s * 3^(tries - 1)), spread by a quarter either way.

    Twelve tries take about 23 hours. At least what a server asked for, up to 6 h, with up to a tenth on top.
    """
    own = min(LONGEST_WAIT, FIRST_WAIT * 3.0 ** min(tries - 1, 30)) * (0.75 + 0.5 * random())
    return max(own, min(asked, LONGEST_ASKED) * (1.0 + 0.1 * random())) if asked is not None else own


class Senders:
    """A `Sender` for every kind of channel. `say(line)` is the log."""

    def __init__(self, *, secrets: Secrets, clock: Clock, say: Callable[[str], None]) -> None:
        self._webhooks = Webhooks(secrets, clock)
        self._mails = Mails(secrets, clock, limit=LIMIT)
        self._say = say

    async def __call__(self, delivery: Delivery) -> Outcome:
        if delivery.channel.kind == "webhook":
            return await self._webhooks.send(delivery.channel, delivery.id, delivery.body)
        if delivery.channel.kind == "email":
            return await self._mails.send(delivery.channel, delivery.id, delivery.body)
        return tell_log(self._say, delivery.id, delivery.body)

    async def aclose(self) -> None:
        """End connections and threads. Safe to call twice."""
        await self._webhooks.aclose()
        self._mails.close()


class Courier:
    """Delivers what is due. `inside` runs database work, `say(line)` is for the operator's eyes, `random` gives [0, 1).

    A channel's messages go one after another, and a channel that fails is left alone until its next message is due; channels go
    side by side, at most `together`. One try takes at most `limit` seconds, one round for a channel little more than twice that.
    """

    def __init__(
        self,
        database: Database,
        sender: Sender,
        *,
        inside: Inside,
        clock: Clock,
        random: Callable[[], float],
        say: Callable[[str], None],
        limit: float = LIMIT,
        together: int = TOGETHER,
    ) -> None:
        self._database = database
        self._sender = sender
        self._inside = inside
        self._clock = clock
        self._random = random
        self._say = say
        self._limit = limit
        self._together = together

    async def run_once(self) -> int:
        """Deliver what is due now; how many tries were made. UserError where the database cannot be reached: run it again."""
        places = await self._inside(lambda: _places(self._database, self._clock.now()))
        turns = asyncio.Semaphore(self._together)
        done = await asyncio.gather(*(self._serve(place, turns) for place in places), return_exceptions=True)
        for one in done:
            if isinstance(one, BaseException):
                raise one
        return sum(one for one in done if isinstance(one, int))

    async def _serve(self, place: str, turns: asyncio.Semaphore) -> int:
        async with turns:
            tries = 0
            loop = asyncio.get_running_loop()
            until = loop.time() + self._limit
            while tries == 0 or loop.time() < until:
                delivery = await self._inside(lambda: claim(self._database, place, self._clock.now()))
                if delivery is None:
                    break
                tries += 1
                if not await self._try(delivery):
                    break
            return tries

    async def _try(self, delivery: Delivery) -> bool:
        outcome = await self._outcome(delivery)
        state = await self._inside(lambda: record(self._database, delivery, outcome, self._clock.now(), self._random))
        if outcome.result != "delivered":
            self._tell(delivery, outcome, state)
        return outcome.result == "delivered"

    async def _outcome(self, delivery: Delivery) -> Outcome:
        try:
            async with asyncio.timeout(self._limit):
                return await self._sender(delivery)
        except TimeoutError:
            return Outcome(result="failed", said=f"no answer within {self._limit:g} s")
        except Exception as error:  # noqa: BLE001  an error of ours with one message must not keep the others from going out
            return Outcome(result="failed", said=f"an error of pilotbase itself: {type(error).__name__}")

    def _tell(self, delivery: Delivery, outcome: Outcome, state: str) -> None:
        """A failure is told when it begins and when it is final; the tries between are in the database."""
        what = f"{'letter' if delivery.body.get('type') == 'letter' else 'alert'} {delivery.id} to {delivery.place}"
        if state == "given-up":
            title = clean_line(delivery.body.get("data", {}).get("title", ""), 200)
            self._say(f"{what}: given up after {delivery.tries} tries, {outcome.said}; it said: {title}")
        elif state == "waiting" and delivery.tries == 1:
            self._say(f"{what}: not delivered yet, {outcome.said}; it is tried again, {MOST_TRIES} times in all")


_COLUMNS = "alert, channel, state, tries, due, said, target"


def _places(database: Database, now: datetime) -> list[str]:
    at = now.astimezone(UTC).timestamp()
    rows = database.rows(
        "SELECT DISTINCT channel FROM deliveries WHERE state = 'waiting' AND (due <= ? OR due > ?) ORDER BY channel",
        (at, at + STRANGE),
    )
    return [row["channel"] for row in rows]


def _delivery(row: Row) -> Delivery:
    target = orjson.loads(row["target"])
    return Delivery(
        id=row["alert"],
        place=row["channel"],
        channel=read_channel(target["channel"]),
        body=target["body"],
        state=row["state"],
        tries=int(row["tries"]),
        due=float(row["due"]),
        said=row["said"],
    )
