"""What each step of a case needs, and what it changes: a case and what is known in, the case after it out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from pilotbase.domain.admission import Admission, Party, Proof, StepName, step_named
from pilotbase.domain.entry import DATA_CLASSES
from pilotbase.domain.problem import Problem
from pilotbase.domain.trial_risk import Register
from pilotbase.errors import InvalidInput, UserError

__all__ = ["MOST_ROUNDS", "Facts", "taken"]

MOST_ROUNDS = 10
_LINE, _PROSE = 160, 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a step is told, and what was found out for it. `text` are findings, conditions, a reason, a comment: what it asks for.

    `need_published`: whether the need is published now. `first_call`: when the first run on the case's criteria began here, None
    where there is none. `countersigned`: when the base signed the criteria, just now. `run_criteria` are those of the named run.
    """

    text: str = ""
    contact: str = ""
    candidate: str = ""
    criteria: str = ""
    rounds: int | None = None
    access: str = ""
    day: date | None = None
    run: str = ""
    run_criteria: str = ""
    need_published: bool = False
    first_call: datetime | None = None
    countersigned: datetime | None = None
    proof: Proof | None = None
    register: Register | None = None
    incident: str = ""


def taken(admission: Admission, name: StepName, facts: Facts, *, party: Party, now: datetime) -> Admission:
    """The case after a step that `party` takes. UserError (409) where the case is not in a state for it, or something that must
    have happened before did not; InvalidInput for what the step is not told, all at once.
    """
    step = step_named(name)
    if step is None:
        raise UserError(f"`{name[:40]}` is no step of a case", hint="take one that the case's page offers", status=422)
    if admission.state not in step.starts:
        hint = f"that can be done to a case that is {' or '.join(step.starts)}"
        raise UserError(f"`{name}` cannot be done: the case is {admission.state}", hint=hint, status=409)
    lines = [f"{'.'.join(map(str, one.path))}: {one.message} ({one.hint})" for one in _told(admission, name, facts)]
    if lines:
        raise InvalidInput(f"`{name}` cannot be done yet", lines, hint="fill in what is listed, and send it again")
    for message, hint in _missing(admission, name, facts):
        raise UserError(message, hint=hint, status=409)
    changed = _CHANGES[name](admission, facts, party) if name in _CHANGES else {}
    if name == "submit":
        changed = {**changed, "submitted": now}
    if step.to is not None and step.to != admission.state:
        # A due date is about what is to be done next, so it ends with it.
        changed = {"due": None, "due_for": "", **changed, "state": step.to, "entered": max(now, admission.entered)}
    return replace(admission, **changed, version=admission.version + 1)


def _told(case: Admission, name: StepName, facts: Facts) -> Iterator[Problem]:
    """What the step must be told and is not."""
    if name in _TEXTS and not 1 <= len(facts.text.strip()) <= _PROSE:
        yield Problem(("text",), f"{_TEXTS[name]} is 1 to {_PROSE:,} characters", "say it in your own words")
    if name == "submit" and not _is_line(facts.contact):
        yield Problem(("contact",), f"a contact is 1 to {_LINE} printable characters on one line", "a name and how to reach it")
    if name in ("match", "revise"):
        yield from _criteria_problems(facts)
    if name == "match" and facts.rounds is not None and not 1 <= facts.rounds <= MOST_ROUNDS:
        yield Problem(("rounds",), f"a case has 1 to {MOST_ROUNDS} rounds", "agree on how often it may be tried")
    if name == "provision":
        if facts.access not in DATA_CLASSES:
            yield Problem(("access",), f"there is no class of data `{facts.access[:40]}`", f"one of {', '.join(DATA_CLASSES)}")
        if facts.day is None:
            yield Problem(("day",), "since when the data can be used is missing", "a day, as in 2026-11-30")
    if name == "run" and not facts.run:
        yield Problem(("run",), "no run is named", "take one from the list of runs")
    if name == "miss" and not facts.incident:
        yield Problem(("incident",), "no incident is named", "take one from the list of incidents")
    if name in ("condition", "due") and facts.day is None:
        yield Problem(("day",), "a day by which it is due is missing", "a day, as in 2026-11-30")
    if name == "register":
        yield from (facts.register or Register()).problems()


_TEXTS: Mapping[StepName, str] = {
    "screen": "what was found",
    "revise": "why the criteria change",
    "provision": "what was given",
    "condition": "the conditions",
    "again": "what another round is for",
    "withdraw": "the reason",
    "retire": "the reason",
    "comment": "a comment",
    "due": "what is due",
    "settle": "the settlement",
}


