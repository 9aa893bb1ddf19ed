"""A problem found in a declaration, and the spelling rule of its words."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CONFIG", "Path", "Problem", "kebab", "nearest"]

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at `path` (keys and list positions from the top), and what to do about it."""

    path: Path
    message: str
    hint: str | None = None

    def under(self, *head: str | int) -> "Problem":
        """The same problem seen from further out."""
        return Problem((*head, *self.path), self.message, self.hint)


def kebab(name: str) -> str:
    """The word in a YAML file for a field: `gap_by` is `gap-by`, `for_` is `for`."""
    return name.rstrip("_").replace("_", "-")


# Read by pydantic at the edges; a plain dict, so that the domain imports nothing.
CONFIG = {"extra": "forbid", "alias_generator": kebab, "strict": True}


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word most like `word`, or None where none is near."""
    found = difflib.get_close_matches(word.lower(), list(allowed), n=1, cutoff=0.6)
    return found[0] if found else None
