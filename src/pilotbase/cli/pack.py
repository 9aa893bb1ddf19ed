"""`pilotbase pack ls|publish`."""

import argparse
from pathlib import Path

from pilotbase.spec.packs import known, publish


def arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="word", required=True, metavar="ls|publish")
    ls = words.add_parser("ls", help="the packs that a pilot in a folder can use")
    ls.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="DIR")
    one = words.add_parser("publish", help="fix a pack for good: an edited one is refused from then on")
    one.add_argument("file", type=Path, metavar="FILE")


def main(given: argparse.Namespace) -> int:
    if given.word == "ls":
        for name in known(given.folder):
            print(name)
    else:
        print(publish(given.file))
    return 0
