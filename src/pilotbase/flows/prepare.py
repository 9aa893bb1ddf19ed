"""From a pilot file to everything that a run needs to know before the first call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pilotbase import plugins
from pilotbase.checks.plan import PlannedCheck, plan_checks, plan_family
from pilotbase.checks.rows import CaseColumns
from pilotbase.checks.rules import metric_problems
from pilotbase.context import Context
from pilotbase.data.encoding import digest_file
from pilotbase.data.files import FileCases, open_cases
from pilotbase.domain.canonical import canonical, digest, digest_bytes
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.pilot import Candidate, Pilot, TargetSpec
from pilotbase.domain.variant import Variant
from pilotbase.domain.verdict import Family
from pilotbase.errors import UserError
from pilotbase.judges.labels import Label, read_labels
from pilotbase.ports import Fingerprint, Prompting, TargetContext
from pilotbase.spec.load import Loaded, load

__all__ = [
    "METHODS",
    "Elsewhere",
    "Prepared",
    "case_columns",
    "criteria_document",
    "label_files",
    "load_pilot",
    "plan",
    "prepare",
    "scenario_key",
    "usable_labels",
]

# Named in the criteria: a change to any estimator, bound or look schedule raises it.
METHODS = "pilotbase.methods/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Where a rerun finds what the declaration names: another file of the same data, folders, targets, labels files."""

    data: Path | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)
    targets: Mapping[str, TargetSpec] = field(default_factory=dict)
    labels: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A pilot with its data open and its candidates identified; nothing has been called. `labels`: rows by labels file."""

    loaded: Loaded
    cases: FileCases
    columns: CaseColumns
    targets: dict[str, TargetSpec]
    contexts: dict[str, TargetContext]
    fingerprints: dict[str, Fingerprint]
    labels: dict[str, list[Label]]
    criteria: bytes
    criteria_digest: str
    early_stop: bool

    @property
    def pilot(self) -> Pilot:
        return self.loaded.pilot

    @property
    def positive(self) -> str | None:
        """The positive class, spelled canonically."""
        return canonical_label(self.pilot.data.test.positive)

    def candidate(self, name: str) -> Candidate:
        """A candidate by its id."""
        return next(c for c in self.pilot.candidates if c.id == name)

    def identities(self) -> list[dict[str, Any]]:
        """What each candidate is, for the record."""
        return [
            {
                "id": c.id,
                "role": c.role,
                "title": c.title,
                "kind": self.targets[c.id].kind,
                "fingerprint": self.fingerprints[c.id].digest,
                "self_declared": self.fingerprints[c.id].self_declared,
                "parts": dict(self.fingerprints[c.id].parts),
            }
            for c in self.pilot.candidates
        ]


def load_pilot(path: Path) -> Loaded:
    """Read and check a pilot's file, metrics included."""
    return load(path / "pilot.yaml" if path.is_dir() else path, metric_problems=metric_problems)


def prepare(context: Context, loaded: Loaded, scratch: Path, *, early_stop: bool, elsewhere: Elsewhere | None = None) -> Prepared:
    """Open the data, identify the candidates and digest the criteria. All errors are the input's."""
    elsewhere = elsewhere or Elsewhere()
    pilot = loaded.pilot
    test = replace(pilot.data.test, path=str(elsewhere.data.absolute())) if elsewhere.data else pilot.data.test
    files = {path: elsewhere.labels.get(path, loaded.folder / path) for path in label_files(pilot)}
    labels = {path: usable_labels(file) for path, file in files.items()}
    cases = open_cases(test, loaded.folder.absolute(), pilot.seed, scratch)
    for path, rows in labels.items():
        _check_labels(files[path], rows, cases)
    contexts, fingerprints, targets = {}, {}, {}
    for candidate in pilot.candidates:
        target = targets[candidate.id] = elsewhere.targets.get(candidate.id, candidate.target)
        folder = elsewhere.folders.get(candidate.id, loaded.folder).absolute()
        contexts[candidate.id] = target_context(context, folder, test.media, candidate, scratch)
        fingerprints[candidate.id] = plugins.load("targets", target.kind).fingerprint(target.options, contexts[candidate.id])
    criteria = canonical(criteria_document(loaded, cases, files, early_stop=early_stop))
    return Prepared(
        loaded=loaded,
        cases=cases,
        columns=case_columns(cases, pilot),
        targets=targets,
        contexts=contexts,
        fingerprints=fingerprints,
        labels=labels,
        criteria=criteria,
        criteria_digest=digest_bytes(criteria),
        early_stop=early_stop,
    )


