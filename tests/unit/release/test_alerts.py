"""One cause is one open alert; a channel is told once, told again with a reason, and never flooded."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.domain.alert import Alert, Channel, clean_line, parse_server, read_alert, read_channel
from pilotbase.domain.canonical import canonical
from pilotbase.errors import UserError
from pilotbase.release.alerts import close_alerts, find_alert, list_alerts, raise_alert
from pilotbase.release.deliveries import deliveries_of, due
from pilotbase.spec.parts import parse
from pilotbase.store.database import Database

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
LOG = Channel(log=True)
HOOK = Channel(webhook="https://example.org/hooks/t0ken", key_env="HOOK_KEY")
MAIL = Channel(email=("duty@example.org",), smtp="mail.example.org:587", from_="robot@example.org")
WORSE = Alert(
    kind="failing-check", severity=2, route="chat", release="r1", check="quality/accuracy", title="accuracy fails",
    title_zh="准确率不达标", evidence={"value": 0.81, "high": 0.88, "n": 300, "require": ">= 0.9"},
)  # fmt: skip


def after(**much: float) -> datetime:
    return NOW + timedelta(**much)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "base.db") as found:
        yield found


def waiting(database: Database) -> list[tuple[str, str]]:
    rows = database.rows("SELECT alert, channel FROM deliveries WHERE state = 'waiting' ORDER BY alert, channel")
    return [(row["alert"], row["channel"]) for row in rows]


def bodies(database: Database) -> list[dict[str, Any]]:
    return [json.loads(row["target"])["body"]["data"] for row in database.rows("SELECT target FROM deliveries ORDER BY alert")]


def test_a_first_alert_is_opened_and_every_channel_is_told(database: Database) -> None:
    raised = raise_alert(database, WORSE, [LOG, HOOK, MAIL], NOW)
    assert raised.fresh and set(raised.told) == {LOG.name, HOOK.name, MAIL.name}
    assert waiting(database) == sorted((raised.id, channel.name) for channel in (LOG, HOOK, MAIL))
    (stored,) = list_alerts(database)
    assert (stored.alert, stored.count, stored.state, stored.messages) == (WORSE, 1, "open", (raised.id,))


def test_a_message_carries_the_check_that_fired_and_its_evidence(database: Database) -> None:
    raise_alert(database, WORSE, [HOOK], NOW)
    (body,) = bodies(database)
    assert body["check"] == "quality/accuracy" and body["release"] == "r1"
    assert body["evidence"] == {"value": 0.81, "high": 0.88, "n": 300, "require": ">= 0.9"}
    assert (body["title"], body["title-zh"]) == ("accuracy fails", "准确率不达标")


def test_the_same_cause_is_counted_and_told_no_second_time(database: Database) -> None:
    first = raise_alert(database, WORSE, [LOG], NOW)
    again = raise_alert(database, replace(WORSE, title="other words", evidence={"n": 400}), [LOG], after(hours=5.9))
    assert again.id == first.id and not again.fresh and again.told == ()
    (stored,) = list_alerts(database)
    assert (stored.count, stored.last, stored.latest) == (2, after(hours=5.9).isoformat(timespec="microseconds"), {"n": 400})
    assert stored.alert.evidence == WORSE.evidence and len(waiting(database)) == 1


def test_another_check_route_release_or_subject_is_another_cause(database: Database) -> None:
    others = [replace(WORSE, check="b"), replace(WORSE, route="b"), replace(WORSE, release="b"), replace(WORSE, about="b")]
    assert len({alert.same for alert in [WORSE, *others, replace(WORSE, kind="worse")]}) == 6
    assert all(raise_alert(database, alert, [LOG], NOW).fresh for alert in [WORSE, *others])


def test_a_rise_in_severity_is_told_at_once_and_a_fall_is_not(database: Database) -> None:
    name = raise_alert(database, replace(WORSE, severity=3), [LOG], NOW).id
    assert raise_alert(database, replace(WORSE, severity=4), [LOG], after(minutes=1)).told == ()
    assert raise_alert(database, replace(WORSE, severity=1), [LOG], after(minutes=2)).told == ("log",)
    assert raise_alert(database, replace(WORSE, severity=2), [LOG], after(minutes=3)).told == ()
    stored = find_alert(database, name)
    assert stored.alert.severity == 1 and stored.count == 4 and stored.messages == (name, f"{name}-2")


def test_a_cause_that_lasts_is_told_again_after_the_declared_time(database: Database) -> None:
    name = raise_alert(database, WORSE, [LOG], NOW, again_after=timedelta(hours=1)).id
    assert raise_alert(database, WORSE, [LOG], after(minutes=59), again_after=timedelta(hours=1)).told == ()
    assert raise_alert(database, WORSE, [LOG], after(minutes=60), again_after=timedelta(hours=1)).told == ("log",)
    assert [body["count"] for body in bodies(database)] == [1, 3]
    assert find_alert(database, name).messages == (name, f"{name}-2")


def test_a_later_message_takes_the_place_of_one_that_is_still_on_its_way_and_inherits_its_tries(database: Database) -> None:
    name = raise_alert(database, WORSE, [HOOK], NOW).id
    database.execute("UPDATE deliveries SET tries = 7")
    raise_alert(database, replace(WORSE, severity=1), [HOOK], after(minutes=1))
    old, new = deliveries_of(database, find_alert(database, name).messages)
    assert (old.state, old.said, new.state, new.tries) == ("given-up", f"{name}-2 took its place", "waiting", 7)


def test_a_closed_alert_stays_closed_and_its_cause_opens_a_new_one(database: Database) -> None:
    first = raise_alert(database, WORSE, [LOG], NOW)
    assert close_alerts(database, release="r1", route="chat", who="user:li", why="rolled back", now=after(hours=1)) == 1
    assert close_alerts(database, release="r1", who="user:li", why="again", now=after(hours=2)) == 0
    closed = find_alert(database, first.id)
    assert closed.state == "closed" and closed.closed is not None and closed.closed["why"] == "rolled back"
    second = raise_alert(database, WORSE, [LOG], after(hours=3))
    assert second.fresh and second.id != first.id
    assert [stored.id for stored in list_alerts(database)] == [second.id, first.id]
    assert [stored.id for stored in list_alerts(database, state="open", route="chat", release="r1")] == [second.id]


def test_closing_reaches_only_what_was_named(database: Database) -> None:
    one = raise_alert(database, WORSE, [LOG], NOW)
    raise_alert(database, replace(WORSE, route="other", release="r2"), [LOG], NOW)
    raise_alert(database, replace(WORSE, kind="drift"), [LOG], NOW)
    assert close_alerts(database, same=WORSE.same, who="w", why="y", now=NOW) == 1
    assert find_alert(database, one.id).state == "closed"
    assert close_alerts(database, kind="drift", who="w", why="y", now=NOW) == 1
    with pytest.raises(ValueError, match="name which"):
        close_alerts(database, who="w", why="y", now=NOW)
    assert [stored.alert.route for stored in list_alerts(database, state="open")] == ["other"]


def test_an_unknown_alert_is_an_error_in_words(database: Database) -> None:
    with pytest.raises(UserError, match="there is no alert `al9`") as caught:
        find_alert(database, "al9")
    assert caught.value.status == 404


def test_an_alert_of_a_transaction_that_fails_was_never_raised(database: Database) -> None:
    with pytest.raises(RuntimeError, match="crash"), database.transaction():
        raise_alert(database, WORSE, [LOG], NOW)
        raise RuntimeError("crash")
    assert list_alerts(database) == [] and waiting(database) == []


def test_a_storm_of_ten_thousand_alerts_of_twenty_causes_makes_twenty_deliveries_a_channel(database: Database) -> None:
    causes = [replace(WORSE, check=f"gate/check-{i}", severity=3) for i in range(20)]
    storm = causes * 500
    random.Random(4).shuffle(storm)
    fresh = 0
    for start in range(0, len(storm), 500):
        with database.transaction():
            for i, alert in enumerate(storm[start : start + 500], start):
                fresh += raise_alert(database, alert, [LOG, HOOK], NOW + timedelta(seconds=i / 10)).fresh
    assert fresh == 20
    assert sorted(place for _, place in waiting(database)) == [LOG.name] * 20 + [HOOK.name] * 20
    assert [stored.count for stored in list_alerts(database)] == [500] * 20


def test_beyond_sixty_an_hour_a_channel_is_spared_and_gets_one_summary(database: Database) -> None:
    flood = [replace(WORSE, check=f"c{i}", severity=3 + i % 2) for i in range(100)]
    told = [raise_alert(database, alert, [HOOK], after(seconds=i)).told for i, alert in enumerate(flood)]
    assert sum(map(len, told)) == 60
    for alert in flood:
        assert raise_alert(database, alert, [HOOK], after(minutes=30)).told == ()
    (summary,) = [one for one in list_alerts(database, limit=200) if one.alert.kind == "held-back"]
    assert len(waiting(database)) == 61 and len(due(database, after(minutes=59))) == 60
    (delivery,) = [one for one in due(database, after(minutes=60)) if one.id == summary.id]
    data = delivery.body["data"]
    assert (
        data["evidence"]["held-back"] == 40
        and data["severity"] == 3
        and "40 alerts" in data["title"]
        and "40" in data["title-zh"]
    )
    assert data["evidence"]["routes"] == ["chat"]


def test_what_was_held_back_is_told_when_it_is_raised_after_the_hour(database: Database) -> None:
    for i in range(5):
        raise_alert(database, replace(WORSE, check=f"c{i}"), [HOOK], NOW, most=3)
    told = [raise_alert(database, replace(WORSE, check=f"c{i}"), [HOOK], after(hours=1), most=3).told for i in range(5)]
    assert [bool(one) for one in told] == [False, False, False, True, True]


def test_a_flood_of_small_alerts_does_not_hide_a_great_one(database: Database) -> None:
    for i in range(80):
        raise_alert(database, replace(WORSE, check=f"c{i}", severity=4), [HOOK], NOW)
    assert raise_alert(database, replace(WORSE, check="c79", severity=1), [HOOK], after(minutes=1)).told == (HOOK.name,)
    assert raise_alert(database, replace(WORSE, check="new", severity=2), [HOOK], after(minutes=1)).told == (HOOK.name,)


def test_the_limit_is_each_channels_own(database: Database) -> None:
    for i in range(4):
        raise_alert(database, replace(WORSE, check=f"c{i}"), [HOOK], NOW, most=4)
    assert raise_alert(database, replace(WORSE, check="last"), [HOOK, LOG], NOW, most=4).told == ("log",)


@settings(max_examples=40)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from([0, 60, 3600, 3 * 3600, 7 * 3600])), max_size=25
    )
)
def test_any_sequence_tells_what_a_plain_model_tells(steps: list[tuple[int, int, int]]) -> None:
    model: dict[int, tuple[datetime, int, int, int]] = {}  # of each cause: told when, as how severe, worst, count
    now = NOW
    with TemporaryDirectory() as folder, Database(Path(folder) / "base.db") as database:
        for cause, severity, wait in steps:
            now += timedelta(seconds=wait)
            raised = raise_alert(database, replace(WORSE, check=f"c{cause}", severity=severity), [LOG], now)
            at, told_as, worst, count = model.get(cause, (now - timedelta(days=1), 5, 5, 0))
            tell = severity < told_as or now - at >= timedelta(hours=6)
            model[cause] = (*((now, severity) if tell else (at, told_as)), min(worst, severity), count + 1)
            assert (raised.fresh, bool(raised.told)) == (count == 0, tell)
        found = {stored.alert.check: (stored.alert.severity, stored.count) for stored in list_alerts(database)}
        assert found == {f"c{cause}": (worst, count) for cause, (_, _, worst, count) in model.items()}


def test_evidence_of_any_make_becomes_plain_json_of_bounded_size() -> None:
    odd: dict[str, Any] = {
        "nan": float("nan"), "inf": np.float64("inf"), "n": np.int64(7), "share": np.float32(0.5), "big": 10**30,
        "money": Decimal("1.5"), "line": "a\r\nBcc: x\x00\ud800", "deep": {"a": {"b": {"c": {"d": {"e": 1}}}}},
        "many": list(range(1000)), "flag": True, "none": None,
    }  # fmt: skip
    document = replace(WORSE, evidence=odd).document()
    canonical(document)
    evidence = document["evidence"]
    assert evidence["nan"] is None and evidence["inf"] is None and evidence["n"] == 7 and evidence["flag"] is True
    assert evidence["line"] == "a Bcc: x" and len(evidence["many"]) == 50 and evidence["money"] == "1.5"
    large = replace(WORSE, evidence={f"w{i}": "长" * 400 for i in range(60)}).document()
    assert len(canonical(large)) < 20_000 and large["evidence"]["left-out"]


@given(text=st.text(), most=st.integers(2, 50))
def test_a_line_is_one_printable_line_of_bounded_length(text: str, most: int) -> None:
    line = clean_line(text, most)
    assert len(line) <= most and line.isprintable() and line == line.strip()
    line.encode("utf-8")


def test_an_alert_reads_back_from_its_document() -> None:
    assert read_alert(WORSE.document()) == WORSE
    assert read_alert(WORSE.document() | {"messages": 3, "told": {}}) == WORSE


def test_an_alert_of_no_known_kind_or_severity_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="no severity"):
        replace(WORSE, severity=5)
    with pytest.raises(ValueError, match="no kind"):
        replace(WORSE, kind="strange")


@pytest.mark.parametrize("channel", [LOG, HOOK, MAIL, replace(MAIL, tls="tls", user_env="U", password_env="P")])
def test_a_channel_is_read_from_a_plan_and_back_from_its_document(channel: Channel) -> None:
    parsed = parse(Channel, channel.document())
    assert parsed.findings == () and parsed.value == channel
    assert read_channel(channel.document()) == channel and list(channel.problems()) == []


@pytest.mark.parametrize(
    ("channel", "place", "said"),
    [
        (Channel(), (), "without a way"),
        (Channel(log=True, webhook="https://a.example/"), (), "log and webhook"),
        (Channel(webhook="https://u:p@a.example/x", key_env="K"), ("webhook",), "no usable"),
        (Channel(webhook="https://a.example/x?key=1", key_env="K"), ("webhook",), "no usable"),
        (Channel(webhook="ftp://a.example/x", key_env="K"), ("webhook",), "no usable"),
        (Channel(webhook="https://a.example/x"), ("key-env",), "no key is named"),
        (Channel(webhook="https://a.example/x", key_env="whsec_abc="), ("key-env",), "not the name"),
        (Channel(log=True, smtp="a:1"), ("smtp",), "has no `smtp`"),
        (Channel(log=True, tls="none"), ("tls",), "has no `tls`"),
        (replace(MAIL, key_env="K"), ("key-env",), "has no `key-env`"),
        (replace(MAIL, email=("a@b.example", "x\r\nBcc: y@z.example")), ("email", 1), "is no address"),
        (replace(MAIL, from_=None), ("from",), "no usable sender"),
        (replace(MAIL, from_="Name <a@b.example>"), ("from",), "no usable sender"),
        (replace(MAIL, smtp=None), ("smtp",), "HOST:PORT"),
        (replace(MAIL, smtp="mail.example.org"), ("smtp",), "HOST:PORT"),
        (replace(MAIL, user_env="U"), ("password-env",), "go together"),
        (replace(MAIL, user_env="U", password_env="P", tls="none"), ("tls",), "unencrypted"),
    ],
)
def test_a_channel_that_cannot_work_says_what_is_wrong(channel: Channel, place: tuple[str | int, ...], said: str) -> None:
    assert [(p.path, said in p.message) for p in channel.problems()] == [(place, True)]


def test_a_password_may_go_unencrypted_to_this_machine_alone() -> None:
    for host, problems in (
        ("127.0.0.1:25", 0),
        ("[::1]:25", 0),
        ("localhost:25", 0),
        ("127.example.org:25", 1),
        ("10.0.0.1:25", 1),
    ):
        channel = replace(MAIL, smtp=host, user_env="U", password_env="P", tls="none")
        assert len(list(channel.problems())) == problems, host


def test_a_channels_name_shows_no_path_and_tells_channels_of_one_host_apart() -> None:
    other = replace(HOOK, webhook="https://example.org/hooks/other")
    assert "t0ken" not in HOOK.name and HOOK.name.startswith("webhook example.org ") and HOOK.name != other.name
    assert "duty" not in MAIL.name and MAIL.name.startswith("email mail.example.org:587 ")


def test_servers_are_a_host_and_a_port() -> None:
    assert parse_server("mail.example.org:587") == ("mail.example.org", 587)
    assert parse_server("[::1]:25") == ("::1", 25)
    for text in ("", "a", "a:", "a:0", "a:65536", ":25", "a b:25", "a:25\n", "::1:25"):
        with pytest.raises(ValueError, match="HOST:PORT"):
            parse_server(text)


def test_messages_hold_no_full_stop_in_their_ids(database: Database, size: Callable[[int, int], int]) -> None:
    for i in range(size(5, 50)):
        assert "." not in raise_alert(database, replace(WORSE, check=f"c{i}"), [], NOW).id
