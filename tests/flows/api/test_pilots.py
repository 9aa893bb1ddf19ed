"""Pilots and jobs over the API: what is taken, who may, and what is on record."""

from collections.abc import Iterator

import pytest
from tests.fakes.api import Api, api_of
from tests.fakes.workspaces import pilot_files

from pilotbase.compute import jobs
from pilotbase.store.audit import entries

FILES = {name: data.decode() for name, data in pilot_files().items()}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api_of(tmp_path_factory.mktemp("pilots") / "home") as found:
        yield found


def test_files_with_names_that_lead_elsewhere_or_of_other_kinds_are_refused_all_at_once(api: Api) -> None:
    wrong = {"../a.csv": "", "b.exe": "", "C.csv": "", "c.csv": "", ".hidden.csv": "", "/d.csv": ""}
    answer = api.ask("POST", "/api/v1/pilots", {"files": {**FILES, **wrong}})
    assert answer.status_code == 422 and len(answer.json()["problems"]) == 5
    assert api.ask("POST", "/api/v1/pilots", {"files": {"test.csv": ""}}).status_code == 422
    assert api.ask("POST", "/api/v1/pilots", {"files": {**FILES, "models.py": "1"}}).status_code == 422, "code is off here"
    assert not list(api.context.home.glob("workspaces/*"))


def test_a_started_pilot_is_a_job_under_the_callers_name_and_the_same_waits_once(api: Api) -> None:
    text = api.token("engineer")
    made = api.ask("POST", "/api/v1/pilots", {"files": FILES}, key=text)
    assert made.status_code == 201 and made.json()["forecast"] is None and made.json()["mistakes"] == []
    place = f"/api/v1/pilots/{made.json()['about']['id']}"
    headers = {"idempotency-key": "start", "if-match": api.ask("GET", place, key=text).headers["etag"]}
    first, again = (api.ask("POST", f"{place}/start", key=text, headers=headers) for _ in range(2))
    assert (first.status_code, again.json()) == (201, first.json())
    assert api.ask("POST", f"{place}/start", key=text).status_code == 409
    job = jobs.get(api.context.database, first.json()["about"]["id"])
    assert job.who == f"member:engineer/{text[:14]}" and job.organisation == api.member("engineer").organisation
    assert [one.who for one in entries(api.context.database, action="pilot.keep")] == [job.who]


def test_auditors_read_pilots_and_jobs_and_start_nothing_and_owners_see_none(api: Api) -> None:
    place = f"/api/v1/pilots/{api.ask('POST', '/api/v1/pilots', {'files': FILES}).json()['about']['id']}"
    assert api.ask("GET", place, key=api.token("auditor")).json()["files"].keys() == FILES.keys()
    assert api.ask("POST", f"{place}/start", key=api.token("auditor")).status_code == 403
    assert api.ask("PUT", f"{place}/files", {"files": {}}, key=api.token("auditor")).status_code == 403
    assert api.ask("GET", place, key=api.token("owner")).status_code == 404


def test_a_mistake_is_told_at_its_line_and_no_folder_of_the_server(api: Api) -> None:
    made = api.ask("POST", "/api/v1/pilots", {"files": {**FILES, "pilot.yaml": "pilot: a\nnonsense: 1\n"}})
    found = made.json()["mistakes"]
    assert [one for one in found if one["line"] == 2] and str(api.context.home) not in made.text
    place = f"/api/v1/pilots/{made.json()['about']['id']}"
    whole = api.ask("PUT", f"{place}/files", {"files": {"pilot.yaml": FILES["pilot.yaml"]}, "whole": True}).json()
    assert (list(whole["files"]), whole["shown"]) == (["pilot.yaml"], 2)
    assert api.ask("GET", f"{place}?version=3").status_code == 404
