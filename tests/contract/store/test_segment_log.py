"""One contract for the log on disk and its twin in memory."""

import math
from collections.abc import Callable
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilotbase.errors import UserError
from pilotbase.ports import EvidenceLog
from pilotbase.store.chain import GENESIS, chained
from pilotbase.store.database import Database
from pilotbase.store.disk import LocalDisk
from pilotbase.store.index import DatabaseIndex
from pilotbase.store.memory import MemorySegmentLog
from pilotbase.store.segments import SegmentLog

SCHEMA = {"n": "u32", "variant": "u16", "at": "i64", "score": "f64", "ok": "bool", "text": "str"}
KINDS = ("disk", "memory")


class Place(Protocol):
    """Somewhere a log can be opened, closed and opened again."""

    def open(self) -> Any: ...

    def close(self) -> None: ...


class OnDisk:
    def __init__(self, folder: Path, roll_rows: int) -> None:
        self.folder = folder
        self.roll_rows = roll_rows
        self.database = Database(folder / "base.db")
        self.index = DatabaseIndex(self.database, "log")

    def open(self) -> SegmentLog:
        return SegmentLog(self.folder / "log", SCHEMA, self.index, LocalDisk(), self.roll_rows)

    def close(self) -> None:
        self.database.close()


class InMemory:
    def __init__(self, roll_rows: int) -> None:
        self.log = MemorySegmentLog(SCHEMA, roll_rows=roll_rows)

    def open(self) -> MemorySegmentLog:
        return self.log.reopen()

    def close(self) -> None:
        self.log.close()


def place(kind: str, folder: Path, roll_rows: int = 4096) -> Place:
    return OnDisk(folder, roll_rows) if kind == "disk" else InMemory(roll_rows)


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Place]:
    return lambda **options: place(request.param, tmp_path, **options)


def rows(log: EvidenceLog, columns: list[str] | None = None) -> list[dict[str, Any]]:
    return [row for frame in log.read(columns) for row in frame.iter_rows(named=True)]


def row(n: int) -> dict[str, object]:
    return {"n": n, "variant": 1, "at": -n, "score": n / 8, "ok": n % 2 == 0, "text": f"答案 {n}"}


def test_what_was_appended_is_read_back_in_order(make: Callable[..., Place]) -> None:
    with make().open() as log:
        for n in range(5):
            log.append(row(n))
        log.seal()
        for n in range(5, 8):
            log.append(row(n))
        assert rows(log) == [row(n) for n in range(8)]
        assert [info.rows for info in log.infos()] == [5]


def test_a_column_left_out_is_null(make: Callable[..., Place]) -> None:
    with make().open() as log:
        log.append({"n": 1})
        log.append_columns({"n": [2]})
        null = dict.fromkeys(SCHEMA)
        assert rows(log) == [null | {"n": 1}, null | {"n": 2}]


def test_every_number_comes_back_exactly(make: Callable[..., Place]) -> None:
    scores = [0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan, 2**53 + 2.0]
    with make().open() as log:
        for score in scores:
            log.append({"n": 2**32 - 1, "variant": 2**16 - 1, "at": -(2**63), "score": score})
        before = [value["score"] for value in rows(log)]
        log.seal()
        after = rows(log)
        for read in (before, [value["score"] for value in after]):
            assert [math.copysign(1, a) for a in read[:6]] == [math.copysign(1, a) for a in scores[:6]]
            assert read[:6] == scores[:6] and math.isnan(read[6]) and read[7] == scores[7]
        assert after[0]["n"] == 2**32 - 1 and after[0]["variant"] == 2**16 - 1 and after[0]["at"] == -(2**63)


def test_numpy_scalars_enumerations_and_whole_floats_are_plain_values(make: Callable[..., Place]) -> None:
    class Tone(StrEnum):
        KIND = "kind"

    class Level(IntEnum):
        LOW = 3

    with make().open() as log:
        log.append({"n": np.uint8(7), "variant": Level.LOW, "score": 2, "ok": np.bool_(True), "text": Tone.KIND})
        log.append({"score": np.float32(0.5), "text": np.str_("x")})
        first, second = rows(log)
        assert first == {"n": 7, "variant": 3, "at": None, "score": 2.0, "ok": True, "text": "kind"}
        assert (second["score"], second["text"]) == (0.5, "x")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"n": -1}, "column n holds u32, 0 to 4294967295; found -1"),
        ({"variant": 65536}, "column variant holds u16, 0 to 65535; found 65536"),
        ({"at": 2**63}, "column at holds i64"),
        ({"n": True}, "column n holds u32"),
        ({"n": 1.0}, "column n holds u32"),
        ({"score": "high"}, "column score holds f64; found 'high'"),
        ({"ok": 1}, "column ok holds bool; found 1"),
        ({"text": b"x"}, "column text holds str"),
        ({"text": "\ud800"}, "not valid Unicode"),
        ({"colour": 1}, "this log has no column colour"),
    ],
)
def test_a_value_out_of_kind_is_refused_and_nothing_is_written(
    make: Callable[..., Place], bad: dict[str, object], words: str
) -> None:
    with make().open() as log:
        log.append(row(0))
        with pytest.raises(UserError, match=words):
            log.append(bad)
        log.append(row(1))
        assert rows(log) == [row(0), row(1)]


