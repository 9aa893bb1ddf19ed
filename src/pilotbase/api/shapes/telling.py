"""How a shape is told: filled from the words of the same name, moments as text."""

from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from pilotbase.store.audit import stamp

__all__ = ["told"]

Shape = TypeVar("Shape")


def told(shape: type[Shape], one: Any, **more: Any) -> Shape:
    """A `shape`, which is a dataclass, of the attributes of `one`; `more` are those that it has not, or has otherwise."""
    names = [field.name for field in fields(shape)]  # type: ignore[arg-type]
    found = {name: more[name] if name in more else getattr(one, name) for name in names}
    return shape(**{name: stamp(value) if isinstance(value, datetime) else value for name, value in found.items()})
