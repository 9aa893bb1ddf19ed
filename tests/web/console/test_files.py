"""Files that come with forms, and files that pages send."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.fakes.console_server import Client, ConsoleServer

from pilotbase.console.app import make_console
from pilotbase.console.page import Act, Page, Sent, Shown, To, Visit
from pilotbase.console.parts import last_name
from pilotbase.context import Context

LARGEST = 3 << 20
BOUNDARY = "----a boundary of ours"


def show(visit: Visit) -> Sent:
    name, data = visit.query.get("name", "x"), b"<script>alert(1)</script>"
    path = visit.context.home / "sent.bin"
    path.write_bytes(data)
    return Sent(name=name, data=path if "file" in visit.query else data, media_type="text/html")


def take(visit: Visit, form: Mapping[str, str]) -> To | Shown:
    told = [f"{field}={one.name}:{one.size}:{len(one.file.read())}" for field, one in visit.files.items()]
    return To(path="/console/" + ",".join([*told, form.get("note", "")]))


TAKE = {"take": Act(permit="own", do=take)}
PAGES = (
    Page(name="drop", path="/console/drop", title="Home", permit="own", show=show, acts=TAKE, uploads=LARGEST),
    Page(name="flat", path="/console/flat", title="Home", permit="own", show=show, acts=TAKE),
)


class Served(ConsoleServer):
    def application(self, context: Context) -> Any:
        return make_console(context, pages=PAGES, say=self.said.append)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("files") / "home") as server:
        server.li = server.member("li@base.example", "vendor")  # type: ignore[attr-defined]
        yield server


@pytest.fixture
def client(base: Served) -> Client:
    return base.signed_in(base.li)  # type: ignore[attr-defined]


def parts(*given: tuple[str, str | None, bytes]) -> bytes:
    told = b""
    for name, file, data in given:
        said = f'; filename="{file}"' if file is not None else ""
        told += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{said}\r\n\r\n'.encode() + data + b"\r\n"
    return told + f"--{BOUNDARY}--\r\n".encode()


def post(client: Client, path: str, body: bytes) -> Any:
    kind = f'multipart/form-data; boundary="{BOUNDARY}"'
    return client.http.post(path, content=body, headers={"Content-Type": kind, "Origin": client.url})


def head(client: Client) -> list[tuple[str, str | None, bytes]]:
    return [("csrf", None, client.csrf.encode()), ("act", None, b"take")]


def test_files_come_with_their_last_name_and_their_bytes(client: Client) -> None:
    body = parts(*head(client), ("note", None, "好".encode()), ("spec", "../../etc/passwd", b"12345"), ("none", "", b""))
    answer = post(client, "/console/drop", body)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/spec=passwd:5:5,%E5%A5%BD")
    large = parts(*head(client), ("spec", "a b.zip", b"x" * (2 << 20)))
    assert post(client, "/console/drop", large).headers["location"] == f"/console/spec=a%20b.zip:{2 << 20}:{2 << 20},"


def test_a_form_with_files_needs_the_sessions_token_too(client: Client) -> None:
    assert post(client, "/console/drop", parts(("act", None, b"take"), ("spec", "a", b"1"))).status_code == 403


def test_a_form_that_is_too_large_or_garbled_is_refused(base: Served, client: Client) -> None:
    large = parts(*head(client), ("spec", "a", b"x" * LARGEST))
    assert post(client, "/console/drop", large).status_code == 413
    middling = parts(*head(client), ("spec", "a", b"x" * (2 << 20)))
    assert post(client, "/console/flat", middling).status_code == 413, "a page that takes no files reads no large form"
    assert post(base.visitor(), "/console/drop", middling).status_code == 413, "nor does any page from a stranger"
    assert post(client, "/console/drop", b"no parts at all").status_code == 400
    assert post(client, "/console/drop", parts(*head(client))[:-20]).status_code in (303, 400)
    many = parts(*head(client), *((f"f{i}", "a", b"1") for i in range(30)))
    assert post(client, "/console/drop", many).status_code == 400
    assert not base.said


@pytest.mark.parametrize("way", ["", "&file=1"])
def test_a_file_that_a_page_sends_is_kept_and_never_shown(client: Client, way: str) -> None:
    answer = client.get(f"/console/drop?name=结论%22%0d%0a.html{way}")
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%E7%BB%93%E8%AE%BA%22%0A.html"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("a.csv", "a.csv"),
        ("C:\\Users\\li\\数据.csv", "数据.csv"),
        ("..", "file"),
        ("/", "file"),
        ("a\x00\n.csv", "a.csv"),
        ("x" * 300, "x" * 120),
    ],
)
def test_a_name_is_the_last_part_of_a_path(told: str, name: str) -> None:
    assert last_name(told) == name
