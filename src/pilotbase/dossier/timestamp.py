"""RFC 3161 time-stamps: ask a time-stamping authority (TSA) of the user's choice, and check that its token is about this dossier.

The authority's own signature and certificate chain are not validated here: that needs its root certificate, and a tool such as
`openssl ts -verify` does it. So a token read here is a claim until that was done.
"""

import hashlib
import http.client
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from pilotbase.dossier import statement
from pilotbase.dossier.files import open_files
from pilotbase.dossier.packing import put_file
from pilotbase.dsse import Envelope, parse
from pilotbase.errors import UserError
from pilotbase.store.disk import Disk

__all__ = ["CAVEAT", "LARGEST", "Token", "attach", "check", "fetch", "read_token", "request", "stamped"]

LARGEST = 1 << 20
CAVEAT = "the authority's signature and certificates were not validated here (use `openssl ts -verify`)"

_INTEGER, _OCTETS, _OID, _TIME, _SEQUENCE, _EXPLICIT = 0x02, 0x04, 0x06, 0x18, 0x30, 0xA0
_SHA256 = bytes.fromhex("0609608648016503040201")
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_TST_INFO = bytes.fromhex("2a864886f70d0109100104")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a time-stamp token says: `imprint` is the SHA-256 that it is about, `nonce` the one of the request, or None."""

    imprint: bytes
    time: datetime
    serial: int
    nonce: int | None


def stamped(envelope: Envelope, signer: str) -> bytes:
    """The SHA-256 that a dossier's time-stamp is about: its envelope with the signature of `signer` alone.

    So a countersignature that is added later leaves the time-stamp as it is. UserError where that signature is missing.
    """
    alone = tuple(signature for signature in envelope.signatures if signature.key_id == signer)
    if not alone:
        raise UserError(f"the signature of its signer, {signer}, is missing", where=statement.ENVELOPE)
    return hashlib.sha256(replace(envelope, signatures=alone).bytes()).digest()


def request(imprint: bytes, nonce: int) -> bytes:
    """A TimeStampReq in DER (RFC 3161, 2.4.1) for a SHA-256 of 32 bytes, asking for the certificate."""
    algorithm = _der(_SEQUENCE, _SHA256 + b"\x05\x00")
    message = _der(_SEQUENCE, algorithm + _der(_OCTETS, imprint))
    return _der(_SEQUENCE, _integer(1) + message + _integer(nonce) + b"\x01\x01\xff")


def fetch(url: str, body: bytes, *, timeout: float = 30.0) -> bytes:
    """What the authority at `url` answers to a request (RFC 3161, 3.4). UserError where there is no answer of the right type."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise UserError("the address of a time-stamping authority begins with http:// or https://", where=url)
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers), timeout=timeout) as answer:
            kind, data = answer.headers.get_content_type(), answer.read(LARGEST + 1)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        hint = "the dossier is whole without a time-stamp; try again later"
        raise UserError(f"the time-stamping authority did not answer ({error})", where=url, hint=hint) from None
    if kind != "application/timestamp-reply" or len(data) > LARGEST:
        raise UserError(f"the answer is not a time-stamp reply but {kind}", where=url, hint="check the authority's address")
    return bytes(data)


def attach(path: Path, url: str, disk: Disk | None = None) -> Token:
    """Have the dossier at `path` time-stamped by the authority at `url`; its reply goes beside the envelope."""
    with open_files(path) as files:
        if statement.ENVELOPE not in files.sizes:
            raise UserError(f"not a dossier: it holds no {statement.ENVELOPE}", where=str(path))
        if statement.TIMESTAMP in files.sizes:
            raise UserError("there is a time-stamp already", where=str(path), hint=f"remove {statement.TIMESTAMP} to get another")
        envelope = parse(files.read(statement.ENVELOPE), where=statement.ENVELOPE)
    signer = statement.read(envelope.payload, envelope.payload_type).signer
    imprint, nonce = stamped(envelope, signer), secrets.randbits(63) | 1
    reply = fetch(url, request(imprint, nonce))
    token = check(reply, imprint)
    if token.nonce != nonce:
        raise UserError(
            "the reply answers another request (its nonce differs)", where=url, hint="try again, or ask another authority"
        )
    put_file(path, statement.TIMESTAMP, reply, disk)
    return token


