"""A whole base served on a real port in this process, from a thread of its own, and clients that behave as a browser does.

    with ConsoleServer(tmp_path / "home") as base:
        li = base.member("li", "operator")
        page = base.signed_in("li").get("/console/runs")        # through a session, without the sign-in page
        visitor = base.visitor(); visitor.get("/console")       # nobody yet

The base has no keeper and no workers: the console alone, as `server.site` mounts it. `base.context` is the test's own
connection to the same home.
"""

import asyncio
import re
import socket
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
from tests.fakes.patience import PATIENCE
from tests.fakes.watched import Time

from pilotbase.accounts import members, organisations, sessions
from pilotbase.console.app import make_console
from pilotbase.context import Context, open_context
from pilotbase.domain.account import Member, Role
from pilotbase.flows.set_up import set_up_code
from pilotbase.gateway.transport import Server
from pilotbase.store.disk import LocalDisk

__all__ = ["COOKIE", "PASSWORD", "Client", "ConsoleServer", "Form", "Seen", "path_of", "seen"]

COOKIE = "pilotbase_session"
PASSWORD = "quiet-harbour-42"


@dataclass
class Form:
    """One form of a page: where it goes, and what its fields hold as they stand."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class Seen:
    """What a page consists of."""

    tags: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    text: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        seen, given = self.seen, {name: value or "" for name, value in attrs}
        seen.tags.add(tag)
        seen.attributes.update(given)
        if tag in ("a", "area") and "href" in given:
            seen.links.append(given["href"])
        elif tag in ("script", "img", "link", "iframe"):
            seen.sources.append(given.get("src", "") + given.get("href", ""))
        elif tag == "form":
            seen.forms.append(Form(given.get("action", ""), given.get("method", "get").lower()))
        elif tag in ("input", "button", "select", "textarea") and seen.forms and given.get("name"):
            seen.forms[-1].fields.setdefault(given["name"], given.get("value", ""))

    def handle_data(self, data: str) -> None:
        self.seen.text += data


def seen(page: str) -> Seen:
    """A page as a parser of HTML reads it."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.seen


def path_of(pattern: str, places: Mapping[str, str]) -> str:
    """A page's path with the parts in braces filled in."""
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: places[found[1]], pattern)


class Client:
    """A browser without scripts: keeps its cookies, follows nothing, sends where it comes from."""

    def __init__(self, url: str, *, csrf: str = "") -> None:
        self.url, self.csrf = url, csrf
        self.http = httpx2.Client(base_url=url, follow_redirects=False, timeout=PATIENCE, trust_env=False)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self.http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(
        self, path: str, fields: Mapping[str, str] | bytes, *, origin: str | None = "own", **headers: str
    ) -> httpx2.Response:
        """Send a form as it is given; `origin` None sends none."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        if origin is not None:
            told["Origin"] = self.url if origin == "own" else origin
        if isinstance(fields, bytes):
            return self.http.post(path, content=fields, headers={"Content-Type": "application/x-www-form-urlencoded", **told})
        return self.http.post(path, data=dict(fields), headers=told)

    def act(self, path: str, act: str, **fields: str) -> httpx2.Response:
        """Send a form of a page with this session's token."""
        return self.post(path, {"csrf": self.csrf, "act": act, **fields})

    def fill(self, path: str, number: int = 0, **fields: str) -> httpx2.Response:
        """Open a page, fill in its form (the one behind `number` others that hold these fields), and send it."""
        wanted = [one for one in seen(self.get(path).text).forms if set(fields) <= set(one.fields) and one.method == "post"]
        form = wanted[number]
        return self.post(form.action or path, {**form.fields, **fields})

    def cookie(self) -> str | None:
        """The session's token."""
        return self.http.cookies.get(COOKIE)


@dataclass
class ConsoleServer:
    """See the module. `public_url` is what the base is told of its own address."""

    home: Path
    time: Time = field(default_factory=Time)
    public_url: str | None = None
    said: list[str] = field(default_factory=list)
    """What the operator was told of faults."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self.context = self._open()
        self._served = self._open()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listening.setblocking(False)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._server = Server(self.application(self._served), drain=1.0)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([self._listening])), daemon=True)
        self._thread.start()
        self._organisation = ""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.stop()
        self._thread.join(timeout=PATIENCE)
        self._stack.close()

    def application(self, context: Context) -> Any:
        """What is served."""
        return make_console(context, public_url=self.public_url, say=self.said.append)

    def member(self, login: str, *roles: Role, name: str = "", password: str = PASSWORD) -> Member:
        """A new member of the one organisation."""
        now = self.time.now()
        if not self._organisation:
            known = organisations.find_named(self.context.database, "Base")  # a furnished home has it already
            self._organisation = (known or organisations.create(self.context.database, "Base", who="test", now=now)).id
        return members.create(
            self.context.database, login=login, name=name or login, organisation=self._organisation, roles=roles,
            password=password, who="test", now=now,
        )  # fmt: skip

    def visitor(self) -> Client:
        """Somebody who is not signed in."""
        return Client(self.url)

    def signed_in(self, member: Member) -> Client:
        """A member with a session, without the work of a password."""
        token, csrf = sessions.begin(self.context.database, member.id, self.time.now())
        client = Client(self.url, csrf=csrf)
        client.http.cookies.set(COOKIE, token)
        return client

    @property
    def code(self) -> str:
        """What the first visitor needs."""
        return set_up_code(self.context) or ""

    def audited(self) -> int:
        """How many entries the audit log has."""
        row = self.context.database.row("SELECT count(*) AS n FROM audit")
        assert row is not None
        return int(row["n"])

    def raw(self, method: str, path: str, *headers: str) -> tuple[int, bytes]:
        """Send a head as it is, which no well-meaning client would: (status, everything that came back)."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(self.url).netloc}", "Connection: close", *headers]
        with socket.create_connection(self._listening.getsockname(), timeout=PATIENCE) as connection:
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8"))
            came = b"".join(iter(lambda: connection.recv(65536), b""))
        return int(came.split(b" ", 2)[1]), came

    def _open(self) -> Context:
        return self._stack.enter_context(open_context(self.home, disk=LocalDisk(), clock=self.time, secrets=lambda _: None))