def target_context(context: Context, folder: Path, media: tuple[str, ...], candidate: Candidate, scratch: Path) -> TargetContext:
    """What a candidate's target may know."""
    messages = [(m.role, m.content) for m in candidate.messages] or ([("user", candidate.prompt)] if candidate.prompt else [])
    return TargetContext(
        folder=folder,
        prompting=Prompting(messages=tuple((str(r), str(t)) for r, t in messages)),
        secrets=context.secrets,
        scratch=scratch / candidate.id,
        media=media,
    )


def criteria_document(loaded: Loaded, cases: FileCases, labels: Mapping[str, Path], *, early_stop: bool) -> dict[str, Any]:
    """All that the verdict is a function of, beside the answers (VERDICT.md section 4). `labels`: where each labels file lies."""
    return {
        "schema": "pilotbase.criteria/1",
        "pilot": loaded.document,
        "packs": dict(loaded.packs),
        "methods": METHODS,
        "seed": loaded.pilot.seed,
        "early_stop": early_stop,
        "data": {"digest": cases.digest, "order": cases.order, "count": cases.count},
        "labels": {path: digest_file(file) for path, file in labels.items()},
    }


def label_files(pilot: Pilot) -> list[str]:
    """The labels files that checks name, each once."""
    return sorted(
        {c.judge.labels for g in pilot.open_gates for c in g.checks if c.judge is not None and c.judge.labels is not None}
    )


def usable_labels(path: Path) -> list[Label]:
    """The rows of a labels file that measure something: `unsure` ones do not."""
    return [row for row in read_labels(path) if row.label != "unsure"]


def _check_labels(path: Path, rows: Sequence[Label], cases: FileCases) -> None:
    unanswered = {row.id: row.line for row in rows if row.answer is None}
    missing = unanswered.keys() - set(cases.ids) if unanswered else set()
    if missing:
        name = min(missing, key=lambda n: unanswered[n])
        more = f", and {len(missing) - 1} more rows are like it" * (len(missing) > 1)
        raise UserError(
            f"the label of `{name}` names no answer, and the test data has no such case{more}",
            where=f"{path}:{unanswered[name]}",
            hint="put the answer that was labelled into a column `answer`, or use the ids of the test data",
        )


def case_columns(cases: FileCases, pilot: Pilot) -> CaseColumns:
    """What the checks know of the cases."""
    positive = canonical_label(pilot.data.test.positive)
    truth = cases.truth
    return CaseColumns(
        count=cases.count,
        ids=cases.ids,
        truth=truth,
        numbers=cases.numbers,
        positive=truth.names.index(positive) if truth is not None and positive is not None else -1,
        groups=cases.groups,
        clusters=cases.clusters,
    )


def plan(pilot: Pilot, round_: int, *, early_stop: bool) -> tuple[Family, Sequence[PlannedCheck], Sequence[Variant]]:
    """The family, its checks and the variants that they need, in a round."""
    family = plan_family(pilot, round_)
    planned, variants = plan_checks(pilot, family, early_stop=early_stop)
    return family, planned, variants


def scenario_key(pilot: Pilot) -> str:
    """The scenario as rounds are counted on it: its area, field, owner and need, whatever the pilot is called."""
    s = pilot.scenario
    need = s.need if isinstance(s.need, str) else [s.need.en, s.need.zh]
    return digest({"area": s.area, "field": s.field, "owner": s.owner, "need": need})
