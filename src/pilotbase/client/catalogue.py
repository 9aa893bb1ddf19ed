"""The catalogue: needs and capabilities, and what fits what."""

from collections.abc import Iterator
from typing import Any

from pilotbase.client.catalogue_results import Capability, CapabilityRecord, Matches, Need, NeedRecord, Openness
from pilotbase.client.http import Http
from pilotbase.client.reading import read

__all__ = ["Capabilities", "Needs"]


class Needs:
    """What scenarios need. `words` are those of a need: `title`, `text`, `area`, `acceptance` and so on.

    A change with `version` is refused (412) where the need is another one by now.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Need]:
        return self.list()

    def list(self, *, state: str | None = None, area: str | None = None, organisation: str | None = None) -> Iterator[Need]:
        """Needs that one may see, newest first."""
        return self._http.walk(Need, "/needs", {"state": state, "area": area, "organisation": organisation})

    def get(self, need: str) -> NeedRecord:
        """One need."""
        return read(NeedRecord, self._http.get("/needs/{need}", need=need))

    def add(self, **words: Any) -> NeedRecord:
        """Draft a need, of one's own organisation where the words name no other `organisation` by its id."""
        return read(NeedRecord, self._http.post("/needs", words))

    def change(self, need: str, *, version: int | None = None, **words: Any) -> NeedRecord:
        """Say all of it anew: what is left out is empty."""
        return read(NeedRecord, self._http.put("/needs/{need}", words, version=version, need=need))

    def publish(self, need: str, *, version: int | None = None) -> NeedRecord:
        """Show it to all members, and match it."""
        return read(NeedRecord, self._http.post("/needs/{need}/publish", version=version, need=need))

    def withdraw(self, need: str, *, version: int | None = None) -> NeedRecord:
        """Match it no more."""
        return read(NeedRecord, self._http.post("/needs/{need}/withdraw", version=version, need=need))

    def reopen(self, need: str, *, version: int | None = None) -> NeedRecord:
        """Make a draft of what was withdrawn."""
        return read(NeedRecord, self._http.post("/needs/{need}/reopen", version=version, need=need))

    def matches(self, need: str, *, most: int = 10) -> Matches:
        """Published capabilities that fit it, and those that are alike and do not, with reasons."""
        return read(Matches, self._http.get("/needs/{need}/matches", {"most": most}, need=need))

    def openness(self, need: str) -> Openness:
        """How open its scenario is, from what happened."""
        return read(Openness, self._http.get("/needs/{need}/openness", need=need))


class Capabilities:
    """What vendors offer. `words` are those of a capability: `title`, `text`, `areas`, `price`, `certificates` and so on.

    A change with `version` is refused (412) where the capability is another one by now.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Capability]:
        return self.list()

    def list(self, *, state: str | None = None, organisation: str | None = None) -> Iterator[Capability]:
        """Capabilities that one may see, newest first."""
        return self._http.walk(Capability, "/capabilities", {"state": state, "organisation": organisation})

    def get(self, capability: str) -> CapabilityRecord:
        """One capability."""
        return read(CapabilityRecord, self._http.get("/capabilities/{capability}", capability=capability))

    def add(self, **words: Any) -> CapabilityRecord:
        """Draft a capability, of one's own organisation where the words name no other `organisation` by its id."""
        return read(CapabilityRecord, self._http.post("/capabilities", words))

    def change(self, capability: str, *, version: int | None = None, **words: Any) -> CapabilityRecord:
        """Say all of it anew: what is left out is empty."""
        found = self._http.put("/capabilities/{capability}", words, version=version, capability=capability)
        return read(CapabilityRecord, found)

    def publish(self, capability: str, *, version: int | None = None) -> CapabilityRecord:
        """Show it to all members, and match it."""
        found = self._http.post("/capabilities/{capability}/publish", version=version, capability=capability)
        return read(CapabilityRecord, found)

    def withdraw(self, capability: str, *, version: int | None = None) -> CapabilityRecord:
        """Match it no more."""
        found = self._http.post("/capabilities/{capability}/withdraw", version=version, capability=capability)
        return read(CapabilityRecord, found)

    def reopen(self, capability: str, *, version: int | None = None) -> CapabilityRecord:
        """Make a draft of what was withdrawn."""
        found = self._http.post("/capabilities/{capability}/reopen", version=version, capability=capability)
        return read(CapabilityRecord, found)

    def matches(self, capability: str, *, most: int = 10) -> Matches:
        """Published needs that it fits, and those that are alike and it does not fit, with reasons."""
        return read(Matches, self._http.get("/capabilities/{capability}/matches", {"most": most}, capability=capability))
