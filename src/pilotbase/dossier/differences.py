"""Where the result that a dossier states departs from the one that its scores give."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["differences"]

_KEYS = ("id", "gate", "group")
_WORDED = frozenset({"reasons", "reasons_zh"})
"""Sentences, which a later version may word otherwise; the verdicts and numbers that they explain are compared."""


def differences(stated: object, derived: object, place: str = "") -> Iterator[tuple[str, str]]:
    """(place, sentence) for each difference; `place` is candidate/gate/check where it lies in one.

    Numbers agree within a relative 1e-9; text, booleans, null and the sets of candidates, gates, checks and fields must be equal.
    """
    if isinstance(stated, Mapping) and isinstance(derived, Mapping):
        yield from _mappings(stated, derived, place)
    elif _listed(stated) and _listed(derived):
        yield from _lists(stated, derived, place)
    elif not _same(stated, derived):
        yield place, f"the dossier says {_shown(stated)}, its scores give {_shown(derived)}"


def _mappings(stated: Mapping[Any, Any], derived: Mapping[Any, Any], place: str) -> Iterator[tuple[str, str]]:
    for key in sorted((set(stated) | set(derived)) - _WORDED, key=str):
        if key not in derived:
            yield place, f"{key}: the dossier says {_shown(stated[key])}, its scores give nothing of this name"
        elif key not in stated:
            yield place, f"{key}: the dossier says nothing, its scores give {_shown(derived[key])}"
        else:
            for where, sentence in differences(stated[key], derived[key], place):
                yield where, sentence if where != place or not sentence.startswith("the dossier") else f"{key}: {sentence}"


def _lists(stated: Any, derived: Any, place: str) -> Iterator[tuple[str, str]]:
    left, right = _named(stated), _named(derived)
    if left is not None and right is not None:
        for name in [*right, *(name for name in left if name not in right)]:
            gate = place.rpartition("/")[2]
            own = name.removeprefix(f"{gate}/") if gate else name  # a check without an id of its own is called after its gate
            inner = f"{place}/{own}" if place else own
            if name not in left:
                yield inner, "missing from the dossier's result, though its plan and scores give it"
            elif name not in right:
                yield inner, "in the dossier's result, though its plan and scores do not give it"
            else:
                yield from differences(left[name], right[name], inner)
    elif len(stated) != len(derived):
        yield place, f"the dossier says {_shown(stated)}, its scores give {_shown(derived)}"
    else:
        for one, other in zip(stated, derived, strict=True):
            yield from differences(one, other, place)


def _named(entries: Sequence[Any]) -> dict[str, Any] | None:
    """Entries by their name, or None where they have none of their own."""
    for key in _KEYS:
        if entries and all(isinstance(entry, Mapping) and isinstance(entry.get(key), str) for entry in entries):
            found = {entry[key]: entry for entry in entries}
            return found if len(found) == len(entries) else None
    return {} if not entries else None


def _same(stated: object, derived: object) -> bool:
    if isinstance(stated, bool) or isinstance(derived, bool):
        return stated is derived
    if isinstance(stated, (int, float)) and isinstance(derived, (int, float)):
        try:
            return stated == derived or math.isclose(stated, derived, rel_tol=1e-9, abs_tol=1e-12)
        except OverflowError:
            return False
    return type(stated) is type(derived) and stated == derived


def _listed(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _shown(value: object) -> str:
    text = "null" if value is None else repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 80 else f"{text[:77]}..."
