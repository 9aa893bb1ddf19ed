"""A release made ready for tests: a chat candidate that passed its pilot, its dossier, and a gateway that serves a stable arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tests.fakes.gateway import Serving
from tests.flows.stories import sealed
from tests.flows.support import Base, cases

from pilotbase.flows.release_start import Start, Started, start_release

__all__ = ["FAST", "Ready", "plan_file", "prepare", "start"]

MESSAGES = [{"role": "user", "content": "{x}"}]

FAST: Mapping[str, Any] = {
    "bearer": "Dr. Wang",
    "evidence": {"block": "100ms", "late": "60s", "within": "60s"},
    "drift": None,
    "budget": None,
}
"""A plan's words for tests: evidence in blocks of a tenth of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A home with a run and its dossier; `url` is the address that the candidate was tried at."""

    base: Base
    dossier: Path
    url: str


def prepare(folder: Path, url: str, *, checks: Sequence[Mapping[str, Any]] = (), rows: int = 40) -> Ready:
    """Run a pilot of a chat candidate at `url`, which must answer `yes`, and seal its dossier."""
    base = Base(folder=folder / "pilot", home=folder / "home")
    options = {"url": url, "model": "m", "version": "1", "timeout": "20s"}
    base.write(
        rows=[{**case, "label": "yes"} for case in cases(rows)],
        candidates={"assistant": {"target": {"openai": options}, "messages": MESSAGES, "price": {"per-call": "0.01 CNY"}}},
        checks=[{"metric": "contains", "require": ">= 0.7"}, {"metric": "failure-rate", "require": "<= 0.1"}, *checks],
    )
    return Ready(base=base, dossier=sealed(base), url=url)


def plan_file(folder: Path, rungs: Sequence[Mapping[str, Any]], **words: Any) -> Path:
    """A plan in a file: FAST, with these rungs and words."""
    path = folder / "plan.yaml"
    with path.open("w") as file:
        YAML().dump({**FAST, "rungs": [dict(rung) for rung in rungs], **{k.replace("_", "-"): v for k, v in words.items()}}, file)
    return path


def start(gateway: Serving, ready: Ready, plan: Path, *, upstream: str | None = None, route: str = "m") -> Started:
    """Start a release on a serving gateway."""
    wish = Start(route=route, dossier=ready.dossier, plan=plan, upstream=upstream)
    return start_release(gateway.context, wish, who="test")
