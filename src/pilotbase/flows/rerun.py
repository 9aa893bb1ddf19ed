"""`pilotbase rerun DOSSIER`: the same pilot on the same data by another tester, then compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from pilotbase.checks.rules import metric_problems
from pilotbase.context import Context
from pilotbase.domain.canonical import digest
from pilotbase.domain.pilot import Pilot, TargetSpec
from pilotbase.domain.verdict import RunResult
from pilotbase.dossier.files import open_files
from pilotbase.errors import UserError
from pilotbase.flows.comparable import read_comparable
from pilotbase.flows.compare import Comparison, compare_runs
from pilotbase.flows.enclose import labels_name
from pilotbase.flows.labels import label_files
from pilotbase.flows.options import RunOptions
from pilotbase.flows.prepare import Elsewhere
from pilotbase.flows.run import run_pilot
from pilotbase.flows.verify import verify_dossier
from pilotbase.pilots.progress import Progress
from pilotbase.spec.load import Loaded, load_text

__all__ = ["Rerun", "rerun_dossier"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What a second tester brings: the data, where candidates are, and whom to trust.

    A candidate is brought as `FOLDER/module:callable`, a URL or a file of answers.
    """

    data: Path | None = None
    candidates: Mapping[str, str] = field(default_factory=dict)
    signer: str | None = None
    trust_file: Path | None = None


def rerun_dossier(context: Context, path: Path, brought: Rerun, progress: Progress) -> tuple[RunResult, Comparison]:
    """Run a dossier's pilot again and compare. UserError where the dossier is changed, or the data is not the data that it names.

    Code that a dossier encloses runs only where its signer is trusted: code from a stranger could do anything here.
    """
    found = verify_dossier(context, path, signer=brought.signer, trust_file=brought.trust_file)
    if found.record is None or found.status in ("changed", "unreadable"):
        raise UserError(
            "this dossier does not verify, so there is nothing to agree with",
            where=str(path),
            hint=f"see: pilotbase verify {path}",
            code=found.exit_code,
        )
    record = found.record
    work = context.home / "reruns" / digest(record)[7:23]  # kept: the run's own dossier needs the data again
    _unpack(path, work)
    loaded = _loaded(record, work)
    elsewhere = _elsewhere(record, loaded.pilot, work, brought)
    if found.status == "unknown-signer":
        _refuse_strange_code(found.signer, loaded.pilot, brought)
        progress.note(f"the dossier is intact, but its signer is unknown here: {found.signer}")
    told = record["run"]["options"]
    options = RunOptions(fresh=True, early_stop=told["early_stop"], only=tuple(told["only"]), limit=told["limit"])
    result = run_pilot(context, loaded, options, progress, elsewhere)
    comparison = compare_runs(read_comparable(context, str(path)), read_comparable(context, result.run), loaded.pilot.level)
    return result, comparison


def _refuse_strange_code(signer: str | None, pilot: Pilot, brought: Rerun) -> None:
    strange = [c.id for c in pilot.candidates if c.target.kind == "python" and c.id not in brought.candidates]
    if strange:
        raise UserError(
            f"the dossier encloses code ({', '.join(strange)}), and its signer is unknown here: {signer}",
            hint="get the signer's fingerprint by another way and give it as --signer, or bring the candidate yourself: "
            "--candidate ID=TARGET",
        )


def _unpack(path: Path, work: Path) -> None:
    """Enclosed data and candidates, if any."""
    work.mkdir(parents=True, exist_ok=True)
    with open_files(path) as files:
        for name in files.sizes:
            if name.startswith(("data/", "candidate/")):
                target = work / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    for portion in files.portions(name):
                        file.write(portion)


def _loaded(record: Mapping[str, Any], work: Path) -> Loaded:
    """The dossier's pilot, with its packs already put in, named as they were."""
    text = orjson.dumps(record["pilot"])
    loaded = load_text(text, work / "pilot.yaml", metric_problems=metric_problems)
    return replace(loaded, packs=dict(record["packs"]))


def _elsewhere(record: Mapping[str, Any], pilot: Pilot, work: Path, brought: Rerun) -> Elsewhere:
    data = brought.data
    if data is None:
        data = work / "data" / record["data"]["name"]
        if not data.exists():
            raise UserError(
                "the dossier does not enclose its data", hint=f"bring it: --data PATH (digest {record['data']['digest'][7:19]}…)"
            )
    folders: dict[str, Path] = {}
    targets: dict[str, TargetSpec] = {}
    ids = {c.id for c in pilot.candidates}
    for name in brought.candidates:
        if name not in ids:
            raise UserError(f"--candidate {name}: the dossier has no such candidate", hint=f"one of: {', '.join(sorted(ids))}")
    for candidate in pilot.candidates:
        enclosed = work / "candidate" / candidate.id
        if candidate.id in brought.candidates:
            folders[candidate.id], targets[candidate.id] = _brought(candidate.target, brought.candidates[candidate.id])
        elif enclosed.exists():
            folders[candidate.id] = enclosed
            if candidate.target.kind == "recorded":  # enclosed under its plain name, wherever it lay
                options = candidate.target.options
                targets[candidate.id] = TargetSpec(kind="recorded", options=replace(options, path=Path(options.path).name))
        elif candidate.target.kind in ("python", "recorded"):
            raise UserError(
                f"the dossier does not enclose candidate `{candidate.id}`", hint=f"bring it: --candidate {candidate.id}=TARGET"
            )
    wanted, labels = record["data"]["digest"], _labels(pilot, work, data)
    return Elsewhere(data=data, digest=wanted, folders=folders, targets=targets, labels=labels)


def _labels(pilot: Pilot, work: Path, data: Path) -> dict[str, Path]:
    """The labels files that judges are measured by: enclosed, or beside the data that was brought."""
    found: dict[str, Path] = {}
    for i, path in enumerate(label_files(pilot)):
        places = [work / labels_name(i, path), data.parent / path, data.parent / Path(path).name]
        place = next((p for p in places if p.is_file()), None)
        if place is None:
            raise UserError(f"the dossier does not enclose the labels file {path}", hint=f"put it beside the data: {places[-1]}")
        found[path] = place
    return found


def _brought(target: TargetSpec, text: str) -> tuple[Path, TargetSpec]:
    """The folder and the target that a second tester names."""
    if target.kind == "openai":
        return Path(), TargetSpec(kind=target.kind, options=replace(target.options, url=text, url_env=None))
    word = {"python": "call", "recorded": "path"}.get(target.kind)
    if word is None:
        raise UserError(f"a candidate of kind {target.kind} cannot be brought on the command line")
    path = Path(text)
    return path.parent.absolute(), TargetSpec(kind=target.kind, options=replace(target.options, **{word: path.name}))
