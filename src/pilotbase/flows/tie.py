"""What a route rests on: the dossier's verdict for what is served, or the policy under which it is served without one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pilotbase.context import Context
from pilotbase.domain.canonical import digest
from pilotbase.domain.pilot import Candidate, Pilot
from pilotbase.domain.traffic import Route, Tie
from pilotbase.dossier.verify import Verification
from pilotbase.errors import UserError
from pilotbase.flows.facts import pilot_of
from pilotbase.flows.operator import said
from pilotbase.flows.served import decoding_of, fingerprint_of, recorded_candidate
from pilotbase.flows.verify import verify_dossier

__all__ = ["POLICIES", "Evidence", "Policy", "Proof", "choose_policy", "decide", "examine", "open_proof", "scenario_of"]

Policy = Literal["prevent", "warn", "allow"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
"""From the strictest to the laxest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A dossier as it verified here, and the candidate of it that is meant; `tried` is None where nothing can be relied on."""

    path: Path
    found: Verification
    pilot: Pilot | None = None
    tried: Candidate | None = None
    lack: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a route. `lack` says why no verified PASS stands behind it; None where one does."""

    scenario: str | None = None
    dossier: str | None = None
    candidate: str | None = None
    fingerprint: str | None = None
    verdict: str | None = None
    signer: str | None = None
    lack: str | None = None
    hint: str | None = None


def scenario_of(pilot: Pilot) -> str:
    """A pilot's scenario in a line."""
    need = pilot.scenario.need
    return f"{pilot.pilot}: {' '.join((need if isinstance(need, str) else need.text('en')).split())}"[:300]


def open_proof(context: Context, path: Path, candidate: str | None) -> Proof:
    """Verify a dossier and find the candidate in it; with None the only one that was judged."""
    found = verify_dossier(context, path)
    if found.record is None or found.status in ("unreadable", "changed"):
        first = f": {found.findings[0]}" if found.findings else ""
        word = "cannot be read" if found.status == "unreadable" else "does not verify"
        return Proof(path=path, found=found, lack=f"the dossier {word}{first}", hint=f"see: pilotbase verify {path}")
    pilot = pilot_of(found.record["pilot"])
    judged = [c.id for c in pilot.candidates if c.role == "candidate"]
    name = candidate or (judged[0] if len(judged) == 1 else None)
    if name not in judged:
        lack = f"candidate `{name}` was not judged in the dossier" if name else "the dossier judged several candidates"
        return Proof(path=path, found=found, pilot=pilot, lack=lack, hint=f"name one with --candidate: {', '.join(judged)}")
    return Proof(path=path, found=found, pilot=pilot, tried=recorded_candidate(pilot, name))


def examine(context: Context, route: Route, proof: Proof) -> Evidence:
    """Hold a route against a dossier: signer, verdict, and the identity of every upstream as it is now."""
    record, pilot, tried = proof.found.record, proof.pilot, proof.tried
    if record is None or pilot is None or tried is None:
        return Evidence(signer=proof.found.signer, lack=proof.lack, hint=proof.hint)
    stated = next(c for c in record["candidates"] if c["id"] == tried.id)
    concluded = next((c for c in record["result"]["candidates"] if c["id"] == tried.id), {"verdict": "inconclusive"})
    lack, hint = _lack(context, route, proof.found, tried, stated, concluded)
    return Evidence(
        scenario=scenario_of(pilot),
        dossier=digest(record),
        candidate=tried.id,
        fingerprint=stated["fingerprint"],
        verdict=concluded["verdict"],
        signer=proof.found.signer,
        lack=lack,
        hint=hint,
    )


