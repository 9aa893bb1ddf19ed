"""The access log: one JSON line a request, without bodies, keys or addresses.

`id, at (RFC 3339, UTC), key (its public id), route, endpoint, stream, status, outcome, tokens {read, wrote, cached, source}, cost
{nanos, currency}, seconds, ttft, upstream (its name), attempts, guards (`guard/rule`), error (code)`.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import BinaryIO, Protocol

import orjson

from pilotbase.gateway.day_files import DAY
from pilotbase.gateway.entry import Entry
from pilotbase.gateway.outbox import Outbox

__all__ = ["Lines", "Stream", "access_log", "line"]

_LONGEST = 200


class Lines(Protocol):
    """Where lines go: `day_files.DayFiles`, or a `Stream`."""

    def write(self, lines: Iterable[tuple[int, bytes]]) -> None:
        """Take lines, each with its day since 1970-01-01 and its newline. UserError where it cannot."""
        ...


class Stream:
    """Lines to an open binary stream, such as standard error."""

    __slots__ = ("_out",)

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, lines: Iterable[tuple[int, bytes]]) -> None:
        self._out.write(b"".join(text for _, text in lines))
        self._out.flush()


def access_log(sink: Lines, *, most: int = 20_000, every: float = 0.25) -> Outbox[Entry]:
    """A log that takes entries with `add` and writes them to `sink` in batches; `dropped` says how many were lost."""
    return Outbox(_writer(sink), most=most, every=every)


def line(entry: Entry) -> bytes:
    """One line, newline included. Words of others are cut after 200 characters. TypeError for text that is not Unicode."""
    return orjson.dumps(
        {
            "id": entry.id,
            "at": datetime.fromtimestamp(entry.at, UTC),
            "key": entry.key,
            "route": entry.route,
            "endpoint": entry.endpoint,
            "stream": entry.stream,
            "status": entry.status,
            "outcome": entry.outcome,
            "tokens": {"read": entry.read, "wrote": entry.wrote, "cached": entry.cached, "source": entry.source},
            "cost": {"nanos": entry.cost, "currency": entry.currency},
            "seconds": round(entry.seconds, 6),
            "ttft": None if entry.ttft is None else round(entry.ttft, 6),
            "upstream": entry.upstream,
            "attempts": entry.attempts,
            "guards": entry.guards,
            "error": entry.error[:_LONGEST],
        },
        option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z,
    )


def _writer(sink: Lines) -> Callable[[Sequence[Entry]], int]:
    def write(entries: Sequence[Entry]) -> int:
        lines = []
        for entry in entries:
            try:
                lines.append((int(entry.at // DAY), line(entry)))
            except TypeError:  # a lone surrogate, or a number beyond 64 bits
                continue
        sink.write(lines)
        return len(entries) - len(lines)

    return write
