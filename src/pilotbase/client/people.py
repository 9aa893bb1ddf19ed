"""Members, organisations, tokens, and what they did and used."""

from collections.abc import Iterator, Sequence
from typing import Literal

from pilotbase.client.http import Http
from pilotbase.client.reading import read
from pilotbase.client.results import AuditEntry, Member, NewMember, Organisation, Reconciliation, Token, Usage

__all__ = ["Audit", "Members", "Organisations", "Tokens", "UsageReports"]


class Members:
    """Who uses the base, by id."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Member]:
        return self.list()

    def list(self, *, organisation: str | None = None) -> Iterator[Member]:
        """Members, by login; disabled ones too."""
        return self._http.walk(Member, "/members", {"organisation": organisation})

    def get(self, member: str) -> Member:
        """One member."""
        return read(Member, self._http.get("/members/{member}", member=member))

    def add(self, login: str, *, name: str, organisation: str, roles: Sequence[str]) -> NewMember:
        """Add a member; `organisation` is an id. The first password is told this once."""
        body = {"login": login, "name": name, "organisation": organisation, "roles": list(roles)}
        return read(NewMember, self._http.post("/members", body))

    def set_roles(self, member: str, roles: Sequence[str], *, version: int | None = None) -> Member:
        """Roles in place of those before."""
        return read(Member, self._http.put("/members/{member}/roles", {"roles": [*roles]}, version=version, member=member))

    def disable(self, member: str, *, version: int | None = None) -> Member:
        """Let a member in no more."""
        return read(Member, self._http.post("/members/{member}/disable", version=version, member=member))

    def enable(self, member: str, *, version: int | None = None) -> Member:
        """Let a disabled member in again."""
        return read(Member, self._http.post("/members/{member}/enable", version=version, member=member))


class Organisations:
    """To what members belong."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Organisation]:
        return self.list()

    def list(self) -> Iterator[Organisation]:
        """Organisations, by name."""
        return self._http.walk(Organisation, "/organisations")

    def add(self, name: str) -> Organisation:
        """Add an organisation."""
        return read(Organisation, self._http.post("/organisations", {"name": name}))


class Tokens:
    """Members' tokens. They are made on the console, or on the server."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, member: str) -> Iterator[Token]:
        """The tokens of a member, newest first."""
        return self._http.walk(Token, "/members/{member}/tokens", member=member)

    def revoke(self, token: str) -> Token:
        """Let a token in no more, by its id."""
        return read(Token, self._http.post("/tokens/{token}/revoke", token=token))


class Audit:
    """Who changed what."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[AuditEntry]:
        return self.list()

    def list(self, *, who: str = "", action: str = "", subject: str = "") -> Iterator[AuditEntry]:
        """Entries, newest first; each word is what it begins with."""
        return self._http.walk(AuditEntry, "/audit", {"who": who, "action": action, "subject": subject})


class UsageReports:
    """What was used and what it cost."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def sums(self, by: Literal["key", "route", "day"] = "key", *, since: str | None = None, until: str | None = None) -> Usage:
        """Sums, between days, times, or so long ago as in `7d`."""
        return read(Usage, self._http.get("/usage", {"by": by, "since": since, "until": until}))

    def reconcile(self) -> Reconciliation:
        """Whether the ledger adds up."""
        return read(Reconciliation, self._http.get("/usage/reconcile"))
