"""pilot.yaml to a Pilot: everything that is wrong with the file at once, each with its place, and nothing called."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pilotbase import plugins
from pilotbase.domain.canonical import digest_bytes
from pilotbase.domain.gate import Check, Gate, PackUse
from pilotbase.domain.pilot import Candidate, Limits, Pilot, TargetSpec
from pilotbase.domain.problem import Path as At
from pilotbase.domain.problem import Problem, kebab
from pilotbase.errors import UserError
from pilotbase.spec.kinds import found, words
from pilotbase.spec.packs import Found, read_pack, where
from pilotbase.spec.parts import Finding, Parsed, closest, parse
from pilotbase.spec.place import Fault, refuse
from pilotbase.spec.target import Kinds, installed, read_target
from pilotbase.spec.yaml import MOST_BYTES, Document, read

__all__ = ["Loaded", "load", "load_text", "plain"]

MOST_PROBLEMS = 1000  # a hostile file could have as many rules broken as values, each told with a long list
MetricProblems = Callable[[Pilot], Iterable[Problem]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pilot that was read without a problem.

    `digest` covers the file's bytes, `packs` gives `NAME@VERSION` -> digest, and `document` is the whole declaration in JSON's
    types: defaults and targets' options written out, packs put in; loading it gives the same pilot.
    """

    pilot: Pilot
    path: Path
    folder: Path
    digest: str
    packs: Mapping[str, str]
    document: dict[str, Any]


def _no_problems(pilot: Pilot) -> Iterator[Problem]:
    yield from ()


def load(
    path: Path,
    *,
    kinds: Kinds = installed,
    known: Sequence[str] | None = None,
    metric_problems: MetricProblems = _no_problems,
) -> Loaded:
    """Read and check a pilot's file. Raises InvalidInput with every problem, UserError where the file cannot be read.

    `kinds` and `known` are the ways to reach a candidate (default: those installed); `metric_problems` checks metrics against
    their table, and is given a pilot whose own parts are sound.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder", hint=f"name the file, as in {path / 'pilot.yaml'}")
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", hint="`pilotbase init DIR` writes one to start from") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    return load_text(raw, path, kinds=kinds, known=known, metric_problems=metric_problems)


def load_text(
    text: str | bytes,
    path: Path,
    *,
    kinds: Kinds = installed,
    known: Sequence[str] | None = None,
    metric_problems: MetricProblems = _no_problems,
) -> Loaded:
    """The same for text at hand, with `path` as its name; packs are looked for beside it."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    document = read(raw, str(path))
    if document.whole and not isinstance(document.data, dict):
        top = Problem((), f"found {found(document.data)}", f"allowed: a mapping with {', '.join(words(Pilot))}")
        raise refuse([*document.faults, document.fault(top)])
    if not document.whole:
        raise refuse(document.faults)
    known = plugins.names("targets") if known is None else known
    loading = _Loading(document, path.parent, kinds, known, metric_problems)
    pilot = loading.pilot()
    if pilot is None or loading.faults:
        raise refuse(loading.faults, document.file)
    return Loaded(pilot, path, path.parent, digest_bytes(raw), dict(loading.packs), plain(pilot))


