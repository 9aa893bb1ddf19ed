"""`pilotbase resume ROUTE|KEY|ALL`."""

import argparse

from pilotbase.app import opened
from pilotbase.flows.operator import operator
from pilotbase.flows.traffic_stop import resume_traffic
from pilotbase.gateway.stops import list_stops


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Take a stop back: of a route, of a key, or that of ALL traffic. Other stops stay."
    parser.add_argument("name", metavar="ROUTE|KEY|ALL")
    parser.add_argument("--why", help="the reason, kept in the audit log")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--route", dest="kind", action="store_const", const="route", help="the name is a route's")
    kind.add_argument("--key", dest="kind", action="store_const", const="key", help="the name is a key's")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        done = resume_traffic(context, given.name, why=given.why, kind=given.kind, who=operator())
        left = list_stops(context.database)
    print(f"resumed {done.told}" if done.changed else f"{done.told}: not stopped, nothing changed")
    for stop in left:
        what = "all traffic" if stop.kind == "all" else f"{stop.kind} {stop.name}"
        print(f"still stopped: {what}, by {stop.who}: {stop.why}")
    return 0
