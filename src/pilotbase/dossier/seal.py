"""Put a dossier together and seal it: its files, the record that names them, and a signature over both."""

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from pilotbase.domain.canonical import canonical
from pilotbase.dossier import commitments, merkle, statement
from pilotbase.dossier.files import name_problem
from pilotbase.dsse import KeyedSigner, build
from pilotbase.errors import UserError
from pilotbase.store.disk import Disk, LocalDisk, explained

__all__ = ["Materials", "refuse_taken", "seal"]

_PORTION = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """All that goes into a dossier but its digests and reports.

    `record`: the agreed document without `scores`, `cases`, `loads` and `commitments`, which the seal fills in. `scores` and
    `commitments` (tables that `commitments.frame` made) by candidate; `loads` by (candidate, variant). `enclosed`: what
    `--with-data` and `--with-candidate` add, by name under `data/` or `candidate/`: bytes, or the file to copy.
    """

    record: Mapping[str, Any]
    scores: Mapping[str, pl.DataFrame]
    cases: pl.DataFrame
    loads: Mapping[tuple[str, str], pl.DataFrame] = field(default_factory=dict)
    commitments: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    enclosed: Mapping[str, Path | bytes] = field(default_factory=dict)


Renderers = Mapping[str, Callable[[dict[str, Any]], bytes]]
"""Reports by file name: the finished record in, the file's bytes out."""


def seal(materials: Materials, signer: KeyedSigner, out: Path, renderers: Renderers, disk: Disk | None = None) -> Path:
    """Write the sealed dossier as the folder `out`, and return it.

    It is written beside, synced, and renamed: under the name `out` there is a whole dossier or nothing. UserError where
    `out` is there and not empty, a name is not allowed, or the disk fails; ValueError where the record holds NaN or
    infinity; KeyError where it lacks a field.
    """
    used = disk or LocalDisk()
    refuse_taken(out)
    folder = out.absolute().with_name(f".{out.absolute().name}.{os.getpid()}.tmp")
    draft = _Draft(folder=folder, disk=used)
    try:
        used.make_folder(folder)
        record = {**materials.record, **_tables(draft, materials)}
        for name, content in materials.enclosed.items():
            if not name.startswith(("data/", "candidate/")):
                raise UserError("files are enclosed under data/ or candidate/ only", where=name)
            draft.put(name, content)
        draft.put(statement.RECORD, canonical(record))
        for name, render in renderers.items():
            draft.put(name, render(record))
        claimed = statement.predicate(record, draft.digests[statement.RECORD], signer.key_id)
        envelope = build(statement.write(draft.digests, claimed), statement.PAYLOAD_TYPE, signer)
        draft.put(statement.ENVELOPE, envelope.bytes())
        draft.sync()
        used.replace(folder, out.absolute())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A dossier that is being written, out of sight."""

    folder: Path
    disk: Disk
    digests: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def put(self, name: str, content: bytes | Path) -> str:
        """Write one file; its digest."""
        problem = name_problem(name)
        if problem or name.casefold() in self.taken:
            raise UserError(f"{name!r} cannot be a file of a dossier: {problem or 'there are two of this name'}")
        self.taken.add(name.casefold())
        path = self.folder / name
        self.disk.make_folder(path.parent)
        running = hashlib.sha256()
        handle = self.disk.create(path)
        try:
            for portion in _portions(content):
                running.update(portion)
                handle.write(portion)
            handle.sync()
        finally:
            with suppress(UserError):
                handle.close()
        self.digests[name] = f"sha256:{running.hexdigest()}"
        return self.digests[name]

    def table(self, name: str, table: pl.DataFrame) -> dict[str, Any]:
        """Write one table; its entry in the record."""
        buffer = io.BytesIO()
        table.write_parquet(buffer, compression="zstd")
        return {"file": name, "digest": self.put(name, buffer.getvalue()), "rows": table.height}

    def sync(self) -> None:
        """Make all names durable, so that the rename is the last thing to happen."""
        for folder in {self.folder, *((self.folder / name).parent for name in self.digests)}:
            self.disk.sync_folder(folder)


def _tables(draft: _Draft, materials: Materials) -> dict[str, Any]:
    cases = draft.table("cases.parquet", materials.cases)
    return {
        "scores": {name: draft.table(f"scores/{name}.parquet", table) for name, table in materials.scores.items()},
        "cases": {"file": cases["file"], "digest": cases["digest"]},
        "loads": [
            {"candidate": name, "variant": variant, **draft.table(f"loads/{name}-{variant}.parquet", table)}
            for (name, variant), table in materials.loads.items()
        ],
        "commitments": {name: _committed(draft, name, table) for name, table in materials.commitments.items()},
    }


def _committed(draft: _Draft, name: str, table: pl.DataFrame) -> dict[str, Any]:
    file = f"commitments/{name}.parquet"
    leaves = commitments.leaves(table, where=file)
    entry = draft.table(file, table)
    return {
        "root": merkle.root(leaves).hex(),
        "count": len(leaves),
        "file": file,
        "digest": entry["digest"],
        "algorithm": commitments.ALGORITHM,
    }


def _portions(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with explained("read", content), content.open("rb") as file:
        while portion := file.read(_PORTION):
            yield portion


def refuse_taken(out: Path) -> None:
    """UserError where something lies under the name of a dossier to be."""
    with explained("look at", out):
        if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
            raise UserError(
                "there is something here already, and a dossier is never written over",
                where=str(out),
                hint="choose another folder with --out, or move this one away",
            )
