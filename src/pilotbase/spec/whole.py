"""A file that holds one mapping: read whole, with everything that is wrong with it told at once, with or without its place."""

from collections.abc import Container, Sequence
from pathlib import Path

from pilotbase.domain.problem import Path as At
from pilotbase.domain.problem import Problem
from pilotbase.errors import InvalidInput, UserError
from pilotbase.spec.kinds import found, words
from pilotbase.spec.place import Fault, Position, refuse
from pilotbase.spec.yaml import MOST_BYTES, Document, read

__all__ = ["placeless", "read_mapping", "within"]


def read_mapping(path: Path, what: str, kind: type) -> Document:
    """The document of a file that should hold a mapping with the words of `kind`. InvalidInput where it holds none; UserError
    where it cannot be read. `what` names it in messages.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{what} cannot be read: {error.strerror}", where=str(path)) from None
    document = read(raw, str(path))
    if not document.whole:
        raise refuse(document.faults)
    if not isinstance(document.data, dict):
        top = Problem((), f"found {found(document.data)}", f"allowed: a mapping with {', '.join(words(kind))}")
        raise refuse([*document.faults, document.fault(top)])
    return document


def within(path: At, places: Container[At]) -> bool:
    """Whether a path is one of `places`, or lies in one."""
    return any(path[:n] in places for n in range(1, len(path) + 1))


def placeless(name: str, problems: Sequence[Problem]) -> InvalidInput:
    """Problems of data that has no lines, told by their paths after `name`, as one error."""
    faults = [Fault(name, Position(0, 0), p.path, p.message, p.hint) for p in problems]
    lines = [str(fault).replace(":0:0:", ":", 1) for fault in faults]
    count = f"{len(lines)} problems" if len(lines) > 1 else "1 problem"
    return InvalidInput(f"{name}: {count}", list(dict.fromkeys(lines)))
