"""Where a drill is played: a home of its own, whose clock is set, and into which copied requests are put as if they came now."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import orjson

from pilotbase.checks.live import LiveCheck
from pilotbase.context import Context, open_context
from pilotbase.flows.drill_arrivals import Arrival
from pilotbase.flows.drill_copy import Kept, Traffic, kept_of
from pilotbase.flows.facts import pilot_of
from pilotbase.flows.live_reading import declared_of, read_sample
from pilotbase.flows.live_reference import OUTPUTS
from pilotbase.flows.live_scoring import worst_of
from pilotbase.flows.release_moves import serve_arm
from pilotbase.gateway import routes, samples
from pilotbase.gateway.entry import drawn
from pilotbase.gateway.ledger_rows import COLUMNS
from pilotbase.gateway.tensors import write_tensor
from pilotbase.release import records
from pilotbase.release.drift_reference import Column, read_reference
from pilotbase.release.drills import Injection, shifted

__all__ = ["SetClock", "Stage", "staged"]

_WHO = "drill"
_INSERT = (
    f"INSERT INTO requests ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in ("state", "seconds", "ttft", "outcome", "status", "settled", "overrun"))
    + ", "
    + ", ".join(f"{name} = excluded.{name}" for name in ("tokens_in", "tokens_out", "tokens_cached", "source"))
)
_UNTIL_SETTLED = {"state": "open", "seconds": None, "ttft": None, "outcome": "", "status": None, "settled": 0, "overrun": 0}


@dataclass(slots=True)
class SetClock:
    """A clock that stands until it is set. `seconds` since the epoch."""

    seconds: float

    def now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def read(self) -> float:
        """The moment as a number: wall and monotonic clock in one."""
        return self.seconds


@contextmanager
def staged(live: Context, folder: Path, traffic: Traffic, clock: SetClock) -> Iterator[Context]:
    """A home in `folder` with the release in it and nothing else; it knows no secret."""
    with open_context(folder, disk=live.disk, clock=clock, secrets=lambda _: None) as copy:
        now = clock.now()
        with copy.database.transaction():
            routes.put(copy.database, traffic.route, who=_WHO, now=now, release=True)
            records.create(copy.database, traffic.release, who=_WHO)
            if traffic.reference is not None:
                records.write_reference(copy.database, traffic.release.id, traffic.reference)
            serve_arm(copy, traffic.release, traffic.plan, who=_WHO, now=now)
        yield copy


@dataclass(slots=True)
class Stage:
    """Puts `coming` requests into `copy` as their time comes; bodies and scores are read from `live` when they are needed."""

    live: Context
    copy: Context
    traffic: Traffic
    coming: Sequence[Arrival]
    injection: Injection | None
    seed: int
    kept: int = 0
    settled: list[Arrival] = field(default_factory=list)
    _next: int = 0
    _open: list[tuple[int, int]] = field(default_factory=list)
    _columns: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        if self.injection is not None and self.injection.kind == "drift" and self.traffic.reference is not None:
            self._columns = read_reference(self.traffic.reference).columns

    def advance(self, now: int) -> list[Arrival]:
        """Everything up to a moment (microseconds); the requests that were settled in it, in the order of that."""
        rows: list[tuple[Any, ...]] = []
        done: list[Arrival] = []
        while self._next < len(self.coming) and self.coming[self._next].started <= now:
            one = self.coming[self._next]
            heapq.heappush(self._open, (one.settles, self._next))
            if one.settles > now:
                rows.append(_values({**one.row, **_UNTIL_SETTLED}))
            self._next += 1
        while self._open and self._open[0][0] <= now:
            one = self.coming[heapq.heappop(self._open)[1]]
            rows.append(_values(one.row))
            done.append(one)
        if rows:
            with self.copy.database.transaction():
                self.copy.database.execute_many(_INSERT, rows)
                self._keep(done, now)
        self.settled += done
        return done

    def _keep(self, done: Sequence[Arrival], now: int) -> None:
        kept = kept_of(self.live, self.traffic.release.id, [one.source for one in done])
        scores: list[tuple[Any, ...]] = []
        bodies: list[dict[str, Any]] = []
        for one in done:
            sample = kept.samples.get(one.source)
            if sample is not None and not one.bad:
                bodies.append(self._sample(one, sample))
            word = kept.feedback.get(one.source)
            if word is not None:
                good = bool(word["good"])
                samples.keep_feedback(self.copy.database, one.row["id"], one.row["access_key"], good, "", at=now)
            if not one.bad:
                found = self._scores(one, kept)
                scores += [(one.row["id"], name, self.traffic.release.id, value, now) for name, value in found.items()]
        samples.keep(self.copy.database, bodies)
        self.copy.database.execute_many(
            "INSERT INTO live_scores (request, check_id, release_id, value, at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (request, check_id) DO NOTHING",
            scores,
        )

    def _sample(self, one: Arrival, sample: Mapping[str, Any]) -> dict[str, Any]:
        kept = {**sample, "request": one.row["id"], "release": self.traffic.release.id, "arm": one.row["arm"], "at": one.started}
        if one.hit and self._columns:
            kept |= self._drifted(sample, one)
        self.kept += one.watched and kept["answered"] is not None
        return kept

    def _scores(self, one: Arrival, kept: Kept) -> dict[str, float | None]:
        """Scores that the copy's controller cannot find by itself: of judges and labels, and the bad ones of `quality`."""
        known, sample = kept.scores.get(one.source, {}), kept.samples.get(one.source)
        there = sample is not None and sample["answered"] is not None
        spoil = one.hit and self.injection is not None and self.injection.kind == "quality"
        found: dict[str, float | None] = {}
        for check in self.traffic.checks:
            mine = check.id in known
            if check.source not in ("sample", "label") or not (mine or (there and _asked(check, one))):
                continue
            value = known.get(check.id)
            if spoil and (value is not None or (not mine and check.source == "sample")):
                found[check.id] = worst_of(check)
            elif mine and (check.source == "label" or check.check.judge is not None or not there):
                found[check.id] = value
            elif check.check.judge is not None:
                found[check.id] = None  # nobody judged it, and nobody is to miss that
        return found

    def _drifted(self, sample: Mapping[str, Any], one: Arrival) -> dict[str, Any]:
        """The same request and answer, moved away from the pilot's, in the shape of an inference request."""
        assert self.injection is not None
        document = self.traffic.release.document
        said = read_sample(sample, declared_of(pilot_of(document["pilot"]), document["candidate_id"]))
        values = {**said.inputs, OUTPUTS[0]: said.label, OUTPUTS[1]: said.score, OUTPUTS[2]: said.text}
        moved = shifted(self._columns, values, self.injection, Random(f"{self.seed} {one.row['id']}"))
        outputs = {word: moved[name] for word, name in zip(("label", "score", "text"), OUTPUTS, strict=True)}
        asked = {name: moved[name] for name in said.inputs}
        return {
            "endpoint": "infer",
            "streamed": 0,
            "asked": orjson.dumps({"inputs": _tensors(asked)}).decode(),
            "answered": orjson.dumps({"outputs": _tensors(outputs)}).decode(),
        }


def _asked(check: LiveCheck, one: Arrival) -> bool:
    return check.source == "sample" and drawn(f"sample {one.root}", check.sample)


def _tensors(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [write_tensor(name, [value]) for name, value in values.items() if isinstance(value, str | int | float)]


def _values(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in COLUMNS)