class _Loading:
    """The faults of one file and its packs, as they are found. `mended` are paths that no longer say what the file says."""

    def __init__(
        self, document: Document, folder: Path, kinds: Kinds, known: Sequence[str], metric_problems: MetricProblems
    ) -> None:
        self.document = document
        self.folder = folder
        self.kinds = kinds
        self.known = known
        self.metric_problems = metric_problems
        self.faults: list[Fault] = list(document.faults)
        self.mended: set[At] = set(document.lost)
        self.packs: dict[str, str] = {}
        self.used: set[str] = set()
        self.unsure: frozenset[str] = frozenset()
        self.origins: list[tuple[Document, At]] = []

    def pilot(self) -> Pilot | None:
        """The pilot as far as it parsed; None where nothing did. Sound only where `faults` stays empty."""
        data = dict(self.document.data)
        targets = self._targets(data)
        parsed: Parsed[Pilot] = parse(Pilot, data, self.document.raw.get)
        self._note(parsed.findings)
        self.mended |= parsed.mended
        self.unsure = _unsure(self.mended)
        pilot = parsed.value
        if pilot is None:
            return None
        candidates = tuple(dataclasses.replace(c, target=targets.get(i, c.target)) for i, c in enumerate(pilot.candidates))
        pilot = dataclasses.replace(pilot, candidates=candidates, gates=self._gates(pilot))
        problems = [p for p in islice(pilot.problems(), MOST_PROBLEMS) if self._stands(p)]
        self.faults += [self._place(p) for p in problems]
        self.faults += [self._place(p) for p in self._about_metrics(pilot, problems)]
        return pilot

    def _note(self, findings: Iterable[Finding]) -> None:
        for f in findings:
            if f.problem.path not in self.document.lost:
                self.faults.append(self.document.fault(f.problem, key=f.key))

    def _targets(self, data: dict[str, Any]) -> dict[int, TargetSpec]:
        """Read each target by its kind and put a stand-in into `data`, which the candidate's own words are checked with."""
        if not isinstance(data.get("candidates"), list):
            return {}
        read_ones: dict[int, TargetSpec] = {}
        candidates: list[Any] = []
        for i, candidate in enumerate(data["candidates"]):
            candidates.append(candidate)
            if not isinstance(candidate, dict):
                continue
            at: At = ("candidates", i, "target")
            candidates[i] = {**candidate, "target": {"kind": "", "options": None}}
            spec, findings = self._target(candidate, at)
            self._note(Finding(f.problem.under(*at), f.key) for f in findings)
            if spec is not None:
                read_ones[i] = spec
            else:
                self.mended.add(at)
        data["candidates"] = candidates
        return read_ones

    def _target(self, candidate: dict[str, Any], at: At) -> tuple[TargetSpec | None, list[Finding]]:
        if "target" in candidate:
            return read_target(candidate["target"], self.kinds, self.known, lambda path: self.document.raw.get((*at, *path)))
        known = words(Candidate)
        if any(closest(word, known) == "target" for word in candidate if word not in known):
            return None, []  # the misspelt word beside it is the same mistake
        return None, [Finding(Problem((), "`target` is missing", f"allowed: one of {', '.join(self.known)}"))]

    def _gates(self, pilot: Pilot) -> tuple[Gate | PackUse, ...]:
        """The gates with packs put in; `origins` remembers the file and place of each."""
        gates: list[Gate | PackUse] = []
        for g, gate in enumerate(pilot.gates):
            at: At = ("gates", g)
            if isinstance(gate, Gate):
                gates.append(gate)
                self.origins.append((self.document, at))
                continue
            problems = list(gate.problems())
            pack = self._pack(gate.use) if not problems and not self._touched((*at, "use")) else None
            if isinstance(pack, Problem):
                problems.append(pack)
            self.faults += [self.document.fault(p.under(*at)) for p in problems if not self._touched((*at, *p.path))]
            if isinstance(pack, Found) and pack.pack is not None:
                self.packs[gate.use] = pack.digest
                gates += pack.pack.gates
                self.origins += [(pack.document, ("gates", i)) for i in range(len(pack.pack.gates))]
        return tuple(gates)

    def _pack(self, use: str) -> Found | Problem:
        if use in self.used:
            return Problem(("use",), f"`{use}` is used twice", "keep one")
        self.used.add(use)
        path = where(use, self.folder)
        if isinstance(path, Problem):
            return path
        try:
            pack = read_pack(path)
        except UserError as error:
            return Problem(("use",), f"{error.where}: {error.message}", error.hint)
        self.faults += pack.faults
        return pack

    def _touched(self, path: At) -> bool:
        return any(path[:n] in self.mended for n in range(1, len(path) + 1))

    def _stands(self, problem: Problem) -> bool:
        """Whether a problem is about what the file says, and not about what stands in for something that did not parse."""
        path = problem.path
        if path == ("gates",) and self.document.data.get("gates"):
            return False  # "no gate", where the file has some that could not be put in
        if path[:1] == ("gates",) and len(path) > 1 and isinstance(path[1], int):
            document, origin = self.origins[path[1]]
            path = (*origin, *path[2:])
            if document is not self.document:
                path = ()
        if self._touched(path) or (len(problem.path) == 1 and problem.path in self.mended):
            return False
        last = problem.path[-1] if problem.path else ""
        bears = "risk" if "risk" in problem.message else _BEARS.get(str(last))
        return bears not in self.unsure

    def _place(self, problem: Problem) -> Fault:
        path = problem.path
        if path[:1] == ("gates",) and len(path) > 1 and isinstance(path[1], int):
            document, origin = self.origins[path[1]]
            return document.fault(dataclasses.replace(problem, path=(*origin, *path[2:])))
        return self.document.fault(problem)

    def _about_metrics(self, pilot: Pilot, problems: Sequence[Problem]) -> Iterator[Problem]:
        """The metric table's problems with the checks that are otherwise sound; none while scenario or data are not."""
        bad = {*self.mended, *(p.path for p in problems)}
        if any(path[0] in ("scenario", "data") for path in bad if path):
            return
        sound, places = self._sound(pilot, problems)
        for problem in self.metric_problems(sound):
            path = problem.path
            if path[:1] == ("data",) and self.faults:
                continue  # it rests on which checks there are, and some could not be put in
            if path[:1] == ("gates",) and len(path) > 3 and path[2] == "checks":
                path = ("gates", path[1], "checks", places[path[1], path[3]], *path[4:])
            if not self._touched(path[:3] if path[:1] == ("candidates",) else path[:1]):
                yield dataclasses.replace(problem, path=path)

    def _sound(self, pilot: Pilot, problems: Sequence[Problem]) -> tuple[Pilot, dict[tuple[Any, Any], int]]:
        """The pilot without the parts that have problems, and (gate, check there) -> the check's own number."""
        told = {p.path[:4] for p in problems}
        within = {path[:4] for path in self.mended}
        places: dict[tuple[Any, Any], int] = {}
        gates: list[Gate] = []
        for g, gate in enumerate(pilot.open_gates):
            document, origin = self.origins[g]
            kept: list[Check] = []
            for c, check in enumerate(gate.checks):
                own: At = (*origin, "checks", c)
                hurt = document is self.document and (own in within or self._touched(own))
                if not hurt and ("gates", g, "checks", c) not in told:
                    places[g, len(kept)] = c
                    kept.append(check)
            gates.append(dataclasses.replace(gate, checks=tuple(kept)))
        dear = {t[1] for t in told if t[:1] == ("candidates",) and len(t) > 2 and t[2] == "price"}
        candidates = tuple(dataclasses.replace(c, price=None) if i in dear else c for i, c in enumerate(pilot.candidates))
        limits = Limits() if any(t[:1] == ("limits",) for t in told) else pilot.limits
        return dataclasses.replace(pilot, gates=tuple(gates), candidates=candidates, limits=limits), places


