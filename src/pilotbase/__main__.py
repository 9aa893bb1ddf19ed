"""`python -m pilotbase` and the command `pilotbase`."""

import sys

from pilotbase.cli.main import run

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
