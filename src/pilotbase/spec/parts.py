"""One dataclass from plain data: every field that does not fit, and a value to look for further problems in."""

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Generic, Literal, TypeVar, cast, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from pilotbase.domain.canonical import canonical
from pilotbase.domain.problem import Path, Problem, kebab, nearest
from pilotbase.spec.kinds import bare, described, found, hints, members, placeholder, required, words
from pilotbase.spec.place import show

__all__ = ["Finding", "Parsed", "adapter", "closest", "parse"]

T = TypeVar("T")
CROWD = 100
ROUNDS = 8  # each round mends what the last one reported; a union may show a deeper problem only once an outer one is mended


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem, and whether its place is the key rather than the value."""

    problem: Problem
    key: bool = False


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """`value` is whole where there are no findings; else what did not fit is left out or stands in, at the paths `mended`."""

    value: T | None
    findings: tuple[Finding, ...] = ()
    mended: frozenset[Path] = frozenset()


@cache
def adapter(kind: Any) -> "TypeAdapter[Any]":
    """Pydantic's reader of a dataclass that carries CONFIG."""
    return TypeAdapter(kind)


def parse(kind: type[T], data: Mapping[str, Any], raw: Callable[[Path], str | None] = lambda _: None) -> Parsed[T]:
    """Read `data` as the dataclass `kind`. Raises nothing for what `data` holds.

    `raw` gives the spelling in the file of a value that is not text.
    """
    data = copy.deepcopy(dict(data))
    reader = adapter(cast("Any", kind))
    findings: dict[Path, Finding] = {}
    mended: set[Path] = set()
    for _ in range(ROUNDS):
        try:
            return Parsed(reader.validate_json(canonical(data)), tuple(findings.values()), frozenset(mended))
        except ValidationError as refused:
            spots = _spots(kind, data, refused.errors(include_url=False, include_context=False, include_input=False))
        for spot in spots:
            if not any(spot.path[:n] in mended for n in range(1, len(spot.path) + 1)):
                finding = _finding(spot, data, raw)
                if finding is not None:
                    findings.setdefault(spot.path, finding)
        for spot in spots:
            mended |= _mend(spot, data)
    return Parsed(None, tuple(findings.values()), frozenset(mended))


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where one of pydantic's errors lies: `owner` is the dataclass that holds the word of `path`, `kind` the declared type."""

    path: Path
    owner: type | None
    kind: Any
    error: str
    message: str


def _spots(kind: Any, data: Any, errors: Iterable[Any]) -> list[_Spot]:
    spots: dict[Path, _Spot] = {}
    for error in errors:
        spot = _locate(kind, data, error)
        if spot is not None:
            spots.setdefault(spot.path, spot)
    # An inner error is told by its own words only where no outer error takes its place.
    return [s for p, s in spots.items() if not any(p[:n] in spots for n in range(len(p)))]


def _locate(kind: Any, data: Any, error: Any) -> _Spot | None:
    """Follow pydantic's `loc` through the types. None for an error about a union's member that the data does not mean."""
    path: Path = ()
    owner: type | None = None
    kind = bare(kind)
    for part in error["loc"]:
        if several := members(kind):
            meant = _meant(several, _at(data, path))
            if meant is None:
                return _Spot(path, owner, kind, "union", error["msg"])
            if part != getattr(meant, "__name__", None):
                return None
            kind = meant
            continue
        path = (*path, part)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            owner, kind = kind, bare(hints(kind).get(str(part)))
        elif get_origin(kind) in (tuple, list):
            arguments = get_args(kind)
            exact = get_origin(kind) is tuple and arguments[-1] is not Ellipsis
            if exact and error["type"] == "missing":
                return _Spot(path[:-1], owner, kind, "too_short", error["msg"])
            kind = bare(arguments[min(int(part), len(arguments) - 1)] if exact else arguments[0])
        else:
            kind = bare(get_args(kind)[1]) if get_origin(kind) in (dict, Mapping) else Any
    return _Spot(path, owner, kind, error["type"], error["msg"])


def _meant(several: tuple[Any, ...], value: Any) -> Any:
    """The member of a union that a mapping means: the dataclass that shares most words with it. None for other values."""
    if not isinstance(value, dict):
        return None
    classes = [m for m in several if isinstance(m, type) and dataclasses.is_dataclass(m)]
    return max(classes, key=lambda c: len(value.keys() & set(words(c))), default=None)


def _at(data: Any, path: Path) -> Any:
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


