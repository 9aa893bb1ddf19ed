"""Documents into dataclasses. What a newer base tells besides is left out; what is missing is an error with its name."""

import dataclasses
import types
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pilotbase.client.errors import ApiError

__all__ = ["read"]

Kind = TypeVar("Kind")


def read(kind: type[Kind], found: Any) -> Kind:
    """`found` as one of `kind`, which is a dataclass, or a plain type that is taken as it came."""
    return _read(kind, found, kind.__name__)  # type: ignore[no-any-return]


def _read(kind: Any, found: Any, place: str) -> Any:
    origin = get_origin(kind)
    if origin is types.UnionType:
        return None if found is None else _read(get_args(kind)[0], found, place)
    if origin is tuple and isinstance(found, list):
        return tuple(_read(get_args(kind)[0], one, place) for one in found)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return found
    if not isinstance(found, dict):
        raise ApiError(0, "unexpected answer", f"{place}: an object is expected")
    values = {}
    for name, inner in _hints(kind).items():
        if name not in found:
            raise ApiError(0, "unexpected answer", f"{place}.{name} is missing", hint="client and base are of different versions")
        values[name] = _read(inner, found[name], f"{place}.{name}")
    return kind(**values)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
