"""`pilotbase release start`: from a dossier with a PASS to the first rung."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from pilotbase.context import Context
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.quantity import parse_money
from pilotbase.domain.release import Plan
from pilotbase.domain.traffic import Route
from pilotbase.dossier.verify import Verification
from pilotbase.errors import UserError
from pilotbase.flows.criteria import plan as plan_run
from pilotbase.flows.live_reference import reference_of
from pilotbase.flows.operator import announce
from pilotbase.flows.release_moves import checks_of, serve_arm
from pilotbase.flows.route_add import Flags, Wish, route_of
from pilotbase.flows.served import upstream_of
from pilotbase.flows.tie import Proof, choose_policy, decide, examine, open_proof
from pilotbase.gateway import keys, routes
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.release import records
from pilotbase.release.records import Release
from pilotbase.spec.plan import default_plan, plan_document, read_plan_file
from pilotbase.spec.route import route_problems

__all__ = ["Start", "Started", "start_release"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What to release on `route`: the dossier's candidate, served from `pilot`, `upstream` or `file`, or as the dossier names it.

    `by` and `reason` let it go without a PASS, on somebody's word, where the base's policy allows that. `bearer` stands in for
    a plan file.
    """

    route: str
    dossier: Path
    plan: Path | None = None
    bearer: str | None = None
    candidate: str | None = None
    pilot: Path | None = None
    upstream: str | None = None
    file: Path | None = None
    flags: Flags = field(default_factory=Flags)
    by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The release on its first rung; `warnings` say what a person should know."""

    release: Release
    warnings: tuple[str, ...] = ()


def start_release(context: Context, wish: Start, *, who: str) -> Started:
    """Check, tie and begin. UserError where the release is refused; nothing was changed then."""
    stored = routes.find_route(context.database, wish.route)
    if stored is None:
        raise _nothing_to_release(context, wish.route)
    plan = _plan(wish)
    proof = open_proof(context, wish.dossier, wish.candidate)
    if proof.tried is None or proof.pilot is None or proof.found.record is None:
        raise UserError(f"the release is refused: {proof.lack}", hint=proof.hint, code=1, status=409)
    candidate = _candidate(context, wish, proof)
    override = wish.by is not None or wish.reason is not None
    policy, _ = choose_policy("allow" if override else None, routes.read_policy(context.database), named=True)
    policy = policy if override else "prevent"
    evidence = examine(context, candidate, proof)
    if evidence.lack and not override:
        hint = f"{evidence.hint}; " if evidence.hint else ""
        raise UserError(
            f"the release is refused: {evidence.lack}",
            hint=f"{hint}--by NAME --reason WHY begins it on somebody's word, which is recorded",
            code=1,
            status=409,
        )
    tie, warning = decide(evidence, policy, named=True, by=wish.by, reason=wish.reason)
    name = f"rel-{context.clock.now():%Y%m%d}-{token_hex(4)}"
    upstreams = tuple(
        replace(one, name=f"{proof.tried.id}@{name}" + (f":{i}" if i else "")) for i, one in enumerate(candidate.upstreams)
    )
    candidate = replace(candidate, name=wish.route, upstreams=upstreams, tie=tie)
    warnings = [warning] if warning else []
    warnings += _check_money(plan, candidate)
    now = context.clock.now()
    release = Release(
        id=name,
        route=wish.route,
        state="full" if plan.rungs[0].rung == "full" else "climbing",
        rung=0,
        version=1,
        started=now,
        changed=now,
        document=_document(plan, proof.found, proof.pilot, candidate, tie_document=routes.document_of(candidate)["tie"], now=now),
    )
    _check_watched(release, plan)
    reference, lack = reference_of(context, proof.found.record, proof.tried.id) if plan.drift is not None else (None, None)
    if lack:
        warnings.append(lack)
    with context.database.transaction():
        release = _with_purse(context, release, plan, who=who, now=now)
        records.create(context.database, release, who=who)
        if reference is not None:
            records.write_reference(context.database, release.id, reference)
        serve_arm(context, release, plan, who=who, now=now)
    announce(context)
    return Started(release=release, warnings=tuple(warnings))


def _plan(wish: Start) -> Plan:
    if wish.plan is not None:
        if wish.bearer is not None:
            raise UserError("the plan names the bearer of the risk itself", hint="leave --bearer out")
        return read_plan_file(wish.plan)
    if wish.bearer is None:
        raise UserError(
            "nobody is named who bears the risk of this release",
            hint="give a plan with --plan FILE, or a name with --bearer NAME",
        )
    return default_plan(wish.bearer)


def _candidate(context: Context, wish: Start, proof: Proof) -> Route:
    """The candidate as a route of its own, from where it is said to be served."""
    assert proof.pilot is not None and proof.tried is not None
    given = [source for source in (wish.pilot, wish.upstream, wish.file) if source is not None]
    if len(given) > 1:
        raise UserError("the candidate is served from one place", hint="give one of --pilot, --upstream, --file")
    if given:
        route, _ = route_of(
            context,
            Wish(
                name=wish.route,
                upstream=wish.upstream,
                file=wish.file,
                pilot=wish.pilot,
                candidate=proof.tried.id,
                flags=wish.flags,
            ),
            proof,
        )
    elif proof.tried.target.kind == "openai":
        upstream = upstream_of(context, proof.pilot, proof.tried, Path())
        route = Route(name=wish.route, upstreams=(upstream,), price=proof.tried.price)
    else:
        raise UserError(
            f"a dossier does not hold the code of `{proof.tried.id}`",
            hint="say where it is: --pilot PILOT, the file or folder of the pilot that was run",
        )
    if route.price is None:
        route = replace(route, price=proof.tried.price)
    wrong = route_problems(route)
    if wrong is not None:
        raise wrong
    return route


def _nothing_to_release(context: Context, name: str) -> UserError:
    known = routes.unknown(context.database, name)
    hint = f"{known.hint}; " if known.hint else ""
    return UserError(
        f"there is no route `{name[:128]}` to release on",
        hint=f"{hint}a release goes from what serves now to a candidate: add what serves now with `pilotbase route add`",
        status=404,
    )


def _check_money(plan: Plan, candidate: Route) -> list[str]:
    """Shadows are paid from a budget of their own, and what may be spent is declared: both in the candidate's currency."""
    currency = candidate.price.currency if candidate.price is not None else None
    limit = plan.exposure.money
    if limit is not None and currency is not None and limit.currency != currency:
        raise UserError(
            f"the release may cost {limit}, and the candidate is paid in {currency}",
            hint=f"write `exposure: {{spend: ... {currency}}}` in the plan",
        )
    if not any(rung.rung == "shadow" for rung in plan.rungs):
        return []
    if currency is None:
        return ["the candidate has no price: what its shadows cost is counted as nothing, and no limit of money holds them"]
    cap = parse_money(plan.shadow.spend)
    if cap.currency != currency:
        raise UserError(
            f"shadows may cost {cap}, and the candidate is paid in {currency}",
            hint=f"write `shadow: {{spend: ... {currency}}}` in the plan",
        )
    return []


