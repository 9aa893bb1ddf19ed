"""Pilots on the base, and the jobs on them."""

from collections.abc import Iterator, Mapping

from pilotbase.client.http import Http
from pilotbase.client.reading import read
from pilotbase.client.results import Job, JobRecord, Pilot, PilotRecord

__all__ = ["Jobs", "Pilots"]


class Pilots:
    """Pilots that members keep. A change or a start with `version` is refused (412) where there is a newer one."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Pilot]:
        return self.list()

    def list(self) -> Iterator[Pilot]:
        """Pilots, newest first."""
        return self._http.walk(Pilot, "/pilots")

    def get(self, pilot: str, *, version: int | None = None) -> PilotRecord:
        """One pilot, in its newest version where none is named."""
        return read(PilotRecord, self._http.get("/pilots/{pilot}", {"version": version}, pilot=pilot))

    def add(self, files: Mapping[str, str]) -> PilotRecord:
        """Keep a new one, of texts by name; `pilot.yaml` is one of them."""
        return read(PilotRecord, self._http.post("/pilots", {"files": dict(files)}))

    def add_packed(self, data: bytes) -> PilotRecord:
        """Keep a new one, from a zip of its folder. It is kept with its mistakes, which stand in what comes back."""
        return read(PilotRecord, self._http.send("/pilots/packed", data, "application/zip"))

    def change(self, pilot: str, files: Mapping[str, str], *, whole: bool = False, version: int | None = None) -> PilotRecord:
        """The next version: these files in place of, or beside, the newest ones; with `whole` these alone."""
        body = {"files": dict(files), "whole": whole}
        return read(PilotRecord, self._http.put("/pilots/{pilot}/files", body, version=version, pilot=pilot))

    def start(self, pilot: str, *, version: int | None = None) -> JobRecord:
        """A job that runs the newest version."""
        return read(JobRecord, self._http.post("/pilots/{pilot}/start", version=version, pilot=pilot))


class Jobs:
    """Work that a process of the server does."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Job]:
        return self.list()

    def list(self) -> Iterator[Job]:
        """Jobs, newest first."""
        return self._http.walk(Job, "/jobs")

    def get(self, job: str) -> JobRecord:
        """One job, as it stands."""
        return read(JobRecord, self._http.get("/jobs/{job}", job=job))

    def stop(self, job: str) -> JobRecord:
        """Have it stopped; what was recorded is kept."""
        return read(JobRecord, self._http.post("/jobs/{job}/stop", job=job))

    def resume(self, job: str) -> JobRecord:
        """Another job, which goes on with the run of one that ended."""
        return read(JobRecord, self._http.post("/jobs/{job}/resume", job=job))
