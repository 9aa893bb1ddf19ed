"""The gateway's pages as members of each role see them: routes, one route, keys, usage, and the switches."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.console import render, visit

from pilotbase.console import rendering
from pilotbase.console.links import route_link, route_named
from pilotbase.console.page import Page, To, Visit
from pilotbase.console.pages import gateway, keys, usage
from pilotbase.context import Context, open_context
from pilotbase.domain.price import Price
from pilotbase.domain.traffic import GuardUse, Route, Tie, Upstream
from pilotbase.errors import UserError
from pilotbase.flows.route_sight import list_sights, past
from pilotbase.gateway import keys as stored
from pilotbase.gateway import routes, stops
from pilotbase.gateway.audit import entries
from pilotbase.store.disk import LocalDisk

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
ROUTES, ROUTE = gateway.PAGES[:2]
KEYS, USAGE = keys.PAGES[0], usage.PAGES[0]
HOSTILE = "<script>alert(1)</script>\"'&"
TOKEN = re.compile(r"pb_[0-9A-Za-z]{10}_[0-9A-Za-z]{40}")


class Still:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Context]:
    with open_context(tmp_path / "home", disk=LocalDisk(), clock=Still(), secrets={}.get) as context:
        yield context


def act(page: Page, word: str, seen: Visit, /, **form: str) -> To | str:
    """What a form of the page leads to: another page, or an answer as HTML."""
    done = page.acts[word].do(seen, form)
    return done if isinstance(done, To) else rendering.render(done, seen, page=page, csrf="token", act=word, form=form)


def serve(base: Context, name: str = "chat", **more: Any) -> None:
    found = {
        "upstreams": (Upstream(url="http://10.0.0.1/v1", key_env="UPSTREAM_KEY"),),
        "price": Price(per_call="0.01 CNY"),
        **more,
    }
    routes.put(base.database, Route(name=name, **found), who="user:test", now=NOW - timedelta(days=3))


def called(base: Context, number: int, *, ago: timedelta = timedelta(minutes=5), **more: Any) -> None:
    at = NOW - ago
    found = {
        "id": f"q{number}",
        "worker": "w",
        "access_key": "keyA",
        "route": "chat",
        "upstream": "main",
        "endpoint": "chat",
        "day": at.date().isoformat(),
        "started": int(at.timestamp() * 1e6) + number,
        "state": "settled",
        "currency": "CNY",
        "reserved": 10,
        "settled": 10_000_000,
        "tokens_in": 100,
        "tokens_out": 7,
        "source": "upstream",
        "outcome": "answered",
        "status": 200,
        **more,
    }
    words = ", ".join(found)
    base.database.execute(f"INSERT INTO requests ({words}) VALUES ({', '.join('?' * len(found))})", tuple(found.values()))


def test_an_empty_base_says_how_a_route_is_added(base: Context) -> None:
    assert "pilotbase route add" in render(ROUTES, visit(base))


def test_the_list_tells_what_a_route_rests_on_its_price_and_its_health(base: Context) -> None:
    serve(base, tie=Tie(policy="prevent", verdict="pass", candidate="triage-7b", signer="abc123"))
    for number in range(4):
        called(base, number)
    called(base, 9, outcome="failed", status=502)
    shown = render(ROUTES, visit(base, role="engineer"))
    for text in ("chat", "triage-7b", "0.01 CNY a call", "http://10.0.0.1/v1", "some failures", "1 failed"):
        assert text in shown
    assert "Stop all traffic" not in shown, "an engineer may not stop it"
    assert "UPSTREAM_KEY" not in shown


def test_pages_are_chinese_where_the_member_reads_chinese(base: Context) -> None:
    serve(base)
    called(base, 1)
    place = {"route": "chat"}
    for page in (ROUTES, ROUTE, KEYS, USAGE):
        shown = render(page, visit(base, language="zh", place=place))
        for english in (
            "Requests",
            "Reason",
            "Health",
            "Rests on",
            "Routes<",
            "Access keys",
            "By day",
            "Make the key",
            "no traffic",
        ):
            assert english not in shown, (page.name, english)
    assert "停止此路由" in render(ROUTE, visit(base, language="zh", place=place))


def test_health_is_told_from_the_last_quarter_of_an_hour_and_shadows_do_not_count(base: Context) -> None:
    serve(base)
    called(base, 1, ago=timedelta(hours=2), outcome="failed", status=500)
    assert list_sights(base)[0].traffic.health == "quiet"
    called(base, 2, outcome="failed", status=500, arm="shadow")
    assert list_sights(base)[0].traffic.health == "quiet"
    called(base, 3)
    assert list_sights(base)[0].traffic.health == "answering"
    called(base, 4, outcome="cut", status=200)
    assert list_sights(base)[0].traffic.health == "failing"
    called(base, 5, ago=timedelta(days=2))
    assert list_sights(base)[0].traffic.requests == 3


def test_a_route_shows_its_last_day_by_the_hour_and_what_went_wrong(base: Context) -> None:
    serve(base, guards=(GuardUse(guard="pii", action="mask"),))
    called(base, 1)
    called(base, 2, ago=timedelta(hours=3), outcome="failed", status=502)
    called(base, 3, ago=timedelta(hours=3), outcome="released: limit", status=429)
    lately = past(base, "chat")
    assert len(lately.hours) == 24
    assert [(hour.began.hour, hour.requests, hour.failed) for hour in lately.hours if hour.requests] == [(9, 2, 1), (12, 1, 0)]
    assert ("failed", 502, 1, True) in lately.errors
    shown = render(ROUTE, visit(base, place={"route": "chat"}, role="reviewer"))
    for text in ("<svg", "released: limit", "502", "UPSTREAM_KEY", "masked", "Every hour as a table", "&#34;retries&#34;: 2"):
        assert text in shown
    assert "keyA" not in shown, "who called is not for everyone who sees routes"


def test_a_route_with_slashes_in_its_name_has_a_page(base: Context) -> None:
    name = "Qwen/Qwen2.5:7b@x"
    serve(base, name)
    link = route_link(name)
    assert link.count("/") == 4 and route_named(link.rpartition("/")[2]) == name
    assert name in render(ROUTE, visit(base, place={"route": link.rpartition("/")[2]}))
    assert link in render(ROUTES, visit(base))


def test_a_route_that_is_not_there_is_told_as_404(base: Context) -> None:
    with pytest.raises(UserError) as caught:
        render(ROUTE, visit(base, place={"route": "nothing"}))
    assert caught.value.status == 404


def test_a_route_is_stopped_with_a_reason_and_resumed(base: Context) -> None:
    serve(base)
    seen = visit(base, place={"route": "chat"})
    done = act(ROUTE, "stop", seen, why="wrong answers")
    assert isinstance(done, To) and done.path == "/console/gateway/routes/chat"
    assert stops.list_stops(base.database)[0].who == "member:operator"
    shown = render(ROUTE, seen)
    assert "wrong answers" in shown and "Let this route go on" in shown and "Stop this route" not in shown
    assert isinstance(act(ROUTE, "resume", seen, why="mended"), To)
    assert stops.list_stops(base.database) == []
    assert [entry.who for entry in entries(base.database, limit=2)] == ["member:operator"] * 2


def test_nothing_is_stopped_without_a_reason(base: Context) -> None:
    serve(base)
    for page, name in ((ROUTES, "stop-all"), (ROUTE, "stop")):
        with pytest.raises(UserError, match="reason"):
            act(page, name, visit(base, place={"route": "chat"}), why="  ")
    assert stops.list_stops(base.database) == []


def test_all_traffic_is_stopped_and_let_go_on(base: Context) -> None:
    serve(base)
    act(ROUTES, "stop-all", visit(base), why=HOSTILE)
    shown = render(ROUTES, visit(base, role="auditor"))
    assert "All traffic is stopped." in shown and "<script>alert" not in shown and "&lt;script&gt;" in shown
    assert "Let all traffic go on" not in shown
    again = act(ROUTES, "stop-all", visit(base), why="again")
    assert isinstance(again, To) and again.note == "Nothing changed: it was so already."
    act(ROUTES, "resume-all", visit(base), why="done")
    assert stops.list_stops(base.database) == []


def test_a_stop_of_a_route_that_is_gone_can_be_taken_back(base: Context) -> None:
    serve(base)
    act(ROUTE, "stop", visit(base, place={"route": "chat"}), why="x")
    routes.remove(base.database, "chat", why="", who="user:test", now=NOW)
    assert "no longer served" in render(ROUTES, visit(base))
    done = act(ROUTES, "resume", visit(base), name="chat", why="gone")
    assert isinstance(done, To) and done.path == "/console/gateway"


def test_a_new_key_is_shown_once_and_stands_nowhere_else(base: Context) -> None:
    serve(base)
    shown = act(KEYS, "create", visit(base), name=HOSTILE, budget="100 CNY", rpm="60", tpm="", routes="chat", expires="30d")
    assert isinstance(shown, str)
    found = TOKEN.findall(shown)
    assert len(found) == 1 and "<script>alert" not in shown
    listed = render(KEYS, visit(base))
    assert not TOKEN.search(listed) and "100 CNY" in listed and "&lt;script&gt;" in listed
    assert found[0] not in str([entry.detail for entry in entries(base.database)])
    key = stored.list_keys(base.database)[0]
    assert (key.rpm, key.tpm, key.routes, key.expires) == (60, None, ("chat",), NOW + timedelta(days=30))


def test_wrong_wishes_for_a_key_are_refused_and_nothing_is_made(base: Context) -> None:
    for wrong in (
        {"rpm": "many"},
        {"budget": "much"},
        {"routes": "nothing"},
        {"expires": "yesterday"},
        {"name": ""},
        {"tpm": "٣"},
    ):
        with pytest.raises(UserError):
            act(KEYS, "create", visit(base), **{"name": "ward 3", **wrong})
    assert stored.list_keys(base.database) == []


def test_a_key_is_renewed_stopped_and_revoked(base: Context) -> None:
    key, token = stored.create(base.database, b"p" * 32, stored.Wanted(name="ward 3"), who="user:test", now=NOW)
    renewed = act(KEYS, "rotate", visit(base), key=key.id, keep="10m")
    assert isinstance(renewed, str) and TOKEN.search(renewed) and token not in renewed
    act(KEYS, "stop", visit(base), key=key.id, why="leak")
    assert "leak" in render(KEYS, visit(base))
    act(KEYS, "resume", visit(base), key=key.id, why="found")
    done = act(KEYS, "revoke", visit(base), key=key.id, why="left", cut="yes")
    assert isinstance(done, To) and done.note == "The key ward 3 is revoked."
    found = stored.find_key(base.database, key.id)
    assert found is not None and found.revoked == NOW and found.cut
    assert "revoked" in render(KEYS, visit(base))


def test_an_auditor_sees_keys_and_no_way_to_change_them(base: Context) -> None:
    stored.create(base.database, b"p" * 32, stored.Wanted(name="ward 3"), who="user:test", now=NOW)
    shown = render(KEYS, visit(base, role="auditor"))
    assert "ward 3" in shown
    assert '<form method="post" class' not in shown and "Make the key" not in shown and "Revoke" not in shown


def test_the_budget_used_is_drawn_in_its_own_currency(base: Context) -> None:
    wanted = stored.Wanted(name="ward 3", budget=None)
    key, _ = stored.create(base.database, b"p" * 32, wanted, who="user:test", now=NOW)
    base.database.execute("UPDATE access_keys SET budget = ?, currency = 'CNY' WHERE id = ?", (20 * 10**9, key.id))
    for currency, nanos in (("CNY", 5 * 10**9), ("USD", 10**9)):
        base.database.execute(
            "INSERT INTO balances (access_key, route, currency, settled) VALUES (?, 'chat', ?, ?)", (key.id, currency, nanos)
        )
    shown = render(KEYS, visit(base))
    assert 'max="20.0" value="5.0"' in shown and "5 CNY, 1 USD / 20 CNY" in shown


def test_usage_is_drawn_by_day_with_the_same_figures_in_a_table(base: Context) -> None:
    serve(base)
    for number in range(3):
        called(base, number, ago=timedelta(days=number))
    shown = render(USAGE, visit(base, role="auditor", query={"days": "7"}))
    assert shown.count('<rect class="column"') == 3
    assert 'role="img"' in shown and "<title" in shown
    for text in ("2026-11-18", "2026-11-20", "0.01 CNY", "Usage by key", "keyA", "/console/gateway/routes/chat"):
        assert text in shown
    money = render(USAGE, visit(base, query={"days": "7", "show": "CNY"}))
    assert "CNY by day" in money and "0.0100" in money


def test_a_period_is_chosen_by_days_and_a_wrong_one_is_told(base: Context) -> None:
    called(base, 1, ago=timedelta(days=40))
    assert "No requests in this time." in render(USAGE, visit(base))
    chosen = visit(base, query={"first": "2026-10-01", "last": "2026-10-31"})
    assert "2026-10-11" in render(USAGE, chosen)
    for query in (
        {"first": "soon"},
        {"first": "2026-11-02", "last": "2026-11-01"},
        {"first": "2020-01-01"},
        {"last": "9999-12-31"},
    ):
        with pytest.raises(UserError):
            render(USAGE, visit(base, query=query))
    assert "By day" in render(USAGE, visit(base, query={"days": HOSTILE, "show": HOSTILE}))