def _check_watched(release: Release, plan: Plan) -> None:
    """Somebody must look: a release that no mandatory check decides would only ever climb."""
    deciding = [one for one in checks_of(release, plan) if one.mandatory and one.check.role == "decide"]
    if not deciding:
        raise UserError(
            "no check would watch this release: none of the pilot's checks can be read live",
            hint="mark checks of the pilot `live: {sample: 5 %}`, or add some to the plan, as in "
            "`checks: [{metric: failure-rate, require: <= 2 %}]`",
        )


def _document(
    plan: Plan, found: Verification, pilot: Pilot, candidate: Route, *, tie_document: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    record = found.record
    assert record is not None
    tie = candidate.tie
    return {
        "plan": plan_document(plan),
        "pilot": record["pilot"],
        "run": record["run"]["id"],
        "dossier": tie.dossier,
        "candidate_id": tie.candidate,
        "fingerprint": tie.fingerprint,
        "scenario": tie.scenario,
        "packs": sorted(record.get("packs") or ()),
        "risk": pilot.scenario.risk,
        "tie": dict(tie_document),
        "candidate": routes.document_of(candidate),
        "calibrations": _calibrations(record, pilot, str(tie.candidate)),
        "rung_since": int(now.timestamp() * 1e6),
    }


def _calibrations(record: Mapping[str, Any], pilot: Pilot, candidate: str) -> dict[str, Any]:
    """How each check's judge did on answers of this candidate that people labelled, as the dossier states it."""
    _, planned, variants = plan_run(pilot, record["run"]["round"], early_stop=record["run"]["options"]["early_stop"])
    measured = record["account"][candidate]["judges"]
    found: dict[str, Any] = {}
    for one in planned:
        variant = one.column.variant
        if variants[variant].kind == "judge" and str(variant) in measured:
            found[one.id] = measured[str(variant)]
    return found


def _with_purse(context: Context, release: Release, plan: Plan, *, who: str, now: datetime) -> Release:
    """The release with the key that pays for its shadows. Nobody ever holds the key's text."""
    if not any(rung.rung == "shadow" for rung in plan.rungs):
        return release
    candidate = routes.read_route(release.document["candidate"])
    priced = candidate.price is not None and candidate.price.currency is not None
    wanted = keys.Wanted(
        name=f"shadows of {release.id}", budget=parse_money(plan.shadow.spend) if priced else None, routes=(release.route,)
    )
    pepper = load_pepper(context.home, context.secrets("PILOTBASE_PEPPER"))
    key, _ = keys.create(context.database, pepper, wanted, who=who, now=now)
    return replace(release, document={**release.document, "purse": key.id})
