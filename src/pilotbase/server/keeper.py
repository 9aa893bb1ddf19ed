"""The keeper: the one process that has the database. It answers workers, applies their logs, and tells them of changes."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from secrets import token_hex
from typing import Any, TypeVar

from pilotbase.accounts import sessions, throttle
from pilotbase.context import Context
from pilotbase.errors import UserError
from pilotbase.flows.live_drift import watch_drift
from pilotbase.flows.live_judging import judge_live
from pilotbase.flows.live_scoring import sweep_samples
from pilotbase.flows.release_control import Controller
from pilotbase.gateway import keys, leases, replays, samples
from pilotbase.gateway.applying import BATCH, Applier
from pilotbase.gateway.changes import changes_since
from pilotbase.gateway.epoch import EpochPage
from pilotbase.gateway.exposition import Totals, render
from pilotbase.gateway.quota import Grant, Refusal, Return, Want
from pilotbase.gateway.recovery import Recovered, recover
from pilotbase.gateway.wire import LostError, Peer, RefusedError
from pilotbase.release.deliveries import Courier, Senders

__all__ = ["Keeper"]

T = TypeVar("T")
ROUND = 0.2
APPLY = 0.6
WATCH = 10.0
"""For so many seconds workers may go on serving candidates after they were last told that somebody watches."""


class Keeper:
    """What the workers of one home share. `say(line)` is for the operator's eyes; `recall`: seconds that a worker may take to
    say what it can give back of a key, before a lease is decided without it.

    Everything that touches the database runs in one thread, in turn.
    """

    def __init__(
        self, context: Context, page: EpochPage, *, workers: int, say: Callable[[str], None], recall: float = 0.5
    ) -> None:
        self._database = context.database
        self._context = context
        self._page = page
        self._say = say
        self.folder = context.home / "gateway" / "ledger"
        self._applier = Applier(context.database, self.folder, context.disk)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")
        self._peers: dict[str, Peer] = {}
        self._counts = Totals()
        # A wall clock that is set while we run must not open or close a minute's window: see `gateway.leases`.
        self._offset = time.time() - time.monotonic()
        self._workers = workers
        self._patience = recall
        self._known = -1
        self._trouble = ""
        self._read_until = 0.0
        self.controller = Controller(context, f"keeper-{token_hex(6)}", say=say)

    async def inside(self, work: Callable[[], T]) -> T:
        """Run `work` in the database's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def joined(self, worker: str, peer: Peer) -> None:
        """A worker has connected."""
        self._peers[worker] = peer

    async def left(self, worker: str) -> Recovered:
        """A worker's process is gone: apply the rest of its log, settle what it left in doubt, take its leases back."""
        self._peers.pop(worker, None)
        self._counts.bury(worker)
        now = self._context.clock.now()
        return await self.inside(lambda: recover(self._database, self.folder, self._context.disk, worker, now))

    async def answer(self, worker: str, word: str, body: Any) -> Any:
        """What a worker asks. RefusedError where it cannot be done now."""
        if word == "counts":
            self._counts.take(worker, body)
            return None
        if word == "tripped":
            self.controller.trip(str(body[0]), worker, int(body[1]))
            return None
        if word == "say":
            self._say(f"worker {worker}: {body}")
            return None
        if word == "metrics":
            text, kind = render(self._counts, body)
            return [text.decode(), kind]
        if word == "lease":
            return (await self._lease(worker, Want.from_dict(body))).as_dict()
        work = self._works(worker).get(word)
        if work is None:
            raise RefusedError(f"`{word}` is no call")
        try:
            return await self.inside(lambda: work(body))
        except UserError as error:
            raise RefusedError(error.message) from error

    async def run(self) -> None:
        """Apply logs and look for changes made elsewhere, until cancelled."""
        applied = 0.0
        while True:
            started = time.monotonic()
            try:
                # First what a person changed: a full disk, which keeps records from being applied, must not hide it.
                await self.inside(self._look)
                if started - applied >= APPLY:
                    # A batch costs a sync whatever its size, so fewer and larger ones take less of the machine.
                    applied = started
                    moment = time.time()  # as workers date requests
                    if await self.inside(self._applier.apply) < BATCH:
                        self._read_until = moment
                    if await self.inside(lambda: self.controller.step(self._read_until)):
                        self._watch()
                self._well()
            except UserError as error:
                self._ill(str(error))
            await asyncio.sleep(max(0.01, ROUND - (time.monotonic() - started)))

    def apply_all(self) -> int:
        """Apply everything that is in the logs now; how many records. In the database's thread."""
        total = 0
        while done := self._applier.apply():
            total += done
        return total

    async def finish(self) -> None:
        """Apply what is left, and end."""
        await self.inside(self.apply_all)
        with suppress(UserError):
            await self.inside(lambda: self.controller.leader.resign(self._database))
        self._thread.shutdown(wait=True)

    async def tidy(self) -> None:
        """Remove what nobody needs any more: replays, counts of past minutes, sessions that ended, samples."""
        try:
            await self.inside(lambda: replays.sweep(self._database, int(time.time())))
            await self.inside(lambda: leases.sweep(self._database, self._wall()))
            await self.inside(lambda: sessions.sweep(self._database, self._context.clock.now()))
            await self.inside(lambda: throttle.sweep(self._database, self._context.clock.now()))
            await self.inside(lambda: sweep_samples(self._context, int(self._wall() * 1e6)))
        except UserError as error:
            self._ill(str(error))

    def _works(self, worker: str) -> Mapping[str, Callable[[Any], Any]]:
        database = self._database
        return {
            "return": lambda body: self._take_back(worker, body),
            "changes": lambda body: changes_since(database, int(body)).document(),
            "key": lambda body: _key(keys.find_key(database, str(body))),
            "owner": self._owner,
            "feedback": self._feedback,
            "samples": lambda body: samples.keep(database, body),
            "replay": lambda body: replays.begin(database, body[0], body[1], body[2], int(time.time())).as_dict(),
            "replayed": lambda body: replays.finish(database, *body),
            "forget": lambda body: replays.forget(database, *body),
        }

    async def _lease(self, worker: str, want: Want) -> Grant | Refusal:
        async def decision() -> Grant | Refusal:
            return await self.inside(lambda: leases.grant(self._database, worker, want, self._wall(), self._workers))

        try:
            return await leases.obtain(decision, lambda: self._recall(worker, want.key), want)
        except UserError as error:
            raise RefusedError(error.message) from error

    def _take_back(self, worker: str, documents: list[dict[str, Any]]) -> None:
        returns = [Return.from_dict(one) for one in documents]
        leases.give_back(self._database, worker, returns, self._wall())

    def _owner(self, name: Any) -> Any:
        """Whose a stored response is, and where it was made."""
        self.apply_all()  # the request that made it may have been settled a moment ago, and not be applied yet
        row = self._database.row("SELECT access_key, route, upstream FROM responses WHERE id = ?", (str(name),))
        return None if row is None else {"access_key": row["access_key"], "route": row["route"], "upstream": row["upstream"]}

    def _feedback(self, body: Any) -> bool:
        """Keep what a user thought of an answer; whether the request is known as this key's."""
        self.apply_all()  # it may have been settled a moment ago
        return samples.keep_feedback(self._database, *body, at=time.time_ns() // 1000)

    def _wall(self) -> float:
        return self._offset + time.monotonic()

    async def _recall(self, asker: str, key: str) -> None:
        """Ask the other workers for what they hold of a key and do not need now."""
        await asyncio.gather(*(self._recall_from(name, peer, key) for name, peer in self._peers.items() if name != asker))

    async def _recall_from(self, name: str, peer: Peer, key: str) -> None:
        try:
            returned = await peer.call("recall", key, limit=self._patience)
        except (LostError, RefusedError):
            return
        if returned:
            await self.inside(partial(self._take_back, name, returned))

    def _look(self) -> None:
        row = self._database.row("SELECT value FROM control WHERE name = 'epoch'")
        epoch = int(row["value"]) if row else 0
        if epoch != self._known:
            # In this order: a page that could not be moved is tried again.
            self._page.bump()
            self._known = epoch

    def _watch(self) -> None:
        """Vouch to the workers that releases are watched."""
        for peer in self._peers.values():
            peer.tell("watched", WATCH)

    async def reach_out(self) -> None:
        """Deliver alerts, and have judges look at live samples, until cancelled. What fails is told and tried again."""
        context = self._context
        senders = Senders(secrets=context.secrets, clock=context.clock, say=self._say)
        courier = Courier(self._database, senders, inside=self.inside, clock=context.clock, random=random.random, say=self._say)
        try:
            while True:
                try:
                    await courier.run_once()
                    if self.controller.watched:
                        await judge_live(context, self.inside, int(self._wall() * 1e6), self._say)
                        await watch_drift(context, self.inside)
                except UserError as error:
                    self._ill(str(error))
                await asyncio.sleep(1.0)
        finally:
            await senders.aclose()

    def _ill(self, told: str) -> None:
        if told != self._trouble:
            self._trouble = told
            self._say(f"the ledger waits: {told}")

    def _well(self) -> None:
        if self._trouble:
            self._trouble = ""
            self._say("the ledger goes on")


def _key(found: Any) -> Any:
    return None if found is None else keys.document_of(found)