def _lack(
    context: Context,
    route: Route,
    found: Verification,
    tried: Candidate,
    stated: Mapping[str, Any],
    concluded: Mapping[str, Any],
) -> tuple[str | None, str | None]:
    if found.status != "intact-trusted":
        lack = f"the dossier is intact, but its signer is unknown here: {found.signer}"
        return lack, "get the signer's key by another way, then: pilotbase key trust LINE"
    if concluded["verdict"] != "pass":
        reasons = concluded.get("reasons") or ()
        because = f" ({reasons[0]})" if reasons else ""
        return (
            f"the dossier's verdict for `{tried.id}` is {concluded['verdict'].upper()}{because}",
            "serve a candidate that passed",
        )
    for upstream in route.upstreams:
        try:
            now = fingerprint_of(context, upstream, route.name, tried)
        except UserError as error:
            return f"what upstream `{upstream.name}` serves cannot be identified: {error.message}", error.hint
        if now.digest != stated["fingerprint"]:
            lack = f"upstream `{upstream.name}` is not what was tried as `{tried.id}`: {_difference(stated['parts'], now.parts)}"
            return lack, "serve what was tried, or try what is served and seal a dossier of that run"
        set_, asked = decoding_of(upstream, tried)
        if set_ != asked:
            words = ", ".join(sorted(word for word in {*set_, *asked} if set_.get(word) != asked.get(word)))
            lack = f"upstream `{upstream.name}` is asked otherwise than `{tried.id}` was tried: {words} in `defaults`"
            return lack, "set the request fields that were tried, or try what is served"
    return None, None


def _difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Which parts of two fingerprints differ; a code file is named, its digest is not."""
    other = sorted(word for word in {*before, *now} if before.get(word) != now.get(word))
    return f"another {', '.join(other[:5])}{' and more' if len(other) > 5 else ''}" if other else "another prompt"


def choose_policy(asked: str | None, base: str | None, *, named: bool) -> tuple[Policy, bool]:
    """(the policy in force, whether letting through under it needs a name and a reason).

    `base` is the base's own, None where nobody set one; `named`: whether a scenario is (a dossier or a pilot is given). Without
    any of them traffic to a plain address is nobody's trial, and passes. UserError where `asked` is laxer than what was set.
    """
    for word in (asked, base):
        if word is not None and word not in POLICIES:
            raise UserError(f"`{word[:40]}` is no policy", hint=f"one of: {', '.join(POLICIES)}", status=422)
    if asked is not None and base is not None and _laxity(asked) > _laxity(base):
        raise UserError(
            f"the base's policy is `{base}`, and `{asked}` is laxer",
            hint="leave --policy out, or have the base's policy changed: pilotbase route policy",
            code=1,
            status=403,
        )
    chosen = asked or base or ("prevent" if named else "allow")
    return POLICIES[_laxity(chosen)], chosen == "allow" and (asked is not None or base is not None)


def decide(evidence: Evidence, policy: Policy, *, named: bool, by: str | None, reason: str | None) -> tuple[Tie, str | None]:
    """(the tie, a warning or None). UserError (exit 1, status 409) where the policy prevents the route.

    `named`: whether whoever lets it through must be named with a reason.
    """
    who = said("by", by) if by is not None or (named and evidence.lack) else None
    why = said("reason", reason) if reason is not None or (named and evidence.lack) else None
    if evidence.lack and policy == "prevent":
        raise UserError(
            f"the route is refused: {evidence.lack}",
            hint=f"{evidence.hint + '; ' if evidence.hint else ''}"
            "--policy warn serves it with a warning, --policy allow --by NAME --reason WHY on somebody's word",
            code=1,
            status=409,
        )
    tie = Tie(
        policy=policy,
        scenario=evidence.scenario,
        dossier=evidence.dossier,
        candidate=evidence.candidate,
        fingerprint=evidence.fingerprint,
        verdict=evidence.verdict if evidence.lack is None else f"not verified: {evidence.lack}",
        signer=evidence.signer,
        by=who,
        reason=why,
    )
    return tie, evidence.lack


def _laxity(policy: str) -> int:
    return [str(p) for p in POLICIES].index(policy)
