"""From a pilot file to everything that a run needs to know before the first call."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pilotbase import plugins
from pilotbase.checks.rows import CaseColumns
from pilotbase.checks.rules import metric_problems
from pilotbase.context import Context
from pilotbase.data.files import FileCases, open_cases
from pilotbase.domain.canonical import canonical, digest_bytes
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.pilot import Candidate, Pilot, TargetSpec
from pilotbase.errors import UserError
from pilotbase.flows.criteria import case_columns, criteria_document
from pilotbase.flows.labels import check_labels, label_files, usable_labels
from pilotbase.judges.labels import Label
from pilotbase.ports import Fingerprint, Prompting, TargetContext
from pilotbase.spec.load import Loaded, load

__all__ = ["Elsewhere", "Prepared", "load_pilot", "prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Where a rerun finds what the declaration names: another file of the same data, folders, targets, labels files.

    `digest` is the one that the data must have.
    """

    data: Path | None = None
    digest: str | None = None
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
    if elsewhere.digest is not None and cases.digest != elsewhere.digest:
        cases.close()
        raise _other_data(cases, elsewhere.digest)
    for path, rows in labels.items():
        check_labels(files[path], rows, cases)
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


def _other_data(cases: FileCases, wanted: str) -> UserError:
    return UserError(
        f"this is not the data of the dossier: its digest is {cases.digest[7:19]}…, and the dossier names {wanted[7:19]}…",
        where=str(cases.path),
        hint="bring the very file that was tested; a rerun on other data is another trial",
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
        bounds=context.bounds if context.bounded else None,
    )
