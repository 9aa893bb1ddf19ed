"""The administration API: who may, what it does, and that no input of any kind makes it fail."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks
from tests.fakes.api import Api, api_of

from pilotbase.gateway.audit import entries
from pilotbase.gateway.epoch import EpochPage

ROUTE = {"name": "chat", "upstreams": [{"url": "http://a.example/v1"}]}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with api_of(tmp_path / "home") as found:
        yield found


def test_every_operation_needs_an_admin_key_or_a_token(api: Api) -> None:
    customer = api.ask("POST", "/api/v1/keys", {"name": "acme"}).json()["key"]
    found = api.operations()
    assert len(found) >= 35
    for method, path in found:
        body = {} if method in ("POST", "PUT") else None
        for key in (None, "pb_0000000000_" + "a" * 40, "pbt_0123456789_" + "a" * 43, "nonsense"):
            answer = api.ask(method, path, body, key=key)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
        assert api.ask(method, path, body, key=customer).status_code == 403, (method, path)


def test_a_revoked_admin_key_ends_at_once_and_a_stop_of_all_leaves_administration_open(api: Api) -> None:
    second = api.ask("POST", "/api/v1/keys", {"name": "ann", "admin": True}).json()
    assert api.ask("POST", "/api/v1/stops", {"name": "ALL", "why": "fire"}, key=second["key"]).json()["changed"] is True
    assert api.ask("GET", "/api/v1/health", key=second["key"]).json() == {"status": "ok", "epoch": 3, "stopped": True}
    assert api.ask("DELETE", "/api/v1/stops?name=ALL").json() == {"kind": "all", "name": "", "changed": True}
    api.ask("POST", f"/api/v1/keys/{second['about']['id']}/revoke", {"why": "left"})
    assert api.ask("GET", "/api/v1/health", key=second["key"]).status_code == 401


def test_a_key_lives_from_its_making_to_its_end(api: Api) -> None:
    api.ask("POST", "/api/v1/routes", {"route": ROUTE})
    wanted = {"name": "acme", "budget": "100CNY", "rpm": 60, "tpm": 1000, "routes": ["chat"], "expires": "30d"}
    made = api.ask("POST", "/api/v1/keys", wanted)
    assert made.status_code == 201
    about = made.json()["about"]
    assert (about["budget"], about["routes"], about["state"]) == ("100 CNY", ["chat"], "active")
    rotated = api.ask("POST", f"/api/v1/keys/{about['id']}/rotate", {"keep": "10m"}).json()
    assert rotated["key"] != made.json()["key"] and rotated["about"]["id"] == about["id"]
    revoked = api.ask("POST", "/api/v1/keys/acme/revoke", {"why": "left", "cut": True}).json()
    assert revoked["state"] == "revoked"
    listed = api.ask("GET", "/api/v1/keys").text
    assert made.json()["key"] not in listed and rotated["key"] not in listed
    assert {"digest", "replaces"} & set(orjson.loads(listed)["items"][0]) == set()


def test_a_route_lives_from_its_adding_to_its_removal_and_workers_are_told(api: Api) -> None:
    with EpochPage.open(api.context.home) as page:
        before = page.value
        added = api.ask("POST", "/api/v1/routes", {"route": {**ROUTE, "name": "team/chat"}})
        assert (added.status_code, added.json()["warning"]) == (201, None)
        assert page.value == before + 1
    assert api.ask("GET", "/api/v1/routes/team/chat").json() == added.json()["route"]
    assert api.ask("POST", "/api/v1/routes", {"route": {**ROUTE, "name": "team/chat"}}).status_code == 409
    assert api.ask("DELETE", "/api/v1/routes/team/chat?why=old").status_code == 204
    assert api.ask("GET", "/api/v1/routes/team/chat").status_code == 404
    assert api.ask("GET", "/api/v1/routes").json() == {"items": [], "next": None}


def test_everything_wrong_with_a_route_is_told_at_once(api: Api) -> None:
    wrong = {"name": "a b", "upstreams": [{"url": "x", "colour": 1}], "retries": 99}
    answer = api.ask("POST", "/api/v1/routes", {"route": wrong})
    assert answer.status_code == 422 and len(answer.json()["problems"]) == 4


def test_code_on_the_server_and_files_outside_the_base_are_out_of_reach(api: Api) -> None:
    target = {"name": "own", "kind": "target", "target": {"kind": "python", "options": {"call": "os:system"}}}
    answer = api.ask("POST", "/api/v1/routes", {"route": {"name": "x", "upstreams": [target]}})
    assert answer.status_code == 403 and "cannot be added over the API" in answer.json()["detail"]
    for name in ("../../etc", "/etc", "..", "nothing"):
        answer = api.ask("POST", "/api/v1/routes", {"route": ROUTE, "dossier": name})
        assert answer.status_code == 404 and "there is no dossier" in answer.json()["detail"]


def test_changes_are_on_record_under_the_admin_keys_id(api: Api) -> None:
    api.ask("POST", "/api/v1/routes", {"route": ROUTE})
    api.ask("POST", "/api/v1/stops", {"name": "chat", "why": "incident"})
    answer = api.ask("GET", "/api/v1/audit?limit=2").json()
    found = answer["items"]
    assert [(e["action"], e["who"]) for e in found] == [
        ("stop", f"key:{api.admin[3:13]}"),
        ("route.add", f"key:{api.admin[3:13]}"),
    ]
    rest = api.ask("GET", f"/api/v1/audit?cursor={answer['next']}").json()["items"]
    assert [e["action"] for e in rest] == ["key.create"]
    assert len(entries(api.context.database)) == 3


def test_usage_and_reconciliation_are_answered(api: Api) -> None:
    assert api.ask("GET", "/api/v1/usage?by=day&since=7d").json()["rows"] == []
    assert api.ask("GET", "/api/v1/usage?since=soon").status_code == 422
    assert api.ask("GET", "/api/v1/usage/reconcile").json() == {"balanced": True, "lines": [], "problems": [], "waiting": []}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000b"}',
        b'{"name": "a", "rpm": NaN}',
        b'{"name": "a", "rpm": ' + b"9" * 5000 + b"}",
        b'{"name": "a", "tpm": 1e400}',
        b'{"name": "a", "budget": "1e999999 CNY"}',
        b'{"name": "a", "expires": "9999-12-31T23:59:59-23:59"}',
        b'{"name": "a", "surprise": 1}',
        b"[" * 100_000,
        b'{"name": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_a_hostile_body_is_refused_and_never_a_bug(api: Api, raw: bytes) -> None:
    before = len(api.ask("GET", "/api/v1/keys").json()["items"])
    answer = api.ask("POST", "/api/v1/keys", raw=raw)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(api.ask("GET", "/api/v1/keys").json()["items"]) == before


@pytest.mark.parametrize(
    "upstream",
    [b'"\\ud800"', b"[[]]", b'{"url": 1}', b'{"defaults": {"a": NaN}}', b"[" * 300 + b"]" * 300, b'{"headers": {"a": "\\r\\n"}}'],
)
def test_a_hostile_route_is_refused_and_never_a_bug(api: Api, upstream: bytes) -> None:
    answer = api.ask("POST", "/api/v1/routes", raw=b'{"route": {"name": "a", "upstreams": [' + upstream + b"]}}")
    assert 400 <= answer.status_code < 500, answer.text
    assert api.ask("GET", "/api/v1/routes").json() == {"items": [], "next": None}


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    answer = api.ask("POST", "/api/v1/keys", raw=b" " * (1 << 20) + b"{}")
    assert answer.status_code == 413 and answer.json()["title"]


def test_what_is_nowhere_is_answered_in_the_same_shape(api: Api) -> None:
    for method, path, status in (("GET", "/api/v1/nothing", 404), ("PUT", "/api/v1/keys", 405), ("GET", "/docs", 404)):
        answer = api.ask(method, path)
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.headers["content-type"] == "application/problem+json"


def test_generated_requests_get_what_the_description_promises(tmp_path: Path, size: Callable[[int, int], int]) -> None:
    with api_of(tmp_path / "home") as api:
        schemathesis.serializer.alias("application/zip", "application/octet-stream")  # bytes, as they come
        schema = schemathesis.openapi.from_asgi("/api/openapi.json", api.app)
        load_all_checks()
        named = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
        checks = [CHECKS.get_one(name) for name in named]
        count = 0
        for result in schema.get_all_operations():
            operation = result.ok()
            for mode in schemathesis.GenerationMode:

                @given(case=operation.as_strategy(generation_mode=mode))
                @settings(
                    max_examples=size(2, 300),
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                    database=None,
                )
                def sound(case: Any) -> None:
                    nonlocal count
                    count += 1
                    case.call_and_validate(headers={"authorization": f"Bearer {api.admin}"}, checks=checks)

                sound()
        assert count >= 100
