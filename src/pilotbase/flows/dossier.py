"""`pilotbase dossier RUN`: the record, scores and commitments of a run, sealed."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pilotbase import __version__
from pilotbase.context import Context
from pilotbase.data.files import FileCases, open_cases
from pilotbase.domain.evidence import canonical_label
from pilotbase.dossier import commitments, render_html, render_junit, render_markdown
from pilotbase.dossier.seal import Materials, refuse_taken, seal
from pilotbase.errors import UserError
from pilotbase.flows.casebook import cases_path, read_cases
from pilotbase.flows.commit import leaves_of
from pilotbase.flows.conclude import boards_of, result_of
from pilotbase.flows.criteria import plan
from pilotbase.flows.document import document_of
from pilotbase.flows.enclose import Wishes, check_wishes, enclosed
from pilotbase.flows.entries import (
    account_entries,
    check_entry,
    column_entry,
    criteria_entry,
    data_entry,
    plain_entry,
    run_entry,
    unquoted,
)
from pilotbase.flows.evidence import log_head
from pilotbase.flows.facts import facts_of, pilot_of
from pilotbase.flows.figures import environment, figures_of, history, not_tested
from pilotbase.flows.secret import run_secret
from pilotbase.flows.tables import case_table, coded_cases, load_tables, score_table
from pilotbase.pilots.records import RunRecord
from pilotbase.signing import Key

__all__ = ["RENDERERS", "make_dossier", "open_data"]

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
            "run": run_entry(record),
            "pilot": record.options["document"],
            "pilot_digest": record.spec_digest,
            "packs": record.options["packs"],
            "criteria": criteria_entry(context, record),
            "confirmatory": result["confirmatory"],
            "exploratory_because": result["exploratory_because"],
            "data": {**data_entry(record, columns, quote=wishes.data), "custody": test.custody, "legend": legend},
            "enclosed": {"data": wishes.data, "candidate": wishes.candidate},
            "candidates": record.options["candidates"],
            "result": result,
            "plan": {
                "variants": [plain_entry(asdict(v)) for v in variants],
                "checks": [check_entry(p) for p in planned],
                "columns": {name: [column_entry(c) for c in board.columns] for name, board in boards.items()},
            },
            "account": account_entries(accounts),
            **figures_of(context, record, pilot, columns, quote=wishes.data),
            "not_tested": not_tested(record, pilot, boards, columns),
            "history": history(context, record),
            "evidence": {name: log_head(context, record.run, name) for name in boards},
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
