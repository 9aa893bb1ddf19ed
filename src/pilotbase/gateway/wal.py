"""The records of a worker's write-ahead log, and how they stand in its bytes.

A record is framed as `length u32 | crc u32 | sequence u64 | kind u8 | payload`, little-endian. `length` counts the bytes after
`crc`, `crc` is the CRC-32 of ISO 3309 (zlib's) over them, `sequence` numbers the records of one worker from 0. The payload is a
JSON array (RFC 8259). A later version may append places to an array; places that are missing have the defaults of the class.
"""

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson

from pilotbase.domain.metering import Fare, Source, Tokens

__all__ = ["LARGEST", "LONGEST", "Policy", "Progress", "Record", "Reserve", "Scan", "Settle", "encode", "scan"]

Policy = Literal["progress", "reserved", "release"]
"""What a request costs that a crash cut: see `domain.traffic.Route.in_doubt`."""

LARGEST: Final = 10**16
"""Nanos. A request that claims to cost more is written with this, and its own claim in `detail`."""

MOST: Final = 10**11  # tokens of one request
LONGEST: Final = 1 << 20  # bytes of one payload

_HEAD = struct.Struct("<IIQB")
_CHECKED = struct.Struct("<QB")
_RESERVE, _PROGRESS, _SETTLE = 1, 2, 3