# The last word of a problem whose rule spans parts, and what the rule rests on.
_BEARS = {
    "gap-by": "groups",
    "ratio-by": "groups",
    "worst-of": "groups",
    "positive": "target",
    "compare-to": "ids",
    "candidates": "roles",
}
_RESTS = {"groups": ("data", "test", "groups"), "target": ("data", "test", "target"), "risk": ("scenario", "risk")}


def _unsure(mended: Iterable[At]) -> frozenset[str]:
    """What cannot be relied on in rules that span parts, since it did not parse."""
    unsure: set[str] = set()
    for path in mended:
        unsure |= {name for name, rests in _RESTS.items() if rests[: len(path)] == path or path[: len(rests)] == rests}
        if path[0] == "candidates":
            unsure |= {"ids", "roles"} if len(path) < 3 else {"ids", "roles"} & {f"{path[2]}s"}
    return frozenset(unsure)


def plain(value: Any) -> Any:
    """A declaration as JSON's types, in the words of the file; a target is `{KIND: {OPTIONS}}`.

    Words that came after the first version of the language (`__later__`) are left out where they are not used, so that a pilot
    that never heard of them keeps its digest.
    """
    if isinstance(value, TargetSpec):
        return {value.kind: plain(value.options)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        later = getattr(value, "__later__", ())
        found = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        return {kebab(name): plain(part) for name, part in found.items() if part is not None or name not in later}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
