"""A backup taken while runs and the gateway write holds what was recorded before it began, and what it holds fits together."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from tests.fakes.ledger_records import reserve, settle
from tests.flows.admin.conftest import Opened

from pilotbase.context import Context, SystemClock
from pilotbase.flows.backup import backup
from pilotbase.flows.evidence import open_log, read_log
from pilotbase.flows.restore import restore
from pilotbase.gateway.applying import Applier
from pilotbase.gateway.ledger import Ledger
from pilotbase.gateway.reconcile import reconcile
from pilotbase.gateway.recovery import recover, unclosed
from pilotbase.pilots.records import create_run
from pilotbase.store.disk import LocalDisk
from pilotbase.store.segments import SegmentLog

DISK = LocalDisk()
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TIMES = 4


class Writing:
    """A thread that does one step after the other until it is told to stop; `done` are the steps that had returned."""

    def __init__(self, work: Callable[["Writing"], None]) -> None:
        self.done = 0
        self.stop = threading.Event()
        self.begun = threading.Event()
        self.failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,))
        self._thread.start()

    def _run(self, work: Callable[["Writing"], None]) -> None:
        try:
            work(self)
        except BaseException as error:  # noqa: BLE001
            self.failed = error
        finally:
            self.begun.set()

    def step(self) -> None:
        self.done += 1
        if self.done >= 50:
            self.begun.set()

    def end(self) -> None:
        self.stop.set()
        self._thread.join(timeout=120)
        assert self.failed is None and not self._thread.is_alive()


@contextmanager
def writing(work: Callable[[Writing], None]) -> Iterator[Writing]:
    found = Writing(work)
    try:
        assert found.begun.wait(timeout=120)
        yield found
    finally:
        found.end()


def copies(context: Context, one: Writing, folder: Path) -> Iterator[tuple[int, str]]:
    """Backups while the writer goes on, each restored at once: how many steps had returned before it, and the new home."""
    for i in range(TIMES):
        before = one.done
        done = backup(context, folder / f"{i}.tar", who="t")
        assert done.manifest.troubles == ()
        restore(done.path, folder / f"new-{i}", disk=DISK, clock=SystemClock(), who="t")
        yield before, f"new-{i}"


def test_every_row_of_evidence_that_was_appended_before_is_there_and_the_log_goes_on(opened: Opened, tmp_path: Path) -> None:
    def append(one: Writing) -> None:
        with opened() as context, small(open_log(context, "pilot-1", "one")) as log:
            while not one.stop.is_set():
                log.append({"variant": 0, "position": one.done, "repetition": 0, "started": 0, "attempts": 1})
                one.step()

    def small(log: SegmentLog) -> SegmentLog:
        log._roll_rows = 7  # sealed all the time
        return log

    with opened() as context:
        options = {"candidates": [{"id": "one", "fingerprint": "f"}]}
        words = {"spec_digest": "s", "criteria_digest": "c", "data_digest": "d", "scenario": "x"}
        assert create_run(context.database, pilot="pilot", options=options, now=context.stamp(), **words).run == "pilot-1"
        with writing(append) as one:
            for before, home in copies(context, one, tmp_path):
                with opened(home) as restored:
                    positions = pl.concat(read_log(restored, "pilot-1", "one", ["position"]))["position"].to_list()
                    assert positions == list(range(len(positions))) and len(positions) >= before
                    with open_log(restored, "pilot-1", "one") as log:
                        assert log.recovered.set_aside == () and log.recovered.bytes_cut < 4096
                        log.append({"variant": 0, "position": len(positions), "repetition": 0, "started": 0, "attempts": 1})


def test_every_settled_request_is_accounted_for_once_and_the_ledger_adds_up(opened: Opened, tmp_path: Path) -> None:
    ledger_of = Path("gateway") / "ledger"

    def serve(one: Writing) -> None:
        asyncio.run(_requests(one, tmp_path / "home" / ledger_of))

    def apply(one: Writing) -> None:
        with opened() as context:
            applier = Applier(context.database, context.home / ledger_of, DISK)
            while not one.stop.is_set():
                applier.apply_worker("w")
                one.step()
                one.stop.wait(0.002)  # as the keeper, which looks now and then

    with opened() as context, writing(serve) as one, writing(apply):
        for before, home in copies(context, one, tmp_path):
            with opened(home) as restored:
                folder = restored.home / ledger_of
                for worker in unclosed(restored.database, folder, DISK):
                    recover(restored.database, folder, DISK, worker, NOW)
                report = reconcile(restored.database, folder, DISK)
                assert report.balanced and not report.waiting, report
                row = restored.database.row("SELECT count(*) AS n FROM requests WHERE state = 'settled'")
                assert row is not None and row["n"] >= before


async def _requests(one: Writing, folder: Path) -> None:
    ledger = Ledger(folder, "w", DISK, segment=4096)  # a new file all the time
    try:
        while not one.stop.is_set():
            name = f"r{one.done}"
            await ledger.reserve(reserve(name))
            await ledger.settle(settle(name))
            one.step()
    finally:
        await ledger.aclose()
