"""A release: how a route goes from one arm to another over rungs, within declared limits, and by whose word."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar, Literal

from pilotbase.domain.alert import Channel
from pilotbase.domain.gate import Check
from pilotbase.domain.problem import CONFIG, Problem
from pilotbase.domain.quantity import Money, parse_duration, parse_money, parse_share

__all__ = [
    "MOVES",
    "STEPS",
    "TERMINAL",
    "Budget",
    "Diligence",
    "Drift",
    "Evidence",
    "Exposure",
    "Monitor",
    "Move",
    "Plan",
    "Rung",
    "Shadowing",
    "State",
    "order_problems",
]

State = Literal["climbing", "paused", "held", "full", "rolled-back", "ended"]
"""climbing: on a rung, moved by evidence. paused: on its rung, moved back only. held: a limit is reached, nobody is exposed.
full: the candidate answers everyone, the stable arm stands by. rolled-back, ended: over."""
TERMINAL: frozenset[State] = frozenset(("rolled-back", "ended"))

Move = Literal["climb", "pause", "hold", "resume", "back", "end"]
MOVES: Mapping[tuple[State, Move], State] = {
    ("climbing", "climb"): "climbing",  # `full` from the last rung
    ("climbing", "pause"): "paused",
    ("climbing", "hold"): "held",
    ("climbing", "back"): "rolled-back",
    ("paused", "resume"): "climbing",
    ("paused", "hold"): "held",
    ("paused", "back"): "rolled-back",
    ("held", "resume"): "climbing",  # `full` on the last rung
    ("held", "back"): "rolled-back",
    ("full", "back"): "rolled-back",
    ("full", "hold"): "held",
    ("full", "end"): "ended",
}
"""Every transition there is. A move that leads to where a release already is changes nothing (`rolled-back` by `back`)."""

LONGEST_NOTICE = 300  # percent-encoded it goes out in a header, and clients take a line of 8 KiB
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_USER = re.compile(r"[^\s/]{1,128}(?:/[^\s]{1,128})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step: whom the candidate answers, and what must be known before the next one.

    `share` is the part of requests that are copied (shadow) or of callers who are answered (canary). `requests` and `time` are
    the least evidence and the least time under watch, `feedback` the least number of users' words. `climb: not-failed` goes on
    without a PASS where no check has FAILED.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    rung: Literal["shadow", "bounded", "canary", "full"]
    share: str = "100 %"
    users: tuple[str, ...] = ()
    notice: str = ""
    requests: int = 100
    time: str = "1h"
    feedback: int = 0
    climb: Literal["pass", "not-failed"] = "pass"

    @property
    def part(self) -> float:
        return parse_share(self.share)

    @property
    def seconds(self) -> float:
        return parse_duration(self.time)

    def __str__(self) -> str:
        return f"{self.rung} {self.share}" if self.rung in ("canary", "shadow") else self.rung

    def problems(self) -> Iterator[Problem]:
        for word, text, parse in (("share", self.share, parse_share), ("time", self.time, parse_duration)):
            try:
                parse(text)
            except ValueError as error:
                yield Problem((word,), str(error))
        if self.rung == "bounded" and not self.users:
            yield Problem(("users",), "bounded use is by named users", "name access keys, or KEY/USER")
        if self.rung != "bounded" and self.users:
            yield Problem(("users",), f"a rung `{self.rung}` names nobody", "name users on a rung `bounded`")
        if self.rung in ("shadow", "full") and self.notice:
            yield Problem(("notice",), f"a rung `{self.rung}` asks nobody by name", "write the notice on a rung `bounded`")
        for i, user in enumerate(self.users):
            if not _USER.fullmatch(user):
                yield Problem(("users", i), f"`{user[:60]}` names no user", "write an access key's name or id, or KEY/USER")
        if self.rung in ("bounded", "full") and self.share != "100 %":
            yield Problem(("share",), f"a rung `{self.rung}` has no share", "leave it out")
        if not 0 <= self.requests <= 10**9:
            yield Problem(("requests",), f"{self.requests} is out of range", "use 0 to 1000000000")
        if not 0 <= self.feedback <= 10**6:
            yield Problem(("feedback",), f"{self.feedback} is out of range", "use 0 to 1000000")
        if len(self.notice) > LONGEST_NOTICE or not self.notice.isprintable():
            yield Problem(("notice",), f"a notice is at most {LONGEST_NOTICE} printable characters on one line", "shorten it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The most that may be risked: people and requests that the candidate answers, what it costs, and time. None: no limit."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    people: int | None = None
    requests: int | None = None
    spend: str | None = None
    time: str | None = None

    @property
    def money(self) -> Money | None:
        return parse_money(self.spend) if self.spend is not None else None

    @property
    def seconds(self) -> float | None:
        return parse_duration(self.time) if self.time is not None else None

    def problems(self) -> Iterator[Problem]:
        for word in ("people", "requests"):
            value = getattr(self, word)
            if value is not None and value < 1:
                yield Problem((word,), f"a limit of {value} exposes nobody", "use at least 1, or leave it out")
        if self.spend is not None:
            yield from _spend_problems(self.spend, "leave it out for no limit")
        if self.time is not None:
            try:
                parse_duration(self.time)
            except ValueError as error:
                yield Problem(("time",), str(error))


def _spend_problems(text: str, hint: str) -> Iterator[Problem]:
    try:
        money = parse_money(text)
    except ValueError as error:
        yield Problem(("spend",), str(error))
        return
    if not money.nanos:
        yield Problem(("spend",), f"a limit of {text} is reached before anything is asked", f"use more than 0, or {hint}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diligence:
    """One thing that was seen to before anyone was exposed, by whom, and on which day (YYYY-MM-DD)."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    item: str
    by: str
    on: str = ""
    reference: str = ""

    def problems(self) -> Iterator[Problem]:
        for word in ("item", "by"):
            if not getattr(self, word).strip():
                yield Problem((word,), "it is empty", "say what was seen to, and who did")
        for word in ("item", "by", "reference"):
            if len(getattr(self, word)) > 500 or not getattr(self, word).isprintable():
                yield Problem((word,), "it is longer than 500 printable characters on one line", "refer to a longer text")
        if self.on and not _is_day(self.on):
            yield Problem(("on",), f"`{self.on[:60]}` is no day", "write it as in `2026-11-05`")


