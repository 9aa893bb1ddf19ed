"""Any order of requests, crashes, partial applying and recovery gives what a plain count in memory gives."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.ledger_records import FARE, log_bytes, progress, release, reserve, rows, settle

from pilotbase.domain.metering import Tokens
from pilotbase.gateway.applying import Applier
from pilotbase.gateway.reconcile import reconcile
from pilotbase.gateway.recovery import recover
from pilotbase.gateway.wal import Record
from pilotbase.gateway.wal_files import segment_path
from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DISK = LocalDisk()
RULES = ("progress", "reserved", "release")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 2), st.sampled_from(RULES), st.integers(0, 9_000)),
        st.tuples(st.just("progress"), st.integers(0, 30), st.integers(0, 500), st.integers(0, 2_000)),
        st.tuples(st.just("settle"), st.integers(0, 30), st.integers(0, 500), st.integers(0, 2_000)),
        st.tuples(st.just("release"), st.integers(0, 30)),
        st.tuples(st.just("apply"), st.integers(1, 4)),
        st.tuples(st.just("again"), st.integers(0, 100)),
        st.tuples(st.just("roll")),
        st.tuples(st.just("crash"), st.integers(0, 80)),
        st.tuples(st.just("recover twice")),
    ),
    max_size=40,
)


@dataclass(slots=True)
class Expected:
    """One request, counted plainly."""

    key: str
    rule: str
    reserved: int
    read: int = 0
    wrote: int = 0
    cost: int | None = None
    doubtful: bool = False

    def end(self) -> None:
        if self.cost is None:
            self.doubtful = True
            if self.rule == "release":
                self.read, self.wrote, self.cost = 0, 0, 0
            elif self.rule == "reserved":
                self.cost = self.reserved
            else:
                self.read = self.read or 100
                self.cost = 1_000 + 2 * self.read + 6 * self.wrote


@dataclass(slots=True)
class World:
    """Workers one after the other, each with its log; what they promised, counted in memory."""

    folder: Path
    database: Database
    generation: int = 0
    sequence: int = 0
    place: int = 0
    start: int = 0
    ends: list[tuple[int, int]] = field(default_factory=list)
    mine: list[str] = field(default_factory=list)
    expected: dict[str, Expected] = field(default_factory=dict)

    @property
    def worker(self) -> str:
        return f"w{self.generation}"

    def put(self, record: Record) -> None:
        data = log_bytes([record], self.sequence)
        with segment_path(self.folder, self.worker, self.start).open("ab") as file:
            file.write(data)
        self.sequence += 1
        self.place += len(data)
        self.ends.append((self.place, self.sequence))

    def open_request(self, number: int) -> tuple[str, Expected] | None:
        name = self.mine[number % len(self.mine)] if self.mine else ""
        found = self.expected.get(name)
        return (name, found) if found else None

    def reserve(self, key: int, rule: str, amount: int) -> None:
        name = f"r{len(self.expected):03}"
        self.database.execute(
            "INSERT INTO leases (worker, access_key, granted) VALUES (?, ?, 1000000) ON CONFLICT (worker, access_key) DO NOTHING",
            (self.worker, f"key-{key}"),
        )
        self.put(reserve(name, key=f"key-{key}", in_doubt=rule, reserved=amount))
        self.expected[name] = Expected(f"key-{key}", rule, amount)
        self.mine.append(name)

    def progress(self, number: int, read: int, wrote: int) -> None:
        if one := self.open_request(number):
            name, found = one
            self.put(progress(name, read, wrote))
            if found.cost is None:
                found.read, found.wrote = max(found.read, read), max(found.wrote, wrote)

    def settle(self, number: int, read: int, wrote: int) -> None:
        if one := self.open_request(number):
            name, found = one
            self.put(settle(name, read, wrote))
            if found.cost is None:
                found.read, found.wrote, found.cost = read, wrote, FARE.cost(Tokens(read, wrote))

    def release(self, number: int) -> None:
        if one := self.open_request(number):
            name, found = one
            self.put(release(name))
            if found.cost is None:
                found.read, found.wrote, found.cost = 0, 0, 0

    def apply(self, limit: int) -> None:
        Applier(self.database, self.folder, DISK).apply(limit)
        self.check_leases()

    def check_leases(self) -> None:
        """Charged is what the settled requests of this worker cost, whatever was read twice."""
        costs: dict[str, int] = {}
        for row in rows(self.database).values():
            if row["worker"] == self.worker:
                costs[row["access_key"]] = costs.get(row["access_key"], 0) + row["settled"] + row["overrun"]
        for lease in self.database.rows("SELECT access_key, charged FROM leases WHERE worker = ?", (self.worker,)):
            assert lease["charged"] == costs.get(lease["access_key"], 0)

    def again(self, share: int) -> None:
        """Take the mark back to some record whose file is still there, as if a batch had never been applied."""
        mark = self.database.row("SELECT applied FROM wal_marks WHERE worker = ? AND closed IS NULL", (self.worker,))
        kept = [int(path.stem.rpartition("-")[2], 16) for path in self.folder.glob(f"{self.worker}-*.wal")]
        if mark and kept:
            places = [one for one in [(0, 0), *self.ends] if min(kept) <= one[0] <= mark["applied"]]
            if places:
                self.database.execute(
                    "UPDATE wal_marks SET applied = ?, records = ? WHERE worker = ?",
                    (*places[share * (len(places) - 1) // 100], self.worker),
                )

    def roll(self) -> None:
        self.start = self.place
        segment_path(self.folder, self.worker, self.start).touch()

    def crash(self, torn: int) -> None:
        """The worker dies in the middle of a record; recovery; a new worker begins."""
        data = log_bytes([reserve("torn")], self.sequence)[:torn]
        with segment_path(self.folder, self.worker, self.start).open("ab") as file:
            file.write(data)
        found = recover(self.database, self.folder, DISK, self.worker, NOW)
        assert not found.damaged and found.torn_bytes == len(data)
        for name in self.mine:
            self.expected[name].end()
        self.generation += 1
        self.sequence = self.place = self.start = 0
        self.ends, self.mine = [], []

    def recover_twice(self) -> None:
        if self.generation:
            before = rows(self.database)
            recover(self.database, self.folder, DISK, f"w{self.generation - 1}", NOW)
            assert rows(self.database) == before


def check(world: World) -> None:
    found = rows(world.database)
    assert sorted(found) == sorted(world.expected)
    sums: dict[str, list[int]] = {}
    for name, one in world.expected.items():
        row = found[name]
        assert one.cost is not None
        used = min(one.cost, one.reserved)
        assert (row["settled"], row["overrun"]) == (used, one.cost - used)
        assert row["released"] == one.reserved - used
        assert (row["tokens_in"], row["tokens_out"]) == (one.read, one.wrote)
        assert (row["state"] == "in-doubt") is one.doubtful
        total = sums.setdefault(one.key, [0] * 8)
        parts = (1, one.reserved, 0 if one.doubtful else used, one.reserved - used, used if one.doubtful else 0)
        for i, value in enumerate((*parts, one.cost - used, one.read, one.wrote)):
            total[i] += value
    kept = {row["access_key"]: list(row)[3:] for row in world.database.rows("SELECT * FROM balances")}
    assert kept == sums
    report = reconcile(world.database, world.folder, DISK)
    assert report.balanced and not report.waiting, report.problems
    assert not world.database.rows("SELECT * FROM leases")


@settings(max_examples=60)
@given(steps)
def test_any_interleaving_gives_the_rows_and_the_sums_of_a_plain_count(story: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as name, Database(Path(name) / "base.db") as database:
        world = World(Path(name) / "wal", database)
        world.folder.mkdir()
        for action, *values in story:
            step: Callable[..., None] = getattr(world, action.replace(" ", "_"))
            step(*values)
        world.crash(0)
        check(world)