def _is_line(text: str) -> bool:
    return 1 <= len(text.strip()) <= _LINE and text.isprintable()


def _is_digest(text: str) -> bool:
    return len(text) == 71 and text.startswith("sha256:") and not set(text[7:]) - set("0123456789abcdef")


def _criteria_problems(facts: Facts) -> Iterator[Problem]:
    if not _is_digest(facts.criteria):
        hint = "what `pilotbase explain PILOT --commit` prints: sha256: and 64 hexadecimal digits"
        yield Problem(("criteria",), "this is no digest of criteria", hint)
    if not _is_line(facts.candidate):
        yield Problem(("candidate",), "the application's id in the pilot is missing", "as the pilot's file names it")


def _missing(case: Admission, name: StepName, facts: Facts) -> Iterator[tuple[str, str]]:
    """(what must have happened before and did not, what to do)."""
    if name in ("submit", "match") and not facts.need_published:
        yield "the need is not published", "ask its owner to publish it, or choose another one"
    elif name == "agree" and not case.criteria:
        yield "there are no criteria to agree on", "the base matches the case first"
    elif name == "countersign" and facts.first_call is not None and (case.countersigned is None):
        yield "a run on these criteria began before the base signed them", "commit criteria of fresh cases, and revise the case"
    elif name == "register" and case.state not in ("submitted", "screened", "matched"):
        told = facts.register or Register()
        if not (told.bearer and told.limited):
            yield "the case was admitted with a bearer of the risk and a limit", "name who bears it, and keep a limit"
    elif name == "admit":
        yield from _not_agreed(case)
        if not (case.risk.bearer and case.risk.limited):
            yield "nobody is named who bears the risk, or nothing limits it", "fill in the trial-risk register first"
    elif name == "begin":
        yield from _not_ready(case, facts)
    elif name == "run" and facts.run_criteria != case.criteria:
        yield "that run was made on other criteria than those agreed", "run the pilot whose criteria were agreed on"
    elif name == "review":
        yield from _not_proven(case, facts.proof)
    elif name in ("pass", "condition", "fail"):
        yield from _not_following(case, name)
    elif name == "again":
        yield from _no_round(case)
    elif name == "promote":
        yield from _not_replicated(case, facts.proof)


def _not_agreed(case: Admission) -> Iterator[tuple[str, str]]:
    for party, who in (("owner", "the organisation that owns the need"), ("vendor", "the vendor")):
        if party not in case.agreed:
            yield f"{who} has not agreed to the criteria", "its member agrees on the case's page"


def _not_ready(case: Admission, facts: Facts) -> Iterator[tuple[str, str]]:
    yield from _not_agreed(case)
    if case.countersigned is None:
        yield "the base has not countersigned the criteria", "countersign them before the first call"
    elif facts.first_call is not None and facts.first_call < case.countersigned:
        yield "a run on these criteria began before the base signed them", "commit criteria of fresh cases, and revise the case"
    if case.round >= case.rounds:
        yield f"all {case.rounds} rounds are used up", "bring fresh cases in a new application"


def _not_proven(case: Admission, proof: Proof | None) -> Iterator[tuple[str, str]]:
    if proof is None:
        yield "no dossier is named", "seal the run's dossier, or attach one as a file"
    elif proof.criteria != case.criteria:
        yield "the dossier is on other criteria than those agreed", "run the pilot whose criteria were agreed on"
    elif not proof.verified:
        yield "the dossier does not verify here: it was changed, or its signer is not trusted", "see what `pilotbase verify` says"
    elif not proof.signed:
        yield "the dossier is not countersigned by the base", "verify it, then run `pilotbase countersign` on it"
    elif case.countersigned is None or proof.began is None or proof.began < case.countersigned:
        yield "its run began before the base signed the criteria", "run the pilot again, after the countersignature"


def _not_following(case: Admission, name: StepName) -> Iterator[tuple[str, str]]:
    """A decision follows from the dossier: nobody overrides a verdict, in either direction."""
    proof = case.proof
    if proof is None:
        yield "no dossier is under review", "put the case to review first"
        return
    overrides = f"the dossier's verdict is {_verdict(proof)}, and a verdict is not overridden"
    passes = proof.verdict == "pass" and proof.confirmatory and proof.verified
    if name == "pass" and not passes:
        yield overrides, "decide what it says, or try another round"
    elif name == "condition" and proof.verdict == "fail":
        yield overrides, "conditions go with a pass, or where it is undecided"
    elif name == "fail" and proof.verdict != "fail":
        yield overrides, "decide what it says, or try another round"