def test_a_frame_becomes_a_segment_of_its_own_after_the_open_rows(make: Callable[..., Place]) -> None:
    with make().open() as log:
        log.append(row(0))
        log.append_columns(
            {
                "n": np.arange(1, 4),
                "variant": pl.Series([1, 1, 1], dtype=pl.UInt8),
                "at": [-1, -2, -3],
                "score": np.array([1, 2, 3]) / 8,
                "ok": [False, True, False],
                "text": [f"答案 {n}" for n in (1, 2, 3)],
            }
        )
        log.append_columns(pl.DataFrame([row(4), row(5)]))
        log.append(row(6))
        assert [info.rows for info in log.infos()] == [1, 3, 2]
        assert rows(log) == [row(n) for n in range(7)]


def test_a_frame_without_rows_makes_no_segment(make: Callable[..., Place]) -> None:
    with make().open() as log:
        log.append_columns({"n": []})
        assert log.infos() == [] and rows(log) == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"n": np.array([0.5])}, "column n holds u32"),
        ({"n": np.array([-1])}, "column n holds u32"),
        ({"n": [1, 2], "score": [0.5]}, "columns differ in length"),
        ({"ok": np.array([1])}, "column ok holds bool"),
        ({"text": np.array([1])}, "column text holds str"),
        ({"score": ["a"]}, "column score holds f64"),
        ({"colour": [1]}, "no column colour"),
    ],
)
def test_a_frame_that_does_not_fit_without_loss_is_refused_as_a_whole(
    make: Callable[..., Place], bad: dict[str, Any], words: str
) -> None:
    with make().open() as log:
        with pytest.raises(UserError, match=words):
            log.append_columns(bad)
        log.append(row(0))
        assert rows(log) == [row(0)] and log.infos() == []


def test_only_the_columns_asked_for_are_read_in_the_order_asked(make: Callable[..., Place]) -> None:
    with make().open() as log:
        log.append(row(0))
        log.seal()
        log.append(row(1))
        assert [frame.columns for frame in log.read(["text", "n"])] == [["text", "n"]] * 2
        with pytest.raises(UserError, match="no column colour"):
            list(log.read(["colour"]))


def test_a_journal_is_sealed_when_it_is_full(make: Callable[..., Place]) -> None:
    with make(roll_rows=3).open() as log:
        for n in range(8):
            log.append(row(n))
        assert [info.rows for info in log.infos()] == [3, 3]
        assert rows(log) == [row(n) for n in range(8)]


def test_sealing_nothing_changes_nothing(make: Callable[..., Place]) -> None:
    with make().open() as log:
        log.seal()
        log.append(row(0))
        log.seal()
        log.seal()
        assert len(log.infos()) == 1


def test_each_segment_is_chained_to_the_one_before_it(make: Callable[..., Place]) -> None:
    with make(roll_rows=2).open() as log:
        for n in range(6):
            log.append(row(n))
        previous = GENESIS
        for seq, info in enumerate(log.infos(), start=1):
            assert (info.seq, info.previous, info.digest) == (seq, previous, chained(previous, info.content_digest))
            previous = info.digest


def test_a_log_opened_again_goes_on_where_it_ended(make: Callable[..., Place]) -> None:
    somewhere = make()
    with somewhere.open() as log:
        log.append(row(0))
        log.seal()
        log.append(row(1))
    with somewhere.open() as log:
        assert log.recovered.rows == 1
        log.append(row(2))
        log.sync()
        assert rows(log) == [row(0), row(1), row(2)]
        log.seal()
        assert [info.rows for info in log.infos()] == [1, 2]


def test_a_closed_log_takes_no_rows(make: Callable[..., Place]) -> None:
    log = make().open()
    log.close()
    log.close()
    for refused in (lambda: log.append(row(0)), lambda: log.append_columns({"n": [1]}), log.seal, log.sync):
        with pytest.raises(ValueError, match="closed"):
            refused()


def test_disk_and_memory_give_the_same_digests(tmp_path: Path) -> None:
    digests = []
    for kind in KINDS:
        with place(kind, tmp_path / kind, roll_rows=2).open() as log:
            for n in range(5):
                log.append(row(n))
            digests.append([info.digest for info in log.infos()])
    assert digests[0] == digests[1] and len(digests[0]) == 2


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "n": st.none() | st.integers(0, 2**32 - 1),
        "variant": st.none() | st.integers(0, 2**16 - 1),
        "at": st.none() | st.integers(-(2**63), 2**63 - 1),
        "score": st.none() | st.floats(allow_nan=False),
        "ok": st.none() | st.booleans(),
        "text": st.none() | st.text(st.characters(codec="utf-8"), max_size=20),
    },
)
STEPS = st.lists(st.tuples(st.just("append"), VALUES) | st.tuples(st.sampled_from(["seal", "reopen", "sync", "columns"]), VALUES))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, roll_rows=st.integers(1, 5))
def test_any_sequence_of_steps_gives_the_same_rows(
    kind: str, steps: list[tuple[str, dict[str, Any]]], roll_rows: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    somewhere = place(kind, tmp_path_factory.mktemp("any"), roll_rows)
    expected: list[dict[str, Any]] = []
    log = somewhere.open()
    for step, values in steps:
        if step == "reopen":
            log.close()
            log = somewhere.open()
        elif step == "append":
            log.append(values)
            expected.append(dict.fromkeys(SCHEMA) | values)
        elif step == "columns":
            log.append_columns({name: [values.get(name)] for name in SCHEMA})
            expected.append(dict.fromkeys(SCHEMA) | values)
        else:
            getattr(log, step)()
    assert rows(log) == expected
    assert sum(info.rows for info in log.infos()) <= len(expected)
    log.close()
    somewhere.close()
