"""Mail in Chinese and English through an SMTP server, and the one line that the log gets."""

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from pilotbase.domain.alert import Channel, Outcome, clean_line, parse_server
from pilotbase.domain.severity import SEVERITIES
from pilotbase.ports import Clock, Secrets

__all__ = ["Letter", "Mails", "compose", "line_of", "tell_log"]

THREADS = 4
SUBJECT = 180

_WORDS: Mapping[str, tuple[str, str]] = {
    "value": ("value", "观测值"),
    "low": ("lower bound", "下界"),
    "high": ("upper bound", "上界"),
    "require": ("required", "要求"),
    "threshold": ("threshold", "阈值"),
    "n": ("cases", "样本数"),
    "method": ("method", "方法"),
    "window": ("window", "时间窗"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message that is none of an alert: its id, and its words as they are sent."""

    id: str
    subject: str
    text: str

    def document(self) -> dict[str, Any]:
        """It as a delivery carries it. Letters wait behind alerts."""
        return {"type": "letter", "data": {"id": self.id, "severity": 4, "title": self.subject, "text": self.text}}


class Mails:
    """Sends messages by mail. Names and passwords are looked up for each. `limit`: seconds that a server may stay silent.

    `context` decides which certificates are accepted; None: those of the machine. Where encryption is declared and the server
    has none, nothing is sent.
    """

    def __init__(self, secrets: Secrets, clock: Clock, *, limit: float, context: ssl.SSLContext | None = None) -> None:
        self._secrets = secrets
        self._clock = clock
        self._limit = limit
        self._context = context
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="mail")

    async def send(self, channel: Channel, name: str, message: Mapping[str, Any]) -> Outcome:
        """Deliver one message under the id `name`. Cancelled, it cuts the connection."""
        login = None
        if channel.user_env is not None and channel.password_env is not None:
            user, password = self._secrets(channel.user_env), self._secrets(channel.password_env)
            if not user or not password:
                missing = channel.password_env if user else channel.user_env
                return Outcome(result="failed", said=f"the variable {missing} is not set")
            login = (user, password)
        letter = compose(channel, name, message, self._clock.now())
        talk = _Talk(channel=channel, login=login, letter=letter, limit=self._limit, context=self._context)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, talk.run)
        except asyncio.CancelledError:
            talk.cut()
            raise

    def close(self) -> None:
        """Take no more. Safe to call twice."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True, kw_only=True)
class _Talk:
    """One conversation with a server, in a thread. `held` is the client as soon as it exists, for `cut`."""

    channel: Channel
    login: tuple[str, str] | None
    letter: EmailMessage
    limit: float
    context: ssl.SSLContext | None
    held: list[smtplib.SMTP] = field(default_factory=list)
    over: bool = False

    def go_on(self) -> None:
        """Raises TimeoutError once it was cut: `cut` finds no socket while the connection is being made."""
        if self.over:
            raise TimeoutError

    def run(self) -> Outcome:
        try:
            self.go_on()
            return self._talk()
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            return Outcome(result="failed", said=f"the server refused every address ({', '.join(map(str, codes))})")
        except smtplib.SMTPAuthenticationError as error:
            return Outcome(result="failed", said=f"the server did not accept the name and password ({error.smtp_code})")
        except smtplib.SMTPNotSupportedError:
            return Outcome(result="failed", said="the server offers no STARTTLS, or no way to log in that is known here")
        except smtplib.SMTPResponseException as error:
            return Outcome(result="failed", said=f"the server answered {error.smtp_code}")
        except smtplib.SMTPException as error:
            return Outcome(result="failed", said=f"the server broke off ({type(error).__name__})")
        except ssl.SSLCertVerificationError:
            return Outcome(result="failed", said="the server's certificate was not accepted")
        except (OSError, ValueError) as error:
            # A socket that `cut` closed under it may end in any of these.
            return Outcome(result="failed", said=f"no connection ({type(error).__name__})")
        finally:
            for client in self.held:
                client.close()

    def cut(self) -> None:
        """End it from another thread."""
        self.over = True
        for client in self.held:
            if isinstance(client.sock, socket.socket):
                # Beneath TLS: its own goodbye would wait for the server that we stopped waiting for.
                with suppress(OSError):
                    socket.socket.shutdown(client.sock, socket.SHUT_RDWR)

    def _talk(self) -> Outcome:
        host, port = parse_server(self.channel.smtp or "")
        context = self.context or ssl.create_default_context()
        name = (self.channel.from_ or "").rpartition("@")[2]
        client: smtplib.SMTP
        if self.channel.tls == "tls":
            client = _Encrypted(self, host, port, local_hostname=name, timeout=self.limit, context=context)
        else:
            client = _Plain(self, host, port, local_hostname=name, timeout=self.limit)
        if self.channel.tls == "starttls":
            client.starttls(context=context)
        if self.login is not None:
            client.login(*self.login)
        refused = client.send_message(self.letter, self.channel.from_, list(self.channel.email))
        # The server has the letter: what it says to our goodbye changes nothing, and is not waited for.
        with suppress(smtplib.SMTPException, OSError):
            client.putcmd("QUIT")
        if refused:
            codes = ", ".join(sorted({str(code) for code, _ in refused.values()}))
            taken = len(self.channel.email) - len(refused)
            return Outcome(result="delivered", said=f"taken for {taken} of {len(self.channel.email)} addresses, refused: {codes}")
        return Outcome(result="delivered", said="taken by the server")


class _Plain(smtplib.SMTP):
    def __init__(self, talk: _Talk, host: str, port: int, *, local_hostname: str, timeout: float) -> None:
        self._talk = talk
        talk.held.append(self)
        super().__init__(host, port, local_hostname, timeout)

    def getreply(self) -> tuple[int, bytes]:
        self._talk.go_on()
        return super().getreply()


class _Encrypted(smtplib.SMTP_SSL):
    def __init__(
        self, talk: _Talk, host: str, port: int, *, local_hostname: str, timeout: float, context: ssl.SSLContext
    ) -> None:
        self._talk = talk
        talk.held.append(self)
        super().__init__(host, port, local_hostname, timeout=timeout, context=context)

    def getreply(self) -> tuple[int, bytes]:
        self._talk.go_on()
        return super().getreply()


def compose(channel: Channel, name: str, message: Mapping[str, Any], now: datetime) -> EmailMessage:
    """The letter of a message, in Chinese and English. Its Message-ID is `name`, so that a second copy is known as one."""
    data, plain = message["data"], message["type"] == "letter"
    domain = (channel.from_ or "").rpartition("@")[2]
    letter = EmailMessage(policy=SMTP)
    letter["From"] = channel.from_ or ""
    letter["To"] = ", ".join(channel.email)
    subject = data["title"] if plain else f"[{data['severity']}] {data['route']}: {data['title-zh'] or data['title']}"
    letter["Subject"] = clean_line(subject, SUBJECT)
    letter["Date"] = format_datetime(now)
    letter["Message-ID"] = f"<{name}@{domain}>"
    if name != data["id"]:
        letter["In-Reply-To"] = letter["References"] = f"<{data['id']}@{domain}>"
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence note answers it
    # Base64, for a server may take 7 bits alone.
    letter.set_content(data["text"] if plain else _text(message), charset="utf-8", cte="base64")
    return letter


def tell_log(say: Callable[[str], None], name: str, message: Mapping[str, Any]) -> Outcome:
    """Write one line."""
    say(line_of(name, message))
    return Outcome(result="delivered", said="written")


def line_of(name: str, message: Mapping[str, Any]) -> str:
    """`alert al0123 [2] route chat: TITLE (check quality/accuracy; value 0.91; n 120; ...)`, on one line."""
    data = message["data"]
    said = [f"{word} {data[word]}" for word in ("release", "check", "about") if data[word]]
    said += [f"{word} {_shown(value)}" for word, value in data["evidence"].items() if word in _WORDS]
    route = f"route {data['route']}: " if data["route"] else ""
    again = f"; raised {data['count']} times" if data["count"] > 1 else ""
    rest = f" ({'; '.join(said)}{again})" if said or again else ""
    return clean_line(f"alert {name} [{data['severity']}] {route}{data['title']}{rest}", 1000)


def _text(message: Mapping[str, Any]) -> str:
    data = message["data"]
    return "\n".join([*_part(message, data, 1), "", "-" * 20, "", *_part(message, data, 0), ""])


def _part(message: Mapping[str, Any], data: Mapping[str, Any], tongue: int) -> list[str]:
    """The letter's lines in English (0) or Chinese (1)."""
    heads = (
        ("severity", "级别", f"{data['severity']} ({SEVERITIES[data['severity']].text(('en', 'zh')[tongue])})"),
        ("route", "路由", data["route"]),
        ("release", "发布", data["release"]),
        ("check", "检验项", data["check"]),
        ("about", "对象", data["about"]),
        ("cause", "类别", data["kind"]),
        ("since", "时间", message["timestamp"]),
        ("raised", "次数", data["count"] if data["count"] > 1 else ""),
        ("first bad request", "首个异常请求", data["first-bad"]),
        ("alert", "编号", data["id"]),
    )
    lines = [(data["title"], data["title-zh"] or data["title"])[tongue], ""]
    lines += [f"{head[tongue]}: {head[2]}" for head in heads if head[2] != ""]
    evidence = [f"  {_WORDS.get(word, (word, word))[tongue]}: {_shown(value)}" for word, value in data["evidence"].items()]
    return [*lines, "", ("evidence", "依据")[tongue] + ":", *evidence] if evidence else lines


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{word} {_shown(item)}" for word, item in value.items())
    return "-" if value is None else clean_line(value)
