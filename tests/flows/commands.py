"""`pilotbase` in this process, which costs a fraction of one of its own; signals, exits and limits need a real one."""

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from pilotbase.cli.main import run

__all__ = ["Said", "pilotbase"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one document that it must be."""
        return orjson.loads(self.out)


def pilotbase(home: Path, *arguments: object, environment: Mapping[str, str] | None = None) -> Said:
    """`pilotbase ARGUMENTS` with its state in `home`."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    given = {"PILOTBASE_HOME": str(home), **(environment or {})}
    with _variables(given), _streams(out, err):
        code = run([str(a) for a in arguments])
    return Said(code=code, out=_text(out), err=_text(err))


def _text(stream: io.TextIOWrapper) -> str:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


@contextmanager
def _variables(given: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _streams(out: io.TextIOWrapper, err: io.TextIOWrapper) -> Iterator[None]:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
