"""From recorded evidence to the result, calling nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pilotbase.checks.board import Board
from pilotbase.checks.conclude import Account, Calibration, conclude_candidate
from pilotbase.checks.rows import CaseColumns
from pilotbase.context import Context
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.verdict import CandidateResult, RunResult, roll_up_run, withhold
from pilotbase.errors import UserError
from pilotbase.flows.casebook import cases_path, read_cases
from pilotbase.flows.criteria import plan
from pilotbase.flows.document import document_of
from pilotbase.flows.evidence import calibrations, feed, make_boards, read_log
from pilotbase.flows.facts import RunFacts, facts_of, pilot_of
from pilotbase.pilots.observe import OBSERVED
from pilotbase.pilots.records import RunRecord

__all__ = ["account_of", "boards_of", "conclude_run", "result_of"]


def conclude_run(context: Context, record: RunRecord, *, confidence: float | None = None) -> tuple[RunResult, dict[str, Any]]:
    """The result of a run from what was read back. Another confidence makes it exploratory (VERDICT.md section 4)."""
    if "account" not in record.options:
        raise UserError(
            f"run {record.run} is unfinished: its asking was cut",
            hint=f"go on with it: pilotbase run {record.options['spec']}",
            code=2,
        )
    pilot = pilot_of(record.options["document"])
    because: list[str] = []
    if confidence is not None and confidence != pilot.level:
        if not 0.5 <= confidence < 1:
            raise UserError(f"--confidence {confidence} is out of range", hint="use at least 0.5 and less than 1")
        pilot = replace(pilot, confidence=confidence)
        because.append(f"concluded at confidence {confidence:g}, which the recorded criteria do not name")
    columns = read_cases(cases_path(context, record.run), canonical_label(pilot.data.test.positive))
    boards, accounts = boards_of(context, record, pilot, columns)
    result = result_of(facts_of(record), pilot, boards, accounts, because)
    return result, document_of(result)


def boards_of(
    context: Context, record: RunRecord, pilot: Pilot, columns: CaseColumns
) -> tuple[dict[str, Board], dict[str, Account]]:
    """Boards fed from the store, and the account of each candidate."""
    _, planned, variants = plan(pilot, record.round, early_stop=record.options["early_stop"])
    boards = make_boards(pilot, planned, variants, columns)
    kept = record.options.get("labels", {})
    labels = {i: kept[v.judge.labels] for i, v in enumerate(variants) if v.judge is not None and v.judge.labels is not None}
    accounts: dict[str, Account] = {}
    for name, board in boards.items():
        feed(board, read_log(context, record.run, name, OBSERVED))
        found = calibrations(read_log(context, record.run, name), variants, labels) if labels else {}
        accounts[name] = account_of(record.options["account"][name], found)
    return boards, accounts


def account_of(said: Mapping[str, Any], judges: Mapping[int, Calibration]) -> Account:
    """An account as it was recorded."""
    return Account(
        answered={int(k): v for k, v in said["answered"].items()},
        why=said["why"],
        currency=said["currency"],
        judges=judges,
        load_missing={int(k): v for k, v in said["load_missing"].items()},
    )


def result_of(
    facts: RunFacts,
    pilot: Pilot,
    boards: Mapping[str, Board],
    accounts: Mapping[str, Account],
    because: Sequence[str] = (),
    *,
    quote: bool = True,
) -> RunResult:
    """Look, conclude each check, roll up. Reasons quote answers only with `quote`, and where custody is open."""
    family, _, _ = plan(pilot, facts.round, early_stop=facts.early_stop)
    for board in boards.values():
        board.look()
    candidates: list[CandidateResult] = []
    for candidate in pilot.candidates:
        if facts.only and candidate.id not in facts.only:
            continue
        told = conclude_candidate(
            boards[candidate.id],
            accounts[candidate.id],
            role=candidate.role,
            fingerprint=facts.fingerprints[candidate.id],
            gates=[(g.gate, g.mandatory) for g in pilot.open_gates],
            accounts=accounts,
            examples=quote and pilot.data.test.custody == "open",
        )
        if family.corrected and family.round > 1 and told.verdict == "inconclusive":
            spent = f"round {family.round} on this data leaves alpha {family.alpha:.3g} for each check: bring fresh cases"
            told = replace(told, reasons=(*told.reasons, spent))
        if facts.partial:
            told = withhold(told, f"the run is partial ({facts.partial}), and a partial run cannot pass")
        candidates.append(withhold(told, f"exploratory: {because[0]}") if because and candidate.role == "candidate" else told)
    return RunResult(
        run=facts.run,
        pilot=pilot.pilot,
        verdict=roll_up_run(candidates),
        status="partial" if facts.partial else "complete",
        confirmatory=not because,
        exploratory_because=tuple(because),
        confidence=pilot.level,
        family=family,
        candidates=tuple(candidates),
    )
