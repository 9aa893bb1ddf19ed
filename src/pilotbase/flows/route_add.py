"""`pilotbase route add`: from an address, a file or a pilot to a route that is served, and what it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pilotbase.context import Context
from pilotbase.domain.pilot import Candidate, Pilot
from pilotbase.domain.price import Price
from pilotbase.domain.traffic import Route, Upstream
from pilotbase.errors import UserError
from pilotbase.flows.operator import announce
from pilotbase.flows.prepare import load_pilot
from pilotbase.flows.served import upstream_of
from pilotbase.flows.tie import Evidence, Proof, choose_policy, decide, examine, open_proof, scenario_of
from pilotbase.gateway import routes
from pilotbase.spec.route import read_route_data, read_route_file, route_problems

__all__ = ["Added", "Flags", "Wish", "add_route", "named_candidate", "route_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the command line says of a route itself; None: what the source says, or the default."""

    model: str | None = None
    key_env: str | None = None
    price_per_call: str | None = None
    price_input: str | None = None
    price_output: str | None = None
    timeout: str | None = None
    retries: int | None = None
    weight: int | None = None
    max_output: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A route to add: from exactly one of `upstream` (an address), `file`, `document` and `pilot` with its `candidate`.

    With a `dossier`, `candidate` names the one in it that is served.
    """

    name: str | None = None
    upstream: str | None = None
    file: Path | None = None
    document: Mapping[str, Any] | None = None
    pilot: Path | None = None
    candidate: str | None = None
    flags: Flags = field(default_factory=Flags)
    dossier: Path | None = None
    policy: str | None = None
    by: str | None = None
    reason: str | None = None
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """The route as it is served now; `warning` says what it lacks."""

    route: Route
    warning: str | None = None


def add_route(context: Context, wish: Wish, *, who: str) -> Added:
    """Check, tie and record a route, and tell the workers. UserError where it is refused, InvalidInput where it is wrong."""
    sources = {"--upstream": wish.upstream, "--file": wish.file, "--pilot": wish.pilot, "the document": wish.document}
    given = [word for word, source in sources.items() if source is not None]
    if len(given) != 1:
        found = " and ".join(given) or "nothing"
        raise UserError(f"a route comes from one source, found {found}", hint="give one of --upstream, --file, --pilot")
    scenario = wish.dossier is not None or wish.pilot is not None
    policy, named = choose_policy(wish.policy, routes.read_policy(context.database), named=scenario)
    proof = open_proof(context, wish.dossier, wish.candidate) if wish.dossier is not None else None
    route, pilot = route_of(context, wish, proof)
    wrong = route_problems(route)
    if wrong is not None:
        raise wrong
    if proof is not None:
        evidence = examine(context, route, proof)
    else:
        subject = f"of the pilot `{pilot.pilot}` " if pilot is not None else ""
        evidence = Evidence(
            scenario=scenario_of(pilot) if pilot is not None else None,
            candidate=wish.candidate if pilot is not None else None,
            lack=f"no dossier {subject}is given",
            hint="seal one of a run that passed, and give it: --dossier PATH",
        )
    tie, warning = decide(evidence, policy, named=named, by=wish.by, reason=wish.reason)
    plain = not scenario and policy == "allow" and not named
    route = replace(route, tie=replace(tie, verdict=None) if plain else tie)
    routes.put(context.database, route, who=who, now=context.clock.now(), replace=wish.replace)
    announce(context)
    return Added(route=route, warning=None if plain else warning)


def route_of(context: Context, wish: Wish, proof: Proof | None) -> tuple[Route, Pilot | None]:
    """The route as its source and the flags say, without its tie; the pilot where it comes from one."""
    if wish.file is not None or wish.document is not None:
        if wish.flags != Flags():
            raise UserError("a route's file says all of it", hint="write the price, the timeouts and the rest into the file")
        read = read_route_file(wish.file) if wish.file is not None else read_route_data(wish.document or {})
        if wish.name is not None and wish.name != read.name:
            raise UserError(
                f"the route is to be called `{wish.name}`, and its file says `{read.name}`", hint="make them the same"
            )
        return read, None
    if wish.name is None:
        raise UserError("the route has no name", hint="name it as clients will call the model: route add NAME ...")
    if wish.pilot is not None:
        loaded = load_pilot(wish.pilot)
        candidate = named_candidate(loaded.pilot, wish.candidate)
        upstream = upstream_of(context, loaded.pilot, candidate, loaded.folder)
        return _flagged(wish.name, upstream, wish.flags, candidate.price), loaded.pilot
    if proof is not None and proof.pilot is not None and proof.tried is not None and proof.tried.target.kind == "openai":
        # Served as it was tried: with the dossier's fixed messages and parameters, at the address given here.
        options = replace(proof.tried.target.options, url=wish.upstream, url_env=None, key_env=wish.flags.key_env)
        if wish.flags.model is not None:
            options = replace(options, model=wish.flags.model, model_env=None)
        candidate = replace(proof.tried, target=replace(proof.tried.target, options=options))
        upstream = upstream_of(context, proof.pilot, candidate, Path())
        return _flagged(wish.name, upstream, wish.flags, None), None
    return _flagged(wish.name, Upstream(url=wish.upstream), wish.flags, None), None


def named_candidate(pilot: Pilot, name: str | None) -> Candidate:
    """A candidate of a pilot by its id; with None the only one. UserError (status 404) where that does not tell."""
    ids = [c.id for c in pilot.candidates]
    if name is None and len(ids) == 1:
        return pilot.candidates[0]
    for candidate in pilot.candidates:
        if candidate.id == name:
            return candidate
    found = f"the pilot has no candidate `{name}`" if name is not None else "the pilot has several candidates"
    raise UserError(found, hint=f"name one with --candidate: {', '.join(ids)}", status=404)


def _flagged(name: str, upstream: Upstream, flags: Flags, price: Price | None) -> Route:
    timeouts = replace(upstream.timeouts, total=flags.timeout) if flags.timeout is not None else upstream.timeouts
    changed = replace(
        upstream,
        model=flags.model or upstream.model,
        key_env=flags.key_env or upstream.key_env,
        timeouts=timeouts,
        weight=flags.weight if flags.weight is not None else upstream.weight,
    )
    route = Route(name=name, upstreams=(changed,), price=_price(flags, price))
    if flags.retries is not None:
        route = replace(route, retries=flags.retries)
    return replace(route, max_output=flags.max_output) if flags.max_output is not None else route


def _price(flags: Flags, declared: Price | None) -> Price | None:
    if flags.price_per_call is None and flags.price_input is None and flags.price_output is None:
        return declared
    return Price(
        per_call=flags.price_per_call, per_million_input_tokens=flags.price_input, per_million_output_tokens=flags.price_output
    )
