"""`pilotbase dossier RUN`: the record, scores and commitments of a run, sealed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pilotbase import __version__
from pilotbase.checks.conclude import Account
from pilotbase.checks.plan import PlannedCheck
from pilotbase.checks.rows import CaseColumns
from pilotbase.context import Context
from pilotbase.data.files import FileCases, open_cases
from pilotbase.domain.evidence import canonical_label
from pilotbase.dossier import commitments, render_html, render_junit, render_markdown
from pilotbase.dossier.seal import Materials, refuse_taken, seal
from pilotbase.errors import UserError
from pilotbase.flows.commit import leaves_of
from pilotbase.flows.conclude import boards_of, document_of, facts_of, pilot_of, result_of
from pilotbase.flows.enclose import Wishes, check_wishes, enclosed
from pilotbase.flows.evidence import cases_path, read_cases
from pilotbase.flows.figures import environment, figures_of, history, not_tested
from pilotbase.flows.prepare import plan
from pilotbase.flows.secret import run_secret
from pilotbase.flows.tables import case_table, coded_cases, load_tables, score_table
from pilotbase.flows.witness import witness_of
from pilotbase.pilots.records import RunRecord
from pilotbase.signing import Key

__all__ = ["RENDERERS", "make_dossier", "open_data"]

UNREACHED = "could not be reached"
_QUOTED = re.compile(r" \(first in row [\d,]+: `.*`\)", re.DOTALL)
RENDERERS = {"report.html": render_html.render, "report.md": render_markdown.render, "junit.xml": render_junit.render}


def make_dossier(context: Context, record: RunRecord, out: Path, wishes: Wishes) -> Path:
    """Seal a finished run as the folder `out`. Needs the data once more, for the commitments to each input.

    Unless the data is enclosed, no input and no answer stands in it: failures are kinds and counts, and nothing is quoted.
    """
    if record.result is None:
        raise UserError(f"run {record.run} is unfinished", hint=f"go on with it: pilotbase run {record.options['spec']}")
    pilot = pilot_of(record.options["document"])
    test = pilot.data.test
    check_wishes(pilot, wishes)
    refuse_taken(out)
    secret = run_secret(context, record.run)
    cases = open_data(context, record)
    try:
        columns = read_cases(cases_path(context, record.run), canonical_label(test.positive))
        coded, legend = coded_cases(columns, secret, hide=test.custody == "held-out")
        boards, told = boards_of(context, record, pilot, coded)
        accounts = {name: account if wishes.data else unquoted(account) for name, account in told.items()}
        result = document_of(result_of(facts_of(record), pilot, boards, accounts, quote=wishes.data))
        _, planned, variants = plan(pilot, record.round, early_stop=record.options["early_stop"])
        body: dict[str, Any] = {
            "schema": "pilotbase.dossier/1",
            "tool": {"name": "pilotbase", "version": __version__},
            "made": context.stamp(),
            "run": _run(record),
            "pilot": record.options["document"],
            "pilot_digest": record.spec_digest,
            "packs": record.options["packs"],
            "criteria": _criteria(context, record),
            "confirmatory": result["confirmatory"],
            "exploratory_because": result["exploratory_because"],
            "data": {**_data(record, columns, quote=wishes.data), "custody": test.custody, "legend": legend},
            "enclosed": {"data": wishes.data, "candidate": wishes.candidate},
            "candidates": record.options["candidates"],
            "result": result,
            "plan": {
                "variants": [_plain(asdict(v)) for v in variants],
                "checks": [_check(p) for p in planned],
                "columns": {name: [_column(c) for c in board.columns] for name, board in boards.items()},
            },
            "account": _accounts(accounts),
            **figures_of(context, record, pilot, columns, quote=wishes.data),
            "not_tested": not_tested(record, pilot, boards, columns),
            "history": history(context, record),
            "environment": environment(),
        }
        materials = Materials(
            record=body,
            scores={name: score_table(board) for name, board in boards.items() if board.columns},
            cases=case_table(columns, secret, hide=test.custody == "held-out"),
            loads=load_tables(boards),
            commitments={name: commitments.frame(leaves_of(context, record, cases, name, secret)) for name in boards},
            enclosed=enclosed(record, pilot, cases, wishes),
        )
        return seal(materials, Key.load_or_create(context.home), out, RENDERERS, context.disk)
    finally:
        cases.close()


def open_data(context: Context, record: RunRecord) -> FileCases:
    """The data of a run, where it was and as it was."""
    pilot = pilot_of(record.options["document"])
    where = Path(record.options["data"]["path"])
    folder = where.parent
    cases = open_cases(replace(pilot.data.test, path=str(where)), folder, pilot.seed, context.scratch())
    if cases.digest != record.data_digest:
        cases.close()
        raise UserError(
            f"the data changed since run {record.run}: digest {cases.digest[7:19]} instead of {record.data_digest[7:19]}",
            where=str(where),
            hint="put the file that was tested back",
        )
    return cases


def _run(record: RunRecord) -> dict[str, Any]:
    kept = ("early_stop", "only", "limit", "partial")
    status = record.result["status"] if record.result else "interrupted"
    return {"id": record.run, "created": record.created, "finished": record.updated, "status": status, "round": record.round,
            "options": {k: record.options[k] for k in kept}}  # fmt: skip


def _criteria(context: Context, record: RunRecord) -> dict[str, Any]:
    row = context.database.row("SELECT recorded, document FROM criteria WHERE digest = ?", (record.criteria_digest,))
    assert row is not None  # recorded when the run began
    return {
        "digest": record.criteria_digest,
        "recorded": row["recorded"],
        "witness": witness_of(context, record.criteria_digest),
        "document": orjson.loads(row["document"]),
    }


def _data(record: RunRecord, columns: CaseColumns, *, quote: bool) -> dict[str, Any]:
    data = record.options["data"]
    return {
        **{k: data[k] for k in ("digest", "order", "count", "name")},
        "repairs": data["repairs"] if quote else [_QUOTED.sub("", text) for text in data["repairs"]],
        "groups": {name: len(coded.names) for name, coded in columns.groups.items()},
        "clusters": None if columns.clusters is None else len(columns.clusters.names),
    }


def unquoted(account: Account) -> Account:
    """An account without what a candidate or its endpoint said when it could not be reached, which may repeat an input."""

    def kept(why: str) -> str:
        return why.partition(UNREACHED)[0] + UNREACHED if UNREACHED in why else why

    return replace(account, why=kept(account.why), load_missing={v: kept(why) for v, why in account.load_missing.items()})


def _accounts(accounts: Mapping[str, Account]) -> dict[str, Any]:
    return {
        name: {
            "answered": {str(v): n for v, n in a.answered.items()},
            "why": a.why,
            "currency": a.currency,
            "judges": {str(v): asdict(c) for v, c in a.judges.items()},
            "load_missing": {str(v): why for v, why in a.load_missing.items()},
        }
        for name, a in accounts.items()
    }


def _check(p: PlannedCheck) -> dict[str, Any]:
    return {
        "id": p.id,
        "gate": p.gate,
        "metric": p.check.metric,
        "title": {"en": p.metric.title[0], "zh": p.metric.title[1]},
        "column": _column(p.column),
        "other": None if p.other is None else _column(p.other),
        "reference": p.reference,
        "view": p.check.view[0] if p.check.view else None,
        "anytime": p.anytime,
        "source": p.metric.source,
    }


def _column(column: Any) -> dict[str, Any]:
    return {"metric": column.metric, "parameters": orjson.loads(column.parameters), "variant": column.variant}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value
