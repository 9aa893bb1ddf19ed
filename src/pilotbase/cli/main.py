"""Reading the command line: which command, its errors as sentences, its exit code."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from pilotbase import __version__
from pilotbase.cli.commands import COMMANDS
from pilotbase.domain.problem import nearest
from pilotbase.errors import Interrupted, UserError

__all__ = ["run"]

_SERVE = frozenset(("ahocorasick", "argon2", "babel", "fastapi", "httptools", "prometheus_client", "starlette", "uvicorn"))
"""What the extra `serve` brings."""


class Parser(argparse.ArgumentParser):
    """argparse whose errors are ours: one sentence, exit 2."""

    def error(self, message: str) -> Any:
        raise UserError(message, hint=f"see: {self.prog} --help")


def _parser() -> Parser:
    width = max(len(name) for name in COMMANDS)
    listed = "\n".join(f"  {name:<{width}}  {told}" for name, (_, told) in COMMANDS.items())
    parser = Parser(
        prog="pilotbase",
        description="An AI application pilot base: declared trials, verdicts that hold, dossiers that anyone can verify.",
        epilog=f"commands:\n{listed}\n\n`pilotbase COMMAND --help` tells more. "
        "State lives in $PILOTBASE_HOME (default: .pilotbase here).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="pilotbase [-h] [--version] COMMAND ...",
    )
    parser.add_argument("--version", action="version", version=f"pilotbase {__version__}")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run a command; its exit code. Errors go to stderr as sentences."""
    try:
        return _run(arguments)
    except UserError as error:
        print(f"pilotbase: {error}", file=sys.stderr)
        return error.code
    except Interrupted as stopped:
        print(f"\npilotbase: {stopped.resume}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("\npilotbase: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141


def _run(arguments: Sequence[str]) -> int:
    parser = _parser()
    split = next((i for i, a in enumerate(arguments) if not a.startswith("-")), len(arguments))
    parsed = parser.parse_args(list(arguments[:split]))
    if split == len(arguments) or parsed.command:
        parser.print_help()
        return 0
    name = arguments[split]
    if name not in COMMANDS:
        near = nearest(name, COMMANDS)
        raise UserError(f"`{name}` is no command", hint=f"did you mean `{near}`?" if near else "see: pilotbase --help")
    module, told = COMMANDS[name]
    noun = _load(module)
    own = Parser(
        prog=f"pilotbase {name}",
        description=told[0].upper() + told[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    noun.arguments(own)
    return int(noun.main(own.parse_args(list(arguments[split + 1 :]))))


def _load(module: str) -> Any:
    """A command's module. UserError where it needs packages of an extra that is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in _SERVE:
            message = f"this command needs the package {package}, which is not installed"
            raise UserError(message, hint="install the extra: pip install 'pilotbase[serve]'") from None
        raise