# No sequence reaches 2^40, so its upper three bytes are zero; JSON text never holds a zero byte.
_MARK = re.compile(rb"\x00\x00\x00[\x01-\xff]\[")
_MARK_AT = 13
_NUL = b"\\u0000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """A request was admitted: written before it is sent to an upstream.

    `started` in microseconds since the epoch, `reserved` in nanos of `currency` (which is the fare's too), `tokens` reserved in
    all, `read` the estimated tokens of the prompt. `in_doubt` says what it costs if no settlement ever comes. `arm` of `release`
    answers it, for `person` (a keyed hash); `copy_of` is the request that a shadow repeats.
    """

    id: str
    key: str
    route: str
    upstream: str
    endpoint: str
    started: int
    reserved: int
    tokens: int
    read: int
    currency: str
    fare: Fare
    in_doubt: Policy = "progress"
    arm: str = ""
    release: str = ""
    person: str = ""
    copy_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a request under way has used so far, in all."""

    id: str
    tokens: Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """A request is over: `cost` in nanos, `seconds` it took, `ttft` seconds to the first byte, `status` the HTTP status.

    An `outcome` that begins with `released` and costs nothing gives the whole reservation back.
    """

    id: str
    cost: int
    tokens: Tokens
    source: Source
    outcome: str
    status: int | None = None
    seconds: float = 0.0
    ttft: float | None = None
    upstream: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def releases(self) -> bool:
        """Whether nothing was used."""
        return self.cost <= 0 and self.outcome.startswith("released")


Record = Reserve | Progress | Settle


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What was read: whole records, where the last of them ends, and why reading stopped there.

    `end`: nothing follows, or `limit` was reached. `torn`: what follows is the start of a record, or remains of one, with no
    good record after it. `damaged`: good records follow, or a record is whole and cannot be understood. `why` is a clause.
    """

    records: list[Record]
    position: int
    stop: Literal["end", "torn", "damaged"] = "end"
    why: str = ""


def encode(record: Record, sequence: int) -> bytes:
    """The bytes of one record. Numbers out of range are brought into it, and a detail that no JSON can hold is left out."""
    if isinstance(record, Settle):
        kind, payload = _SETTLE, _settle_payload(record)
    elif isinstance(record, Reserve):
        kind, payload = _RESERVE, _reserve_payload(record)
    else:
        kind, payload = _PROGRESS, orjson.dumps([record.id, _counts(record.tokens)])
    if _NUL in payload:  # no database keeps this character in a text
        payload = payload.replace(_NUL, b"\\ufffd")
    crc = zlib.crc32(payload, zlib.crc32(_CHECKED.pack(sequence, kind)))
    return _HEAD.pack(len(payload) + _CHECKED.size, crc, sequence, kind) + payload


def _reserve_payload(record: Reserve) -> bytes:
    fare = record.fare
    under_release = [record.arm, record.release, record.person, record.copy_of] if record.release else []
    return orjson.dumps(
        [
            record.id,
            record.key,
            record.route,
            record.upstream,
            record.endpoint,
            record.started,
            _bounded(record.reserved, LARGEST),
            _bounded(record.tokens, MOST),
            _bounded(record.read, MOST),
            record.currency,
            [fare.call, fare.read, fare.wrote],
            record.in_doubt,
            *under_release,
        ]
    )


def _settle_payload(record: Settle) -> bytes:
    detail = record.detail
    if record.cost > LARGEST:
        detail = {**detail, "claimed": str(record.cost)}
    values = [
        record.id,
        _bounded(record.cost, LARGEST),
        _counts(record.tokens),
        record.source,
        record.outcome,
        record.status,
        record.seconds,
        record.ttft,
        record.upstream,
        detail,
    ]
    # A count must not be lost for what stands beside it.
    try:
        payload = orjson.dumps(values)
    except orjson.JSONEncodeError:
        payload = b""
    if not 0 < len(payload) <= LONGEST:
        payload = orjson.dumps([*values[:-1], {"left_out": True}])
    return payload


def _bounded(number: int, most: int) -> int:
    return number if 0 <= number <= most else max(0, min(number, most))


def _counts(tokens: Tokens) -> list[int]:
    return [_bounded(tokens.read, MOST), _bounded(tokens.wrote, MOST), _bounded(tokens.cached, MOST)]


def scan(data: bytes, position: int = 0, sequence: int = 0, limit: int | None = None) -> Scan:
    """Read records from `position` on, the first of which must have the number `sequence`; at most `limit` of them."""
    records: list[Record] = []
    while position < len(data) and (limit is None or len(records) < limit):
        end = _whole(data, position, sequence)
        if end is None:
            if _good_from(data, position):
                return Scan(records=records, position=position, stop="damaged", why="good records follow a bad one")
            return Scan(records=records, position=position, stop="torn", why="the last record is not whole")
        try:
            records.append(_decode(data[position + _HEAD.size - 1], data[position + _HEAD.size : end]))
        except (ValueError, TypeError, KeyError) as error:
            why = f"a record cannot be understood ({type(error).__name__}: {error})"
            return Scan(records=records, position=position, stop="damaged", why=why)
        position, sequence = end, sequence + 1
    return Scan(records=records, position=position)


def _whole(data: bytes, position: int, sequence: int | None) -> int | None:
    """Where the record that begins at `position` ends; None if none is there. Any number will do where `sequence` is None."""
    if position + _HEAD.size > len(data):
        return None
    length, crc, found, _ = _HEAD.unpack_from(data, position)
    end = int(position + 8 + length)
    if not _CHECKED.size < length <= LONGEST + _CHECKED.size or end > len(data):
        return None
    if (sequence is not None and found != sequence) or zlib.crc32(memoryview(data)[position + 8 : end]) != crc:
        return None
    return end


def _good_from(data: bytes, position: int) -> bool:
    """Whether a whole record, whatever its number, begins at `position` or later."""
    if _whole(data, position, None) is not None:
        return True
    for match in _MARK.finditer(data, position):
        start = match.start() - _MARK_AT
        if start >= position and _whole(data, start, None) is not None:
            return True
    return False


def _decode(kind: int, payload: bytes) -> Record:
    values = orjson.loads(payload)
    if not isinstance(values, list):
        raise ValueError("not an array")
    if kind == _RESERVE:
        name, key, route, upstream, endpoint, started, reserved, tokens, read, currency, fare, in_doubt, *rest = values
        arm, release, person, copy_of = rest[:4] if len(rest) >= 4 else ("", "", "", "")
        return Reserve(
            id=name,
            key=key,
            route=route,
            upstream=upstream,
            endpoint=endpoint,
            started=started,
            reserved=reserved,
            tokens=tokens,
            read=read,
            currency=currency,
            fare=Fare(call=fare[0], read=fare[1], wrote=fare[2], currency=currency),
            in_doubt=in_doubt,
            arm=arm,
            release=release,
            person=person,
            copy_of=copy_of,
        )
    if kind == _PROGRESS:
        name, counts, *_ = values
        return Progress(id=name, tokens=Tokens(*counts[:3]))
    if kind == _SETTLE:
        name, cost, counts, source, outcome, status, seconds, ttft, upstream, detail, *_ = values
        return Settle(
            id=name,
            cost=cost,
            tokens=Tokens(*counts[:3]),
            source=source,
            outcome=outcome,
            status=status,
            seconds=seconds,
            ttft=ttft,
            upstream=upstream,
            detail=detail,
        )
    raise ValueError(f"kind {kind} is not known")
