"""`pilotbase pack ls|show|publish`."""

import argparse
from pathlib import Path

from pilotbase.domain.problem import Problem
from pilotbase.errors import UserError
from pilotbase.spec.packs import known, publish, read_pack, where


def arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="word", required=True, metavar="ls|show|publish")
    ls = words.add_parser("ls", help="the packs that a pilot in a folder can use")
    ls.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="DIR")
    shown = words.add_parser("show", help="one pack as its file says it, and its digest")
    shown.add_argument("name", metavar="NAME@VERSION")
    shown.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="DIR")
    one = words.add_parser("publish", help="fix a pack for good: an edited one is refused from then on")
    one.add_argument("file", type=Path, metavar="FILE")


def main(given: argparse.Namespace) -> int:
    if given.word == "ls":
        for name in known(given.folder):
            print(name)
    elif given.word == "show":
        path = where(given.name, given.folder)
        if isinstance(path, Problem):
            raise UserError(path.message, hint=path.hint)
        print(f"# digest {read_pack(path).digest}\n{path.read_text('utf-8')}", end="")
    else:
        print(publish(given.file))
    return 0
