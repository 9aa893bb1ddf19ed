"""What `--with-data` and `--with-candidate` add to a dossier."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotbase.data.files import FileCases
from pilotbase.domain.pilot import Pilot
from pilotbase.pilots.records import RunRecord

__all__ = ["enclosed"]


def enclosed(record: RunRecord, pilot: Pilot, cases: FileCases, *, with_data: bool, with_candidate: bool) -> dict[str, Path | bytes]:
    """Files by their names in the dossier: `data/...` and `candidate/ID/...`."""
    found: dict[str, Path | bytes] = {}
    if with_data:
        found[f"data/{cases.path.name}"] = cases.path
        found |= _media(pilot, cases)
    if with_candidate:
        folder = Path(record.options["folder"])
        for identity in record.options["candidates"]:
            found |= _parts(identity, folder)
    return found


def _media(pilot: Pilot, cases: FileCases) -> Mapping[str, Path]:
    files: dict[str, Path] = {}
    media = list(pilot.data.test.media)
    root = cases.path.parent
    for start in range(0, cases.count if media else 0, 4096):
        for row in cases.inputs(start, start + 4096).select(media).iter_rows():
            files |= {f"data/{Path(p).relative_to(root).as_posix()}": Path(p) for p in row if p}
    return files


def _parts(identity: Mapping[str, Any], folder: Path) -> Mapping[str, Path]:
    """Those parts of a fingerprint that are files of the pilot's folder; an endpoint or an environment has none."""
    files: dict[str, Path] = {}
    for part in identity["parts"]:
        name = part.removeprefix("code ").removeprefix("file ")
        path = folder / name
        if path.is_file() and folder in path.resolve().parents:
            files[f"candidate/{identity['id']}/{name}"] = path
    return files
