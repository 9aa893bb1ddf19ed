"""Commitments of a run: each case's input and plain answer, as the dossier binds them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pilotbase.context import Context
from pilotbase.data.encoding import digest_file
from pilotbase.data.files import FileCases
from pilotbase.dossier import commitments
from pilotbase.errors import UserError
from pilotbase.flows.evidence import read_log
from pilotbase.pilots.records import RunRecord

__all__ = ["answers_of", "committed_input", "leaves_of", "plain_input", "position_of"]

WINDOW = 4096


def position_of(cases: FileCases, case: str) -> int:
    """The position of the case of that id. UserError where the data has none."""
    position = next((i for i, name in enumerate(cases.ids) if name == case), None)
    if position is None:
        raise UserError(f"the data has no case `{case}`", where=str(cases.path))
    return position


def leaves_of(context: Context, record: RunRecord, cases: FileCases, candidate: str, secret: bytes) -> Iterator[bytes]:
    """A commitment for each position: to the input, and to the plain answer (null where the case was not asked)."""
    answers = answers_of(context, record, candidate)
    media = record.options["document"]["data"]["test"]["media"]
    for start in range(0, cases.count, WINDOW):
        rows = cases.inputs(start, start + WINDOW).to_dicts()
        pairs = ((committed_input(row, media, cases.path.parent), answers.get(start + i)) for i, row in enumerate(rows))
        yield from commitments.commit_all(secret, candidate, pairs, start)


def committed_input(row: Mapping[str, Any], media: Sequence[str], root: Path) -> Any:
    """An input as its commitment binds it: files of media by their names as seen from `root` and the digests of their bytes."""
    given = plain_input(row)
    for name in media:
        if given[name]:
            path = Path(given[name])
            shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
            given[name] = {"file": shown, "digest": digest_file(path)}
    return given


def plain_input(row: Mapping[str, Any]) -> Any:
    """An input in JSON's types."""
    return orjson.loads(orjson.dumps(row, default=str, option=orjson.OPT_SERIALIZE_NUMPY))


def answers_of(context: Context, record: RunRecord, candidate: str) -> dict[int, Any]:
    """The plain answer at each position, as commitments bind it."""
    found: dict[int, Any] = {}
    fields = ("label", "score", "text", "extra", "failure")
    for frame in read_log(context, record.run, candidate, ["variant", "position", *fields]):
        rows = frame.filter(pl.col("variant") == 0)
        for row in rows.iter_rows(named=True):
            found[row["position"]] = {f: row[f] for f in fields if row[f] is not None}
    return found
