"""Steps of a case as a member takes them: what must be known is found out, the record is signed, and who is concerned is told."""

from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any

from pilotbase.catalog import cases, entries
from pilotbase.catalog.case_records import records
from pilotbase.catalog.cases import By, Stored
from pilotbase.context import Context
from pilotbase.domain.account import Member
from pilotbase.domain.admission import Admission, StepName
from pilotbase.domain.admission_steps import Facts, taken
from pilotbase.domain.entry import Capability, Need
from pilotbase.errors import UserError
from pilotbase.flows.case_access import acts, seen
from pilotbase.flows.case_effects import countersign_criteria, follow
from pilotbase.flows.case_files import Attached
from pilotbase.flows.case_mail import tell_parties
from pilotbase.flows.case_proof import Proven, prove
from pilotbase.pilots.records import find_criteria, get_run
from pilotbase.release import incidents
from pilotbase.signing import Key
from pilotbase.store.database import Database

__all__ = ["first_call", "open_case", "take_step"]

MOST_FILES = 200


def open_case(context: Context, member: Member, *, need: str, capability: str, who: str = "") -> Stored:
    """A draft of a capability of the member's organisation for a published need. UserError where either is not there for it."""
    wanted, offered = entries.find(context.database, Need, need), entries.find(context.database, Capability, capability)
    if wanted is None or wanted.state != "published":
        raise UserError("there is no such published need", hint="choose one of the list", status=422)
    if offered is None or offered.organisation != member.organisation or offered.state == "withdrawn":
        raise UserError("there is no such capability of your organisation", hint="choose one of the list", status=422)
    if "vendor" not in member.roles:
        raise UserError("you may not open a case", hint="a member of the vendor with the role vendor does", status=403)
    now = context.clock.now()
    made = Admission(
        id="", need=need, need_title=wanted.title, capability=capability, capability_title=offered.title,
        vendor=offered.organisation, owner=wanted.organisation, created=now, entered=now,
    )  # fmt: skip
    by = By(who=who or f"member:{member.login}", organisation=member.organisation, party="vendor")
    return cases.create(context.database, made, Key.load_or_create(context.home), by, now=now)


def take_step(
    context: Context,
    member: Member,
    case: str,
    name: StepName,
    told: Facts,
    *,
    version: int | None = None,
    dossier: str = "",
    file: Attached | None = None,
    who: str = "",
) -> Stored:
    """Take a step with what the member tells. `dossier` is a source as in `prove`, `version` the one that the member looked at,
    `who` how the log names a token of the member (empty: the member).

    UserError (403, 404, 409, 422) or InvalidInput where the member may not, or the case does not allow it; then nothing changed.
    """
    before = seen(context, member, case)
    by = acts(member, before.admission, name)
    by = replace(by, who=who or by.who)
    if version is not None and version != before.admission.version:
        raise UserError("somebody else changed this case meanwhile", hint="look at it as it is now, and try again", status=409)
    if name == "file":
        _check_file(context, case, file)
    proven = _proven(context, before.admission, name, dossier)
    key, now = Key.load_or_create(context.home), context.clock.now()
    with context.database.transaction():
        facts = _found_out(context, before.admission, name, told, proven, now)
        after = taken(before.admission, name, facts, party=by.party, now=now)
        detail = _detail(facts, proven, file)
        if name == "countersign":
            detail |= countersign_criteria(context, before.admission, key, now)
        stored = cases.change(context.database, before, after, name, detail, key, by, now=now)
        follow(context, after, name, by, now)
        tell_parties(context, stored, name, by, now)
    return stored


def _check_file(context: Context, case: str, file: Attached | None) -> None:
    if file is None:
        raise UserError("no file came", hint="choose one", status=422)
    if sum(one.step == "file" for one in records(context.database, case)) >= MOST_FILES:
        raise UserError(f"{MOST_FILES} files are attached already", hint="put several papers into one", status=409)


def _proven(context: Context, case: Admission, name: StepName, source: str) -> Proven | None:
    if name == "review" and source and case.state == "verifying":
        return prove(context, case, source, sign=True)
    if name == "promote" and source and case.state == "published" and case.proof is not None:
        return prove(context, case, source, sign=False, against=_reviewed(context, case))
    return None


def _reviewed(context: Context, case: Admission) -> str:
    """Where the dossier lies that the case was decided on."""
    reviews = (one for one in reversed(records(context.database, case.id)) if one.step == "review")
    told = next(reviews).detail["dossier"]
    return str(told["source"])


def _found_out(context: Context, case: Admission, name: StepName, told: Facts, proven: Proven | None, now: datetime) -> Facts:
    """What is told, with what the base knows itself, whatever the teller says of that."""
    database = context.database
    facts = replace(told, proof=proven.proof if proven is not None else None)
    if name in ("submit", "match"):
        need = entries.find(database, Need, case.need)
        facts = replace(facts, need_published=need is not None and need.state == "published")
    if name in ("match", "revise") and facts.criteria:
        _check_candidate(context, facts)
    if name in ("countersign", "begin"):
        facts = replace(facts, first_call=first_call(database, case.criteria), countersigned=now)
    if name == "run" and facts.run:
        facts = replace(facts, run_criteria=get_run(database, facts.run).criteria_digest)
    if name == "miss" and facts.incident:
        incidents.find(database, facts.incident)
    return facts


def first_call(database: Database, criteria: str) -> datetime | None:
    """When the first run of this home on these criteria began, before its first call; None where there is none."""
    row = database.row("SELECT min(created) AS first FROM runs WHERE criteria_digest = ?", (criteria,))
    return datetime.fromisoformat(row["first"]) if row is not None and row["first"] else None


def _check_candidate(context: Context, facts: Facts) -> None:
    """Where the criteria were recorded here, their pilot must have the application. Elsewhere the dossier shows it."""
    pilot = find_criteria(context.database, facts.criteria).get("pilot", {})
    known = [str(one["id"]) for one in pilot.get("candidates", ())]
    if known and facts.candidate not in known:
        raise UserError(f"the pilot has no application `{facts.candidate[:60]}`", hint=f"one of {', '.join(known)}", status=422)


def _detail(facts: Facts, proven: Proven | None, file: Attached | None) -> dict[str, Any]:
    """What a record tells: only what there is."""
    words = ("text", "contact", "candidate", "criteria", "rounds", "access", "run", "incident")
    detail: dict[str, Any] = {word: value for word in words if (value := getattr(facts, word))}
    if facts.day is not None:
        detail["day"] = facts.day.isoformat()
    if facts.register is not None:
        told = asdict(facts.register)
        detail["register"] = {w: v.isoformat() if isinstance(v, date) else v for w, v in told.items() if v not in (None, "", ())}
    if proven is not None:
        detail["dossier"] = {**proven.told, "signer": proven.proof.signer, "agreement": proven.proof.agreement}
    return detail | ({"file": file.document()} if file is not None else {})
