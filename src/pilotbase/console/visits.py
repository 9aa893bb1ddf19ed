"""A visit with the session it belongs to."""

from dataclasses import dataclass, field

from pilotbase.console.page import Visit

__all__ = ["SignedVisit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedVisit(Visit):
    """For the page that changes passwords and ends sessions: the session's token, its id, which is no secret, and from where."""

    token: str = field(default="", repr=False)
    session: str = ""
    address: str = ""
