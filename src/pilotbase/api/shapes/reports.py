"""Usage, the audit log, and whether the base answers."""

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["AuditEntry", "Health", "Reconciliation", "Usage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Sums, a row for each `by` and currency; amounts are exact texts."""

    by: Literal["key", "route", "day"]
    since: str | None
    until: str | None
    rows: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Whether the ledger adds up, with every line in billionths of a unit of currency."""

    balanced: bool
    lines: list[dict[str, Any]]
    problems: list[str]
    waiting: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who changed what."""

    id: str
    at: str
    who: str
    action: str
    subject: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """That the database answers; `epoch` counts the changes of routes, keys and stops."""

    status: Literal["ok"]
    epoch: int
    stopped: bool
