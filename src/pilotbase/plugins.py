"""Plug-ins through entry points, loaded by name when they are first asked for. Built-ins register the same way."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pilotbase.domain.problem import nearest
from pilotbase.errors import UserError

__all__ = ["load", "names"]

GROUPS = ("targets", "checks", "guards", "executors", "stages", "renderers", "packs", "sinks")


@cache
def _points(family: str) -> dict[str, EntryPoint]:
    return {p.name: p for p in entry_points(group=f"pilotbase.{family}")}


def names(family: str) -> tuple[str, ...]:
    """The names registered in a family, sorted."""
    return tuple(sorted(_points(family)))


@cache
def load(family: str, name: str) -> Any:
    """The object registered under `name`. UserError where there is none, or its library is missing."""
    points = _points(family)
    if name not in points:
        near = nearest(name, points)
        raise UserError(
            f"no {family[:-1]} is called `{name}`",
            hint=f"did you mean `{near}`? " * bool(near) + f"known: {', '.join(sorted(points)) or 'none'}",
        )
    try:
        return points[name].load()
    except ImportError as error:
        missing = error.name or str(error)
        raise UserError(
            f"the {family[:-1]} `{name}` needs the package `{missing}`, which is not installed",
            hint=f"install it with: pip install {missing}",
        ) from None
