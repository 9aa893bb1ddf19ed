"""Where a request comes from, and where a browser may be led."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from pilotbase.console.answers import lead_on
from pilotbase.console.asked import Asked, TooLargeError, ask, own_path


def asked(method: str = "POST", body: bytes = b"", query: bytes = b"", public: str | None = None, **headers: str) -> Asked:
    given = {"host": "base.example:8080", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "path": "/console/own",
        "query_string": query,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "server": ("base.example", 8080),
        "client": ("10.0.0.9", 1),
        "scheme": "http",
        "path_params": {},
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    return asyncio.run(ask(Request(scope, receive), public))


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/console", "/console"),
        ("/console/runs?pilot=a", "/console/runs?pilot=a"),
        ("/consolething", "/console"),
        ("//evil.example/console", "/console"),
        ("https://evil.example/console", "/console"),
        ("/console/../../x", "/console"),
        ("/console\r\nSet-Cookie: a=b", "/console"),
        ("/console\\evil", "/console"),
        ("/console/sign-out", "/console"),
        ("", "/console"),
    ],
)
def test_one_is_led_to_places_of_the_console_only(target: str, place: str) -> None:
    assert own_path(target) == place


def test_a_form_is_ours_by_its_origin_or_else_by_its_referer() -> None:
    assert asked(origin="http://base.example:8080").own
    assert asked(referer="http://base.example:8080/console/own").own
    assert not asked().own
    assert not asked(origin="null", referer="http://base.example:8080/").own
    assert not asked(origin="http://evil.example", referer="http://base.example:8080/").own
    assert not asked(origin="http://base.example").own
    assert not asked(origin="http://[bad").own


def test_behind_a_proxy_the_public_address_is_ours_too() -> None:
    assert asked(origin="https://pilot.example", public="https://pilot.example").own
    assert not asked(origin="http://pilot.example", public="https://pilot.example").own


def test_of_several_values_the_first_is_taken_and_no_text_breaks_a_database() -> None:
    found = asked(body=b"name=a%00b&name=second&more=%ff%fe&empty=", query=b"q=1&q=2")
    assert found.form == {"name": "a\ufffdb", "more": "\ufffd\ufffd", "empty": ""}
    assert found.query == {"q": "1"}
    assert found.target == "/console/own?q=1"


@pytest.mark.parametrize("body", [b"a=" + b"x" * (1 << 20), b"&".join([b"a=1"] * 2000)])
def test_a_form_that_is_too_large_is_not_read(body: bytes) -> None:
    with pytest.raises(TooLargeError):
        asked(body=body)


def test_the_workers_word_on_the_clients_address_is_taken() -> None:
    assert asked().address == "10.0.0.9"
    assert asked(x_pilotbase_client="203.0.113.5").address == "203.0.113.5"


def test_a_place_with_other_letters_is_led_on_to_in_ascii() -> None:
    assert lead_on("/console/runs/中文?a=1%20b").headers["location"] == "/console/runs/%E4%B8%AD%E6%96%87?a=1%20b"
