"""A dossier as one zip file, and a file put into a dossier that is already sealed."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pilotbase.dossier.files import RATIO_FROM, Files, open_files
from pilotbase.errors import UserError
from pilotbase.store.disk import Disk, Handle, LocalDisk

__all__ = ["pack", "put_file"]

# The earliest time that a zip can hold: the same dossier packs to the same bytes whenever it is packed.
_TIME = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, target: Path, disk: Disk | None = None) -> Path:
    """Write the dossier in `folder` as the zip `target`, whole or not at all. UserError where that is there already."""
    if target.exists():
        raise UserError("there is a file of this name already", where=str(target), hint="move it away, or choose another name")
    with open_files(folder) as files:
        _write(files, {}, target, disk or LocalDisk())
    return target


def put_file(path: Path, name: str, data: bytes, disk: Disk | None = None) -> None:
    """Add or replace one file of the dossier at `path`, a folder or a zip; if interrupted, the old or the new state stands."""
    used = disk or LocalDisk()
    if path.is_dir():
        used.write_whole(path / name, data)
        return
    with open_files(path) as files:
        _write(files, {name: data}, path, used)


class _Sink:
    """What zipfile writes to: it cannot go back, so each member's size follows its bytes."""

    __slots__ = ("_handle",)

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def write(self, data: bytes) -> int:
        self._handle.write(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""


def _write(files: Files, changed: Mapping[str, bytes], target: Path, disk: Disk) -> None:
    draft = target.with_name(f".{target.name}.tmp")
    handle = disk.create(draft)
    try:
        with zipfile.ZipFile(_Sink(handle), "w") as packed:  # type: ignore[call-overload]
            for name in sorted({*files.sizes, *changed}):
                size = len(changed[name]) if name in changed else files.sizes[name]
                member = zipfile.ZipInfo(name, _TIME)
                member.external_attr = 0o100644 << 16
                # Large files are stored as they are: packed more than 200 times they would be refused as a zip bomb.
                member.compress_type = zipfile.ZIP_DEFLATED if size <= RATIO_FROM else zipfile.ZIP_STORED
                with packed.open(member, "w", force_zip64=size >= 1 << 31) as file:
                    for portion in _portions(files, changed, name):
                        file.write(portion)
        handle.sync()
        handle.close()
        disk.replace(draft, target)
    except BaseException:
        with suppress(UserError):
            handle.close()
        with suppress(UserError):
            disk.remove(draft)
        raise


def _portions(files: Files, changed: Mapping[str, bytes], name: str) -> Iterator[bytes]:
    return iter([changed[name]]) if name in changed else files.portions(name)
