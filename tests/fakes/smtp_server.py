"""A small SMTP server on asyncio streams: EHLO, STARTTLS, AUTH PLAIN and LOGIN, MAIL, RCPT, DATA, RSET, NOOP, QUIT.

    async with SmtpServer(login=("robot", "password"), refuses={"nobody@example.org": 550}) as server:
        server.address        # 127.0.0.1:PORT
        server.letters[0]     # who sent it to whom, logged in as whom, encrypted or not, and the message

`arrived` is set when a client has come, `gone` when one has left. `silent` never greets; `busy` greets with 421; `encrypts` is
the server's context for STARTTLS (`contexts(folder)` makes one, and a client's that trusts it); `leaves` closes the connection
after DATA without an answer; `commands` are the lines that came.
"""

import asyncio
import base64
import contextlib
import datetime
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    sender: str
    recipients: tuple[str, ...]
    user: str
    encrypted: bool
    raw: bytes
    message: EmailMessage


class SmtpServer:
    def __init__(
        self,
        *,
        login: tuple[str, str] | None = None,
        refuses: Mapping[str, int] | None = None,
        encrypts: ssl.SSLContext | None = None,
        silent: bool = False,
        busy: bool = False,
        leaves: bool = False,
    ) -> None:
        self.login = login
        self.refuses = refuses or {}
        self.encrypts = encrypts
        self.silent = silent
        self.busy = busy
        self.leaves = leaves
        self.letters: list[Letter] = []
        self.commands: list[str] = []
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.close()
        await self._server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.arrived.set()
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                if self.silent:
                    await reader.read()
                elif self.busy:
                    writer.write(b"421 busy\r\n")
                else:
                    await _Session(self, reader, writer).run()
        finally:
            self.gone.set()
            self._open.discard(writer)
            writer.close()


class _Session:
    def __init__(self, server: SmtpServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.encrypted = False
        self.user = ""
        self.sender = ""
        self.recipients: list[str] = []

    def say(self, *lines: str) -> None:
        for line in lines:
            self.writer.write(f"{line}\r\n".encode())

    async def line(self) -> str:
        return (await self.reader.readuntil(b"\r\n"))[:-2].decode("utf-8")

    async def run(self) -> None:
        self.say("220 fake ESMTP")
        while True:
            line = await self.line()
            self.server.commands.append(line)
            word, _, rest = line.partition(" ")
            match word.upper():
                case "EHLO" | "HELO":
                    self.hello()
                case "STARTTLS" if self.server.encrypts is not None:
                    self.say("220 go on")
                    await self.writer.start_tls(self.server.encrypts)
                    self.encrypted = True
                case "AUTH" if self.server.login is not None:
                    await self.authenticate(rest)
                case "MAIL":
                    self.sender, self.recipients = _between(rest), []
                    self.say("250 good" if self.user or self.server.login is None else "530 log in first")
                case "RCPT":
                    code = self.server.refuses.get(_between(rest), 250)
                    self.recipients += [_between(rest)] if code == 250 else []
                    self.say(f"{code} said")
                case "DATA":
                    if not await self.data():
                        return
                case "RSET" | "NOOP":
                    self.say("250 good")
                case "QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("502 unknown")

    def hello(self) -> None:
        offers = ["fake", *(["STARTTLS"] if self.server.encrypts and not self.encrypted else [])]
        offers += ["AUTH PLAIN LOGIN"] if self.server.login else []
        self.say(*(f"250{'-' if i < len(offers) - 1 else ' '}{offer}" for i, offer in enumerate(offers)))

    async def authenticate(self, rest: str) -> None:
        way, _, first = rest.partition(" ")
        if way.upper() == "PLAIN":
            text = first or await self.ask("")
            _, user, password = base64.b64decode(text).decode().split("\0")
        else:
            user = base64.b64decode(first or await self.ask("VXNlcm5hbWU6")).decode()
            password = base64.b64decode(await self.ask("UGFzc3dvcmQ6")).decode()
        if (user, password) == self.server.login:
            self.user = user
            self.say("235 welcome")
        else:
            # A careless server: it repeats what it was given.
            self.say(f"535 not {user} with {password}")

    async def ask(self, words: str) -> str:
        self.say(f"334 {words}")
        return await self.line()

    async def data(self) -> bool:
        if not self.recipients:
            self.say("503 nobody to send it to")
            return True
        self.say("354 go on")
        raw = (await self.reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
        message = message_from_bytes(raw, policy=SMTP)
        assert isinstance(message, EmailMessage)
        self.server.letters.append(
            Letter(
                sender=self.sender,
                recipients=tuple(self.recipients),
                user=self.user,
                encrypted=self.encrypted,
                raw=raw,
                message=message,
            )
        )
        if self.server.leaves:
            return False
        self.say("250 taken")
        return True


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a new certificate for 127.0.0.1, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = folder / "server.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = folder / "server.key"
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(public, secret)
    return server, ssl.create_default_context(cafile=str(public))


def _between(rest: str) -> str:
    return rest[rest.index("<") + 1 : rest.index(">")]
