"""`pilotbase run PILOT --server URL`: on a shared base, by its own processes; the verdict and the exit code come back here."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from pilotbase.cli.console import Console
from pilotbase.cli.tables import print_result
from pilotbase.client.client import Client
from pilotbase.client.errors import ApiError
from pilotbase.client.results import JobRecord, PilotRecord
from pilotbase.domain.verdict import EXIT_CODES
from pilotbase.errors import Interrupted, UserError
from pilotbase.flows.packing import pack_pilot
from pilotbase.settings import Settings

__all__ = ["TOKEN", "run_remotely"]

TOKEN = "PILOTBASE_TOKEN"
_OFTEN = 1.0


def run_remotely(
    pilot: Path,
    url: str,
    settings: Settings,
    *,
    variable: str = TOKEN,
    json: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Bring the pilot's folder, have it run, follow it, and print the verdict; the exit code is that of a run here.

    UserError where the base refuses, the pilot has mistakes, or its run fails.
    """
    token = settings.secret(variable)
    if token is None:
        hint = "make one on the console under *My settings*, with the scopes pilots.write, pilots.read, runs.start and runs.read"
        raise UserError(f"the variable {variable} holds no token", hint=hint)
    data, names = pack_pilot(pilot)
    try:
        client = Client(url, token)
        brought = client.pilots.add_packed(data)
        _say(f"brought to {url}: {brought.about.name}, {len(names)} files", json)
        _refuse_mistakes(brought, pilot)
        job = _followed(client, client.pilots.start(brought.about.id), json, pause)
        if job.about.state != "done" or not job.about.run:
            hint = f"see it there: {url.rstrip('/')}/console/jobs/{job.about.id}"
            raise UserError(f"the run was {job.about.state}: {job.about.told or 'it says nothing more'}", hint=hint, code=4)
        document = dict(client.runs.verdict(job.about.run))
    except ValueError as error:
        raise UserError(str(error), hint="name the base as https://base.example") from None
    except ApiError as error:
        lines = "".join(f"\n  {line}" for line in error.problems)
        raise UserError(f"{url}: {error.detail}{lines}", hint=error.hint or None) from None
    if json:
        sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    else:
        print_result(Console(), document)
        _say(f"there: {url.rstrip('/')}/console/runs/{job.about.run}", json)
    return EXIT_CODES.get(job.verdict or "", 4)


def _refuse_mistakes(brought: PilotRecord, pilot: Path) -> None:
    if brought.mistakes:
        lines = "".join(f"\n  {pilot}:{one.line}:{one.column}: {one.message}" for one in brought.mistakes)
        raise UserError(f"the base finds {len(brought.mistakes)} mistakes:{lines}", hint="mend them, and send it again")


def _followed(client: Client, job: JobRecord, json: bool, pause: Callable[[float], None]) -> JobRecord:
    """The job when it is over. Ctrl-C leaves it alone: it is the base's by then."""
    state = ""
    try:
        while True:
            if job.about.state != state:
                state = job.about.state
                _say(f"{state}{f': {job.about.run}' if job.about.run else ''}", json)
            if job.about.over:
                return job
            pause(_OFTEN)
            job = client.jobs.get(job.about.id)
    except KeyboardInterrupt:
        raise Interrupted(f"job {job.about.id} goes on there; stop it on its page, or see what became of it") from None


def _say(text: str, json: bool) -> None:
    print(text, file=sys.stderr if json else sys.stdout, flush=True)
