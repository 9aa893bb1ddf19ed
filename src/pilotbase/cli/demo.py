"""`pilotbase demo`."""

import argparse

from pilotbase.app import opened
from pilotbase.demo.fill import fill
from pilotbase.settings import read_settings


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Fill a fresh base with a demonstration: made-up organisations, people, needs and capabilities, marked as such; trials "
        "of the bundled examples that are really run; cases from draft to promoted; a release that came back and one that went "
        "all the way. It takes one to three minutes, and refuses a base that has members."
    )
    parser.add_argument("--no-release", action="store_true", help="leave out the releases, which take most of a minute")


def main(given: argparse.Namespace) -> int:
    with opened() as context:
        environment = None if given.no_release else read_settings().environment
        done = fill(context, lambda line: print(line, flush=True), environment=environment)
        print(f"\nmembers (one password for all: {done.password}), also in {done.accounts}:")
        for login in done.logins:
            print(f"  {login}")
        print("\nlook at it:  pilotbase serve, and http://127.0.0.1:8080/console")
    return 0
