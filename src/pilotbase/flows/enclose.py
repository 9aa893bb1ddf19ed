"""What `--with-data` and `--with-candidate` add to a dossier, and who may ask for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotbase.data.files import FileCases
from pilotbase.domain.pilot import Pilot
from pilotbase.errors import UserError
from pilotbase.flows.labels import label_files
from pilotbase.pilots.records import RunRecord

__all__ = ["Wishes", "check_wishes", "enclosed", "labels_name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a dossier encloses beside scores. `custodian`: whoever asks says that held-out rows are theirs to give on."""

    data: bool = False
    candidate: bool = False
    custodian: bool = False


def check_wishes(pilot: Pilot, wishes: Wishes) -> None:
    """UserError where held-out rows would leave without their custodian's word; recorded answers are rows too."""
    if pilot.data.test.custody != "held-out" or wishes.custodian:
        return
    rows = [c.id for c in pilot.candidates if c.target.kind == "recorded"]
    if not wishes.data and not (wishes.candidate and rows):
        return
    what = "held-out data is" if wishes.data else f"the answers recorded on held-out data ({', '.join(rows)}) are"
    hint = "rows stay with the custodian: if that is you, and the dossier goes to nobody else, say so with --custodian"
    raise UserError(f"{what} not enclosed in a dossier", hint=hint)


def enclosed(record: RunRecord, pilot: Pilot, cases: FileCases, wishes: Wishes) -> dict[str, Path | bytes]:
    """Files by their names in the dossier: `data/...` and `candidate/ID/...`."""
    found: dict[str, Path | bytes] = {}
    folder = Path(record.options["folder"])
    if wishes.data:
        found[f"data/{cases.path.name}"] = cases.path
        found |= _media(pilot, cases)
        found |= {labels_name(i, path): folder / path for i, path in enumerate(label_files(pilot))}
    if wishes.candidate:
        for identity in record.options["candidates"]:
            found |= _parts(identity, folder)
        for candidate in pilot.candidates:
            if candidate.target.kind == "recorded":
                path = folder / candidate.target.options["path"]
                found[f"candidate/{candidate.id}/{path.name}"] = path
    return found


def labels_name(index: int, path: str) -> str:
    """The name under which a dossier encloses a labels file: where the pilot has it may lie outside of its folder."""
    return f"data/labels/{index}-{Path(path).name}"


def _media(pilot: Pilot, cases: FileCases) -> Mapping[str, Path]:
    root = cases.path.parent.resolve()
    files: dict[str, Path] = {}
    for path in _media_paths(pilot, cases):
        if root not in path.resolve().parents:
            hint = "put the media beside the data or below it, or leave --with-data out"
            raise UserError("media outside of the data's folder cannot be enclosed", where=str(path), hint=hint)
        files[f"data/{path.resolve().relative_to(root).as_posix()}"] = path
    return files


def _media_paths(pilot: Pilot, cases: FileCases) -> Iterator[Path]:
    media = list(pilot.data.test.media)
    for start in range(0, cases.count if media else 0, 4096):
        for row in cases.inputs(start, start + 4096).select(media).iter_rows():
            yield from (Path(p) for p in row if p)


def _parts(identity: Mapping[str, Any], folder: Path) -> Mapping[str, Path]:
    """Those parts of a fingerprint that are files of the pilot's folder; an endpoint or an environment has none."""
    files: dict[str, Path] = {}
    for part in identity["parts"]:
        kind, _, name = part.partition(" ")
        if kind not in ("code", "file") or not name:
            continue
        path = folder / name
        if path.is_file() and folder.resolve() in path.resolve().parents:
            files[f"candidate/{identity['id']}/{name}"] = path
    return files
