"""Cases over the API: each caller sees and does what a member of that party may."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.admissions import CRITERIA, Parties, people
from tests.fakes.api import Api, api_of

from pilotbase.catalog.case_records import records, verify_records
from pilotbase.flows.tokens import create_token


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with api_of(tmp_path / "home") as found:
        yield found


@pytest.fixture
def parties(api: Api) -> Parties:
    return people(api.context)


def token(api: Api, parties: Parties, role: str) -> str:
    scopes = ["cases.read"] if role == "auditor" else ["cases.read", "cases.write"]
    return create_token(api.context, parties[role], name=role, scopes=scopes, expires="30d", who="test")[1]


def test_a_case_is_opened_read_and_taken_on_by_tokens_of_its_parties(api: Api, parties: Parties) -> None:
    texts = {role: token(api, parties, role) for role in parties.members}
    wanted = {"need": parties.need.id, "capability": parties.capability.id}
    made = api.ask("POST", "/api/v1/cases", wanted, key=texts["vendor"])
    assert made.status_code == 201, made.text
    case = made.json()["about"]["id"]
    place = f"/api/v1/cases/{case}"
    assert made.json()["steps"] == ["submit", "withdraw", "comment", "file"]
    assert api.ask("GET", place, key=texts["owner"]).status_code == 404, "a draft is its vendor's alone"
    assert api.ask("POST", f"{place}/steps/submit", {"contact": "Li"}, key=texts["operator"]).status_code == 403
    assert api.ask("POST", f"{place}/steps/submit", {"contact": "Li"}).status_code == 403, "an admin key is no party"
    assert api.ask("POST", f"{place}/steps/submit", {}, key=texts["vendor"]).status_code in (400, 422)
    assert api.ask("POST", f"{place}/steps/submit", {"need": "x"}, key=texts["vendor"]).status_code == 422
    done = api.ask("POST", f"{place}/steps/submit", {"contact": "Li"}, key=texts["vendor"])
    assert (done.status_code, done.json()["about"]["state"], done.json()["about"]["waits"]) == (200, "submitted", ["base"])
    told = api.ask("GET", place, key=texts["engineer"])
    old = told.headers["etag"]
    api.ask("POST", f"{place}/steps/screen", {"text": "complete"}, key=texts["engineer"], headers={"if-match": old})
    late = api.ask("POST", f"{place}/steps/match", {"criteria": CRITERIA, "candidate": "a"}, key=texts["engineer"],
                   headers={"if-match": old})  # fmt: skip
    assert late.status_code == 412
    risk = {"people": 5, "until": "2026-12-01", "bearer": "Hospital"}
    assert api.ask("POST", f"{place}/steps/register", {"register": risk}, key=texts["engineer"]).status_code == 200
    assert api.ask("GET", place).json()["document"]["risk"]["until"] == "2026-12-01"
    whos = [one.who for one in records(api.context.database, case)]
    assert whos[0].startswith("member:vendor@case.example/pbt_") and len(whos) == 4


def test_lists_are_narrowed_to_the_callers_organisation_and_the_record_holds(api: Api, parties: Parties) -> None:
    vendor, owner = token(api, parties, "vendor"), token(api, parties, "owner")
    wanted = {"need": parties.need.id, "capability": parties.capability.id}
    case = api.ask("POST", "/api/v1/cases", wanted, key=vendor).json()["about"]["id"]
    seen = {key: [one["id"] for one in api.ask("GET", "/api/v1/cases", key=key).json()["items"]] for key in (vendor, owner, "")}
    assert seen == {vendor: [case], owner: [], "": [case]}
    assert api.ask("GET", "/api/v1/cases?state=passed", key=vendor).json()["items"] == []
    told = api.ask("GET", f"/api/v1/cases/{case}/record", key=vendor).json()
    assert verify_records(told["records"], case=case).broken is None
    assert api.ask("GET", f"/api/v1/cases/{case}/record", key=owner).status_code == 404
