"""What a declared type allows, in plain words."""

import dataclasses
import types
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pilotbase.domain.problem import kebab
from pilotbase.spec.place import show

__all__ = ["bare", "described", "found", "hints", "members", "placeholder", "words"]


@cache
def hints(owner: type) -> dict[str, Any]:
    """Word in the file -> type, for the fields of a dataclass."""
    annotated = get_type_hints(owner, include_extras=True)
    return {kebab(f.name): annotated[f.name] for f in dataclasses.fields(owner) if f.init}


def words(owner: type) -> tuple[str, ...]:
    """The words that a mapping of this dataclass may hold, in the order of its fields."""
    return tuple(hints(owner))


def bare(kind: Any) -> Any:
    """The type without `Annotated` and without `| None`, where one type is left."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        left = [a for a in get_args(kind) if a is not type(None)]
        if len(left) == 1:
            return bare(left[0])
    return kind


def members(kind: Any) -> tuple[Any, ...]:
    """The types of a union of several (None apart); empty for any other type."""
    kind = bare(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return tuple(bare(a) for a in get_args(kind) if a is not type(None))
    return ()


_NAMES: dict[Any, tuple[str, str]] = {
    str: ("text", "texts"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false each"),
}


def described(kind: Any, *, plural: bool = False) -> str:
    """What may be written for a type: `text`, `a list of whole numbers`, `one of low, medium, high`."""
    kind = bare(kind)
    if kind in _NAMES:
        return _NAMES[kind][plural]
    if several := members(kind):
        return ", or ".join(dict.fromkeys(described(m, plural=plural) for m in several))
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(show(a) for a in arguments)}"
    if origin in (tuple, list):
        inner = described(arguments[0], plural=True)
        exact = origin is tuple and arguments[-1] is not Ellipsis
        return f"a list of {len(arguments)} {inner}" if exact else f"a list of {inner}"
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return f"{'mappings' if plural else 'a mapping'} with {', '.join(words(kind))}"
    return "mappings" if plural else "a mapping"


def found(value: object) -> str:
    """What stands there, in words: `the text \\`x\\``, `the number 5`, `a list`, `nothing`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return show(value)
    if isinstance(value, (int, float)):
        return f"the number {show(value)}"
    if isinstance(value, str):
        return f"the text `{show(value)}`" if value else "empty text"
    return "a list" if isinstance(value, list) else "a mapping"


def placeholder(kind: Any) -> Any:
    """Data that parses as this type, to stand in for what did not. It is never shown and never run."""
    kind = bare(kind)
    if kind in _NAMES:
        return {str: "x", int: 1, float: 1.0, bool: False}[kind]
    if several := members(kind):
        return placeholder(several[0])
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return arguments[0]
    if origin in (tuple, list):
        return [placeholder(a) for a in arguments] if origin is tuple and arguments[-1] is not Ellipsis else []
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        annotated = hints(kind)
        needed = (f for f in dataclasses.fields(kind) if f.init and required(f))
        return {kebab(f.name): placeholder(annotated[kebab(f.name)]) for f in needed}
    return {}


def required(field: "dataclasses.Field[Any]") -> bool:
    """Whether the field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