@lru_cache(maxsize=4096)
def closest(word: str, known: tuple[str, ...]) -> str | None:
    """`nearest`, remembered: the same mistake is often made in every item of a list."""
    return nearest(word, known)


def _near(owner: type, word: str, mapping: Mapping[str, Any]) -> str | None:
    """The word of `owner` that an unknown one probably means; None in a mapping of very many, where looking would take long."""
    known = words(owner)
    return closest(word, known) if len(mapping) <= len(known) + CROWD and len(word) <= CROWD else None


def _finding(spot: _Spot, data: Any, raw: Callable[[Path], str | None]) -> Finding | None:
    above, word = spot.path[:-1], spot.path[-1] if spot.path else ""
    if spot.error in ("unexpected_keyword_argument", "extra_forbidden") and spot.owner is not None:
        near = _near(spot.owner, str(word), _at(data, above))
        hint = f"allowed: {', '.join(words(spot.owner))}" + (f"; did you mean `{near}`?" if near else "")
        return Finding(Problem(spot.path, f"`{show(word)}` is not a word here", hint), key=True)
    if spot.error in ("missing", "missing_argument", "missing_keyword_only_argument"):
        if spot.owner is not None and word in _nearly(spot.owner, _at(data, above)):
            return None  # the unknown word beside it is the same mistake
        return Finding(Problem(spot.path, f"`{word}` is missing", f"allowed: {described(spot.kind)}"))
    value = _at(data, spot.path)
    return Finding(Problem(spot.path, *_misfit(spot, value, raw(spot.path))))


def _nearly(owner: type, mapping: Any) -> set[str]:
    """Words of `owner` that unknown words of the mapping probably mean."""
    if not isinstance(mapping, dict) or len(mapping) > len(words(owner)) + CROWD:
        return set()
    near = {_near(owner, word, mapping) for word in mapping if word not in words(owner)}
    return {word for word in near if word is not None and word not in mapping}


_RANGES = frozenset(("greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of"))


def _misfit(spot: _Spot, value: Any, raw: str | None) -> tuple[str, str]:
    """(what was found, what is allowed) for a value of the wrong type or out of range."""
    allowed = described(spot.kind)
    head = f"found {found(value)}"
    kinds = members(spot.kind) or (spot.kind,)
    if str in kinds and isinstance(value, (bool, int, float)):
        return head, f'allowed: {allowed}; quote it: "{raw or show(value)}"'
    if isinstance(value, str) and get_origin(spot.kind) is Literal:
        near = nearest(value, [str(a) for a in get_args(spot.kind)])
        return head, f"allowed: {allowed}" + (f"; did you mean `{near}`?" if near else "")
    if isinstance(value, str) and bool in kinds and value.lower() in ("yes", "no", "on", "off", "y", "n"):
        return head, f"allowed: {allowed}; did you mean `{'true' if value.lower() in ('yes', 'on', 'y') else 'false'}`?"
    if isinstance(value, str) and allowed.startswith("a list") and value:
        return head, f"allowed: {allowed}, as in [{show(value)}]"
    if isinstance(value, list) and get_origin(spot.kind) is tuple and get_args(spot.kind)[-1] is not Ellipsis:
        return f"found a list of {len(value)}", f"allowed: {allowed}"
    if spot.error in _RANGES:
        # A plug-in's options may bound a number or a length; pydantic's own words say the bound.
        return head, f"allowed: {allowed}, {spot.message.removeprefix('Input should be ')}"
    return head, f"allowed: {allowed}"


def _mend(spot: _Spot, data: Any) -> set[Path]:
    """Take out of `data` what did not fit, or put in what was missing; the paths that no longer say what the file says."""
    if not spot.path:
        return set()
    above, word = spot.path[:-1], spot.path[-1]
    holder = _at(data, above)
    if isinstance(holder, list) and isinstance(word, int):
        holder[word] = placeholder(spot.kind)
        return {spot.path}
    if not isinstance(holder, dict) or spot.owner is None:
        return {above} if isinstance(holder, dict) and holder.pop(word, None) is not None else set()
    known = {kebab(f.name): f for f in dataclasses.fields(spot.owner) if f.init}
    if word not in known:
        near = _near(spot.owner, str(word), holder)
        holder.pop(word, None)
        return {spot.path, (*above, near)} if near is not None and near not in holder else {spot.path}
    if required(known[str(word)]):
        holder[word] = placeholder(spot.kind)
    else:
        holder.pop(word, None)
    return {spot.path}
