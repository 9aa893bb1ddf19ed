"""Copied requests as they arrive again: under names of their own, one pass after another, spoilt from a moment on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from pilotbase.flows.drill_copy import Traffic
from pilotbase.flows.live_evidence import ARM
from pilotbase.gateway.arms import SHADOW, STABLE
from pilotbase.gateway.entry import drawn
from pilotbase.gateway.outcomes import failed
from pilotbase.release.drills import Injection, spoilt

__all__ = ["Arrival", "arrivals_of", "injected_from", "twin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request that comes again: `row` as it will be settled at `settles` (microseconds), `source` the id of the request that
    it copies, `root` the name by which samples are drawn. `watched`: it is the candidate's. `hit`: it is a spoilt one.
    """

    row: dict[str, Any]
    source: str
    root: str
    settles: int
    watched: bool
    hit: bool = False

    @property
    def started(self) -> int:
        return int(self.row["started"])

    @property
    def bad(self) -> bool:
        """Whether it was not served."""
        return failed(self.row["outcome"], self.row["status"]) is True


def injected_from(traffic: Traffic, share: float) -> int:
    """The number (from 0) of the first request that meets the injection."""
    return min(traffic.requests - 1, int(traffic.requests * share))


def arrivals_of(traffic: Traffic, injection: Injection | None, first: int, seed: int) -> list[Arrival]:
    """Everything that arrives, in the order of time; the candidate's requests meet the injection from number `first` on."""
    chance = Random(seed)
    arm = ARM[traffic.plan.rungs[traffic.release.rung].rung]
    shares = sorted({one.sample for one in traffic.checks if one.source in ("sample", "label")})
    found: list[Arrival] = []
    for number, (pass_, row) in enumerate(_passes(traffic, traffic.rows)):
        root = row["copy_of"] or row["id"]
        name, copied = twin(root, f"{pass_}", shares), ""
        if arm == SHADOW:
            copied = _beside_name(root, pass_, shares)
        hit = injection is not None and number >= first and injection.falls(chance)
        new = {**(spoilt(row, injection) if hit and injection is not None else row), "id": name, "arm": arm, "copy_of": copied}
        found.append(_arrival(new, row["id"], copied or name, watched=True, hit=hit))
    for pass_, row in _passes(traffic, traffic.beside):
        name = _beside_name(row["id"], pass_, shares)
        found.append(_arrival({**row, "id": name, "arm": STABLE, "copy_of": ""}, row["id"], name, watched=False))
    return sorted(found, key=lambda one: (one.started, one.row["id"]))


def twin(name: str, mark: str, shares: Sequence[float]) -> str:
    """A new name that is in the samples of each share exactly if `name` is: so every pass has its samples."""
    wanted = [drawn(f"sample {name}", share) for share in shares]
    for number in count():
        found = f"{name}~{mark}" + (f".{number}" if number else "")
        if [drawn(f"sample {found}", share) for share in shares] == wanted:
            return found
    raise AssertionError("counting never ends")


def _beside_name(root: str, pass_: int, shares: Sequence[float]) -> str:
    return twin(root, f"{pass_}-{STABLE}", shares)


def _passes(traffic: Traffic, rows: Sequence[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row in each pass, moved to its time."""
    for pass_ in range(traffic.repeat):
        for row in rows:
            yield pass_, {**row, "started": int(row["started"]) + pass_ * traffic.span}


def _arrival(row: dict[str, Any], source: str, root: str, *, watched: bool, hit: bool = False) -> Arrival:
    settles = int(row["started"]) + int((row["seconds"] or 0.0) * 1e6)
    return Arrival(row=row, source=source, root=root, settles=settles, watched=watched, hit=hit)