def check(reply: bytes, imprint: bytes) -> Token:
    """The token in a reply, if it is about `imprint`. UserError if it is not, or cannot be read."""
    token = read_token(reply)
    if token.imprint != imprint:
        raise UserError("the time-stamp is about something else than this dossier's signature", where=statement.TIMESTAMP)
    return token


def read_token(reply: bytes) -> Token:
    """The token in a TimeStampResp in DER (RFC 3161, 2.4.2), through ContentInfo and SignedData (RFC 5652) to TSTInfo.

    UserError where the authority refused, or the bytes are not such a reply.
    """
    try:
        return _read_token(reply)
    except (ValueError, IndexError, OverflowError):
        raise UserError("not a time-stamp reply that can be read", where=statement.TIMESTAMP) from None


def _read_token(reply: bytes) -> Token:
    parts = list(_children(_only(reply, _SEQUENCE)))
    status = _number(next(_children(_content(parts[0], _SEQUENCE))))
    if status not in (0, 1):
        raise UserError(f"the time-stamping authority refused (status {status})", where=statement.TIMESTAMP)
    kind, body = _children(_content(parts[1], _SEQUENCE))
    signed = list(_children(_only(_content(body, _EXPLICIT), _SEQUENCE)))
    inner_kind, inner = list(_children(_content(signed[2], _SEQUENCE)))[:2]
    if _content(kind, _OID) != _SIGNED_DATA or _content(inner_kind, _OID) != _TST_INFO:
        raise ValueError("another type of content")
    info = list(_children(_only(_only(_content(inner, _EXPLICIT), _OCTETS), _SEQUENCE)))
    algorithm, imprint = _children(_content(info[2], _SEQUENCE))
    if not _content(algorithm, _SEQUENCE).startswith(_SHA256):
        raise ValueError("another hash function")
    nonces = [_number(part) for part in info[5:] if part[0] == _INTEGER]
    return Token(
        imprint=_content(imprint, _OCTETS),
        serial=_number(info[3]),
        time=_generalized_time(_content(info[4], _TIME).decode("ascii")),
        nonce=nonces[0] if nonces else None,
    )


def _generalized_time(text: str) -> datetime:
    # RFC 3161, 2.4.2: YYYYMMDDhhmmss[.s...]Z, and nothing else.
    whole, _, part = text.removesuffix("Z").partition(".")
    if not text.endswith("Z") or len(whole) != 14 or not whole.isdigit() or (part and not part.isdigit()):
        raise ValueError(text)
    return datetime.strptime(whole, "%Y%m%d%H%M%S").replace(tzinfo=UTC) + timedelta(seconds=float(f"0.{part or 0}"))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _integer(value: int) -> bytes:
    return _der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _number(part: tuple[int, bytes]) -> int:
    return int.from_bytes(_content(part, _INTEGER)[:64], "big", signed=True)


def _only(data: bytes, tag: int) -> bytes:
    (part,) = _children(data)
    return _content(part, tag)


def _content(part: tuple[int, bytes], tag: int) -> bytes:
    if part[0] != tag:
        raise ValueError(f"tag {part[0]:#x} where {tag:#x} belongs")
    return part[1]


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of each value in a row of DER values (X.690, 8.1); ValueError where lengths do not fit."""
    at = 0
    while at < len(data):
        tag, size, start = data[at], data[at + 1], at + 2
        if size & 0x80:
            octets = size & 0x7F
            if not 1 <= octets <= 4:
                raise ValueError("an indefinite or enormous length")
            size, start = int.from_bytes(data[start : start + octets], "big"), start + octets
        if start + size > len(data):
            raise ValueError("cut off")
        yield tag, data[start : start + size]
        at = start + size
