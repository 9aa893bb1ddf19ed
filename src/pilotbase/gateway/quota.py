"""What a worker asks of the keeper for a key, and what it gets: requests, tokens and money, deducted in advance.

Money is in nanos, seconds are the keeper's wall seconds since the epoch. The objects cross the socket as plain documents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

__all__ = ["MINUTE", "SPAN", "VALID", "Grant", "Limit", "Refusal", "Return", "Standing", "Want", "answer_from"]

MINUTE = 60
VALID = 1.0
"""How long requests and tokens of a grant may be used, in seconds after it was asked for."""
SPAN = MINUTE + 1
"""Seconds that are counted besides the present one: a minute, and the time in which a grant may be used."""

Limit = Literal["budget", "rpm", "tpm", "key", "busy"]
"""What refuses: a limit of the key, a key that is unknown or revoked, or a keeper that answers too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What a key needs now (`requests`, `tokens`, `nanos`: no less is of use), and what it is likely to need soon after.

    `urgent`: a request waits for it, so that what others hold unused may be called back. Otherwise it is asked in advance.
    """

    key: str
    requests: int = 0
    tokens: int = 0
    nanos: int = 0
    requests_ahead: int = 0
    tokens_ahead: int = 0
    nanos_ahead: int = 0
    urgent: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The document that crosses the socket: the fields by name."""
        return _document(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read a document back."""
        return cls(**document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What was deducted for the worker, and what is left of the limits for everybody (None where there is no such limit).

    `second` is where requests and tokens were counted; `reset_seconds` is when all that is counted now is forgotten.
    """

    second: int
    requests: int = 0
    tokens: int = 0
    nanos: int = 0
    remaining_requests: int | None = None
    remaining_tokens: int | None = None
    reset_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The document that crosses the socket: the fields by name."""
        return _document(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Which limit stands in the way, and after how many seconds it no longer may (None: it does not pass with time)."""

    limit: Limit
    after: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The document that crosses the socket: the fields by name."""
        return _document(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """What a worker gives back: requests and tokens to the second of their grant, money to the budget.

    Fewer than 0 tokens were used beyond what was granted: they are counted in the present second, whatever `second` says.
    """

    key: str
    second: int = 0
    requests: int = 0
    tokens: int = 0
    nanos: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The document that crosses the socket: the fields by name."""
        return _document(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read a document back."""
        return cls(**document)


class Standing(NamedTuple):
    """How a key stands with its limits a minute, as a worker knows it: never more than a lease behind the keeper.

    `reset` is in seconds. A limit that the key does not have is None, and so is what is left of it.
    """

    limit_requests: int | None
    remaining_requests: int | None
    limit_tokens: int | None
    remaining_tokens: int | None
    reset: float


def answer_from(document: Mapping[str, Any]) -> Grant | Refusal:
    """Read the keeper's answer back."""
    return Refusal(**document) if "limit" in document else Grant(**document)


def _document(one: Want | Grant | Refusal | Return) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}
