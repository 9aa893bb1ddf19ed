"""Files that somebody sends, taken apart as if whoever made them meant harm, and put into a folder under their digest.

A zip is never believed: sizes are counted as bytes come out of it, names are checked as written and as they would land, and what
is no plain file is refused. Nothing is followed, run, or kept where anything is wrong.
"""

import hashlib
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, Final

from pilotbase.domain.canonical import digest as digest_of_document
from pilotbase.errors import InvalidInput, UserError
from pilotbase.store.disk import Disk

__all__ = ["TYPES", "Allowance", "check_names", "digest_files", "keep", "name_problem", "unpack"]

TYPES: Final = frozenset(
    [
        *(".yaml", ".yml", ".csv", ".jsonl", ".ndjson", ".parquet", ".json", ".txt", ".md", ".lock", ".py"),
        *(".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".wav", ".mp3", ".flac", ".ogg", ".pdf"),
        *(".npy", ".npz", ".onnx", ".safetensors"),
    ]
)
"""Ends of names that may be sent. Pickles, programs and archives within archives are not among them."""
_PORTION = 1 << 20
_SHOWN = 20
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Cn", "Zl", "Zp"))
_RESERVED = re.compile(r"[<>:\"|?*\\]")
# What zipfile may raise over damaged bytes; NotImplementedError is a RuntimeError.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What may be sent: `files` in number, `bytes` in all when unpacked, each packed at most `ratio` times (small ones apart)."""

    files: int = 2000
    bytes: int = 50 << 20
    ratio: int = 100
    ratio_from: int = 1 << 20
    types: frozenset[str] = field(default=TYPES, repr=False)


def name_problem(name: str, types: frozenset[str] = TYPES) -> str | None:
    """Why a file may not have this name (parts separated by `/`), or None."""
    parts = name.split("/")
    if not name or len(name.encode("utf-8", "replace")) > 400 or len(parts) > 16:
        return "the name is empty, too long or too deep"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "the name is absolute"
    if any(part in ("", ".", "..") for part in parts):
        return "the name leads out of the folder, or through an empty part"
    if _RESERVED.search(name) or any(unicodedata.category(sign) in _UNSEEN for sign in name):
        return "the name holds a backslash or characters that names do not need"
    if any(part.startswith(".") or part == "__pycache__" for part in parts):
        return "hidden files and caches are not taken"
    if Path(name).suffix.lower() not in types:
        return f"files of this kind are not taken ({', '.join(sorted(types))})"
    return None


def unpack(file: BinaryIO, allowance: Allowance) -> dict[str, bytes]:
    """The plain files of a zip by name; a single folder around all of them is left out.

    InvalidInput with every name that may not be; UserError where it is no zip, is damaged, or holds more than is allowed.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            members = [one for one in packed.infolist() if not one.is_dir()]
            _check(members, allowance)
            return _inner(_read_all(packed, members, allowance))
    except _DAMAGE as error:
        told = f"this is no zip that can be read: {error}"[:200]
        raise UserError(told, hint="pack the folder once more, as a plain zip without a password", status=422) from None


def _check(members: list[zipfile.ZipInfo], allowance: Allowance) -> None:
    if len(members) > allowance.files:
        raise _too_much(f"the zip holds {len(members):,} files; at most {allowance.files:,} are taken")
    # Some systems add files of their own to each zip; nobody misses them.
    names = [one.filename for one in members if not _chaff(one.filename)]
    wrong = [f"{one.filename[:100]}: it is a link or a device" for one in members if _special(one)]
    wrong += [f"{one.filename[:100]}: it is encrypted" for one in members if one.flag_bits & 1]
    check_names(names, allowance.types, wrong)


def check_names(names: Collection[str], types: frozenset[str] = TYPES, wrong: Iterable[str] = ()) -> None:
    """InvalidInput with every name that files may not have, two of the same among them, beside what else is `wrong`."""
    found = [f"{name[:100]}: {why}" for name in names if (why := name_problem(name, types))]
    found += wrong
    found += [f"{name[:100]}: another file's name differs from it in capitals alone, or not at all" for name in _twins(names)]
    if found:
        more = [f"... and {len(found) - _SHOWN} more"] * (len(found) > _SHOWN)
        raise InvalidInput(
            "these files are not taken", [*found[:_SHOWN], *more], hint="leave them out, and send the others again"
        )


def _chaff(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] in (".DS_Store", "Thumbs.db", "desktop.ini")


def _special(one: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(one.external_attr >> 16)
    return kind not in (0, stat.S_IFREG)


def _twins(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    twins = []
    for name in names:
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            twins.append(name)
        seen.add(folded)
    return twins


def _read_all(packed: zipfile.ZipFile, members: list[zipfile.ZipInfo], allowance: Allowance) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    left = allowance.bytes
    for one in members:
        if _chaff(one.filename):
            continue
        data = _read(packed, one, left, allowance)
        left -= len(data)
        found[one.filename] = data
    return found


def _read(packed: zipfile.ZipFile, one: zipfile.ZipInfo, left: int, allowance: Allowance) -> bytes:
    parts: list[bytes] = []
    size = 0
    with packed.open(one) as member:
        while portion := member.read(_PORTION):
            size += len(portion)
            if size > left:
                raise _too_much(f"the zip holds more than {allowance.bytes >> 20} MiB when it is unpacked")
            if size > allowance.ratio_from and size > allowance.ratio * max(1, one.compress_size):
                raise _too_much(f"{one.filename[:100]} is packed more than {allowance.ratio} times, as a zip bomb is")
            parts.append(portion)
    return b"".join(parts)


def _too_much(told: str) -> UserError:
    return UserError(told, hint="send less: a pilot with larger data is run on the command line of the base", status=413)


def _inner(files: dict[str, bytes]) -> dict[str, bytes]:
    """Without the one folder that all of them lie in."""
    tops = {name.partition("/")[0] for name in files}
    if len(tops) != 1 or not all("/" in name for name in files):
        return files
    return {name.partition("/")[2]: data for name, data in files.items()}


def digest_files(files: Mapping[str, bytes]) -> str:
    """`sha256:...` over the names and the digests of their bytes."""
    return digest_of_document({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})


def keep(files: Mapping[str, bytes], root: Path, disk: Disk) -> str:
    """Put files into the folder of `root` that their digest names, whole or not at all; the digest. UserError for a bad name."""
    digest = digest_files(files)
    target = root / digest.removeprefix("sha256:")
    if target.is_dir():
        return digest
    for name in files:
        if problem := name_problem(name):
            raise UserError(f"{name[:100]}: {problem}", status=422)
    disk.make_folder(root)
    draft = root / f".{token_hex(8)}"
    try:
        for name, data in files.items():
            disk.make_folder((draft / name).parent)
            disk.write_whole(draft / name, data)
        for folder in (draft, *draft.rglob("*")):
            folder.chmod(0o755 if folder.is_dir() else 0o644)
        disk.replace(draft, target)
    except UserError:
        shutil.rmtree(draft, ignore_errors=True)
        if target.is_dir():
            return digest  # somebody else sent the same at the same time
        raise
    finally:
        with suppress(OSError):
            if draft.exists():
                shutil.rmtree(draft)
    return digest
