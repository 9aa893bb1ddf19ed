"""The access log, its files, and the outbox that keeps a slow disk away from requests."""

import asyncio
import io
import os
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import orjson
from tests.fakes.patience import PATIENCE

from pilotbase.errors import UserError
from pilotbase.gateway.access_log import Stream, access_log, line
from pilotbase.gateway.day_files import DAY, DayFiles, day_name
from pilotbase.gateway.entry import Entry
from pilotbase.gateway.outbox import Outbox
from pilotbase.store.disk import Calls, LocalDisk

NOON = 1_780_000_000.123456  # 2026-05-28T20:26:40Z


def entry(number: int = 0, at: float = NOON, **changes: object) -> Entry:
    return Entry(**{"id": f"r{number}", "at": at, "route": "chat", "endpoint": "chat", **changes})  # type: ignore[arg-type]


class Gate:
    """A disk that stands still until it is let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()
        self.lines: list[bytes] = []

    def write(self, lines: Iterable[tuple[int, bytes]]) -> None:
        self.reached.set()
        assert self.go.wait(20)
        self.lines += [text for _, text in lines]


def test_a_line_says_what_became_of_a_request() -> None:
    one = entry(
        key="k123",
        stream=True,
        status=200,
        outcome="complete",
        read=12,
        wrote=7,
        cached=4,
        source="upstream",
        cost=1500,
        currency="CNY",
        seconds=1.23456789,
        ttft=0.25,
        upstream="main",
        attempts=2,
        guards=("pii/mobile",),
        error="",
    )
    assert orjson.loads(line(one)) == {
        "id": "r0",
        "at": "2026-05-28T20:26:40.123456Z",
        "key": "k123",
        "route": "chat",
        "endpoint": "chat",
        "stream": True,
        "status": 200,
        "outcome": "complete",
        "tokens": {"read": 12, "wrote": 7, "cached": 4, "source": "upstream"},
        "cost": {"nanos": 1500, "currency": "CNY"},
        "seconds": 1.234568,
        "ttft": 0.25,
        "upstream": "main",
        "attempts": 2,
        "guards": ["pii/mobile"],
        "error": "",
    }
    assert line(one).count(b"\n") == 1


def test_words_of_others_cannot_make_a_second_line_or_a_long_one() -> None:
    text = line(entry(error='x\n{"id":"forged"}' + "y" * 10_000))
    assert text.count(b"\n") == 1 and len(text) < 1000


def test_lines_go_to_the_file_of_their_utc_day_which_its_owner_alone_can_read(tmp_path: Path) -> None:
    midnight = (int(NOON) // DAY + 1) * DAY
    folder = tmp_path / "gateway" / "logs"

    async def story() -> None:
        files = DayFiles(folder, "w1", LocalDisk())
        log = access_log(files)
        for i, at in enumerate((midnight - 0.001, midnight, midnight + 1)):
            assert log.add(entry(i, at))
        await log.aclose()
        files.close()
        files.close()
        assert log.dropped == 0

    asyncio.run(story())
    assert [path.name for path in sorted(folder.iterdir())] == ["2026-05-28.w1.jsonl", "2026-05-29.w1.jsonl"]
    written = [[orjson.loads(text)["id"] for text in path.read_bytes().splitlines()] for path in sorted(folder.iterdir())]
    assert written == [["r0"], ["r1", "r2"]]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())


def test_days_are_counted_from_the_epoch() -> None:
    assert (day_name(0), day_name(20_787)) == ("1970-01-01", "2026-11-30")


def test_lines_can_go_to_standard_error_instead() -> None:
    out = io.BytesIO()

    async def story() -> None:
        log = access_log(Stream(out))
        log.add(entry(1))
        log.add(entry(2))
        await log.aclose()

    asyncio.run(story())
    assert [orjson.loads(text)["id"] for text in out.getvalue().splitlines()] == ["r1", "r2"]


def test_a_disk_that_stands_still_holds_up_no_request_and_what_was_dropped_is_counted() -> None:
    gate = Gate()

    async def story() -> Outbox[Entry]:
        log = access_log(gate, most=10, every=0.0)
        log.add(entry(0))
        log.flush()
        assert await asyncio.to_thread(gate.reached.wait, 20)
        taken = [log.add(entry(i)) for i in range(1, 101)]
        assert taken == [True] * 9 + [False] * 91
        assert log.dropped == 91
        gate.go.set()
        await log.aclose(20)
        return log

    log = asyncio.run(story())
    assert [orjson.loads(text)["id"] for text in gate.lines] == [f"r{i}" for i in range(10)]
    assert log.dropped == 91 and not log.add(entry(999))


def test_closing_waits_no_longer_than_it_may() -> None:
    gate = Gate()

    async def story() -> int:
        log = access_log(gate, every=0.0)
        log.add(entry(0))
        log.flush()
        assert await asyncio.to_thread(gate.reached.wait, 20)
        log.add(entry(1))
        await log.aclose(0.01)
        gate.go.set()
        return log.dropped

    assert asyncio.run(story()) == 1


def test_a_line_that_cannot_be_written_as_json_is_dropped_and_the_others_are_not() -> None:
    out = io.BytesIO()

    async def story() -> int:
        log = access_log(Stream(out))
        for one in (entry(1), entry(2, error="\ud800"), entry(3, cost=2**70), entry(4)):
            log.add(one)
        await log.aclose()
        return log.dropped

    assert asyncio.run(story()) == 2
    assert [orjson.loads(text)["id"] for text in out.getvalue().splitlines()] == ["r1", "r4"]


def tearing(fails: Callable[[], bool]) -> Calls:
    """A disk that takes 5 bytes of a write and then is full, while `fails` says so."""

    def write(fd: int, data: bytes | memoryview) -> int:
        if not fails():
            return os.write(fd, data)
        if len(data) <= 5:
            raise OSError(28, "No space left on device")
        os.write(fd, bytes(data[:5]))
        raise OSError(28, "No space left on device")

    return Calls(write=write)


def test_a_full_disk_loses_lines_says_why_and_writes_whole_lines_again_once_it_has_room(tmp_path: Path) -> None:
    full = [True]

    async def story() -> None:
        log = access_log(DayFiles(tmp_path, "w1", LocalDisk(tearing(lambda: full[0]))), every=0.0)
        log.add(entry(1))
        log.flush()
        await settled(log)
        assert log.dropped == 1 and log.trouble is not None and "no space is left" in log.trouble
        full[0] = False
        log.add(entry(2))
        log.flush()
        await settled(log)
        assert log.dropped == 1 and log.trouble is None
        await log.aclose()

    asyncio.run(story())
    torn, whole = (tmp_path / "2026-05-28.w1.jsonl").read_bytes().splitlines()
    assert torn == line(entry(1))[:5] and orjson.loads(whole)["id"] == "r2"


async def settled(log: Outbox[Entry]) -> None:
    """Until the batch under way is over."""
    async with asyncio.timeout(PATIENCE):
        while log.under_way:
            await asyncio.sleep(0)


def test_an_outbox_hands_everything_over_in_order_and_tells_what_its_consumer_dropped() -> None:
    seen: list[int] = []

    def consume(batch: Sequence[int]) -> int:
        seen.extend(batch)
        return sum(number % 100 == 0 for number in batch)

    async def story() -> int:
        box = Outbox(consume, every=0.0)
        for i in range(1000):
            box.add(i)
            if i % 50 == 0:
                await asyncio.sleep(0)
        await box.aclose(20)
        return box.dropped

    assert asyncio.run(story()) == 10
    assert seen == list(range(1000))


def test_a_bug_in_a_consumer_loses_its_batch_and_not_the_next_one() -> None:
    seen: list[int] = []

    def consume(batch: Sequence[int]) -> int:
        if 1 in batch:
            raise KeyError("a bug")
        seen.extend(batch)
        return 0

    told: list[object] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        box = Outbox(consume, every=0.0)
        box.add(1)
        box.flush()
        async with asyncio.timeout(PATIENCE):
            while box.under_way:
                await asyncio.sleep(0)
        assert box.dropped == 1 and box.trouble is not None and "bug" in box.trouble
        box.add(2)
        await box.aclose(20)
        assert (box.dropped, box.trouble) == (1, None)

    asyncio.run(story())
    assert seen == [2] and isinstance(told[0], KeyError)


def test_an_outbox_with_nothing_in_it_closes_at_once() -> None:
    def consume(batch: Sequence[int]) -> int:
        raise UserError("never called")

    asyncio.run(Outbox(consume).aclose())
