"""One run as its readers see it: what a dossier would say of it, read from the home and concluded again from its evidence."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import polars as pl

from pilotbase import __version__
from pilotbase.context import Context
from pilotbase.domain.evidence import canonical_label
from pilotbase.errors import UserError
from pilotbase.flows.casebook import cases_path, read_cases
from pilotbase.flows.conclude import boards_of, conclude_run, result_of
from pilotbase.flows.criteria import plan
from pilotbase.flows.document import document_of
from pilotbase.flows.entries import account_entries, check_entry, data_entry, run_entry, unquoted
from pilotbase.flows.evidence import log_head
from pilotbase.flows.facts import facts_of, pilot_of
from pilotbase.flows.figures import figures_of, history, not_tested
from pilotbase.flows.secret import run_secret
from pilotbase.flows.tables import coded_cases
from pilotbase.flows.witness import witness_of
from pilotbase.pilots.records import RunRecord
from pilotbase.store.blobs import digest_of

__all__ = ["held_out", "recorded_rows", "run_sight"]

# What reading raises where whole files are of different runs or versions.
_MISFIT = (LookupError, TypeError, ValueError, ArithmeticError, pl.exceptions.PolarsError)


def held_out(record: RunRecord) -> bool:
    """Whether the rows of a run stay with their custodian. Anything but a plain `open` counts as held out."""
    return bool(record.options["document"]["data"]["test"]["custody"] != "open")


def recorded_rows(context: Context, record: RunRecord) -> dict[str, int]:
    """How many rows of evidence each candidate has by now; those since the last whole segment come with the next."""
    return {c["id"]: log_head(context, record.run, c["id"])["rows"] for c in record.options["candidates"]}


def run_sight(context: Context, record: RunRecord, *, confidence: float | None = None) -> dict[str, Any]:
    """A finished run in the shape of a dossier's record, as `dossier.reading` reads it.

    The result is concluded again from the evidence, once: what came of it is kept until the evidence is another. Another
    confidence makes it exploratory. Of held-out data it holds no row, no id, no answer and no group's name: groups stand under
    the codes that the dossier gives them, failures under kinds and counts.
    UserError where the run is unfinished or its evidence is damaged.
    """
    if record.result is None:
        raise UserError(f"run {record.run} is unfinished", hint=f"go on with it: pilotbase run {record.options['spec']}")
    try:
        return _sight(context, record, confidence)
    except _MISFIT as error:
        raise UserError(
            f"the files of this run do not fit together: {error!r}",
            where=str(context.run_folder(record.run)),
            hint="restore the folder of the run and the database from one copy of the home",
        ) from None


def _sight(context: Context, record: RunRecord, confidence: float | None) -> dict[str, Any]:
    found = _derived(context, record, confidence) if confidence is not None else _kept(context, record)
    return {
        "run": run_entry(record),
        "pilot": record.options["document"],
        "packs": record.options["packs"],
        "criteria": {
            "digest": record.criteria_digest,
            "recorded": record.options["criteria_recorded"],
            "witness": witness_of(context, record.criteria_digest),
        },
        "candidates": record.options["candidates"],
        **found,
        "history": history(context, record),
    }


def _kept(context: Context, record: RunRecord) -> dict[str, Any]:
    """What is derived from the evidence, kept in the database with the identity of that evidence."""
    evidence = _identity(context, record)
    row = context.database.row("SELECT evidence, document FROM run_sights WHERE run = ?", (record.run,))
    if row is not None and row["evidence"] == evidence:
        return dict(orjson.loads(row["document"]))
    found = _derived(context, record, None)
    text = orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    with suppress(UserError):  # a database that takes nothing now: the page is as good without
        context.database.execute(
            "INSERT INTO run_sights (run, evidence, document) VALUES (?, ?, ?)"
            " ON CONFLICT (run) DO UPDATE SET evidence = excluded.evidence, document = excluded.document",
            (record.run, evidence, text),
        )
    return dict(orjson.loads(text))


def _identity(context: Context, record: RunRecord) -> str:
    """A digest that changes with this version, with the run's record, with the chain of its evidence, and with any of its files.

    Files count by size and time of change. That finds what was damaged or replaced by accident without reading all of it; a
    change that hides itself is for `admin doctor --deep`, `conclude` and a dossier to find, which read the bytes.
    """
    folder = context.run_folder(record.run)
    names = [c["id"] for c in record.options["candidates"]]
    files = [cases_path(context, record.run), *(p for name in names for p in sorted((folder / "evidence" / name).glob("*")))]
    states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.is_file()]
    heads = [log_head(context, record.run, name) for name in names]
    row = [__version__, record.spec_digest, record.data_digest, record.round, record.updated, record.result]
    options = orjson.dumps(record.options, option=orjson.OPT_SORT_KEYS)
    return digest_of(orjson.dumps([row, heads, states], option=orjson.OPT_SORT_KEYS) + options)


def _derived(context: Context, record: RunRecord, confidence: float | None) -> dict[str, Any]:
    hide = held_out(record)
    pilot, because = pilot_of(record.options["document"]), ()
    if confidence is not None:
        told = conclude_run(context, record, confidence=confidence)[1]  # refuses what is no confidence
        pilot, because = replace(pilot, confidence=told["confidence"]), told["exploratory_because"]
    columns = read_cases(cases_path(context, record.run), canonical_label(pilot.data.test.positive))
    coded = coded_cases(columns, run_secret(context, record.run), hide=True)[0] if hide else columns
    boards, accounts = boards_of(context, record, pilot, coded)
    if hide:
        accounts = {name: unquoted(account) for name, account in accounts.items()}
    result = document_of(result_of(facts_of(record), pilot, boards, accounts, because, quote=not hide))
    _, planned, _ = plan(pilot, record.round, early_stop=record.options["early_stop"])
    return {
        "confirmatory": result["confirmatory"],
        "exploratory_because": result["exploratory_because"],
        "data": {**data_entry(record, columns, quote=not hide), "custody": pilot.data.test.custody},
        "result": result,
        "plan": {"checks": [check_entry(p) for p in planned]},
        "account": account_entries(accounts),
        **figures_of(context, record, pilot, columns, quote=not hide),
        "not_tested": not_tested(record, pilot, boards, columns),
    }
