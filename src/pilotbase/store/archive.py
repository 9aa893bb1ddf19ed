"""A backup as one file: a plain tar (POSIX.1-2001, pax) whose last member is the manifest of all others.

It is not compressed as a whole, so that the manifest is found, and every size known, before anything is unpacked.
"""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final, Self

import orjson

from pilotbase.domain.backup import Manifest, Member, read_manifest
from pilotbase.errors import UserError
from pilotbase.store.disk import Handle, explained

__all__ = ["ArchiveReader", "ArchiveWriter", "pack_lines"]

_MANIFEST: Final = "manifest.json"
_CHUNK: Final = 1 << 20
_LARGEST: Final = 256 << 20  # bytes of a manifest: about a million members
_LINE: Final = 256 << 20
_HINT = "take another backup; this one is damaged, was cut off, or is none of ours"


class ArchiveWriter:
    """Writes to a handle from its beginning. `size` bytes and `sha256` are those of what was written so far."""

    __slots__ = ("_handle", "_sha", "_tar", "size")

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._sha = hashlib.sha256()
        self.size = 0
        sink: Any = _Sink(self)
        self._tar = tarfile.TarFile(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT, copybufsize=_CHUNK)

    @property
    def sha256(self) -> str:
        """In hexadecimal."""
        return self._sha.hexdigest()

    def add(self, name: str, source: IO[bytes], size: int) -> str:
        """Add the first `size` bytes of a file; their digest. UserError where there are fewer: it was cut meanwhile."""
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, 0o600
        read = _Read(source)
        try:
            self._tar.addfile(entry, read)
        except OSError as error:
            if read.size < size:  # tarfile's own error for a short file has no number and says nothing
                raise UserError(f"{name}: the file was cut while it was read", hint="run the command again") from error
            raise
        return read.sha.hexdigest()

    def finish(self, manifest: Manifest) -> None:
        """Add the manifest and the end."""
        data = orjson.dumps(manifest.document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        self.add(_MANIFEST, io.BytesIO(data), len(data))
        self._tar.close()

    def write(self, data: bytes) -> None:
        self._handle.write(data)
        self._sha.update(data)
        self.size += len(data)


class _Sink:
    """What tarfile writes to."""

    __slots__ = ("_writer",)

    def __init__(self, writer: ArchiveWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> int:
        self._writer.write(bytes(data))
        return len(data)

    def tell(self) -> int:
        return self._writer.size


class _Read:
    """What tarfile reads from, with the digest of what it read."""

    __slots__ = ("_source", "sha", "size")

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.sha = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self.sha.update(data)
        self.size += len(data)
        return data


class ArchiveReader:
    """A backup, opened: its manifest agrees with the names, kinds and sizes of all members. Content is checked as it is read.

    UserError for what is no backup, was cut off, or holds a link, a device, a folder, a name that leads out or stands twice.
    """

    __slots__ = ("_entries", "_file", "_tar", "manifest", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        with explained("read", path):
            self._file = path.open("rb")
        try:
            self._entries = self._list()
            self.manifest = self._manifest()
            self._agree()
        except BaseException:
            self._file.close()
            raise

    def copy(self, member: Member, handle: Handle) -> None:
        """Write a member's bytes. UserError where they are not those of the manifest; what was written is of no use then."""
        for data in self._chunks(member):
            handle.write(data)

    def check(self, member: Member) -> None:
        """UserError where a member's bytes are not those of the manifest."""
        for _ in self._chunks(member):
            pass

    def lines(self, member: Member) -> Iterator[bytes]:
        """The lines of a table that was checked, unpacked as they are read. UserError beyond the size that was stated."""
        total = 0
        try:
            with gzip.open(self._content(member)) as rows:
                while line := rows.readline(_LINE):
                    total += len(line)
                    if total > (member.unpacked or 0):
                        raise self._bad(f"{member.name} holds more than its manifest says")
                    yield line
        except (OSError, EOFError, ValueError) as error:
            raise self._bad(f"{member.name} cannot be unpacked") from error

    def close(self) -> None:
        """A second call does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _list(self) -> dict[str, tarfile.TarInfo]:
        found: dict[str, tarfile.TarInfo] = {}
        try:
            self._tar = tarfile.open(fileobj=self._file, mode="r:")  # noqa: SIM115 - closed with its file
            for entry in self._tar:
                # A plain file of this size and nothing else: no link, folder, device, nor one with holes.
                if not entry.isreg() or entry.sparse is not None or entry.name in found:
                    raise self._bad(f"{entry.name[:80]!r} is no plain file, or stands there twice")
                found[entry.name] = entry
        except (tarfile.TarError, EOFError, ValueError, OSError) as error:
            raise self._bad("it cannot be read as an archive") from error
        return found

    def _manifest(self) -> Manifest:
        entry = self._entries.pop(_MANIFEST, None)
        if entry is None or entry.size > _LARGEST:
            raise self._bad("it has no manifest, or one that is too large")
        source: Any = self._tar.extractfile(entry)
        try:
            return read_manifest(orjson.loads(source.read()))
        except (orjson.JSONDecodeError, tarfile.TarError, OSError) as error:
            raise self._bad("its manifest is no JSON") from error
        except UserError as error:
            raise UserError(error.message, where=str(self.path), hint=error.hint) from None

    def _agree(self) -> None:
        listed = {one.name: one.size for one in self.manifest.members}
        there = {name: entry.size for name, entry in self._entries.items()}
        if listed != there:
            wrong = sorted(name for name in listed.keys() | there.keys() if listed.get(name) != there.get(name))
            raise self._bad(f"{wrong[0][:80]!r} and its manifest do not agree")

    def _content(self, member: Member) -> Any:
        return self._tar.extractfile(self._entries[member.name])

    def _chunks(self, member: Member) -> Iterator[bytes]:
        source = self._content(member)
        sha, size = hashlib.sha256(), 0
        try:
            while data := source.read(_CHUNK):
                sha.update(data)
                size += len(data)
                yield data
        except (tarfile.TarError, OSError) as error:
            raise self._bad(f"{member.name} was cut off") from error
        if size != member.size or sha.hexdigest() != member.sha256:
            raise self._bad(f"{member.name} is not what was put in: its digest is another")

    def _bad(self, why: str) -> UserError:
        return UserError(f"this backup cannot be used: {why}", where=str(self.path), hint=_HINT)


def pack_lines(source: Iterable[bytes], target: IO[bytes]) -> int:
    """Write lines, packed (RFC 1952, without a name or a time); how many bytes they were before."""
    total = 0
    with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=4, mtime=0, filename="") as packed:
        for lines in source:
            packed.write(lines)
            total += len(lines)
    return total
