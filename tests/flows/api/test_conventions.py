"""What all operations have in common: pages, entity tags, and keys against doing a thing twice."""

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import HTTPException
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.api import Api, api_of
from tests.fakes.postgres import place, postgres_server, postgres_url

from pilotbase.api.access import Caller
from pilotbase.api.paging import _packed, _unpacked
from pilotbase.api.replays import Once
from pilotbase.errors import UserError
from pilotbase.store.audit import entries

__all__ = ["place", "postgres_server", "postgres_url"]

CALLER = Caller(id="c", who="key:c")
LISTS = (
    "routes",
    "keys",
    "stops",
    "runs",
    "releases",
    "incidents",
    "members",
    "organisations",
    "audit",
    "needs",
    "capabilities",
    "indicators",
)


class Time:
    moment = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def api(tmp_path: Path, time: Time) -> Iterator[Api]:
    with api_of(tmp_path / "home", clock=time) as found:
        yield found


@pytest.fixture
def anywhere(tmp_path: Path, time: Time, place: Path | str) -> Iterator[Api]:
    """The same on each database."""
    with api_of(tmp_path / "home", clock=time, place=place) as found:
        yield found


def walked(api: Api, path: str, limit: int, more: str = "") -> list[Any]:
    """Every item of a list, page by page, along its links."""
    found, place = [], f"{path}?limit={limit}{more}"
    while place:
        answer = api.ask("GET", place)
        assert answer.status_code == 200 and len(answer.json()["items"]) <= limit
        found += answer.json()["items"]
        link = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers.get("link", ""))
        assert (link is None) == (answer.json()["next"] is None)
        place = link[1] if link is not None else ""
    return found


# Pages.


def test_pages_put_together_are_the_whole_list_each_item_once(anywhere: Api, time: Time) -> None:
    api = anywhere
    for i in range(5):
        time.moment += timedelta(seconds=i % 3)
        name = f"r{i}"
        route = {"name": name, "upstreams": [{"url": "http://a.example/v1"}]}
        assert api.ask("POST", "/api/v1/routes", {"route": route}).status_code == 201
        api.ask("POST", "/api/v1/keys", {"name": name})
        api.ask("POST", "/api/v1/stops", {"name": name, "kind": "route", "why": "test"})
        api.ask("POST", "/api/v1/incidents", {"route": name})
        home = api.ask("POST", "/api/v1/organisations", {"name": name}).json()["id"]
        api.ask("POST", "/api/v1/needs", {"title": name, "text": name, "area": "science", "organisation": home})
        api.ask("POST", "/api/v1/capabilities", {"title": name, "text": name, "organisation": home})
        texts = ("title", "numerator", "denominator", "population", "source")
        api.ask("POST", "/api/v1/indicators", dict.fromkeys(texts, name))
        api.member("vendor", login=f"member-{i}")
    sizes = {}
    for name in LISTS:
        whole = walked(api, f"/api/v1/{name}", 200)
        sizes[name] = len(whole)
        assert walked(api, f"/api/v1/{name}", 2) == whole, name
    assert sizes == {**dict.fromkeys(LISTS, 5), "keys": 6, "runs": 0, "releases": 0, "organisations": 6, "audit": sizes["audit"]}
    assert sizes["audit"] > 25


def test_a_filter_holds_on_every_page(api: Api) -> None:
    for i in range(5):
        api.ask("POST", "/api/v1/organisations", {"name": f"o{i}"})
    found = walked(api, "/api/v1/audit", 2, "&action=organisation.")
    assert [one["action"] for one in found] == ["organisation.create"] * 5


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30), min_size=1, max_size=3))
def test_a_cursor_holds_any_place_and_belongs_to_one_list(place: list[str]) -> None:
    cursor = _packed("/api/v1/runs", place)
    assert _unpacked("/api/v1/runs", cursor) == tuple(place) and quote(cursor, safe="") == cursor
    with pytest.raises(UserError, match="none of this list"):
        _unpacked("/api/v1/keys", cursor)


@given(st.text(max_size=60))
def test_any_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(UserError) as caught:
        _unpacked("/api/v1/runs", text)
    assert caught.value.status == 422


def test_a_wrong_cursor_or_limit_is_refused_by_every_list(api: Api) -> None:
    for name in LISTS:
        for query in ("cursor=x", "limit=0", "limit=201", f"cursor={_packed('/api/v1/other', ['a'])}"):
            assert api.ask("GET", f"/api/v1/{name}?{query}").status_code == 422, (name, query)


# Entity tags.


def test_a_read_is_answered_with_304_until_something_changes(api: Api) -> None:
    first = api.ask("GET", "/api/v1/stops")
    mark = first.headers["etag"]
    for told in (mark, f"W/{mark}", f'"other", {mark}', "*"):
        again = api.ask("GET", "/api/v1/stops", headers={"if-none-match": told})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", mark), told
    assert api.ask("GET", "/api/v1/stops", headers={"if-none-match": '"other"'}).status_code == 200
    api.ask("POST", "/api/v1/stops", {"name": "ALL", "why": "fire"})
    changed = api.ask("GET", "/api/v1/stops", headers={"if-none-match": mark})
    assert changed.status_code == 200 and changed.headers["etag"] != mark
    assert changed.headers["cache-control"] == "private, no-cache"
    assert api.ask("POST", "/api/v1/keys", {"name": "k"}).headers["cache-control"] == "no-store"


