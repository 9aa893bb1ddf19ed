"""Files of a case: checked by name and by content, kept under their digests, and given to its parties alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from pilotbase.context import Context
from pilotbase.dossier.files import ZipFiles
from pilotbase.errors import UserError
from pilotbase.store.blobs import Blobs

__all__ = ["KINDS", "LARGEST", "Attached", "attach", "blobs_of"]

LARGEST = 20 << 20
UNPACKED, MEMBERS = 200 << 20, 2_000
_HINT = "one of pdf, png, jpg, csv, txt, md, json, yaml, docx, xlsx and zip, of at most 20 MiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A file that was taken in. `digest` is `sha256:...` of its bytes, `size` their number."""

    name: str
    digest: str
    size: int
    media_type: str

    def document(self) -> dict[str, object]:
        """It as a record tells it."""
        return {"name": self.name, "digest": self.digest, "size": self.size, "media_type": self.media_type}


def attach(context: Context, name: str, size: int, file: BinaryIO) -> Attached:
    """Keep a file. UserError (422) for a kind that is not taken, contents of another kind than the name says, an empty or too
    large one, and a zip that harms who unpacks it: names that lead out of it, links, or far more than it seems to hold.
    """
    suffix = name.rpartition(".")[2].lower()
    if "." not in name or suffix not in KINDS:
        raise _refused(f"`{name}` is of a kind that is not taken")
    if not 0 < size <= LARGEST:
        raise _refused(f"`{name}` is empty" if size == 0 else f"`{name}` is too large: {size:,} bytes")
    data = file.read(LARGEST + 1)
    media_type, fits = KINDS[suffix]
    if len(data) > LARGEST or not fits(data):
        raise _refused(f"`{name}` is not what its name says")
    if suffix in ("zip", "docx", "xlsx"):
        _check_zip(name, file, suffix)
    return Attached(name=name, digest=blobs_of(context).put(data), size=len(data), media_type=media_type)


def blobs_of(context: Context) -> Blobs:
    """Where the files of all cases lie."""
    return Blobs(context.home / "cases" / "files", context.disk)


def _refused(message: str) -> UserError:
    return UserError(message, hint=_HINT, status=422)


def _check_zip(name: str, file: BinaryIO, suffix: str) -> None:
    """Every member is read once, and dropped: what a header says of sizes proves nothing."""
    file.seek(0)
    try:
        found = ZipFiles(file, name)
        if len(found.sizes) > MEMBERS or sum(found.sizes.values()) > UNPACKED:
            raise _refused(f"`{name}` unpacks to more than {UNPACKED >> 20} MiB or {MEMBERS:,} files")
        for member in found.sizes:
            for _ in found.portions(member):
                pass
    except UserError as error:
        raise _refused(f"{error.where}: {error.message}" if error.where else error.message) from None
    part = {"docx": "word/document.xml", "xlsx": "xl/workbook.xml"}.get(suffix)
    if part is not None and part not in found.sizes:
        raise _refused(f"`{name}` is not what its name says")


def _starts(*heads: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(heads)


def _is_text(data: bytes) -> bool:
    """Text in UTF-8, or in GB 18030 as office programs write it, without control characters."""
    for encoding in ("utf-8", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return not any(ord(c) < 32 and c not in "\t\n\r\f" for c in text)
    return False


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


KINDS: Mapping[str, tuple[str, Callable[[bytes], bool]]] = {
    "pdf": ("application/pdf", _starts(b"%PDF-")),
    "png": ("image/png", _starts(b"\x89PNG\r\n\x1a\n")),
    "jpg": ("image/jpeg", _starts(b"\xff\xd8\xff")),
    "jpeg": ("image/jpeg", _starts(b"\xff\xd8\xff")),
    "csv": ("text/csv", _is_text),
    "txt": ("text/plain", _is_text),
    "md": ("text/markdown", _is_text),
    "json": ("application/json", _is_json),
    "yaml": ("application/yaml", _is_text),
    "yml": ("application/yaml", _is_text),
    "docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", _starts(b"PK")),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _starts(b"PK")),
    "zip": ("application/zip", _starts(b"PK")),
}
