"""A pilot: scenario, data, candidates, gates and limits, as one declaration."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pilotbase.domain.gate import Gate, PackUse
from pilotbase.domain.price import Price
from pilotbase.domain.problem import CONFIG, Problem
from pilotbase.domain.quantity import Money, parse_duration, parse_money
from pilotbase.domain.scenario import Scenario, Titles, default_confidence

__all__ = ["Candidate", "Data", "Label", "Limits", "Message", "Pilot", "TargetSpec", "TestData"]

Label = str | int | float | bool
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestData:
    """One file of cases: CSV, JSON Lines or Parquet.

    `inputs` is all that a candidate receives. `id` names the column of unique case ids (default: the row number from 1);
    `media` those inputs that are paths to files beside the data; `custody: held-out` keeps rows from everyone but the custodian.
    `incident` names the column of the incident that a case came from, empty for ordinary cases: such a case was chosen because it
    failed, so it enters no rate, and counts for `regressions` alone.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG
    __later__: ClassVar[tuple[str, ...]] = ("incident",)
    __test__: ClassVar[bool] = False

    path: str
    inputs: tuple[str, ...]
    id: str | None = None
    target: str | None = None
    positive: Label | None = None
    groups: tuple[str, ...] = ()
    cluster: str | None = None
    media: tuple[str, ...] = ()
    encoding: str | None = None
    custody: Literal["open", "held-out"] = "open"
    incident: str | None = None

    @property
    def hidden(self) -> tuple[str, ...]:
        """Columns that never reach a candidate (VERDICT.md section 7)."""
        return tuple(c for c in (self.id, self.target, *self.groups, self.cluster, self.incident) if c)

    def problems(self) -> Iterator[Problem]:
        if not self.inputs:
            yield Problem(("inputs",), "no inputs are named", "list the columns that a candidate receives")
        seen: set[str] = set()
        for i, name in enumerate(self.inputs):
            if name in seen:
                yield Problem(("inputs", i), f"`{name}` is listed twice")
            seen.add(name)
            if name == self.target:
                yield Problem(
                    ("inputs", i),
                    f"`{name}` is the target: a candidate that receives it knows the answer",
                    "take it out of inputs",
                )
            elif name in self.hidden:
                roles = {self.id: "id", self.cluster: "cluster", self.incident: "incident"}
                role = roles.get(name, "group")
                yield Problem(("inputs", i), f"`{name}` is the {role}, which never reaches a candidate", "take it out of inputs")
        for i, name in enumerate(self.media):
            if name not in self.inputs:
                yield Problem(("media", i), f"`{name}` is not among the inputs", "media columns are inputs too")
        if self.positive is not None and self.target is None:
            yield Problem(("positive",), "`positive` needs a `target` column")
        for word, column in (("id", self.id), ("target", self.target), ("cluster", self.cluster)):
            if self.incident is not None and self.incident == column:
                hint = "give incidents a column of their own, empty for ordinary cases"
                yield Problem(("incident",), f"`{self.incident}` is the {word} too", hint)
        if self.incident is not None and self.incident in self.groups:
            told = f"`{self.incident}` is a group too, and cases from incidents enter no group"
            yield Problem(("incident",), told, "take it out of groups")


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The data of a pilot: today one test set."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    test: TestData

    def problems(self) -> Iterator[Problem]:
        yield from (p.under("test") for p in self.test.problems())


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """How a candidate is reached: the kind, and that kind's own options (a dataclass that the kind declares)."""

    kind: str
    options: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat message of a prompt; `{column}` stands for an input."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    role: Literal["system", "user", "assistant", "developer"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One application under trial. `role: reference` is asked and scored for comparison, and never judged."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    id: str
    target: TargetSpec
    prompt: str | None = None
    messages: tuple[Message, ...] = ()
    price: Price | None = None
    role: Literal["candidate", "reference"] = "candidate"
    title: str | None = None

    def problems(self) -> Iterator[Problem]:
        if not _NAME.fullmatch(self.id):
            yield Problem(("id",), f"`{self.id}` cannot be an id", "use letters, digits, `.`, `_` and `-`, at most 64")
        if self.prompt is not None and self.messages:
            yield Problem(("messages",), "`prompt` and `messages` are both given", "keep one")
        if self.price is not None:
            yield from (p.under("price") for p in self.price.problems())


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When to stop asking. What was not asked stays accounted for."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    calls: int | None = None
    spend: str | None = None
    time: str | None = None

    @property
    def seconds(self) -> float | None:
        return parse_duration(self.time) if self.time else None

    @property
    def money(self) -> Money | None:
        return parse_money(self.spend) if self.spend else None

    def problems(self) -> Iterator[Problem]:
        if self.calls is not None and self.calls < 1:
            yield Problem(("calls",), f"{self.calls} calls try nothing", "use at least 1")
        for word, text, parse in (("spend", self.spend, parse_money), ("time", self.time, parse_duration)):
            if text is not None:
                try:
                    parse(text)
                except ValueError as error:
                    yield Problem((word,), str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """The declared trial."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    pilot: str
    scenario: Scenario
    data: Data
    candidates: tuple[Candidate, ...]
    gates: tuple[Gate | PackUse, ...]
    title: str | Titles | None = None
    seed: int = 0
    confidence: float | None = None
    family: bool | None = None
    limits: Limits = Limits()

    @property
    def level(self) -> float:
        """The confidence in force before a family divides alpha."""
        return self.confidence if self.confidence is not None else default_confidence(self.scenario.risk)

    @property
    def corrected(self) -> bool:
        """Whether alpha is divided over candidates and rounds (VERDICT.md section 3)."""
        return bool(self.family) or self.scenario.risk == "high"

    @property
    def open_gates(self) -> tuple[Gate, ...]:
        """The gates, once packs have been put in."""
        return tuple(g for g in self.gates if isinstance(g, Gate))

    def name(self, language: str = "en") -> str:
        """The title in a language, or the pilot's id."""
        if isinstance(self.title, Titles):
            return self.title.text(language) or self.pilot
        return self.title or self.pilot

    def problems(self) -> Iterator[Problem]:
        """Every rule of the declaration that needs no file and no metric's row."""
        if not _NAME.fullmatch(self.pilot):
            yield Problem(("pilot",), f"`{self.pilot}` cannot be an id", "use letters, digits, `.`, `_` and `-`, at most 64")
        yield from (p.under("scenario") for p in self.scenario.problems())
        yield from (p.under("data") for p in self.data.problems())
        yield from (p.under("limits") for p in self.limits.problems())
        yield from self._candidate_problems()
        yield from self._gate_problems()
        yield from self._confidence_problems()

    def _confidence_problems(self) -> Iterator[Problem]:
        least = default_confidence(self.scenario.risk)
        high = self.scenario.risk == "high"
        if self.confidence is not None:
            if not 0.5 <= self.confidence < 1:
                yield Problem(("confidence",), f"{self.confidence} is out of range", "use at least 0.5 and less than 1")
            elif high and self.confidence < least:
                yield Problem(
                    ("confidence",), f"{self.confidence} is below {least}, the least at risk: high", "raise it or leave it out"
                )
        if high and self.family is False:
            yield Problem(("family",), "at risk: high alpha is always divided over candidates and rounds", "leave `family` out")
        for g, gate in enumerate(self.open_gates):
            if high and not gate.mandatory:
                yield Problem(("gates", g, "mandatory"), "at risk: high no gate may be optional")
            for c, check in enumerate(gate.checks):
                if high and check.confidence is not None and check.confidence < least:
                    yield Problem(
                        ("gates", g, "checks", c, "confidence"), f"{check.confidence} is below {least}, the least at risk: high"
                    )

    def _candidate_problems(self) -> Iterator[Problem]:
        if not any(c.role == "candidate" for c in self.candidates):
            yield Problem(("candidates",), "no candidate is to be judged", "add one whose role is not `reference`")
        seen: set[str] = set()
        for i, candidate in enumerate(self.candidates):
            yield from (p.under("candidates", i) for p in candidate.problems())
            if candidate.id in seen:
                yield Problem(("candidates", i, "id"), f"`{candidate.id}` is used twice")
            elif candidate.id.casefold() in {name.casefold() for name in seen}:
                told = f"`{candidate.id}` differs from another id by its capitals only"
                yield Problem(("candidates", i, "id"), told, "use another: ids name files of the dossier, on any system")
            seen.add(candidate.id)

    def _gate_problems(self) -> Iterator[Problem]:
        if not self.gates:
            yield Problem(("gates",), "no gate: nothing would be decided")
        ids = {c.id for c in self.candidates}
        known = set(self.data.test.groups)
        taken: set[str] = set()
        for g, gate in enumerate(self.gates):
            yield from (p.under("gates", g) for p in gate.problems())
            if not isinstance(gate, Gate):
                continue
            if gate.gate in taken:
                yield Problem(("gates", g, "gate"), f"`{gate.gate}` is used twice")
            taken.add(gate.gate)
            for c, check in enumerate(gate.checks):
                at = ("gates", g, "checks", c)
                if check.compare_to is not None and check.compare_to not in ids:
                    yield Problem(
                        (*at, "compare-to"), f"`{check.compare_to}` is no candidate here", f"one of: {', '.join(sorted(ids))}"
                    )
                if check.group is not None and check.group not in known:
                    word = check.view[0] if check.view else "gap-by"
                    hint = f"one of: {', '.join(sorted(known))}" if known else "name the column under data.test.groups"
                    yield Problem((*at, word), f"`{check.group}` is not declared as a group", hint)
