"""`pilotbase init DIR`."""

import argparse
from pathlib import Path

from pilotbase.spec.scaffold import scaffold


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new or empty folder; nothing is overwritten")


def main(given: argparse.Namespace) -> int:
    for path in scaffold(given.folder):
        print(f"wrote {path}")
    print(f"next: pilotbase explain {given.folder / 'pilot.yaml'}\n      pilotbase run {given.folder / 'pilot.yaml'}")
    return 0
