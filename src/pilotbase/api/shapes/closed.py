"""How a body is read: a word that an operation does not know is refused, for it may be a wish that would be lost."""

__all__ = ["CLOSED"]

CLOSED: dict[str, object] = {"extra": "forbid"}
