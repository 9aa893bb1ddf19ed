"""One run as its readers see it: what a dossier would say of it, read from the home and concluded again from its evidence."""

from dataclasses import replace
from typing import Any

import polars as pl

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

    The result is concluded again from the evidence; another confidence makes it exploratory. Of held-out data it holds no row, no
    id, no answer and no group's name: groups stand under the codes that the dossier gives them, failures under kinds and counts.
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
        "run": run_entry(record),
        "pilot": record.options["document"],
        "packs": record.options["packs"],
        "criteria": {
            "digest": record.criteria_digest,
            "recorded": record.options["criteria_recorded"],
            "witness": witness_of(context, record.criteria_digest),
        },
        "confirmatory": result["confirmatory"],
        "exploratory_because": result["exploratory_because"],
        "data": {**data_entry(record, columns, quote=not hide), "custody": pilot.data.test.custody},
        "candidates": record.options["candidates"],
        "result": result,
        "plan": {"checks": [check_entry(p) for p in planned]},
        "account": account_entries(accounts),
        **figures_of(context, record, pilot, columns, quote=not hide),
        "not_tested": not_tested(record, pilot, boards, columns),
        "history": history(context, record),
    }
