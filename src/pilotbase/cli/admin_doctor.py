"""`pilotbase admin doctor`."""

import argparse
from dataclasses import asdict
from typing import Any

from rich.markup import escape

from pilotbase.cli.console import Console
from pilotbase.cli.listing import print_json
from pilotbase.context import SystemClock
from pilotbase.domain.health import Finding, worst
from pilotbase.flows.doctor import Patient, doctor
from pilotbase.settings import Settings
from pilotbase.store.disk import LocalDisk

__all__ = ["doctor_arguments", "examine"]

_COLOURS = {"good": "green", "look": "yellow", "bad": "bold red"}


def doctor_arguments(words: Any) -> None:
    parser = words.add_parser("doctor", help="what is wrong with this base, and what to do; reads only; exit 1 where it is bad")
    parser.add_argument("--deep", action="store_true", help="read all evidence, and all of the database")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def examine(settings: Settings, given: argparse.Namespace) -> int:
    """The command; its exit code."""
    patient = Patient(
        home=settings.home,
        disk=LocalDisk(),
        clock=SystemClock(),
        address=settings.database,
        pepper=settings.secret("PILOTBASE_PEPPER") is not None,
        deep=given.deep,
    )
    found: list[Finding] = []
    for one in doctor(patient):
        found.append(one)
        if not given.json:
            _show(one)
    state = worst(found)
    if given.json:
        print_json({"state": state, "findings": [asdict(one) for one in found]})
    else:
        print({"good": "all is good", "look": "nothing is broken; somebody should look", "bad": "something is broken"}[state])
    return int(state == "bad")


def _show(one: Finding) -> None:
    console = Console()
    colour = _COLOURS[one.state]
    console.print(f"[{colour}]{one.state:<4}[/{colour}]  {one.check}: {escape(one.told)}")
    if one.todo:
        console.print(f"      [dim]{escape(one.todo)}[/dim]")
