"""Mail goes out in two languages, encrypted where declared, injects nothing, and ends when its time is over."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.patience import PATIENCE
from tests.fakes.smtp_server import SmtpServer, contexts

from pilotbase.domain.alert import Alert, Channel, Outcome
from pilotbase.release.mail import Mails, compose, line_of, tell_log

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
SECRETS = {"USER": "robot", "PASSWORD": "hunter2"}
ALERT = Alert(
    kind="failing-check", severity=2, route="chat", release="r1", check="quality/accuracy", title="accuracy fails",
    title_zh="准确率不达标", evidence={"value": 0.8123456, "high": 0.88, "n": 300, "require": ">= 0.9"}, first_bad="req9",
)  # fmt: skip


class Clock:
    def now(self) -> datetime:
        return NOW


def message(alert: Alert = ALERT, count: int = 1) -> dict[str, Any]:
    body = {"type": "alert.raised", "timestamp": "2026-05-04T10:00:00.000000+00:00"}
    return body | {"data": {"id": "al1", "count": count} | alert.document()}


def channel(server: SmtpServer, **words: Any) -> Channel:
    mail = Channel(email=("duty@example.org", "boss@example.org"), smtp=server.address, from_="robot@example.org", tls="none")
    return replace(mail, **words)


def talk(
    server: Callable[[], SmtpServer],
    work: Callable[[SmtpServer, Mails], Awaitable[None]],
    *,
    secrets: Mapping[str, str] = SECRETS,
    context: Any = None,
) -> None:
    """Run `work` with a server and a sender."""

    async def story() -> None:
        mails = Mails(secrets.get, Clock(), limit=30.0, context=context)
        try:
            async with server() as found:
                await work(found, mails)
        finally:
            mails.close()
            mails.close()

    asyncio.run(story())


def test_a_letter_arrives_in_chinese_and_english_with_its_evidence() -> None:
    async def work(server: SmtpServer, mails: Mails) -> None:
        assert await mails.send(channel(server), "al1", message()) == Outcome(result="delivered", said="taken by the server")
        (letter,) = server.letters
        assert (letter.sender, letter.recipients) == ("robot@example.org", ("duty@example.org", "boss@example.org"))
        assert letter.message["Message-ID"] == "<al1@example.org>" and letter.message["Auto-Submitted"] == "auto-generated"
        assert letter.message["Subject"] == "[2] chat: 准确率不达标"
        assert letter.raw.isascii()
        text = letter.message.get_content()
        assert text.index("准确率不达标") < text.index("accuracy fails")
        for part in ("检验项: quality/accuracy", "check: quality/accuracy", "value: 0.812346", "样本数: 300", "重大", "req9"):
            assert part in text

    talk(SmtpServer, work)


def test_a_second_letter_of_an_alert_answers_the_first() -> None:
    letter = compose(Channel(email=("a@b.example",), smtp="h:25", from_="r@b.example"), "al1-2", message(count=9), NOW)
    assert (letter["Message-ID"], letter["In-Reply-To"]) == ("<al1-2@b.example>", "<al1@b.example>")
    assert "raised: 9" in letter.get_content()


def test_a_letter_goes_through_a_server_that_asks_for_a_password() -> None:
    async def work(server: SmtpServer, mails: Mails) -> None:
        outcome = await mails.send(channel(server, user_env="USER", password_env="PASSWORD"), "al1", message())
        assert outcome.result == "delivered" and server.letters[0].user == "robot"

    talk(lambda: SmtpServer(login=("robot", "hunter2")), work)


def test_a_wrong_password_is_a_failure_that_repeats_nothing() -> None:
    async def work(server: SmtpServer, mails: Mails) -> None:
        outcome = await mails.send(channel(server, user_env="USER", password_env="PASSWORD"), "al1", message())
        assert outcome == Outcome(result="failed", said="the server did not accept the name and password (535)")
        assert server.letters == []

    talk(lambda: SmtpServer(login=("robot", "another")), work)


def test_a_missing_password_is_named_by_its_variable_and_nothing_is_asked() -> None:
    async def work(server: SmtpServer, mails: Mails) -> None:
        outcome = await mails.send(channel(server, user_env="USER", password_env="PASSWORD"), "al1", message())
        assert outcome == Outcome(result="failed", said="the variable PASSWORD is not set") and server.commands == []

    talk(SmtpServer, work, secrets={"USER": "robot"})


def test_with_starttls_password_and_letter_cross_encrypted(tmp_path: Path) -> None:
    theirs, ours = contexts(tmp_path)

    async def work(server: SmtpServer, mails: Mails) -> None:
        where = channel(server, tls="starttls", user_env="USER", password_env="PASSWORD")
        assert (await mails.send(where, "al1", message())).result == "delivered"
        assert server.letters[0].encrypted and server.letters[0].user == "robot"

    talk(lambda: SmtpServer(login=("robot", "hunter2"), encrypts=theirs), work, context=ours)


def test_where_starttls_is_declared_and_not_offered_nothing_is_sent() -> None:
    async def work(server: SmtpServer, mails: Mails) -> None:
        outcome = await mails.send(channel(server, tls="starttls", user_env="USER", password_env="PASSWORD"), "al1", message())
        assert outcome.result == "failed" and "no STARTTLS" in outcome.said
        assert not any(command.startswith(("AUTH", "MAIL")) for command in server.commands)

    talk(lambda: SmtpServer(login=("robot", "hunter2")), work)


def test_a_certificate_that_nobody_trusts_is_a_failure(tmp_path: Path) -> None:
    theirs, _ = contexts(tmp_path)

    async def work(server: SmtpServer, mails: Mails) -> None:
        outcome = await mails.send(channel(server, tls="starttls"), "al1", message())
        assert outcome == Outcome(result="failed", said="the server's certificate was not accepted")

    talk(lambda: SmtpServer(encrypts=theirs), work)


def test_an_address_that_is_refused_does_not_keep_the_others_from_it() -> None:
    async def work(server: SmtpServer, mails: Mails) -> None:
        outcome = await mails.send(channel(server), "al1", message())
        assert outcome == Outcome(result="delivered", said="taken for 1 of 2 addresses, refused: 550")

    talk(lambda: SmtpServer(refuses={"boss@example.org": 550}), work)


def test_where_every_address_is_refused_it_is_a_failure() -> None:
    async def work(server: SmtpServer, mails: Mails) -> None:
        outcome = await mails.send(channel(server, email=("boss@example.org",)), "al1", message())
        assert outcome == Outcome(result="failed", said="the server refused every address (450)")

    talk(lambda: SmtpServer(refuses={"boss@example.org": 450}), work)


def test_a_busy_server_one_that_leaves_and_one_that_is_away_are_failures() -> None:
    async def busy(server: SmtpServer, mails: Mails) -> None:
        assert (await mails.send(channel(server), "al1", message())).said == "the server answered 421"

    async def leaves(server: SmtpServer, mails: Mails) -> None:
        assert (await mails.send(channel(server), "al1", message())).said.startswith("the server broke off")

    async def away(server: SmtpServer, mails: Mails) -> None:
        await server.__aexit__()
        assert (await mails.send(channel(server), "al1", message())).said == "no connection (ConnectionRefusedError)"

    talk(lambda: SmtpServer(busy=True), busy)
    talk(lambda: SmtpServer(leaves=True), leaves)
    talk(SmtpServer, away)


def test_when_its_time_is_over_the_connection_is_cut() -> None:
    async def work(server: SmtpServer, mails: Mails) -> None:
        sending = asyncio.create_task(mails.send(channel(server), "al1", message()))
        await server.arrived.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        # The server reads until the client is gone, which is at once and not after the client's own 30 s of silence.
        async with asyncio.timeout(PATIENCE):
            await server.gone.wait()

    talk(lambda: SmtpServer(silent=True), work)


@given(title=st.text(max_size=300), route=st.text(max_size=60), check=st.text(max_size=60), value=st.text(max_size=60))
def test_no_text_injects_a_header(title: str, route: str, check: str, value: str) -> None:
    alert = replace(
        ALERT, title=title + "\r\nBcc: spy@example.org", title_zh=title, route=route, check=check, evidence={"v": value}
    )
    json.dumps(message(alert)).encode("utf-8")
    where = Channel(email=("a@b.example",), smtp="h:25", from_="r@b.example")
    letter = message_from_bytes(compose(where, "al1", message(alert), NOW).as_bytes(policy=SMTP), policy=SMTP)
    assert letter["Bcc"] is None and letter.keys() == [
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted",
        "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
    ]  # fmt: skip
    assert "\n" not in line_of("al1", message(alert))


def test_the_log_gets_one_line_with_the_check_and_its_numbers() -> None:
    lines: list[str] = []
    assert tell_log(lines.append, "al1", message(count=3)).result == "delivered"
    assert lines == [
        "alert al1 [2] route chat: accuracy fails (release r1; check quality/accuracy; value 0.812346; high 0.88; n 300;"
        " require >= 0.9; raised 3 times)"
    ]
