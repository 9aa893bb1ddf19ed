"""`pilotbase route add|ls|show|rm|policy`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.markup import escape

from pilotbase.app import opened
from pilotbase.cli.console import Errors
from pilotbase.cli.listing import print_json, print_table
from pilotbase.context import Context
from pilotbase.domain.traffic import Route
from pilotbase.errors import UserError
from pilotbase.flows.operator import announce, operator, said
from pilotbase.flows.route_add import Flags, Wish, add_route
from pilotbase.flows.tie import POLICIES
from pilotbase.gateway import routes


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "What the gateway serves. A route is a public model name, who answers under it, at what price, and what it rests on: "
        "a dossier with a verified PASS for what is served, or the policy that let it through without one."
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="add|ls|show|rm|policy")
    _add_arguments(words)
    listed = words.add_parser("ls", help="all routes")
    listed.add_argument("--json", action="store_true", help="one JSON list on stdout")
    show = words.add_parser("show", help="one route, as JSON that `route add --file` reads")
    show.add_argument("name", metavar="NAME")
    remove = words.add_parser("rm", help="serve a route no longer; what it used stays accounted for")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--why", default="", help="the reason, kept in the audit log")
    policy = words.add_parser("policy", help="what this base does with a route that no verified PASS stands behind")
    policy.add_argument("policy", nargs="?", choices=POLICIES, metavar="prevent|warn|allow", help="set it (default: show it)")
    policy.add_argument("--reason", help="why; kept in the audit log")


def _add_arguments(words: Any) -> None:
    add = words.add_parser("add", help="serve a route from now on; running workers take it up at once")
    add.add_argument("name", nargs="?", metavar="NAME", help="the model's name for clients (with --file: as the file says)")
    source = add.add_argument_group("who answers (one of these)")
    source.add_argument("--upstream", metavar="URL", help="an OpenAI-compatible root, as in http://127.0.0.1:8000/v1")
    source.add_argument("--file", type=Path, metavar="FILE", help="a route in YAML or JSON, with all of its words")
    source.add_argument(
        "--pilot", type=Path, metavar="PILOT", help="a pilot's file or folder, whose --candidate is served as tried"
    )
    source.add_argument("--candidate", metavar="ID", help="the candidate of the pilot, or of the dossier")
    with_url = add.add_argument_group("of an upstream or a pilot")
    with_url.add_argument("--upstream-model", metavar="MODEL", help="the upstream's own name for the model")
    with_url.add_argument("--key-env", metavar="VARIABLE", help="the variable that holds the upstream's key")
    with_url.add_argument("--price-per-call", metavar="AMOUNT", help="as in 0.01CNY")
    with_url.add_argument("--price-input", metavar="AMOUNT", help="per million tokens read, as in 2CNY")
    with_url.add_argument("--price-output", metavar="AMOUNT", help="per million tokens written")
    with_url.add_argument("--timeout", metavar="TIME", help="of one attempt, to its last byte")
    with_url.add_argument("--retries", type=int, metavar="N", help="further attempts before the first byte of an answer")
    with_url.add_argument("--weight", type=int, metavar="N", help="share of the traffic among the upstreams of a tier")
    with_url.add_argument("--max-output", type=int, metavar="N", help="tokens reserved for an answer that names no limit")
    rests = add.add_argument_group("what it rests on")
    rests.add_argument("--dossier", type=Path, metavar="PATH", help="a dossier with a PASS for what is served")
    rests.add_argument(
        "--policy",
        choices=POLICIES,
        metavar="prevent|warn|allow",
        help="without a PASS: refuse, warn, or allow on somebody's word",
    )
    rests.add_argument("--by", metavar="NAME", help="with allow: whose word")
    rests.add_argument("--reason", metavar="WHY", help="with allow: on what grounds")
    add.add_argument("--replace", action="store_true", help="put it in the place of the route of this name")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        return {"add": _add, "ls": _list, "show": _show, "rm": _remove, "policy": _policy}[given.word](context, given)


def _add(context: Context, given: argparse.Namespace) -> int:
    if given.candidate is not None and given.pilot is None and given.dossier is None:
        raise UserError("--candidate names one of a pilot or of a dossier", hint="give --pilot PILOT or --dossier PATH")
    wish = Wish(
        name=given.name,
        upstream=given.upstream,
        file=given.file,
        pilot=given.pilot,
        candidate=given.candidate,
        flags=Flags(
            model=given.upstream_model,
            key_env=given.key_env,
            price_per_call=given.price_per_call,
            price_input=given.price_input,
            price_output=given.price_output,
            timeout=given.timeout,
            retries=given.retries,
            weight=given.weight,
            max_output=given.max_output,
        ),
        dossier=given.dossier,
        policy=given.policy,
        by=given.by,
        reason=given.reason,
        replace=given.replace,
    )
    done = add_route(context, wish, who=operator())
    if done.warning is not None:
        Errors().print(f"[bold yellow]WARNING[/]: no verified PASS stands behind this route: {escape(done.warning)}")
    print(f"route {done.route.name}: {_rests(done.route)}")
    return 0


def _list(context: Context, given: argparse.Namespace) -> int:
    found = routes.list_routes(context.database)
    if given.json:
        print_json([routes.document_of(one.route) for one in found])
        return 0
    if not found:
        print("no routes in this home yet; add one: pilotbase route add NAME --upstream URL")
        return 0
    rows = [
        (one.route.name, ", ".join(_upstreams(one.route)), _price(one.route), _rests(one.route), one.created.isoformat()[:16])
        for one in found
    ]
    print_table(("route", "upstreams", "price", "rests on", "since"), rows)
    return 0


def _show(context: Context, given: argparse.Namespace) -> int:
    found = routes.find_route(context.database, given.name)
    if found is None:
        raise routes.unknown(context.database, given.name)
    print_json(routes.document_of(found.route))
    return 0


def _remove(context: Context, given: argparse.Namespace) -> int:
    routes.remove(context.database, given.name, why=given.why, who=operator(), now=context.clock.now())
    announce(context)
    print(f"removed route {given.name}")
    return 0


def _policy(context: Context, given: argparse.Namespace) -> int:
    if given.policy is None:
        found = routes.read_policy(context.database)
        print(found or "prevent once a scenario is named (a pilot or a dossier is given), else allow; nobody has set another")
        return 0
    reason = said("reason", given.reason)
    routes.set_policy(context.database, given.policy, who=operator(), reason=reason, now=context.clock.now())
    print(f"this base's policy for routes added from now on: {given.policy}")
    if given.policy != "prevent":
        print("WARNING: routes may now be served that no verified PASS stands behind", file=sys.stderr)
    return 0


def _upstreams(route: Route) -> list[str]:
    return [f"{u.name}: {u.url or (u.target or {}).get('candidate') or u.kind}" for u in route.upstreams]


def _price(route: Route) -> str:
    if route.price is None:
        return "—"
    names = ("a call", "1M in", "1M out")
    told = [f"{amount} {name}" for amount, name in zip(route.price.amounts(), names, strict=True) if amount is not None]
    return ", ".join(told) or "—"


def _rests(route: Route) -> str:
    tie = route.tie
    if tie.verdict == "pass":
        return f"PASS of {tie.candidate}, sealed by {tie.signer}"
    if tie.verdict is None:
        return "no scenario"
    return f"no verified PASS ({tie.policy}{f', by {tie.by}: {tie.reason}' if tie.by else ''})"
