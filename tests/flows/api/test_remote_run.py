"""`pilotbase run --server`: a pilot is brought to a base, run by it and followed. The test does the work of its process."""

import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

import pytest
from tests.fakes.api_server import ApiServer
from tests.fakes.workspaces import SLOW, pilot_files

from pilotbase.cli.remote import TOKEN, run_remotely
from pilotbase.compute import jobs
from pilotbase.domain.account import Role
from pilotbase.errors import UserError
from pilotbase.flows.home_name import home_name
from pilotbase.flows.job_work import do_job
from pilotbase.flows.packing import pack_pilot
from pilotbase.flows.tokens import create_token
from pilotbase.pilots.progress import Silent
from pilotbase.settings import Settings, read_settings

SCOPES = ("pilots.read", "pilots.write", "runs.start", "runs.read")


class Bench(ApiServer):
    """A base whose jobs are done while somebody waits for them."""

    def settings(self, *scopes: str, role: Role = "engineer") -> Settings:
        member = self.member(f"{role}-{len(scopes)}@base.example", role)
        text = create_token(self.context, member, name="test", scopes=scopes or SCOPES, expires="30d", who="test")[1]
        return read_settings({TOKEN: text, "PILOTBASE_HOME": str(self.home)})

    def work(self, _: float) -> None:
        context, own = self.context, "test"
        now = context.clock.now()
        job = jobs.claim_next(context.database, home_name(context), own, now, quick=False, most=1)
        if job is None:
            return
        try:
            do_job(context, job, Silent(), lambda run: jobs.note_run(context.database, job.id, own, run))
        except UserError as error:
            jobs.finish(context.database, job.id, own, "refused", now=now, told=error.message)
        else:
            jobs.finish(context.database, job.id, own, "done", now=now)


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "home") as found:
        yield found


def folder(tmp_path: Path, files: Mapping[str, bytes]) -> Path:
    found = tmp_path / "pilot"
    found.mkdir()
    for name, data in files.items():
        (found / name).write_bytes(data)
    return found


def test_a_pilot_is_run_on_a_base_and_ends_as_it_would_here(
    base: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = base.settings()
    good = folder(tmp_path, pilot_files(60))
    assert run_remotely(good, base.url, settings, pause=base.work) == 0
    said = capsys.readouterr().out
    assert "brought to" in said and "3 files" in said and "PASS" in said and "/console/runs/small-1" in said
    (good / "pilot.yaml").write_bytes(pilot_files(60, require=">= 0.9", name="wrong")["pilot.yaml"])
    (good / "answers.csv").write_bytes(b"id,answer\n" + b"".join(b"c%d,no\n" % x for x in range(60)))
    assert run_remotely(good / "pilot.yaml", base.url, settings, json=True, pause=base.work) == 1
    told = capsys.readouterr()
    assert told.out.startswith("{") and "done" in told.err


def test_mistakes_are_told_at_their_lines_and_nothing_is_run(base: Bench, tmp_path: Path) -> None:
    files = pilot_files()
    wrong = folder(tmp_path, {**files, "pilot.yaml": files["pilot.yaml"].replace(b'"accuracy"', b'"acuracy"')})
    with pytest.raises(UserError, match=r"the base finds 1 mistakes:\n.*pilot:\d+:\d+: .*acuracy"):
        run_remotely(wrong, base.url, base.settings(), pause=base.work)
    assert not [job for job in jobs.jobs_page(base.context.database)[0] if job.kind == "run"]


def test_code_is_refused_where_the_operator_does_not_allow_it(base: Bench, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"models\.py|code"):
        run_remotely(folder(tmp_path, pilot_files(code=SLOW)), base.url, base.settings(), pause=base.work)


def test_who_may_not_is_told_what_lacks(base: Bench, tmp_path: Path) -> None:
    pilot = folder(tmp_path, pilot_files())
    with pytest.raises(UserError, match=r"lacks the scope `pilots\.write`"):
        run_remotely(pilot, base.url, base.settings("pilots.read"), pause=base.work)
    with pytest.raises(UserError, match="holds no token"):
        run_remotely(pilot, base.url, read_settings({}), pause=base.work)
    with pytest.raises(UserError, match="is not the address of a base"):
        run_remotely(pilot, "base.example", base.settings(), pause=base.work)
    with pytest.raises(UserError, match="there is no pilot here"):
        run_remotely(tmp_path / "nowhere", base.url, base.settings("runs.read", "pilots.write"), pause=base.work)


def test_large_bodies_are_read_from_members_alone(base: Bench) -> None:
    large = {"Content-Type": "application/zip"}
    visitor = base.visitor().http
    assert visitor.post("/api/v1/pilots/packed", content=b"x" * (2 << 20), headers=large).status_code == 413
    token = base.settings().secret(TOKEN)
    bearer = {**large, "Authorization": f"Bearer {token}"}
    told = visitor.post("/api/v1/pilots/packed", content=b"x" * (2 << 20), headers=bearer)
    assert told.status_code == 422 and "zip" in told.text
    assert visitor.post("/api/v1/runs", content=b"x" * (2 << 20), headers=bearer).status_code == 413


def test_a_folder_is_packed_without_what_is_hidden_linked_or_of_another_kind(tmp_path: Path) -> None:
    pilot = folder(tmp_path, {**pilot_files(), ".env": b"SECRET=1", "run.sh": b"#!/bin/sh", "key.pem": b"x"})
    (pilot / "out.csv").symlink_to("/etc/passwd")
    (pilot / "__pycache__").mkdir()
    (pilot / "__pycache__" / "a.txt").write_text("x")
    (pilot / "more").mkdir()
    (pilot / "more" / "notes.md").write_text("x")
    data, names = pack_pilot(pilot)
    assert names == ("answers.csv", "more/notes.md", "pilot.yaml", "test.csv")
    assert zipfile.ZipFile(BytesIO(data)).namelist() == list(names)
    assert pack_pilot(pilot)[0] == data, "the same folder is the same zip"
    other = pilot / "strict.yaml"
    other.write_bytes(b"pilot: strict\n")
    packed = zipfile.ZipFile(BytesIO(pack_pilot(other)[0]))
    assert packed.read("pilot.yaml") == b"pilot: strict\n" and "strict.yaml" not in packed.namelist()
