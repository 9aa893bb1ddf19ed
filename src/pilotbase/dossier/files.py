"""The files of a dossier, a folder or one zip, read as if whoever made them meant harm: nothing is unpacked or followed."""

import hashlib
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from pilotbase.errors import UserError

__all__ = ["Files", "name_problem", "open_files"]

MOST_FILES = 200_000
MOST_BYTES = 64 << 30
LARGEST_READ = 2 << 30
MOST_RATIO = 200
RATIO_FROM = 16 << 20
"""Zip members up to this size may be packed to any degree: a page of zeros is no bomb."""

_PORTION = 1 << 20
_HINT = "give the path of a dossier: its folder or its .zip; if it is one, get it again from whoever made it"
# What zipfile may raise over damaged bytes; NotImplementedError is a RuntimeError.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError, OSError)
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
_DRIVE = re.compile(r"[A-Za-z]:")


class Files(Protocol):
    """Plain files by their name in the dossier, `/` between parts. Each method raises UserError where a file is unreadable."""

    sizes: Mapping[str, int]
    """Bytes of each file, by name."""

    def digest(self, name: str) -> str:
        """`sha256:...` of a file, read in portions."""

    def read(self, name: str) -> bytes:
        """A whole file of at most 2 GiB."""

    def portions(self, name: str) -> Iterator[bytes]:
        """A file in portions of at most 1 MiB."""


def name_problem(name: str) -> str | None:
    """Why a file may not have this name in a dossier, or None."""
    parts = name.split("/")
    if not name or len(name) > 1000 or len(parts) > 32:
        return "the name is empty, too long or too deep"
    if name.startswith("/") or _DRIVE.match(name) or "\\" in name:
        return "the name is absolute, or is written with a drive or backslashes"
    if any(part in ("", ".", "..") for part in parts):
        return "the name leads out of the dossier or through an empty part"
    unseen = any(unicodedata.category(sign) in _UNSEEN for sign in name)
    return "the name holds characters that cannot be seen" if unseen else None


@contextmanager
def open_files(path: Path) -> Iterator[Files]:
    """The files under a folder or in a zip. UserError where there is neither, and where it holds what no dossier does."""
    if path.is_dir():
        yield FolderFiles(path)
        return
    with _explained(path):
        file = path.open("rb")
    with file:
        yield ZipFiles(file, str(path))


class FolderFiles:
    """The plain files under a folder."""

    __slots__ = ("_folder", "sizes")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _explained(folder):
            self.sizes: Mapping[str, int] = dict(self._walk(folder, ""))
        _refuse_many(self.sizes, str(folder))

    def digest(self, name: str) -> str:
        return _digest(self.portions(name))

    def read(self, name: str) -> bytes:
        return _whole(self, name)

    def portions(self, name: str) -> Iterator[bytes]:
        path = self._folder / name
        with _explained(path), path.open("rb") as file:
            yield from _portions(file)

    def _walk(self, folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            name, status = prefix + entry.name, entry.stat(follow_symlinks=False)
            _refuse_name(name, str(self._folder))
            if stat.S_ISDIR(status.st_mode):
                yield from self._walk(folder / entry.name, f"{name}/")
            elif stat.S_ISREG(status.st_mode):
                yield name, status.st_size
            else:
                raise UserError(f"{name} is a link or a device, and a dossier holds plain files only", where=str(self._folder))


class ZipFiles:
    """The members of an open zip file."""

    __slots__ = ("_where", "_zip", "sizes")

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._where = where
        with _zip_explained(where):
            self._zip = zipfile.ZipFile(file)
        sizes: dict[str, int] = {}
        seen: set[str] = set()
        for member in self._zip.infolist():
            name = member.filename
            _refuse_name(name.removesuffix("/"), where)
            # Names that differ in case only would be one file where the zip is unpacked on Windows or macOS.
            if name.casefold() in seen:
                raise UserError(f"{name} is there twice", where=where)
            seen.add(name.casefold())
            self._refuse_member(member)
            if not member.is_dir():
                sizes[name] = member.file_size
        _refuse_many(sizes, where)
        self.sizes: Mapping[str, int] = sizes

    def digest(self, name: str) -> str:
        return _digest(self.portions(name))

    def read(self, name: str) -> bytes:
        return _whole(self, name)

    def portions(self, name: str) -> Iterator[bytes]:
        with _zip_explained(f"{self._where}: {name}"), self._zip.open(name) as file:
            yield from _portions(file)

    def _refuse_member(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UserError(f"{name} is a link or a device, and a dossier holds plain files only", where=self._where)
        if member.flag_bits & 0x1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(f"{name} is encrypted, or compressed in an unusual way", where=self._where)
        if member.is_dir() and member.file_size:
            raise UserError(f"{name} is a folder with contents of its own", where=self._where)
        if member.file_size > RATIO_FROM and member.file_size > MOST_RATIO * max(1, member.compress_size):
            raise UserError(f"{name} unpacks to over {MOST_RATIO} times its size, as a zip bomb does", where=self._where)


def _refuse_name(name: str, where: str) -> None:
    problem = name_problem(name)
    if problem:
        raise UserError(f"{name[:80]!r}: {problem}", where=where)


def _refuse_many(sizes: Mapping[str, int], where: str) -> None:
    if len(sizes) > MOST_FILES or sum(sizes.values()) > MOST_BYTES:
        raise UserError(f"more than {MOST_FILES} files or {MOST_BYTES >> 30} GiB, and no dossier is that large", where=where)


def _whole(files: Files, name: str) -> bytes:
    if files.sizes[name] > LARGEST_READ:
        raise UserError(f"too large to be read at once: {files.sizes[name]} bytes", where=name)
    return b"".join(files.portions(name))


def _portions(file: IO[bytes]) -> Iterator[bytes]:
    while portion := file.read(_PORTION):
        yield portion


def _digest(portions: Iterator[bytes]) -> str:
    running = hashlib.sha256()
    for portion in portions:
        running.update(portion)
    return f"sha256:{running.hexdigest()}"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise UserError(f"could not be read: {reason}", where=str(path), hint=_HINT) from None


@contextmanager
def _zip_explained(where: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise UserError(f"neither a folder nor a zip file that can be read ({error})", where=where, hint=_HINT) from None
