"""Where something stands in a file, and how a problem there is told."""

from collections.abc import Iterable
from dataclasses import dataclass

from pilotbase.domain.problem import Path
from pilotbase.errors import InvalidInput

__all__ = ["Fault", "Position", "dotted", "refuse", "show"]

MOST_LINES = 200  # a broken file of 50,000 items would otherwise scroll its first problem away


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Line and column, both from 1; a column is a character."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem with its place. `file` is as the reader named it."""

    file: str
    position: Position
    path: Path
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.position.line}:{self.position.column}"
        field = f" {dotted(self.path)}:" if self.path else ""
        return f"{where}:{field} {self.message}" + (f"; {self.hint}" if self.hint else "")


def dotted(path: Path) -> str:
    """`("gates", 0, "checks", 1, "metric")` is `gates[0].checks[1].metric`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{show(part)}" if text else show(part)
    return text


def show(value: object, most: int = 60) -> str:
    """A value in one short printable line: text bare, other values as YAML writes them."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = "null" if value is None else str(value)
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text[: most + 1])
    return text if len(text) <= most else f"{text[:most]}..."


def refuse(faults: Iterable[Fault], first: str = "") -> InvalidInput:
    """All faults as one error: sorted by place, the same line once; the file `first` comes first, others as they came."""
    faults = list(faults)
    found = dict.fromkeys(f.file for f in faults)
    files = sorted(found, key=lambda file: file != first)
    faults.sort(key=lambda f: (files.index(f.file), f.position, f.path != (), dotted(f.path)))
    lines = list(dict.fromkeys(str(f) for f in faults))
    count = f"{len(lines)} problems" if len(lines) > 1 else "1 problem"
    shown = lines[:MOST_LINES] + [f"... and {len(lines) - MOST_LINES} more"] * (len(lines) > MOST_LINES)
    return InvalidInput(f"{', '.join(files)}: {count}", shown)
