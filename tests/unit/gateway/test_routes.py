"""Routes: their document, their life in the database, and the file that declares one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.domain.price import Price
from pilotbase.domain.traffic import GuardUse, Labels, Limits, Preamble, Route, Tie, Timeouts, Upstream
from pilotbase.errors import InvalidInput, UserError
from pilotbase.gateway import audit, routes
from pilotbase.gateway.changes import changes_since
from pilotbase.spec.route import read_route_data, read_route_file
from pilotbase.store.database import Database

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FULL = Route(
    name="chat",
    upstreams=(
        Upstream(
            url="http://127.0.0.1:8000/v1",
            headers={"x-team": "a"},
            preamble=(Preamble(role="system", content="Be brief."),),
            defaults={"temperature": 0, "tools": [{"type": "function"}]},
            timeouts=Timeouts(total="20s"),
            limits=Limits(queue=0),
        ),
        Upstream(name="far", url="https://far.example/v1", key_env="FAR_KEY", tier=1),
    ),
    price=Price(per_call="0.01 CNY", per_million_input_tokens="2 CNY"),
    labels=Labels(producer="001191350100M000100Y4300000"),
    tie=Tie(policy="warn", by="Ann"),
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "pilotbase.db") as opened:
        yield opened


def put(database: Database, route: Route, **more: Any) -> None:
    routes.put(database, route, who="user:test", now=NOW, **more)


def test_a_route_comes_back_as_it_was_stored(database: Database) -> None:
    put(database, FULL)
    found = routes.find_route(database, "chat")
    assert found is not None and found.route == FULL and found.created == NOW


def test_a_stored_document_is_one_that_a_file_may_hold() -> None:
    target = Upstream(kind="target", target={"kind": "python", "options": {"call": "m:f"}, "positive": None})
    for route in (FULL, Route(name="own", upstreams=(target,))):
        assert read_route_data(routes.document_of(route)) == routes.read_route(routes.document_of(route)) == route
    guarded = routes.document_of(FULL) | {"guards": [{"guard": "words", "on": "input"}]}
    assert routes.read_route(guarded).guards == (GuardUse(guard="words", on="input"),)


def test_words_of_a_later_version_do_not_keep_a_route_from_being_read() -> None:
    document = routes.document_of(FULL) | {"colour": "red"}
    document["upstreams"][0]["shape"] = {"round": True}
    assert routes.read_route(document) == FULL


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,20}", fullmatch=True)


@given(
    name=names,
    weights=st.lists(st.integers(1, 100), min_size=1, max_size=3),
    retries=st.integers(0, 10),
    price=st.integers(0, 10**15),
    content=st.text(st.characters(exclude_categories=["Cs"])),
)
@settings(max_examples=60)
def test_any_sound_route_survives_its_document(name: str, weights: list[int], retries: int, price: int, content: str) -> None:
    preamble = (Preamble(role="system", content=content),)
    upstreams = tuple(
        Upstream(name=f"u{i}", url="https://a.example/v1", weight=w, preamble=preamble) for i, w in enumerate(weights)
    )
    cost = Price(per_call=f"{price // 10**9}.{price % 10**9:09d} CNY")
    route = Route(name=name, upstreams=upstreams, retries=retries, price=cost)
    assert read_route_data(routes.document_of(route)) == routes.read_route(routes.document_of(route)) == route


def test_a_name_that_is_taken_is_refused_unless_it_is_to_be_replaced(database: Database) -> None:
    put(database, FULL)
    with pytest.raises(UserError, match="already") as refused:
        put(database, FULL)
    assert refused.value.status == 409
    put(database, Route(name="chat", upstreams=(Upstream(url="http://b/v1"),)), replace=True)
    found = routes.find_route(database, "chat")
    assert found is not None and found.route.upstreams[0].url == "http://b/v1"
    assert [e.action for e in audit.entries(database)].count("route.replace") == 1


def test_a_removed_route_is_told_to_workers_and_can_be_added_again(database: Database) -> None:
    put(database, FULL)
    seen = changes_since(database, -1)
    assert (seen.routes, seen.removed) == ((FULL,), ())
    routes.remove(database, "chat", why="old", who="user:test", now=NOW + timedelta(1))
    later = changes_since(database, seen.epoch)
    assert (later.routes, later.removed) == ((), ("chat",))
    assert routes.list_routes(database) == [] and routes.find_route(database, "chat") is None
    with pytest.raises(UserError, match="no route `chat`"):
        routes.remove(database, "chat", why="", who="user:test", now=NOW)
    put(database, FULL)
    assert changes_since(database, later.epoch).document()["routes"][0]["name"] == "chat"
    assert changes_since(database, later.epoch + 1).routes == ()


def test_a_change_and_its_record_happen_together_or_not_at_all(database: Database) -> None:
    with pytest.raises(RuntimeError), database.transaction():
        put(database, FULL)
        raise RuntimeError
    assert (routes.list_routes(database), audit.entries(database), audit.stored_epoch(database)) == ([], [], 0)


def test_a_mistyped_name_is_answered_with_the_near_one(database: Database) -> None:
    put(database, FULL)
    assert "did you mean `chat`?" in str(routes.unknown(database, "chta"))


def test_the_policy_of_a_base_is_kept_and_on_record(database: Database) -> None:
    assert routes.read_policy(database) is None
    for policy in routes.POLICIES:
        routes.set_policy(database, policy, who="user:test", reason="board", now=NOW)
        assert routes.read_policy(database) == policy
    assert audit.entries(database)[0].detail["reason"] == "board"


def test_everything_wrong_with_a_file_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "route.yaml"
    path.write_text(
        "name: chat\n"
        "upstreams:\n"
        '  - {name: a, url: "ftp://x", weight: x, timeouts: {total: 5 parsecs}}\n'
        "  - {url: http://127.0.0.1:1/v1, key-env: 1X, colour: red}\n"
        "retries: 99\n"
        "price: {per-call: 1}\n"
        "guards: [{guard: wrods}]\n"
    )
    with pytest.raises(InvalidInput) as wrong:
        read_route_file(path, known=("words",))
    told = "\n".join(wrong.value.problems)
    for place, word in {
        "3:20": "upstreams[0].url",
        "3:39": "weight",
        "3:60": "parsecs",
        "4:43": "key-env",
        "4:47": "`colour` is not a word here",
        "5:10": "retries",
        "6:19": "per-call",
        "7:18": "did you mean `words`?",
    }.items():
        assert any(f"route.yaml:{place}:" in line and word in line for line in told.splitlines()), (place, word, told)
    assert len(wrong.value.problems) == 8


@pytest.mark.parametrize("text", ["", "- 1", "name: [", "{a: b", "\x00", "name: !!python/object:os.system x"])
def test_what_is_no_route_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "route.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInput):
        read_route_file(path)
    with pytest.raises(UserError):
        read_route_file(tmp_path / "missing.yaml")


@given(st.dictionaries(st.text(max_size=8), st.recursive(st.none() | st.floats() | st.text(max_size=5), st.lists, max_leaves=5)))
@settings(max_examples=100)
def test_any_data_is_read_or_refused_and_never_a_bug(data: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        read_route_data({"upstreams": [{"url": "http://a/v1"}], **data} if data else {})


def test_a_secret_may_not_stand_in_a_route() -> None:
    with pytest.raises(InvalidInput) as wrong:
        read_route_data({"name": "a", "upstreams": [{"url": "http://u:p@a/v1", "headers": {"Authorization": "Bearer x"}}]})
    assert len(wrong.value.problems) == 2
    assert "u:p" not in str(wrong.value) and "Bearer x" not in str(wrong.value)