def _verdict(proof: Proof) -> str:
    return proof.verdict if proof.confirmatory else f"{proof.verdict}, but exploratory"


def _no_round(case: Admission) -> Iterator[tuple[str, str]]:
    if case.round >= case.rounds:
        yield f"all {case.rounds} rounds are used up", "bring fresh cases in a new application"
    elif case.state == "review" and case.proof is not None and case.proof.verdict == "fail":
        yield "the dossier's verdict is fail: that is put on record first", "decide that it failed; another round may follow"
    elif case.state == "review" and case.proof is not None and case.proof.verdict == "pass" and case.proof.confirmatory:
        yield "the dossier's verdict is pass: nothing is left to try", "decide that it passed, or set conditions"


def _not_replicated(case: Admission, proof: Proof | None) -> Iterator[tuple[str, str]]:
    own = case.proof
    if case.outcome != "passed" or own is None:
        yield "the case was published with conditions", "only a case that passed is promoted"
    elif proof is None:
        yield "no dossier of a replication is named", "attach the second tester's dossier as a file"
    elif not proof.verified:
        yield "the replication's dossier does not verify here", "trust the second tester's key: `pilotbase key trust`"
    elif proof.signer == own.signer or proof.digest == own.digest:
        yield "the replication was sealed by the same signer", "it must be made elsewhere, by another organisation"
    elif proof.fingerprint != own.fingerprint:
        yield "the replication is of another application", "it must have the same fingerprint"
    elif proof.agreement != "agree" or proof.verdict != "pass" or not proof.confirmatory:
        yield "the replication does not agree with the case's dossier", "see `pilotbase compare` for where they differ"


Change = Callable[[Admission, Facts, Party], dict[str, Any]]


def _criteria(case: Admission, facts: Facts, _: Party) -> dict[str, Any]:
    """Other criteria void what was said about those before."""
    fresh = {"criteria": facts.criteria, "candidate": facts.candidate.strip(), "agreed": (), "countersigned": None}
    return fresh if facts.rounds is None or case.state != "screened" else {**fresh, "rounds": facts.rounds}


def _agreed(case: Admission, _: Facts, party: Party) -> dict[str, Any]:
    return {"agreed": tuple(one for one in ("vendor", "owner") if one == party or one in case.agreed)}


def _registered(case: Admission, facts: Facts, _: Party) -> dict[str, Any]:
    told = facts.register or Register()
    return {"risk": replace(told, misses=case.risk.misses, settlement=case.risk.settlement)}


def _missed(case: Admission, facts: Facts, _: Party) -> dict[str, Any]:
    return {"risk": replace(case.risk, misses=tuple(dict.fromkeys((*case.risk.misses, facts.incident))))}


_CHANGES: Mapping[StepName, Change] = {
    "submit": lambda case, facts, party: {"contact": facts.contact.strip()},
    "screen": lambda case, facts, party: {"findings": facts.text.strip()},
    "match": _criteria,
    "revise": _criteria,
    "agree": _agreed,
    "countersign": lambda case, facts, party: {"countersigned": case.countersigned or facts.countersigned},
    "register": _registered,
    "provision": lambda case, facts, party: {"access": facts.access, "given": facts.text.strip(), "data_day": facts.day},
    "begin": lambda case, facts, party: {"round": case.round + 1, "proof": None, "outcome": "", "conditions": ""},
    "run": lambda case, facts, party: {"runs": tuple(dict.fromkeys((*case.runs, (case.round, facts.run))))},
    "review": lambda case, facts, party: {"proof": facts.proof},
    "pass": lambda case, facts, party: {"outcome": "passed"},
    "condition": lambda case, facts, party: {
        "outcome": "conditional",
        "conditions": facts.text.strip(),
        "due": facts.day,
        "due_for": facts.text.strip()[:_LINE],
    },
    "fail": lambda case, facts, party: {"outcome": "failed"},
    "withdraw": lambda case, facts, party: {"reason": facts.text.strip()},
    "promote": lambda case, facts, party: {"replication": facts.proof},
    "retire": lambda case, facts, party: {"reason": facts.text.strip()},
    "due": lambda case, facts, party: {"due": facts.day, "due_for": facts.text.strip()},
    "miss": _missed,
    "settle": lambda case, facts, party: {"risk": replace(case.risk, settlement=facts.text.strip())},
}
