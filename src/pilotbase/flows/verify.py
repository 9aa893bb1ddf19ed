"""`pilotbase verify`: intact, signed by whom, and the verdicts derived again from the scores in the dossier."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pilotbase.checks.board import Board
from pilotbase.checks.conclude import Account, Calibration
from pilotbase.checks.rows import CaseColumns
from pilotbase.context import Context
from pilotbase.domain.evidence import canonical_label
from pilotbase.dossier import trust
from pilotbase.dossier.verify import Trust, Verification, verify
from pilotbase.errors import UserError
from pilotbase.flows.casebook import columns_of
from pilotbase.flows.conclude import account_of, result_of
from pilotbase.flows.criteria import plan
from pilotbase.flows.document import document_of
from pilotbase.flows.evidence import make_boards
from pilotbase.flows.facts import RunFacts, pilot_of
from pilotbase.ports import Observations
from pilotbase.signing import Key

__all__ = ["dossier_boards", "rederive", "sound_record", "verify_dossier"]

ReadFile = Callable[[str], bytes]


def verify_dossier(context: Context, path: Path, *, signer: str | None = None, trust_file: Path | None = None) -> Verification:
    """Verify a dossier against the keys of this home, its own key among them, and those of a trust file."""
    own = Key.load_or_create(context.home).key_id
    extra: Mapping[str, Any] = {}
    if trust_file is not None:
        try:
            extra = trust.read_file(trust_file.read_text("utf-8"), where=str(trust_file))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"the trust file cannot be read: {error}", where=str(trust_file)) from None

    def trusted(fingerprint: str) -> Trust | None:
        known = trust.state(context.database, fingerprint)
        if known == "revoked":
            return "revoked"
        return "trusted" if known or fingerprint == own or fingerprint in extra else None

    return verify(path, trusted=trusted, signer=signer, rederive=rederive)


def sound_record(context: Context, path: Path) -> Mapping[str, Any]:
    """The record of a dossier that is intact, whoever sealed it. UserError where it is changed or unreadable."""
    found = verify_dossier(context, path)
    if found.record is None or found.status in ("changed", "unreadable"):
        raise UserError(
            "this dossier does not verify", where=str(path), hint=f"see: pilotbase verify {path}", code=found.exit_code
        )
    return found.record


def rederive(record: Mapping[str, Any], read_file: ReadFile) -> Mapping[str, Any]:
    """The result that the dossier's scores give, by the same pure functions that gave the verdict."""
    pilot = pilot_of(record["pilot"])
    boards, accounts = dossier_boards(record, read_file)
    run = record["run"]
    facts = RunFacts(
        run=run["id"],
        round=run["round"],
        early_stop=run["options"]["early_stop"],
        partial=run["options"]["partial"],
        only=tuple(run["options"]["only"]),
        fingerprints={c["id"]: c["fingerprint"] for c in record["candidates"]},
    )
    return document_of(result_of(facts, pilot, boards, accounts, record["exploratory_because"]))


def dossier_boards(record: Mapping[str, Any], read_file: ReadFile) -> tuple[dict[str, Board], dict[str, Account]]:
    """Boards filled with the dossier's scores, and the accounts that it states."""
    pilot = pilot_of(record["pilot"])
    columns = _cases(record, read_file, canonical_label(pilot.data.test.positive))
    if columns.count != record["data"]["count"]:
        raise ValueError(f"{columns.count} cases, where the data has {record['data']['count']}")
    _, planned, variants = plan(pilot, record["run"]["round"], early_stop=record["run"]["options"]["early_stop"])
    boards = make_boards(pilot, planned, variants, columns)
    accounts: dict[str, Account] = {}
    for name, board in boards.items():
        if name in record["scores"]:
            _fill(board, _table(read_file(record["scores"][name]["file"])), record["plan"]["columns"][name])
        for load in record["loads"]:
            if load["candidate"] == name:
                board.arrivals[int(load["variant"])].add(_arrivals(int(load["variant"]), _table(read_file(load["file"]))))
        said = record["account"][name]
        judges = {int(v): Calibration(**c) for v, c in said["judges"].items()}
        accounts[name] = account_of(said, judges)
        board.rows = {v: accounts[name].answered.get(v, 0) for v in board.rows}
    return boards, accounts


def _table(data: bytes) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(data))


def _cases(record: Mapping[str, Any], read_file: ReadFile, positive: str | None) -> CaseColumns:
    frame = _table(read_file(record["cases"]["file"]))
    legend = record["data"].get("legend", {})
    named = [
        pl.col(f"g:{name}").replace_strict(list(codes), list(codes.values()), default=None, return_dtype=pl.String)
        for name, codes in legend.items()
        if f"g:{name}" in frame.columns and codes
    ]
    return columns_of(frame.with_columns(named), positive)


def _fill(board: Board, table: pl.DataFrame, stated: list[Mapping[str, Any]]) -> None:
    """Put the dossier's scores in place of answers. ValueError where its columns are not those that the plan needs."""
    if len(stated) != len(board.columns) or table.height != board.cases.count:
        raise ValueError(
            f"{len(stated)} scored columns of {table.height} rows, "
            f"where the plan needs {len(board.columns)} of {board.cases.count}"
        )
    for k, (column, scored) in enumerate(board.columns.items()):
        if stated[k]["metric"] != column.metric or stated[k]["variant"] != column.variant:
            raise ValueError(f"scored column {k} is of {stated[k]['metric']}, and the plan needs {column.metric}")
        scored.state[:] = table[f"s{k}"].to_numpy()
        scored.value[:] = table[f"v{k}"].fill_null(float("nan")).to_numpy()


def _arrivals(variant: int, table: pl.DataFrame) -> Observations:
    n = table.height
    latency = table["latency"].to_numpy()
    return Observations(
        variant=variant,
        position=np.arange(n),
        failed=table["failed"].to_numpy() > 0,
        label=[None] * n,
        score=np.full(n, np.nan),
        seconds=latency,
        ttft=table["ttft"].to_numpy(),
        scheduled=table["scheduled"].to_numpy(),
        late=table["late"].to_numpy(),
    )
