"""The pages of pilots and jobs: bringing, mending, starting, watching, stopping, and dossiers that are sent."""

import io
import re
import zipfile
from collections.abc import Iterator

import pytest
from tests.fakes.console_server import Client, ConsoleServer
from tests.fakes.workspaces import job_on, kept, pilot_files
from tests.web.console.test_files import parts, post

from pilotbase.compute import jobs
from pilotbase.domain.account import Member
from pilotbase.domain.job import Job
from pilotbase.pilots import workspaces


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    with ConsoleServer(tmp_path_factory.mktemp("jobs") / "home") as server:
        yield server


@pytest.fixture(scope="module")
def engineer(base: ConsoleServer) -> Member:
    return base.member("wang@base.example", "engineer")


@pytest.fixture
def client(base: ConsoleServer, engineer: Member) -> Client:
    return base.signed_in(engineer)


def zipped(files: dict[str, bytes], folder: str = "") -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(f"{folder}{name}", data)
    return whole.getvalue()


def send(client: Client, path: str, act: str, name: str, data: bytes, **fields: str) -> tuple[int, str]:
    """A form with a file: (status, where it leads or what the page says)."""
    told = [("csrf", None, client.csrf.encode()), ("act", None, act.encode())]
    told += [(field, None, value.encode()) for field, value in fields.items()]
    answer = post(client, path, parts(*told, ("file", name, data)))
    return answer.status_code, answer.headers.get("location", answer.text)


def started(base: ConsoleServer, *, progress: bool = True) -> Job:
    """A job that a process has, as far as the database tells."""
    job = job_on(base.context, kept(base.context, pilot_files()))
    while (taken := jobs.claim_next(base.context.database, job.home, "owner", base.time.now(), quick=False, most=99)) is not None:
        if taken.id == job.id:
            break
    step = {"candidate": "good", "phase": "asking", "done": 7, "total": 40, "failed": 0, "spent": 0, "currency": None}
    if progress:
        jobs.beat(base.context.database, job.id, "owner", progress={"steps": [{**step, "decided": 0, "checks": 1}], "checks": {}})
    return jobs.get(base.context.database, job.id)


def test_a_zip_becomes_a_pilot_with_its_files_and_a_forecast_waits(base: ConsoleServer, client: Client) -> None:
    status, place = send(client, "/console/pilots", "send", "small.zip", zipped(pilot_files(), "small/"))
    assert status == 303
    page = client.get(place).text
    assert "The file is right" in page and "test.csv" in page and "Start a run" in page
    workspace = place.rpartition("/")[2]
    version = workspaces.get_version(base.context.database, workspace, 1)
    forecast = jobs.forecast_of(base.context.database, workspace, version.digest)
    assert forecast is not None and forecast.state == "queued"
    answer = client.act(place, "start", version="1")
    job = jobs.get(base.context.database, answer.headers["location"].rpartition("/")[2])
    assert (job.kind, job.state, job.who, job.digest) == ("run", "queued", "member:wang@base.example", version.digest)
    assert client.act(place, "start", version="1").status_code == 409, "the same version waits already"


def test_mistakes_stand_at_their_lines_in_both_languages_and_such_a_pilot_is_not_started(
    base: ConsoleServer, client: Client
) -> None:
    place = f"/console/pilots/{kept(base.context, pilot_files()).id}"
    source = "pilot: small\nscenario: {area: nowhere}\ndata: {test: {path: ../../etc/passwd, inputs: [x]}}\n"
    answer = client.act(place, "save", version="1", text=source.replace("\n", "\r\n"))
    assert answer.headers["location"] == place
    page = client.get(place).text
    wrong = re.findall(r'<li class="wrong" id="line-(\d+)">(.*?)</li>', page, re.DOTALL)
    assert [number for number, _ in wrong][:1] == ["1"] or ("2" in dict(wrong))
    assert "nowhere" in dict(wrong)["2"] and "allowed" in dict(wrong)["2"]
    assert "to mend, each at its line below" in page and "Start a run" not in page
    assert str(base.home) not in page, "where files lie is the machine's own business"
    assert client.act(place, "start", version="2").status_code == 422
    assert "均标在下方对应行" in client.get(place, accept_language="zh").text
    old = client.get(f"{place}?version=1").text
    assert "The file is right" in old and 'name="text"' not in old, "older versions are read only"


def test_who_changes_an_older_version_is_told_and_nothing_is_lost(base: ConsoleServer, client: Client) -> None:
    place = f"/console/pilots/{kept(base.context, pilot_files()).id}"
    assert client.act(place, "save", version="1", text="pilot: second\n").status_code == 303
    late = client.act(place, "save", version="1", text="pilot: mine, typed at length\n")
    assert late.status_code == 409
    assert "somebody else changed this pilot" in late.text and "mine, typed at length" in late.text


