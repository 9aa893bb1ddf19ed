"""The journal of an open segment: framed payloads that survive the writer's death, and a torn tail that can be told."""

import struct
import zlib
from collections.abc import Mapping

import orjson

from pilotbase.errors import UserError

_HEAD = struct.Struct("<II")
_FORMAT = 1


def framed(payload: bytes) -> bytes:
    """Length and CRC-32 (little-endian, 4 bytes each), then the payload."""
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def unframed(data: bytes) -> tuple[list[bytes], int]:
    """The payloads of the valid prefix, and its length in bytes; what follows is a torn tail.

    An empty payload is never written, so that a tail of zeros (whose CRC-32 fits) is not taken for frames.
    """
    payloads: list[bytes] = []
    place = 0
    while place + _HEAD.size <= len(data):
        length, crc = _HEAD.unpack_from(data, place)
        payload = data[place + _HEAD.size : place + _HEAD.size + length]
        if not length or len(payload) < length or zlib.crc32(payload) != crc:
            break
        payloads.append(payload)
        place += _HEAD.size + length
    return payloads, place


def heading(kinds: Mapping[str, str]) -> bytes:
    """The first frame of a journal: the format and the columns of its rows."""
    return framed(orjson.dumps({"format": _FORMAT, "columns": list(kinds.items())}))


def rows_of(data: bytes, kinds: Mapping[str, str], where: str) -> tuple[list[bytes], int]:
    """Row payloads of a journal and the length of its valid prefix. UserError if it was written with other columns."""
    payloads, valid = unframed(data)
    if not payloads:
        return [], 0
    if framed(payloads[0]) != heading(kinds):
        raise UserError(
            "begun with other columns than this version writes",
            where=where,
            hint="finish the run with the version that began it, or start a new run",
        )
    return payloads[1:], valid


def journal_name(seq: int) -> str:
    """File name of the journal of segment `seq`."""
    return f"{seq:08d}.journal"
