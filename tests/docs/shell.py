"""A process that runs one pilotbase command after another, so that many of them do not pay for as many starts.

Reads lines of JSON, {"folder": PATH, "variables": {...}, "arguments": [...], "output": FILE, "errors": FILE}, and answers each
with the exit code. Both streams go to `errors` in the order of writing, as in a terminal, but for standard output where `output`
names a file.
"""

import json
import os
import sys
import traceback

from pilotbase.cli.main import run


def answer(arguments: list[str]) -> int:
    """The exit code of one command."""
    try:
        return run(arguments)
    except SystemExit as stopped:
        return int(stopped.code or 0)
    except Exception:  # noqa: BLE001 - a bug shows as it would in a terminal
        traceback.print_exc()
        return 1


def send(stream: int, file: str) -> None:
    """Let a stream of this process write to the end of a file."""
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(opened, stream)
    os.close(opened)


def main() -> None:
    """Answer until the input ends."""
    back = os.fdopen(os.dup(1), "w")
    started = dict(os.environ)
    for line in sys.stdin:
        asked = json.loads(line)
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(started | asked["variables"])
        send(2, asked["errors"])
        send(1, asked["output"] or asked["errors"])
        code = answer(asked["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
        back.write(f"{code}\n")
        back.flush()


if __name__ == "__main__":
    main()
