"""Pilot cases."""

from collections.abc import Iterator, Mapping
from typing import Any

from pilotbase.client.http import Http
from pilotbase.client.reading import read
from pilotbase.client.results import Case, CaseRecord

__all__ = ["Cases"]


class Cases:
    """Applications on their way into a scenario. A step with `version` is refused (412) where the case has moved on."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Case]:
        return self.list()

    def list(self, *, state: str | None = None) -> Iterator[Case]:
        """Cases, newest first."""
        return self._http.walk(Case, "/cases", {"state": state})

    def get(self, case: str) -> CaseRecord:
        """One case."""
        return read(CaseRecord, self._http.get("/cases/{case}", case=case))

    def record(self, case: str) -> Mapping[str, Any]:
        """Its signed record, as `pilotbase case verify` reads it from a file."""
        found: Mapping[str, Any] = self._http.get("/cases/{case}/record", case=case)
        return found

    def open(self, need: str, capability: str) -> CaseRecord:
        """A draft of a capability of one's organisation for a published need."""
        return read(CaseRecord, self._http.post("/cases", {"need": need, "capability": capability}))

    def take(self, case: str, step: str, *, version: int | None = None, **told: Any) -> CaseRecord:
        """Take a step; `told` is what it needs, as `text`, `criteria` or `run`."""
        return read(CaseRecord, self._http.post("/cases/{case}/steps/{step}", told, version=version, case=case, step=step))
