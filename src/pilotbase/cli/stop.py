"""`pilotbase stop ROUTE|KEY|ALL`."""

import argparse

from pilotbase.app import opened
from pilotbase.flows.operator import operator
from pilotbase.flows.traffic_stop import stop_traffic


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Stop traffic within a second in every worker, streams under way included: of a route, of a key (its id or name), "
        "or ALL of it. Undone by `pilotbase resume`."
    )
    parser.add_argument("name", metavar="ROUTE|KEY|ALL")
    parser.add_argument("--why", required=True, help="the reason, kept in the audit log")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--route", dest="kind", action="store_const", const="route", help="the name is a route's")
    kind.add_argument("--key", dest="kind", action="store_const", const="key", help="the name is a key's")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        done = stop_traffic(context, given.name, why=given.why, kind=given.kind, who=operator())
    print(f"stopped {done.told}" if done.changed else f"{done.told}: stopped before, nothing changed")
    return 0
