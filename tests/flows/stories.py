"""Dossiers as a user makes them with commands, and dossiers forged from those."""

import io
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from tests.flows.commands import Said, pilotbase
from tests.flows.support import Base

from pilotbase.domain.canonical import canonical
from pilotbase.dossier import statement
from pilotbase.dossier.files import open_files
from pilotbase.dsse import build
from pilotbase.signing import Key

__all__ = ["Said", "forge", "holding", "key_of", "pilotbase", "record_of", "rescore", "reseal", "sealed"]


def sealed(base: Base, *flags: str, run_flags: tuple[str, ...] = (), name: str = "dossier") -> Path:
    """Run the pilot of `base` and seal its dossier beside its home."""
    done = pilotbase(base.home, "run", base.pilot, "--quiet", *run_flags, environment=base.environment)
    assert done.code in (0, 1, 3), done.err
    out = base.home.parent / name
    made = pilotbase(base.home, "dossier", "last", "--out", out, *flags)
    assert made.code == 0, made.err
    return out


def key_of(home: Path) -> Key:
    """The key of a home."""
    return Key.load_or_create(home)


def record_of(dossier: Path) -> dict[str, Any]:
    """The record of a dossier, a folder or a zip."""
    with open_files(dossier) as files:
        found = orjson.loads(files.read(statement.RECORD))
    assert isinstance(found, dict)
    return found


def forge(dossier: Path, out: Path, key: Key, change: Callable[[dict[str, Any], Path], None]) -> Path:
    """A copy of a dossier altered by `change` (its record, its folder), every digest made to fit, and sealed with `key`."""
    shutil.copytree(dossier, out)
    record = record_of(out)
    change(record, out)
    return reseal(out, record, key)


def reseal(folder: Path, record: dict[str, Any], key: Key) -> Path:
    """Make a folder's digests fit what lies in it, and seal it again with `key`."""
    with open_files(folder) as files:
        digests = {name: files.digest(name) for name in files.sizes if name not in statement.UNSIGNED}
    for entry in [*record["scores"].values(), record["cases"], *record["loads"], *record["commitments"].values()]:
        entry["digest"] = digests[entry["file"]]
    (folder / statement.RECORD).write_bytes(canonical(record))
    with open_files(folder) as files:
        digests[statement.RECORD] = files.digest(statement.RECORD)
    claimed = statement.predicate(record, digests[statement.RECORD], key.key_id)
    (folder / statement.ENVELOPE).write_bytes(build(statement.write(digests, claimed), statement.PAYLOAD_TYPE, key).bytes())
    return folder


def rescore(record: Mapping[str, Any], folder: Path, candidate: str, **columns: Any) -> None:
    """Put other numbers into a candidate's scores: a value for all rows, or an expression, by column."""
    path = folder / record["scores"][candidate]["file"]
    changed = pl.read_parquet(path).with_columns(**{n: v if isinstance(v, pl.Expr) else pl.lit(v) for n, v in columns.items()})
    changed.write_parquet(path)


def holding(dossier: Path, *texts: str) -> list[tuple[str, str]]:
    """(file, text) wherever one of `texts` stands in a dossier: in its bytes, and in every cell of its tables."""
    found = []
    with open_files(dossier) as files:
        for name in files.sizes:
            data = files.read(name)
            spelled = data.decode("utf-8", "replace") + name
            if name.endswith(".parquet"):
                table = pl.read_parquet(io.BytesIO(data))
                spelled += "\n".join(str(v) for column in table.get_columns() for v in column.to_list()) + str(table.columns)
            found += [(name, text) for text in texts if text in spelled]
    return found
