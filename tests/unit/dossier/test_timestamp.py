"""RFC 3161 time-stamps against an authority of the test's own on the loopback."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.dossiers import sealed, verified

from pilotbase.dossier import timestamp
from pilotbase.dossier.countersign import countersign_dossier
from pilotbase.dossier.packing import pack
from pilotbase.errors import UserError
from pilotbase.signing import Key

KEY, OTHER = Key.generate(), Key.generate()
REPLY = "application/timestamp-reply"
SHA256 = bytes.fromhex("300d06096086480165030402010500")


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    head = bytes([len(content)]) if len(content) < 128 else b"\x82" + len(content).to_bytes(2, "big")
    return bytes([tag]) + head + content


def number(value: int) -> bytes:
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def reply(imprint: bytes, nonce: int, *, status: int = 0, time: bytes = b"20261121120000.25Z") -> bytes:
    """A TimeStampResp as an authority writes it, but for its signature, which is left empty."""
    info = der(
        0x30,
        number(1),
        bytes.fromhex("06032a0304"),
        der(0x30, SHA256, der(0x04, imprint)),
        number(4711),
        der(0x18, time),
        der(0x30, number(1)),
        number(nonce),
    )
    content = der(0x30, bytes.fromhex("060b2a864886f70d0109100104"), der(0xA0, der(0x04, info)))
    signed = der(0x30, number(3), der(0x31, SHA256), content, der(0x31))
    token = der(0x30, bytes.fromhex("06092a864886f70d010702"), der(0xA0, signed))
    return der(0x30, der(0x30, number(status)), token)


def asked(request: bytes) -> tuple[bytes, int]:
    """Imprint and nonce of a request, by its fixed layout."""
    at = request.index(SHA256) + len(SHA256)
    assert request[at : at + 2] == b"\x04\x20" and request.endswith(b"\x01\x01\xff")
    nonce = request[at + 34 : -3]
    assert nonce[0] == 0x02 and nonce[1] == len(nonce) - 2
    return request[at + 2 : at + 34], int.from_bytes(nonce[2:], "big")


@contextmanager
def authority(answer: Callable[[bytes, int], bytes], kind: str = REPLY, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            data = answer(*asked(body)) if self.headers["Content-Type"] == "application/timestamp-query" else b""
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/tsr"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_dossier_is_stamped_and_says_that_the_authority_was_not_validated(tmp_path: Path, zipped: bool) -> None:
    path = sealed(tmp_path / "d", KEY)
    path = pack(path, tmp_path / "d.zip") if zipped else path
    with authority(reply) as url:
        token = timestamp.attach(path, url)
        with pytest.raises(UserError, match="a time-stamp already"):
            timestamp.attach(path, url)
    assert (token.time, token.serial) == (datetime(2026, 11, 21, 12, 0, 0, 250000, tzinfo=UTC), 4711)
    found = verified(path, KEY)
    assert found.exit_code == 0
    assert any("2026-11-21T12:00:00.250000+00:00" in note and "not validated" in note for note in found.notes)


def test_a_countersignature_that_comes_later_leaves_the_time_stamp_good(tmp_path: Path) -> None:
    path = sealed(tmp_path / "d", KEY)
    with authority(reply) as url:
        timestamp.attach(path, url)
    countersign_dossier(path, OTHER)
    assert verified(path, KEY).exit_code == 0


def test_a_time_stamp_of_something_else_is_found(tmp_path: Path) -> None:
    path = sealed(tmp_path / "d", KEY)
    (path / "timestamp.tsr").write_bytes(reply(bytes(32), 1))
    found = verified(path, KEY)
    assert found.exit_code == 1
    assert found.findings[0].file == "timestamp.tsr" and "something else" in found.findings[0].message
    (path / "timestamp.tsr").write_bytes(b"garbage")
    assert verified(path, KEY).exit_code == 1


@pytest.mark.parametrize(
    ("answer", "kind", "status", "said"),
    [
        (lambda imprint, nonce: reply(bytes(32), nonce), REPLY, 200, "something else"),
        (lambda imprint, nonce: reply(imprint, nonce + 1), REPLY, 200, "another request"),
        (lambda imprint, nonce: reply(imprint, nonce, status=2), REPLY, 200, "refused"),
        (lambda imprint, nonce: b"no", REPLY, 200, "cannot be read|can be read"),
        (reply, "text/html", 200, "not a time-stamp reply but text/html"),
        (reply, REPLY, 500, "did not answer"),
    ],
)
def test_a_bad_answer_is_an_error_and_leaves_the_dossier_as_it_was(
    tmp_path: Path, answer: Callable[[bytes, int], bytes], kind: str, status: int, said: str
) -> None:
    path = sealed(tmp_path / "d", KEY)
    with authority(answer, kind, status) as url, pytest.raises(UserError, match=said):
        timestamp.attach(path, url)
    assert not (path / "timestamp.tsr").exists()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x", "tsa.example", "http://127.0.0.1:1/"])
def test_only_an_authority_over_http_is_asked(url: str) -> None:
    with pytest.raises(UserError) as caught:
        timestamp.fetch(url, b"", timeout=5)
    assert caught.value.where == url


def test_a_token_of_another_hash_function_or_time_is_refused() -> None:
    good = reply(bytes(32), 1)
    for bad in (
        good.replace(SHA256[2:13], SHA256[2:12] + b"\x03"),
        reply(bytes(32), 1, time=b"261121120000Z"),
        good[:-1],
        good + b"\x00",
    ):
        with pytest.raises(UserError):
            timestamp.read_token(bad)


@given(
    st.binary(max_size=60)
    | st.builds(lambda at, byte: _set(reply(bytes(32), 1), at, byte), st.integers(0, 200), st.integers(0, 255))
)
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    try:
        timestamp.read_token(data)
    except UserError as error:
        assert error.where == "timestamp.tsr"


def _set(data: bytes, at: int, byte: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([byte]) + data[at + 1 :]