def _is_day(text: str) -> bool:
    try:
        return _DAY.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """How live evidence is read: results of one `block` of time are one unit, a request still open after `late` has failed, and
    evidence that stops for longer than `within` is a reason to go back. Sampled bodies are kept for `keep`.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    block: str = "5s"
    late: str = "60s"
    within: str = "2m"
    keep: str = "7d"

    def problems(self) -> Iterator[Problem]:
        seconds: dict[str, float] = {}
        for word in ("block", "late", "within", "keep"):
            try:
                seconds[word] = parse_duration(getattr(self, word))
            except ValueError as error:
                yield Problem((word,), str(error))
        if "block" in seconds and seconds.get("within", math.inf) <= seconds["block"]:
            told = f"evidence comes once in a block of {self.block}, and would be missed after {self.within}"
            yield Problem(("within",), told, "let `within` be longer than `block`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The error budget: the share of requests that may fail over a period. How fast it burns is told from `least` results on."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    failures: str = "2 %"
    over: str = "30d"
    least: int = 30

    def problems(self) -> Iterator[Problem]:
        try:
            parse_share(self.failures)
        except ValueError as error:
            yield Problem(("failures",), str(error))
        try:
            parse_duration(self.over)
        except ValueError as error:
            yield Problem(("over",), str(error))
        if not 5 <= self.least <= 100_000:
            yield Problem(("least",), f"{self.least} is out of range", "use 5 to 100000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """The detector of a change for the worse: at least `run_length` units on average between two false alarms of one check.

    With `shift`, the level of failures that must be found soonest, a CUSUM stands in for the e-detector.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    run_length: int = 20_000
    shift: str | None = None

    def problems(self) -> Iterator[Problem]:
        if not 100 <= self.run_length <= 10**9:
            yield Problem(("run-length",), f"{self.run_length} is out of range", "use 100 to 1000000000")
        if self.shift is not None:
            try:
                parse_share(self.shift)
            except ValueError as error:
                yield Problem(("shift",), str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Inputs and outputs are compared with the pilot's own after every `every` samples; drift alerts, or also goes back."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    every: int = 500
    confidence: float = 0.99
    action: Literal["alert", "rollback"] = "alert"

    def problems(self) -> Iterator[Problem]:
        if not 50 <= self.every <= 100_000:
            yield Problem(("every",), f"{self.every} is out of range", "use 50 to 100000")
        if not 0.5 <= self.confidence < 1:
            yield Problem(("confidence",), f"{self.confidence} is out of range", "use at least 0.5 and less than 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowing:
    """What copies of requests may cost in all, how many one worker may have under way, and whether those with tools are copied.

    `ask` copies requests that name tools: only where the candidate itself calls none that have effects.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    spend: str = "10 CNY"
    concurrency: int = 4
    tools: Literal["skip", "ask"] = "skip"

    def problems(self) -> Iterator[Problem]:
        yield from _spend_problems(self.spend, "leave the rung `shadow` out")
        if not 1 <= self.concurrency <= 256:
            yield Problem(("concurrency",), f"{self.concurrency} is out of range", "use 1 to 256")


STEPS = (
    Rung(rung="shadow", requests=200, time="1h"),
    Rung(rung="canary", share="1 %", requests=100, time="1h"),
    Rung(rung="canary", share="5 %", requests=200, time="2h"),
    Rung(rung="canary", share="25 %", requests=500, time="6h"),
    Rung(rung="full", requests=1000, time="1d"),
)
"""The rungs of a plan that names none: bounded use is left out, since only a plan can name its users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a release declares before it begins. `bearer` is the person who bears the risk."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    bearer: str
    rungs: tuple[Rung, ...] = STEPS
    exposure: Exposure = Exposure()
    due_diligence: tuple[Diligence, ...] = ()
    checks: tuple[Check, ...] = ()
    evidence: Evidence = Evidence()
    budget: Budget | None = Budget()
    monitor: Monitor = Monitor()
    drift: Drift | None = Drift()
    shadow: Shadowing = Shadowing()
    alerts: tuple[Channel, ...] = field(default_factory=lambda: (Channel(log=True),))

    @property
    def people(self) -> tuple[str, ...]:
        """Everyone named for bounded use."""
        return tuple(dict.fromkeys(user for rung in self.rungs for user in rung.users))

    def problems(self) -> Iterator[Problem]:
        if not self.bearer.strip():
            yield Problem(("bearer",), "nobody is named who bears the risk", "name a person: bearer: NAME")
        elif len(self.bearer) > 200 or not self.bearer.isprintable():
            yield Problem(("bearer",), "the name is longer than 200 printable characters on one line", "name one person")
        for i, rung in enumerate(self.rungs):
            yield from (p.under("rungs", i) for p in rung.problems())
        yield from order_problems(self.rungs)
        parts: tuple[tuple[str, Any], ...] = (
            ("exposure", self.exposure),
            ("evidence", self.evidence),
            ("budget", self.budget),
            ("monitor", self.monitor),
            ("drift", self.drift),
            ("shadow", self.shadow),
        )
        for name, part in parts:
            if part is not None:
                yield from (p.under(name) for p in part.problems())
        lists: tuple[tuple[str, Sequence[Any]], ...] = (
            ("due-diligence", self.due_diligence),
            ("checks", self.checks),
            ("alerts", self.alerts),
        )
        for name, several in lists:
            for i, one in enumerate(several):
                yield from (p.under(name, i) for p in one.problems())
        yield from self._twice()

    def _twice(self) -> Iterator[Problem]:
        """Names that records are kept under and that two parts share; and alerts that reach nobody."""
        ids: set[str] = set()
        for i, check in enumerate(self.checks):
            if check.id is not None and check.id in ids:
                yield Problem(("checks", i, "id"), f"`{check.id[:60]}` is used twice", "give each check its own")
            ids |= {check.id} if check.id is not None else set()
        if not self.alerts:
            yield Problem(("alerts",), "alerts would reach nobody", "write `- log: true`, or leave `alerts` out")
        for i, channel in enumerate(self.alerts):
            if channel in self.alerts[:i]:
                yield Problem(("alerts", i), "this channel is declared twice", "keep one")


def order_problems(rungs: Sequence[Rung]) -> Iterator[Problem]:
    """What is wrong with rungs as a ladder, each sound by itself; paths begin at the plan."""
    order = {"shadow": 0, "bounded": 1, "canary": 2, "full": 3}
    if not rungs:
        yield Problem(("rungs",), "a release without rungs goes nowhere", "leave `rungs` out for the usual ones")
        return
    last, reached = -1, 0.0
    for i, rung in enumerate(rungs):
        if order[rung.rung] < last or (order[rung.rung] == last and rung.rung != "canary"):
            hint = "shadow, bounded, canary, full: in this order, and only canary more than once"
            yield Problem(("rungs", i, "rung"), f"`{rung.rung}` cannot stand here", hint)
        last = max(last, order[rung.rung])
        if rung.rung == "canary" and not any(rung.problems()):
            if rung.part <= reached:
                yield Problem(("rungs", i, "share"), f"{rung.share} is no step up", "let the shares grow")
            reached = max(reached, rung.part)
    if rungs[-1].rung != "full":
        yield Problem(("rungs", len(rungs) - 1, "rung"), "the last rung is not `full`", "end with `- {rung: full}`")
