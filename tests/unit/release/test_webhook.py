"""Webhooks are signed as the Standard Webhooks specification says, go where the plan says, and tell no secret."""

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.webhook_server import WebhookServer

from pilotbase.domain.alert import Channel, Outcome
from pilotbase.errors import UserError
from pilotbase.release.webhook import Webhooks, read_keys, read_pause, sign, verify

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
MESSAGE = {"type": "alert.raised", "timestamp": "2026-05-04T10:00:00Z", "data": {"id": "al1", "title-zh": "准确率不达标"}}
PAGE = Path(__file__).resolve().parents[3] / "docs" / "alerts.md"


class Clock:
    def now(self) -> datetime:
        return NOW


def talk(work: Callable[[WebhookServer, Webhooks], Awaitable[None]], secrets: Mapping[str, str] | None = None) -> None:
    """Run `work` with a server and a sender."""

    async def story() -> None:
        async with WebhookServer(KEY, Clock()) as server:
            hooks = Webhooks(({"KEY": KEY} if secrets is None else secrets).get, Clock())
            try:
                await work(server, hooks)
            finally:
                await hooks.aclose()
                await hooks.aclose()

    asyncio.run(story())


def channel(server: WebhookServer) -> Channel:
    return Channel(webhook=server.url, key_env="KEY")


def test_the_signature_of_the_specifications_own_example_is_the_same() -> None:
    # The vector of the reference libraries of the specification.
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    moment = datetime.fromtimestamp(1614265330, UTC)
    headers = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', moment)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


def test_a_message_arrives_signed_whole_and_in_json() -> None:
    async def work(server: WebhookServer, hooks: Webhooks) -> None:
        assert await hooks.send(channel(server), "al1", MESSAGE) == Outcome(result="delivered", said="answered 200")
        (got,) = server.received
        assert got.good and got.id == "al1" and got.body == MESSAGE
        assert got.headers["Content-Type"] == "application/json; charset=utf-8"

    talk(work)


def test_a_receiver_with_another_key_sees_that_the_signature_is_wrong() -> None:
    async def work(server: WebhookServer, hooks: Webhooks) -> None:
        await hooks.send(channel(server), "al1", MESSAGE)
        assert not server.received[0].good

    talk(work, {"KEY": OTHER})


def test_while_a_key_changes_messages_are_signed_with_both() -> None:
    async def work(server: WebhookServer, hooks: Webhooks) -> None:
        await hooks.send(channel(server), "al1", MESSAGE)
        assert server.received[0].good and server.received[0].headers["webhook-signature"].count("v1,") == 2

    talk(work, {"KEY": f"{OTHER} {KEY}"})


@pytest.mark.parametrize(
    ("answer", "result", "after"),
    [
        (204, "delivered", None),
        (299, "delivered", None),
        (400, "failed", None),
        (410, "gone", None),
        (500, "failed", None),
        ((429, {"Retry-After": "90"}), "failed", 90.0),
        ((503, {"Retry-After": "Mon, 04 May 2026 10:30:00 GMT"}), "failed", 1800.0),
        ((500, {"Retry-After": "90"}), "failed", None),
        ((503, {"Retry-After": "soon"}), "failed", None),
    ],
)
def test_an_answer_is_read_by_its_status(answer: Any, result: str, after: float | None) -> None:
    async def work(server: WebhookServer, hooks: Webhooks) -> None:
        server.answers = [answer]
        outcome = await hooks.send(channel(server), "al1", MESSAGE)
        assert (outcome.result, outcome.after) == (result, after)
        assert "hunter2" not in outcome.said

    talk(work)


def test_a_redirect_is_a_failure_and_is_not_followed() -> None:
    async def work(server: WebhookServer, hooks: Webhooks) -> None:
        server.answers = [(307, {"Location": server.url})]
        outcome = await hooks.send(channel(server), "al1", MESSAGE)
        assert outcome.result == "failed" and "redirects are not followed" in outcome.said and len(server.received) == 1

    talk(work)


def test_a_server_that_is_away_is_a_failure_in_words_without_its_address() -> None:
    async def work(server: WebhookServer, hooks: Webhooks) -> None:
        await server.down()
        assert await hooks.send(channel(server), "al1", MESSAGE) == Outcome(result="failed", said="no connection could be made")

    talk(work)


@pytest.mark.parametrize("secret", ["", "plain", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", KEY + "x"])
def test_a_missing_or_wrong_key_is_a_failure_that_names_the_variable_and_not_the_key(secret: str) -> None:
    async def work(server: WebhookServer, hooks: Webhooks) -> None:
        outcome = await hooks.send(channel(server), "al1", MESSAGE)
        assert outcome.result == "failed" and "KEY" in outcome.said and server.received == []
        assert not secret or secret.removeprefix("whsec_")[:5] == "" or secret not in outcome.said

    talk(work, {"KEY": secret})


def test_what_is_no_key_is_refused_without_repeating_it() -> None:
    with pytest.raises(UserError, match="24 to 64 bytes") as caught:
        read_keys("whsec_c2VjcmV0IHNlY3JldA==")
    assert "c2Vj" not in str(caught.value)


@given(body=st.binary(max_size=200), flip=st.integers(0, 10**6), late=st.floats(-900, 900))
def test_a_signature_holds_for_its_bytes_and_its_time_alone(body: bytes, flip: int, late: float) -> None:
    headers = sign(KEY, "al1", body, NOW)
    then = NOW + timedelta(seconds=late)
    assert verify(KEY, headers, body, then) == (abs(late) <= 300)
    shouted = {name.upper(): value for name, value in headers.items()}
    assert verify(f"{OTHER} {KEY}", shouted, body, NOW) and not verify(OTHER, headers, body, NOW)
    changed = bytearray(body + b"!")
    changed[flip % len(changed)] ^= 1
    assert not verify(KEY, headers, bytes(changed), NOW)
    assert not verify(KEY, headers | {"webhook-id": "al2"}, body, NOW)


@pytest.mark.parametrize("word", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "v1,", "v1,???", "v1a,AAAA", "-1", "9" * 40])
def test_a_header_that_is_missing_or_strange_verifies_nothing(word: str, value: str | None) -> None:
    headers = sign(KEY, "al1", b"{}", NOW)
    del headers[word]
    assert not verify(KEY, headers | ({word: value} if value is not None else {}), b"{}", NOW)


@given(text=st.one_of(st.text(max_size=40), st.integers().map(str), st.floats().map(str)))
def test_any_retry_after_is_read_as_seconds_or_as_none(text: str) -> None:
    pause = read_pause(text, NOW)
    assert pause is None or pause >= 0


def test_the_receiver_that_the_page_shows_verifies_what_is_sent() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    body = b'{"type":"alert.raised"}'
    headers = sign(KEY, "al1", body, NOW)
    assert names["is_genuine"](KEY, headers, body, NOW.timestamp())
    assert not names["is_genuine"](OTHER, headers, body, NOW.timestamp())
    assert not names["is_genuine"](KEY, headers, body + b" ", NOW.timestamp())
    assert not names["is_genuine"](KEY, headers, body, NOW.timestamp() + 301)


def test_the_signature_is_the_plain_hmac_of_id_time_and_body() -> None:
    headers = sign(KEY, "al1", b"body", NOW)
    mac = hmac.new(b"k" * 32, f"al1.{int(NOW.timestamp())}.body".encode(), hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
