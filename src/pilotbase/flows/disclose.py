"""`pilotbase disclose`: the custodian opens one case of a dossier; anyone checks it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotbase.context import Context
from pilotbase.dossier.disclose import OpenedCase, check, disclose
from pilotbase.errors import UserError
from pilotbase.flows.commit import answers_of, committed_input, leaves_of, position_of
from pilotbase.flows.dossier import open_data
from pilotbase.flows.secret import run_secret
from pilotbase.flows.verify import verify_dossier
from pilotbase.pilots.records import find_run

__all__ = ["check_opened", "open_case"]


def open_case(context: Context, run: str, candidate: str, case: str) -> dict[str, Any]:
    """The document that opens the case of that id. Needs the run's secret and its data, which only the custodian has."""
    record = find_run(context.database, run)
    if record.result is None:
        raise UserError(
            f"run {record.run} is unfinished, so no dossier is bound to its answers",
            hint=f"go on with it: pilotbase run {record.options['spec']}",
        )
    names = [c["id"] for c in record.options["candidates"]]
    if candidate not in names:
        raise UserError(f"run {record.run} has no candidate `{candidate}`", hint=f"one of: {', '.join(names)}")
    cases = open_data(context, record)
    try:
        position = position_of(cases, case)
        secret = run_secret(context, record.run)
        leaves = list(leaves_of(context, record, cases, candidate, secret))
        media = record.options["document"]["data"]["test"]["media"]
        given = committed_input(cases.inputs(position, position + 1).to_dicts()[0], media, cases.path.parent)
        answer = answers_of(context, record, candidate).get(position)
        return disclose(secret, candidate, position, given=given, answer=answer, leaves=leaves)
    finally:
        cases.close()


def check_opened(context: Context, dossier: Path, opened: Mapping[str, Any]) -> tuple[OpenedCase, int]:
    """The case, proved against a dossier that verifies; and the exit code of that verification."""
    found = verify_dossier(context, dossier)
    if found.record is None or found.status in ("changed", "unreadable"):
        raise UserError(
            "this dossier does not verify", where=str(dossier), hint=f"see: pilotbase verify {dossier}", code=found.exit_code
        )
    return check(opened, found.record), found.exit_code
