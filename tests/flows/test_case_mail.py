"""Letters about cases: to those whom a step concerns, in their language, once, and not at all without a mail server."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from tests.fakes.admissions import facts_of, opened, people, walked
from tests.fakes.smtp_server import Letter, SmtpServer

from pilotbase.context import Context, SystemClock, open_context
from pilotbase.domain.admission_steps import Facts
from pilotbase.domain.alert import Channel
from pilotbase.errors import UserError
from pilotbase.flows.case_steps import take_step
from pilotbase.release.deliveries import Courier, Senders
from pilotbase.settings import read_settings
from pilotbase.store.disk import LocalDisk

T = TypeVar("T")
SERVER = {"PILOTBASE_MAIL": "mail.example.org:587", "PILOTBASE_MAIL_FROM": "base@example.org"}


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    mail = Channel(smtp="127.0.0.1:9", from_="base@example.org", tls="none")
    with open_context(
        tmp_path / "home",
        disk=LocalDisk(),
        clock=SystemClock(),
        secrets=lambda _: None,
        mail=mail,
        public_url="https://b.example/",
    ) as found:
        yield found


async def at_once(work: Callable[[], T], /) -> T:
    return work()


def posted(context: Context, story: Callable[[Context], None]) -> list[Letter]:
    """What a server got of what was queued by a story; the courier goes round twice."""

    async def run() -> list[Letter]:
        async with SmtpServer() as server:
            assert context.mail is not None
            here = replace(context, mail=replace(context.mail, smtp=server.address))
            story(here)
            senders = Senders(secrets=context.secrets, clock=context.clock, say=lambda _: None)
            courier = Courier(
                context.database, senders, inside=at_once, clock=context.clock, random=lambda: 0.5, say=lambda _: None, limit=30.0
            )
            try:
                for _ in range(2):
                    await courier.run_once()
            finally:
                await senders.aclose()
            return server.letters

    told: Awaitable[list[Letter]] = run()
    return asyncio.run(told)  # type: ignore[arg-type]


def queued(context: Context) -> int:
    row = context.database.row("SELECT count(*) AS n FROM deliveries")
    assert row is not None
    return int(row["n"])


def text(letter: Letter) -> str:
    body = letter.message.get_content()
    assert isinstance(body, str)
    return body


def test_a_step_is_told_to_those_whom_it_concerns_once_and_not_to_who_took_it(context: Context) -> None:
    def story(here: Context) -> None:
        parties = people(here)
        walked(here, parties, opened(here, parties), "submit")

    letters = posted(context, story)
    assert sorted(one.recipients for one in letters) == [
        ("engineer@case.example",), ("operator@case.example",), ("owner@case.example",),
    ]  # fmt: skip
    told = text(letters[0])
    assert "已提交申请" in told and "What happened: submitted" in told and "https://b.example/console/cases/case_" in told
    assert "010-1234" not in told, "a contact is read in the case"
    assert letters[0].message["Auto-Submitted"] == "auto-generated"
    assert letters[0].message["Message-ID"].startswith("<case_")


@pytest.mark.parametrize(("language", "said", "unsaid"), [("en", "What happened", "进展"), ("zh", "进展", "What happened")])
def test_a_letter_is_in_the_language_that_the_member_chose(context: Context, language: str, said: str, unsaid: str) -> None:
    def story(here: Context) -> None:
        parties = people(here, language=language, title="肺结节", capability="Finder")
        walked(here, parties, opened(here, parties), "submit")

    told = text(posted(context, story)[0])
    assert said in told and unsaid not in told


def test_no_comment_and_no_hostile_title_gets_into_a_letters_head(context: Context) -> None:
    def story(here: Context) -> None:
        parties = people(here)
        case = walked(here, parties, opened(here, parties), "submit")
        here.database.execute("UPDATE deliveries SET state = 'delivered'")
        take_step(here, parties["owner"], case.id, "comment", Facts(text="secret words\r\nBcc: evil@example.org"))

    letters = posted(context, story)
    assert letters and all("secret words" not in text(one) for one in letters)
    assert all("evil" not in str(one.message) for one in letters)


def test_without_a_mail_server_nothing_is_queued_and_a_dead_one_holds_up_no_step(context: Context) -> None:
    parties = people(context)
    quiet = replace(context, mail=None)
    case = opened(quiet, parties)
    take_step(quiet, parties["vendor"], case.id, "submit", facts_of("submit"))
    assert queued(context) == 0
    take_step(context, parties["engineer"], case.id, "screen", facts_of("screen"))
    assert queued(context) == 3, "the vendor, the owner and the operator; the courier tries later"


def test_a_step_that_is_refused_writes_to_nobody(context: Context) -> None:
    parties = people(context)
    case = opened(context, parties)
    with pytest.raises(UserError):
        take_step(context, parties["vendor"], case.id, "submit", Facts())
    assert queued(context) == 0


def test_a_login_that_is_no_address_and_a_disabled_member_get_no_letter(context: Context) -> None:
    parties = people(context)
    case = opened(context, parties)
    context.database.execute("UPDATE members SET login = 'owner' WHERE login = 'owner@case.example'")
    context.database.execute("UPDATE members SET disabled = '2026-01-01T00:00:00+00:00' WHERE login = 'operator@case.example'")
    take_step(context, parties["vendor"], case.id, "submit", facts_of("submit"))
    assert queued(context) == 1


def test_the_mail_server_is_read_from_the_environment_and_its_password_stays_there() -> None:
    found = read_settings({**SERVER, "PILOTBASE_MAIL_USER": "robot", "PILOTBASE_MAIL_PASSWORD": "hunter2"})
    assert found.mail is not None and (found.mail.smtp, found.mail.email) == ("mail.example.org:587", ())
    assert found.mail.password_env == "PILOTBASE_MAIL_PASSWORD" and "hunter2" not in repr(found.mail)
    assert read_settings({}).mail is None
    for wrong in ({"PILOTBASE_MAIL": "nowhere"}, {"PILOTBASE_MAIL_FROM": "x"}, {"PILOTBASE_MAIL_TLS": "maybe"}):
        with pytest.raises(UserError, match="PILOTBASE_MAIL"):
            read_settings({**SERVER, **wrong})
