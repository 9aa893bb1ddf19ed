"""Runs, releases and incidents."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pilotbase.client.http import Http
from pilotbase.client.reading import read
from pilotbase.client.results import (
    Export,
    Failures,
    Incident,
    IncidentRecord,
    JobRecord,
    Release,
    ReleaseMove,
    ReleaseRecord,
    Run,
    RunRecord,
)

__all__ = ["Incidents", "Releases", "Runs"]


class Runs:
    """What was tried."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Run]:
        return self.list()

    def list(self, *, pilot: str | None = None, verdict: str | None = None) -> Iterator[Run]:
        """Runs, newest first; `verdict` `none` for those that have not finished."""
        return self._http.walk(Run, "/runs", {"pilot": pilot, "verdict": verdict})

    def get(self, run: str) -> RunRecord:
        """One run."""
        return read(RunRecord, self._http.get("/runs/{run}", run=run))

    def verdict(self, run: str) -> Mapping[str, Any]:
        """The verdict's document. ApiError (409) where the run is unfinished."""
        found: Mapping[str, Any] = self._http.get("/runs/{run}/verdict", run=run)
        return found

    def failures(self, run: str) -> Sequence[Failures]:
        """What failed of each candidate, by kind and count."""
        return [read(Failures, one) for one in self._http.get("/runs/{run}/failures", run=run)]

    def seal(self, run: str) -> JobRecord:
        """A job that seals a finished run as a dossier in the base's home."""
        return read(JobRecord, self._http.post("/runs/{run}/seal", run=run))


class Releases:
    """What is being released. A move with `version` is refused (412) where the release has moved on since it was read."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Release]:
        return self.list()

    def list(self, *, route: str | None = None, under_way: bool = False) -> Iterator[Release]:
        """Releases, newest first; `under_way`: those that are not over."""
        return self._http.walk(Release, "/releases", {"route": route, "under_way": under_way})

    def get(self, release: str) -> ReleaseRecord:
        """One release as it stands."""
        return read(ReleaseRecord, self._http.get("/releases/{release}", release=release))

    def pause(self, release: str, *, why: str, version: int | None = None) -> ReleaseMove:
        """Stand on this rung."""
        found = self._http.post("/releases/{release}/pause", {"why": why}, version=version, release=release)
        return read(ReleaseMove, found)

    def resume(
        self, release: str, *, why: str, limits: Mapping[str, int | str] | None = None, version: int | None = None
    ) -> ReleaseMove:
        """Go on; `limits` from now on: `people`, `requests`, `spend` (as in `500 CNY`), `time` (as in `14d`)."""
        body = {"why": why, "limits": dict(limits) if limits is not None else None}
        return read(ReleaseMove, self._http.post("/releases/{release}/resume", body, version=version, release=release))

    def promote(self, release: str, *, why: str, anyway: bool = False, version: int | None = None) -> ReleaseMove:
        """Climb a rung; on `full`, end the release, with `anyway` though evidence lacks."""
        body = {"why": why, "anyway": anyway}
        return read(ReleaseMove, self._http.post("/releases/{release}/promote", body, version=version, release=release))

    def rollback(self, release: str, *, why: str) -> ReleaseMove:
        """Take the candidate off the route, whoever else moves the release."""
        return read(ReleaseMove, self._http.post("/releases/{release}/rollback", {"why": why}, release=release))


class Incidents:
    """What went wrong. `known` holds what is known of one: severity, title, title_zh, summary, people, harms and so on."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Incident]:
        return self.list()

    def list(
        self, *, state: str | None = None, severity: int | None = None, kind: str | None = None, route: str | None = None
    ) -> Iterator[Incident]:
        """Incidents, newest first."""
        query = {"state": state, "severity": severity, "kind": kind, "route": route}
        return self._http.walk(Incident, "/incidents", query)

    def get(self, incident: str) -> IncidentRecord:
        """One incident."""
        return read(IncidentRecord, self._http.get("/incidents/{incident}", incident=incident))

    def report(
        self,
        route: str,
        *,
        kind: Literal["incident", "near-miss", "hazard"] = "incident",
        known: Mapping[str, Any] | None = None,
        **more: str,
    ) -> IncidentRecord:
        """Open one. `more`: `first_bad`, `since`, `release`, `alert`, `audit`."""
        body = {"route": route, "kind": kind, "known": dict(known) if known is not None else None, **more}
        return read(IncidentRecord, self._http.post("/incidents", body))

    def contain(
        self, incident: str, action: str, *, note: str = "", known: Mapping[str, Any] | None = None, version: int | None = None
    ) -> IncidentRecord:
        """Say what was done: `rollback`, `throttle`, `disable`, `human-takeover` or `other`."""
        body = {"action": action, "note": note, "known": dict(known) if known is not None else None}
        return read(IncidentRecord, self._http.post("/incidents/{incident}/contain", body, version=version, incident=incident))

    def resolve(
        self,
        incident: str,
        *,
        cause: str = "",
        note: str = "",
        known: Mapping[str, Any] | None = None,
        version: int | None = None,
    ) -> IncidentRecord:
        """Say that it is mended."""
        body = {"cause": cause, "note": note, "known": dict(known) if known is not None else None}
        return read(IncidentRecord, self._http.post("/incidents/{incident}/resolve", body, version=version, incident=incident))

    def export(self, incident: str, form: Literal["json", "csv", "atlas", "aiid"]) -> Export:
        """One incident for others, without names."""
        return read(Export, self._http.get("/incidents/{incident}/exports/{form}", incident=incident, form=form))
