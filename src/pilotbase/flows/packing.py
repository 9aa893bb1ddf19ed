"""A pilot's folder as the zip that a shared base takes."""

import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from pilotbase.errors import UserError
from pilotbase.flows.uploaded import SPEC
from pilotbase.store.sent_files import TYPES, Allowance, name_problem

__all__ = ["pack_pilot"]

_PASSED_OVER = frozenset(("__pycache__", "node_modules", "dossier", "dossiers", "home"))


def pack_pilot(pilot: Path) -> tuple[bytes, tuple[str, ...]]:
    """(the zip, the files in it). `pilot` is a pilot.yaml, or the folder that holds it; it becomes the zip's pilot.yaml.

    Hidden files, links and kinds that no base takes stay behind. UserError where there is no pilot, or too much of it.
    """
    spec = pilot / SPEC if pilot.is_dir() else pilot
    if not spec.is_file():
        raise UserError("there is no pilot here", where=str(spec), hint="name a pilot.yaml, or the folder that holds it")
    allowance = Allowance()
    found = {SPEC: spec, **{name: path for name, path in _beside(spec.parent) if path != spec and name != SPEC}}
    if len(found) > allowance.files or sum(path.stat().st_size for path in found.values()) > allowance.bytes:
        told = f"the folder holds more than {allowance.files:,} files or {allowance.bytes >> 20} MiB"
        raise UserError(told, where=str(spec.parent), hint="put the pilot into a folder of its own, with what it needs alone")
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        for name, path in sorted(found.items()):
            out.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue(), tuple(sorted(found))


def _beside(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        unwanted = any(part.startswith(".") or part in _PASSED_OVER for part in parts)
        name = "/".join(parts)
        if not unwanted and path.is_file() and not path.is_symlink() and name_problem(name, TYPES) is None:
            yield name, path