def test_a_file_is_added_to_a_pilot_and_a_zip_replaces_all(base: ConsoleServer, client: Client) -> None:
    workspace = kept(base.context, pilot_files())
    place = f"/console/pilots/{workspace.id}"
    assert send(client, place, "change", "more.csv", b"id\n1\n", version="1")[0] == 303
    digest = workspaces.get_version(base.context.database, workspace.id, 2).digest
    assert set(workspaces.read_files(base.context.home, digest)) == {*pilot_files(), "more.csv"}
    assert send(client, place, "change", "all.zip", zipped({"pilot.yaml": b"pilot: x\n"}), version="2")[0] == 303
    digest = workspaces.get_version(base.context.database, workspace.id, 3).digest
    assert set(workspaces.read_files(base.context.home, digest)) == {"pilot.yaml"}


def test_code_is_not_taken_where_it_may_not_run_and_the_template_needs_none(base: ConsoleServer, client: Client) -> None:
    status, told = send(client, "/console/pilots", "send", "x.zip", zipped(pilot_files(code="1")))
    assert status == 400 and "models.py" in told and "not taken" in told
    place = client.act("/console/pilots", "new").headers["location"]
    assert "The file is right" in client.get(place).text


def test_a_job_is_watched_stopped_and_resumed(base: ConsoleServer, client: Client) -> None:
    job = started(base)
    place = f"/console/jobs/{job.id}"
    page = client.get(place).text
    assert "data-live" in page and "7 / 40" in page and 'http-equiv="refresh"' not in page
    assert 'http-equiv="refresh" content="5"' in client.get(f"{place}?refresh=1").text, "without a script it loads itself again"
    assert client.act(place, "resume").status_code == 409
    assert client.act(place, "stop").status_code == 303
    assert jobs.get(base.context.database, job.id).stop_by == "member:wang@base.example"
    assert "stopping" in client.get(place).text
    jobs.finish(base.context.database, job.id, "owner", "stopped", now=base.time.now())
    assert "data-live" not in client.get(place).text.replace("data-live-state", "")


def events(client: Client, path: str) -> Iterator[tuple[str, str]]:
    """The events of a stream as (name, data), until it ends."""
    with client.http.stream("GET", path, headers={"Accept": "text/event-stream"}) as answer:
        assert answer.status_code == 200, answer.status_code
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        name, data = "", []
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data.append(line[6:])
            elif not line and name:
                yield name, "\n".join(data)
                name, data = "", []


def test_the_moving_part_comes_as_events_in_the_readers_language_until_the_job_ends(base: ConsoleServer, client: Client) -> None:
    job = started(base)
    stream = events(client, f"/console/jobs/{job.id}")
    name, part = next(stream)
    assert name == "part" and "7 / 40" in part and "<form" not in part
    jobs.finish(base.context.database, job.id, "owner", "done", now=base.time.now())
    name, part = next(stream)
    assert name == "part" and "done" in part
    assert next(stream)[0] == "end"
    assert not list(stream)


def test_a_stream_ends_with_its_session_and_is_nobody_elses(base: ConsoleServer, engineer: Member) -> None:
    job = started(base)
    path, owner = f"/console/jobs/{job.id}", base.member("leaves@base.example", "vendor")
    for other in (base.visitor(), base.signed_in(owner)):
        assert other.http.get(path, headers={"Accept": "text/event-stream"}).status_code == 404
    client = base.signed_in(engineer)
    stream = events(client, path)
    assert next(stream)[0] == "part"
    base.context.database.execute("DELETE FROM sessions WHERE member = ?", (engineer.id,))
    assert next(stream)[0] == "gone"


def test_a_member_has_so_many_streams_at_a_time_and_no_more(base: ConsoleServer, engineer: Member) -> None:
    job = started(base)
    path, client = f"/console/jobs/{job.id}", base.signed_in(engineer)
    held = [events(base.signed_in(engineer), path) for _ in range(6)]
    assert [next(one)[0] for one in held] == ["part"] * 6
    assert client.http.get(path, headers={"Accept": "text/event-stream"}).status_code == 429
    jobs.finish(base.context.database, job.id, "owner", "done", now=base.time.now())
    for one in held:
        list(one)
    assert next(events(client, path))[0] == "part", "those that ended are counted no more"


def test_a_run_without_a_job_is_watched_at_its_own_page_and_one_that_is_none_is_not_there(client: Client) -> None:
    assert client.get("/console/runs/none-1/live").status_code == 404
    assert client.get("/console/runs/none-1/dossier").status_code == 404


def test_what_is_no_dossier_is_told_as_such_and_not_kept(base: ConsoleServer, client: Client) -> None:
    status, page = send(client, "/console/verify", "verify", "x.zip", b"PK nothing")
    assert status == 200 and "Unreadable" in page
    assert not list((base.context.home / "scratch").rglob("dossier.zip"))
    assert client.act("/console/verify", "verify").status_code == 422
