"""The catalogue over the API: who sees and changes what, what fits what, and how open a scenario is."""

from collections.abc import Iterator
from typing import Any

import pytest
from httpx2 import Response
from tests.fakes.admissions import Parties, people
from tests.fakes.api import Api, api_of

from pilotbase.domain.account import SCOPES, may
from pilotbase.flows.tokens import create_token
from pilotbase.store.audit import entries

NEED = {
    "title": "胸片肺结节检出", "text": "读片慢", "area": "livelihood", "data": "personal", "budget": "500000 CNY",
    "acceptance": [{"metric": "sensitivity", "require": ">= 0.95"}, {"metric": "sensitivty", "require": ">= 0.9"}],
    "tags": ["胸片"], "papers": ["二类证"], "access": "application",
}  # fmt: skip
OFFER = {
    "title": "胸片肺结节检出助手", "text": "读片快", "areas": ["livelihood"], "data": ["personal"], "price": "200000 CNY",
    "tags": ["胸片"], "certificates": [{"name": "医疗器械二类证", "until": "2099-01-01"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api_of(tmp_path_factory.mktemp("catalogue") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def parties(api: Api) -> Parties:
    return people(api.context)


@pytest.fixture(scope="module")
def texts(api: Api, parties: Parties) -> dict[str, str]:
    """A token of each role with all that its member may."""
    return {
        role: create_token(
            api.context, one, name=role, scopes=[scope for scope in SCOPES if may(one, scope)], expires="30d", who="test"
        )[1]
        for role, one in parties.members.items()
    }


def made(api: Api, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
    answer = api.ask("POST", path, body, key=key)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(answer: Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {one["id"] for one in answer.json()["items"]}


def test_a_draft_is_its_organisations_and_the_bases_and_what_is_published_everybodys(api: Api, texts: dict[str, str]) -> None:
    need = made(api, "/api/v1/needs", NEED, texts["owner"])
    place = f"/api/v1/needs/{need['id']}"
    assert (need["state"], need["version"], need["unknown_metrics"]) == ("draft", 1, ["sensitivty"])
    assert api.ask("GET", place, key=texts["owner"]).json() == need == api.ask("GET", place, key=texts["engineer"]).json()
    hidden = [api.ask("GET", f"{place}{end}", key=texts["vendor"]) for end in ("", "/matches", "/openness")]
    assert [one.status_code for one in hidden] == [404] * 3
    assert need["id"] not in ids(api.ask("GET", "/api/v1/needs", key=texts["vendor"]))
    assert ids(api.ask("GET", "/api/v1/needs?state=draft", key=texts["owner"])) == {need["id"]}
    assert api.ask("POST", f"{place}/publish", key=texts["vendor"]).status_code == 403
    shown = api.ask("POST", f"{place}/publish", key=texts["owner"])
    assert (shown.status_code, shown.json()["state"]) == (200, "published") and shown.json()["published"]
    assert need["id"] in ids(api.ask("GET", "/api/v1/needs?area=livelihood&limit=200", key=texts["vendor"]))
    assert api.ask("POST", f"{place}/publish", key=texts["owner"]).status_code == 409
    assert api.ask("POST", f"{place}/withdraw", key=texts["owner"]).json()["state"] == "withdrawn"
    assert api.ask("POST", f"{place}/reopen", key=texts["owner"]).json()["state"] == "draft"
    whos = {one.who for one in entries(api.context.database, subject=need["id"])}
    assert len(whos) == 1 and whos.pop().startswith("member:owner@case.example/pbt_")


def test_a_change_says_all_anew_and_is_refused_for_what_has_moved_and_for_who_may_not(api: Api, texts: dict[str, str]) -> None:
    offer = made(api, "/api/v1/capabilities", OFFER, texts["vendor"])
    place = f"/api/v1/capabilities/{offer['id']}"
    mark = api.ask("GET", place, key=texts["vendor"]).headers["etag"]
    assert api.ask("PUT", place, OFFER, key=texts["owner"]).status_code == 403
    told = api.ask("PUT", place, {"title": "读片助手", "text": "快"}, key=texts["vendor"], headers={"if-match": mark})
    assert (told.json()["title"], told.json()["tags"], told.json()["version"]) == ("读片助手", [], 2)
    assert api.ask("PUT", place, OFFER, key=texts["vendor"], headers={"if-match": mark}).status_code == 412
    late = api.ask("POST", f"{place}/publish", key=texts["vendor"], headers={"if-match": mark})
    assert late.status_code == 412
    assert api.ask("PUT", place, {**OFFER, "organisation": "org_x"}, key=texts["vendor"]).status_code == 422
    back = api.ask("PUT", place, OFFER, key=texts["vendor"]).json()
    assert back["certificates"] == [{"name": "医疗器械二类证", "issuer": "", "number": "", "until": "2099-01-01"}]
    assert back["organisation"] == offer["organisation"]


def test_an_entry_is_drafted_for_ones_own_organisation_and_by_the_base_for_any(
    api: Api, parties: Parties, texts: dict[str, str]
) -> None:
    other = parties.need.organisation
    refused = api.ask("POST", "/api/v1/capabilities", {**OFFER, "organisation": other}, key=texts["vendor"])
    assert refused.status_code == 403
    assert made(api, "/api/v1/capabilities", {**OFFER, "organisation": other}, texts["operator"])["organisation"] == other
    assert api.ask("POST", "/api/v1/needs", NEED).status_code == 422, "an admin key is of no organisation"
    need = made(api, "/api/v1/needs", {**NEED, "organisation": other}, "")
    assert api.ask("POST", f"/api/v1/needs/{need['id']}/publish").json()["state"] == "published"
    assert {one.who for one in entries(api.context.database, subject=need["id"])} == {f"key:{api.admin[3:13]}"}


def test_all_that_is_wrong_with_an_entry_is_told_at_once(api: Api, texts: dict[str, str]) -> None:
    wrong = {**NEED, "title": " ", "budget": "much", "acceptance": [{"metric": "sensitivity", "require": "high"}]}
    answer = api.ask("POST", "/api/v1/needs", wrong, key=texts["owner"])
    assert answer.status_code == 422 and [line.partition(":")[0] for line in answer.json()["problems"]] == [
        "title", "budget", "acceptance.0.require",
    ]  # fmt: skip
    bare = made(api, "/api/v1/needs", {"title": "a", "text": "b", "area": "science"}, texts["owner"])
    answer = api.ask("POST", f"/api/v1/needs/{bare['id']}/publish", key=texts["owner"])
    assert answer.status_code == 422 and "acceptance" in answer.text
    assert api.ask("GET", "/api/v1/needs?area=moon", key=texts["owner"]).status_code == 422


def test_what_fits_is_told_both_ways_with_its_reasons(api: Api, texts: dict[str, str]) -> None:
    need = made(api, "/api/v1/needs", NEED, texts["owner"])["id"]
    good, dear = (
        made(api, "/api/v1/capabilities", {**OFFER, "price": price}, texts["vendor"])["id"]
        for price in ("200000 CNY", "900000 CNY")
    )
    for place in (f"needs/{need}", f"capabilities/{good}", f"capabilities/{dear}"):
        assert api.ask("POST", f"/api/v1/{place}/publish").status_code == 200
    found = api.ask("GET", f"/api/v1/needs/{need}/matches?most=50", key=texts["owner"]).json()
    fit = next(one for one in found["fits"] if one["entry"]["id"] == good)
    assert fit["tags"] == ["胸片"] and fit["terms"] and fit["text"] > 0 and fit["meaning"] is None
    assert {one["condition"]: one["met"] for one in fit["findings"]} == dict.fromkeys(
        ("area", "data", "price", "certificate"), True
    )
    refusal = next(one for one in found["refused"] if one["entry"]["id"] == dear)
    assert [one["condition"] for one in refusal["findings"] if one["met"] is False] == ["price"]
    back = api.ask("GET", f"/api/v1/capabilities/{good}/matches", key=texts["vendor"]).json()
    assert need in [one["entry"]["id"] for one in back["fits"]] and (back["trouble"], back["meaning"]) == ("", None)
    assert len(api.ask("GET", f"/api/v1/needs/{need}/matches?most=1", key=texts["vendor"]).json()["fits"]) == 1
    assert api.ask("GET", f"/api/v1/needs/{need}/matches?most=51", key=texts["vendor"]).status_code == 422


def test_openness_is_told_by_component_and_without_evidence_as_null(api: Api, parties: Parties, texts: dict[str, str]) -> None:
    found = api.ask("GET", f"/api/v1/needs/{parties.need.id}/openness", key=texts["vendor"]).json()
    scores = {one["name"]: one["score"] for one in found["components"]}
    assert scores["gates"] == 0.75 and scores["days"] is None
    assert found["known"] == sum(score is not None for score in scores.values()) < len(scores) == 6
    assert found["low"] <= found["score"] <= found["high"]


def test_the_same_draft_sent_twice_is_made_once(api: Api, texts: dict[str, str]) -> None:
    headers = {"idempotency-key": "draft"}
    first, again = (api.ask("POST", "/api/v1/needs", NEED, key=texts["owner"], headers=headers).json() for _ in range(2))
    assert first == again