def test_a_change_of_what_has_moved_is_refused_with_412(api: Api) -> None:
    api.member("operator")
    member = api.member("vendor")
    path = f"/api/v1/members/{member.id}"
    mark = api.ask("GET", path).headers["etag"]
    assert mark.startswith('"1-')
    body = {"roles": ["vendor", "owner"]}
    assert api.ask("PUT", f"{path}/roles", body, headers={"if-match": mark}).json()["version"] == 2
    stale = api.ask("PUT", f"{path}/roles", {"roles": ["owner"]}, headers={"if-match": mark})
    assert stale.status_code == 412 and stale.headers["content-type"] == "application/problem+json"
    assert api.ask("POST", f"{path}/disable", headers={"if-match": f"W/{mark}"}).status_code == 412
    assert api.ask("GET", path).json()["roles"] == ["owner", "vendor"]
    for told in ("*", '"9-x", "2-y"', api.ask("GET", path).headers["etag"]):
        assert api.ask("PUT", f"{path}/roles", body, headers={"if-match": told}).status_code == 200, told


# Keys against doing a thing twice.


def test_a_post_that_is_sent_again_is_done_once_and_answered_the_same(api: Api) -> None:
    headers = {"idempotency-key": "one"}
    first = api.ask("POST", "/api/v1/organisations", {"name": "Hospital"}, headers=headers)
    before = len(entries(api.context.database))
    again = api.ask("POST", "/api/v1/organisations", {"name": "Hospital"}, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true" and "idempotency-replayed" not in first.headers
    assert len(entries(api.context.database)) == before
    other = api.ask("POST", "/api/v1/organisations", {"name": "Plant"}, headers=headers)
    assert other.status_code == 422 and "another request" in other.json()["detail"]


def test_a_key_against_repetition_belongs_to_its_caller_and_lasts_a_day(anywhere: Api, time: Time) -> None:
    api = anywhere
    headers, text = {"idempotency-key": "one"}, api.token("operator")
    made = [
        api.ask("POST", "/api/v1/keys", {"name": "k"}, headers=headers, key=key).json()["about"]["id"]
        for key in ("", text, "", text)
    ]
    assert made[0] == made[2] != made[1] == made[3]
    time.moment += timedelta(hours=23)
    assert api.ask("POST", "/api/v1/keys", {"name": "k"}, headers=headers).json()["about"]["id"] == made[0]
    time.moment += timedelta(hours=2)
    assert api.ask("POST", "/api/v1/keys", {"name": "k"}, headers=headers).json()["about"]["id"] not in made
    kept = api.context.database.row("SELECT COUNT(*) AS n FROM api_replays")
    assert kept is not None and kept["n"] == 1, "what is old goes as new ones come"


def test_a_secret_is_told_once_and_kept_in_no_replayed_answer(api: Api) -> None:
    home = api.member("operator").organisation
    wanted = {"login": "new", "name": "New", "organisation": home, "roles": ["vendor"]}
    for i, (path, body, word) in enumerate(
        (("/api/v1/keys", {"name": "k"}, "key"), ("/api/v1/keys/k/rotate", {}, "key"), ("/api/v1/members", wanted, "password"))
    ):
        headers = {"idempotency-key": str(i)}
        first = api.ask("POST", path, body, headers=headers).json()
        again = api.ask("POST", path, body, headers=headers).json()
        assert len(first[word]) > 20 and again == {**first, word: None}
        for row in api.context.database.rows("SELECT * FROM api_replays"):
            assert first[word] not in str(tuple(row)) and first[word][14:] not in str(tuple(row))


def test_what_was_refused_may_be_tried_again_under_the_same_key(api: Api) -> None:
    headers, body = {"idempotency-key": "one"}, {"route": "chat", "kind": "hazard"}
    assert api.ask("POST", "/api/v1/incidents", body, headers=headers).status_code == 404
    route = {"name": "chat", "upstreams": [{"url": "http://a.example/v1"}]}
    api.ask("POST", "/api/v1/routes", {"route": route})
    assert api.ask("POST", "/api/v1/incidents", body, headers=headers).status_code == 201


def test_while_a_request_is_being_done_its_key_is_busy_and_a_dead_servers_key_comes_free(api: Api, time: Time) -> None:
    once = Once(context=api.context, caller=CALLER, key="k", digest="d")
    inside, go_on = threading.Event(), threading.Event()

    def work() -> str:
        inside.set()
        assert go_on.wait(60)
        return "done"

    thread = threading.Thread(target=once, args=(work,))
    thread.start()
    assert inside.wait(60)
    with pytest.raises(HTTPException) as caught:
        once(lambda: "twice")
    assert caught.value.status_code == 409
    go_on.set()
    thread.join(60)
    assert once(lambda: "twice").body == b'"done"'  # type: ignore[attr-defined]
    with pytest.raises(SystemExit):
        Once(context=api.context, caller=CALLER, key="left", digest="d")(_gone)
    api.context.database.execute("INSERT INTO api_replays (caller, replay_key, request_digest, at) VALUES ('c', 'dead', 'd', ?)",
                                 (int(time.moment.timestamp()),))  # fmt: skip
    dead = Once(context=api.context, caller=CALLER, key="dead", digest="d")
    with pytest.raises(HTTPException):
        dead(lambda: "again")
    time.moment += timedelta(minutes=16)
    assert dead(lambda: "again") == "again"


def _gone() -> str:
    raise SystemExit
