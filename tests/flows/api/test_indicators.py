"""Indicators over the API: who declares and records, and what is refused."""

from collections.abc import Iterator

import pytest
from tests.fakes.api import Api, api_of

from pilotbase.store.audit import entries

WORDS = {
    "title": "Terminals", "numerator": "with an assistant", "denominator": "in use", "population": "the province",
    "source": "counted here",
}  # fmt: skip


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api_of(tmp_path_factory.mktemp("indicators") / "home") as found:
        yield found


def declared(api: Api, **more: str) -> str:
    answer = api.ask("POST", "/api/v1/indicators", {**WORDS, **more})
    assert answer.status_code == 201, answer.text
    return f"/api/v1/indicators/{answer.json()['id']}"


def test_a_sample_is_told_with_bounds_a_census_without_and_four_years_with_a_projection(api: Api) -> None:
    for basis in ("sample", "census"):
        place = declared(api, basis=basis)
        for year, count in ((2022, 120), (2023, 210), (2024, 390), (2025, 560)):
            told = api.ask("PUT", f"{place}/points/{year}", {"numerator": count, "denominator": 1000}).json()
            assert (told["period"], told["share"]["value"]) == (str(year), count / 1000)
            assert (told["share"]["low"] < told["share"]["value"]) == (basis == "sample")
        found = api.ask("GET", place).json()
        assert [one["period"] for one in found["points"]] == ["2022", "2023", "2024", "2025"]
        assert all(one["expected"]["low"] < one["expected"]["value"] for one in found["projected"])


def test_what_is_undeclared_or_no_share_is_refused_with_all_that_is_wrong(api: Api) -> None:
    answer = api.ask("POST", "/api/v1/indicators", {**WORDS, "denominator": " ", "population": ""})
    assert answer.status_code == 422 and [line.partition(":")[0] for line in answer.json()["problems"]] == [
        "denominator", "population",
    ]  # fmt: skip
    place = declared(api)
    for period, body in (("2999", [1, 2]), ("soon", [1, 2]), ("2024", [3, 2]), ("2024", [0, 0]), ("2024", [1, 10**30])):
        told = api.ask("PUT", f"{place}/points/{period}", dict(zip(("numerator", "denominator"), body, strict=True)))
        assert told.status_code == 422 and told.json()["problems"], (period, body)
    assert api.ask("PUT", "/api/v1/indicators/ind_x/points/2024", {"numerator": 1, "denominator": 2}).status_code == 404


def test_owners_read_operators_write_and_vendors_see_nothing_there(api: Api) -> None:
    place = declared(api)
    assert api.ask("GET", place, key=api.token("owner")).status_code == 200
    assert api.ask("POST", "/api/v1/indicators", WORDS, key=api.token("owner")).status_code == 403
    assert api.ask("GET", "/api/v1/funnel", key=api.token("vendor")).status_code == 404
    text = api.token("operator")
    told = api.ask("PUT", f"{place}/points/2024-Q2", {"numerator": 1, "denominator": 2}, key=text)
    assert told.status_code == 200
    whos = [one.who for one in entries(api.context.database, subject=place.rpartition("/")[2])]
    assert whos == [f"member:operator/{text[:14]}", f"key:{api.admin[3:13]}"]


def test_the_funnel_of_no_cases_is_of_zeros_and_has_no_shares(api: Api) -> None:
    found = api.ask("GET", "/api/v1/funnel").json()
    assert {(one["reached"], one["share"]) for one in found["steps"]} == {(0, None)}
    assert found["first_verdict"]["value"] is None and found["reused"]["n"] == 0
