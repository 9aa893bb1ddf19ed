"""Forms with files, as browsers send them (RFC 7578)."""

from collections.abc import AsyncGenerator, Mapping
from pathlib import PurePosixPath, PureWindowsPath

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from pilotbase.console.page import Upload

__all__ = ["OversizedError", "UnreadableError", "close", "is_parts", "read_parts"]

FIELDS = 1000
FILES = 20
NAME = 120


class OversizedError(Exception):
    """More bytes, fields or files than a form may hold."""


class UnreadableError(Exception):
    """What came is not the form that its header says it is."""


def is_parts(request: Request) -> bool:
    """Whether a request brings a form with files."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"


async def read_parts(request: Request, largest: int) -> tuple[list[tuple[str, str]], Mapping[str, Upload]]:
    """The fields of a form, and the first file of each field in which one was chosen. At most `largest` bytes are taken in all.

    Files beyond 1 MiB wait on disk. OversizedError and UnreadableError leave nothing open.
    """
    try:
        found = await MultiPartParser(
            request.headers, _limited(request, largest), max_files=FILES, max_fields=FIELDS, max_part_size=1 << 20
        ).parse()
    except MultiPartException:
        raise UnreadableError from None
    fields: list[tuple[str, str]] = []
    files: dict[str, Upload] = {}
    for name, value in found.multi_items():
        if not isinstance(value, UploadFile):
            fields.append((name, value))
        elif name in files or not value.filename:
            value.file.close()
        else:
            files[name] = Upload(name=last_name(value.filename), size=value.size or 0, file=value.file)
    return fields, files


def close(files: Mapping[str, Upload]) -> None:
    """Let go of the files of a form."""
    for one in files.values():
        one.file.close()


def last_name(told: str) -> str:
    """The last part of a path of any system, printable and at most 120 characters; `file` where nothing of it is left."""
    last = PurePosixPath(PureWindowsPath(told).name).name
    plain = "".join(c for c in last if c.isprintable() and c not in '/\\:*?"<>|').strip(". ")
    return plain[-NAME:] or "file"


async def _limited(request: Request, largest: int) -> AsyncGenerator[bytes, None]:
    taken = 0
    async for piece in request.stream():
        taken += len(piece)
        if taken > largest:
            raise OversizedError
        yield piece
