"""The main of a candidate's own process: loads one callable and answers framed messages on one descriptor.

Run as a script that needs nothing else of pilotbase (standard library and orjson; numpy and polars only for frames), so that a
restart after a crash is quick. Requests come pickled, which keeps dates, infinities and integers of any size, from the parent,
which is trusted; replies are JSON and raw numbers, because the parent trusts nothing that comes from here.
"""

import importlib
import io
import os
import pickle
import resource
import select
import signal
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import orjson

# magic, sequence number (echoed), kind, length of the body
HEADER = struct.Struct("<IIBQ")
MAGIC = 0x70623031
SETUP, ASK, FRAME = 1, 2, 3
READY, UNLOADED, ANSWERS, BIG_ANSWERS, COLUMNS, FAILED = 11, 12, 13, 14, 15, 16
ONE_LIMIT = 4 * 2**20
CALL_LIMIT = 64 * 2**20
DETAIL = 500
_DEEP = 32


class ShapeError(ValueError):
    """An answer that no rule can read."""


def describe(error: BaseException) -> str:
    """Type and message of an error, capped, always encodable."""
    try:
        words = f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001 - the message of an error is the candidate's code too
        words = type(error).__name__
    return clean(words)


def clean(words: str) -> str:
    """Text that UTF-8 can carry, of at most `DETAIL` characters."""
    return words[:DETAIL].encode("utf-8", "replace").decode()


def plain(value: Any, depth: int = 0) -> Any:
    """A value of JSON's own types, numpy's and Polars' turned into them. Raises ShapeError for NaN, bytes, sets and objects."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        if value - value != 0.0:
            raise ShapeError(f"the answer holds {value}, which is no number")
        return value
    if depth > _DEEP:
        raise ShapeError(f"the answer is nested more than {_DEEP} deep")
    if isinstance(value, Mapping):
        return {_key(k): plain(v, depth + 1) for k, v in value.items()}
    if kind is list or kind is tuple:
        return [plain(v, depth + 1) for v in value]
    for way in ("tolist", "to_list"):
        if hasattr(value, way):
            return plain(getattr(value, way)(), depth + 1)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, (list, tuple)):
        return [plain(v, depth + 1) for v in value]
    raise ShapeError(f"the answer holds a {kind.__name__}; return text, numbers, booleans, lists or mappings of them")


def _key(key: Any) -> str:
    key = plain(key, _DEEP)
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (list, dict)):
        raise ShapeError("a mapping in the answer has a key that is neither text nor a number")
    return str(key).lower() if isinstance(key, bool) else str(key)


def answer_list(result: Any, count: int) -> list[Any]:
    """The answers to a batch as a list, one each. Raises ShapeError where they are not."""
    if not isinstance(result, (list, tuple)):
        way = getattr(result, "tolist", None) or getattr(result, "to_list", None)
        if way is None:
            raise ShapeError(f"a batch of {count} was answered by a {type(result).__name__}; return a list of {count} answers")
        result = way()
    if not isinstance(result, (list, tuple)) or len(result) != count:
        size = len(result) if isinstance(result, (list, tuple)) else 1
        raise ShapeError(f"a batch of {count} was answered by {size} answers")
    return list(result)


def pack(raw: list[Any]) -> tuple[int, bytes]:
    """(kind, body) for a reply: `[answers, [[index, failure, detail], ...]]`."""
    answers: list[Any] = []
    failed: list[tuple[int, str, str]] = []
    for i, value in enumerate(raw):
        try:
            if value is None:
                raise ShapeError("the answer is None")
            answers.append(plain(value))
        except ShapeError as error:
            answers.append(None)
            failed.append((i, "shape", clean(str(error))))
        except BaseException as error:  # noqa: BLE001 - converting runs the candidate's code (`tolist`)
            answers.append(None)
            failed.append((i, "raised", describe(error)))
    try:
        body = orjson.dumps([answers, failed])
        if len(body) <= ONE_LIMIT:
            return ANSWERS, body
    except TypeError:
        pass
    return _pack_each(answers, failed)


def _pack_each(answers: list[Any], failed: list[tuple[int, str, str]]) -> tuple[int, bytes]:
    import json  # only for integers beyond 64 bits

    kind, parts = ANSWERS, []
    for i, value in enumerate(answers):
        try:
            try:
                part = orjson.dumps(value)
            except TypeError:
                part = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
                kind = BIG_ANSWERS
            if len(part) > ONE_LIMIT:
                failed.append((i, "too-large", f"the answer takes {len(part):,} bytes; at most {ONE_LIMIT:,} are read"))
                part = b"null"
        except ValueError as error:
            failed.append((i, "shape", clean(f"the answer is not text: {error}")))
            part = b"null"
        parts.append(part)
    body = b"[[" + b",".join(parts) + b"]," + orjson.dumps(failed) + b"]"
    if len(body) > CALL_LIMIT:
        return _failed("too-large", f"the answers to one call take {len(body):,} bytes; at most {CALL_LIMIT:,} are read")
    return kind, body


def _failed(failure: str, detail: str) -> tuple[int, bytes]:
    return FAILED, orjson.dumps([failure, detail])


def pack_columns(result: Any, height: int) -> tuple[int, bytes]:
    """(kind, body) for a frame's reply: a JSON head `[[name, code, bytes], ...]` with its length in 4 bytes, then the columns."""
    named = _named(result)
    if unknown := sorted(set(map(str, named)) - {"label", "score", "text", ""}):
        raise ShapeError(f"the answer to a frame has the columns {', '.join(unknown)}; allowed: label, score, text")
    if not named:
        raise ShapeError("the answer to a frame has no columns; give label, score or text")
    head, parts = [], []
    for name, values in named.items():
        code, data = _column(name, values, height)
        head.append([name, code, len(data)])
        parts.append(data)
    top = orjson.dumps(head)
    size = sum(map(len, parts))
    if size > CALL_LIMIT:
        return _failed("too-large", f"the answers to one frame take {size:,} bytes; at most {CALL_LIMIT:,} are read")
    return COLUMNS, b"".join([struct.pack("<I", len(top)), top, *parts])


def _named(result: Any) -> dict[str, Any]:
    if isinstance(result, Mapping):
        return dict(result)
    if hasattr(result, "columns") and hasattr(result, "__getitem__"):
        return {name: result[name] for name in result.columns}
    return {"": result}


def _column(name: str, values: Any, height: int) -> tuple[str, bytes]:
    import numpy as np

    if isinstance(values, (str, bytes)) or values is None:
        raise ShapeError(f"a frame of {height} rows was answered by a {type(values).__name__}")
    if isinstance(values, (list, tuple)):
        kinds = set(map(type, values))
        array = np.asarray(values) if kinds in ({float}, {int}, {float, int}, {bool}) else None
    else:
        array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise ShapeError(f"a frame of {height} rows was answered by an array of shape {array.shape}; give one value a row")
        if array.dtype.kind not in "fiub" or array.dtype == np.uint64:
            values, array = array.tolist(), None
    count = len(values) if array is None else len(array)
    if count != height:
        raise ShapeError(f"a frame of {height} rows was answered by {count} values")
    if array is not None and array.dtype.kind in "fiub" and name != "text":
        if array.dtype.kind == "f" or name == "score":
            return "f8", array.astype("<f8").tobytes()
        return ("b1", array.tobytes()) if array.dtype.kind == "b" else ("i8", array.astype("<i8").tobytes())
    if name == "score":
        raise ShapeError("the column `score` must hold numbers")
    listed = list(values) if array is None else array.tolist()
    try:
        if set(map(type, listed)) <= {str, type(None)}:
            return "json", orjson.dumps(listed)
    except TypeError:
        pass
    return "json", orjson.dumps([_cell(v, name) for v in listed])


def _cell(value: Any, name: str) -> Any:
    try:
        value = plain(value, _DEEP)
        orjson.dumps(value)
    except (ShapeError, TypeError):
        return None
    return value if isinstance(value, str) or (name != "text" and isinstance(value, (int, float))) else None


class Candidate:
    """The callable under trial, with the way it is called: `one`, `batch` or `frame`."""

    def __init__(self, call: str, way: str) -> None:
        module, _, name = call.partition(":")
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        if isinstance(found, type):
            found = found()
        if not callable(found):
            raise TypeError(f"`{call}` is a {type(found).__name__}, which cannot be called")
        self._call: Callable[[Any], Any] = found
        self._way = way
        self._loop: Any = None

    def _answer(self, argument: Any) -> Any:
        result = self._call(argument)
        if not hasattr(result, "__await__"):
            return result
        if self._loop is None:
            import asyncio  # 0.1 s that most candidates never need

            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(_settle(result))

    def reply(self, kind: int, body: bytes) -> tuple[int, bytes]:
        """(kind, body) for one request; whatever the candidate raises is an answer too."""
        try:
            if kind == FRAME:
                import polars as pl

                frame = pl.read_ipc(io.BytesIO(body))
                return pack_columns(self._answer(frame), frame.height)
            cases = pickle.loads(body)
            if self._way == "one":
                return pack([self._answer(case) for case in cases])
            return pack(answer_list(self._answer(cases), len(cases)))
        except ShapeError as error:
            return _failed("shape", clean(str(error)))
        except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt of a candidate end a case, not the process
            return _failed("raised", describe(error))


async def _settle(result: Any) -> Any:
    return await result


def _load(settings: dict[str, Any]) -> Candidate:
    if settings["memory"]:
        resource.setrlimit(resource.RLIMIT_AS, (settings["memory"], settings["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.path.insert(0, settings["folder"])
    return Candidate(settings["call"], settings["way"])


def _trace(error: BaseException) -> str:
    import traceback

    lines = traceback.format_exception(error)
    own = [line for line in lines if __file__ not in line and "importlib" not in line.split(",")[0]]
    return "".join(own)[-2000:].encode("utf-8", "replace").decode()


def _guard(fd: int) -> None:
    # The parent's end closes only when it stops this process or dies; what the candidate has started must not outlive it.
    def wait() -> None:
        poll = select.poll()
        poll.register(fd, 0)
        poll.poll()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
    os.register_at_fork(after_in_child=lambda: os.close(fd))


def _send(fd: int, sequence: int, kind: int, body: bytes) -> None:
    data = memoryview(HEADER.pack(MAGIC, sequence, kind, len(body)) + body)
    while data:
        data = data[os.write(fd, data) :]


def main(fd: int) -> NoReturn:
    """Answer until the other end closes."""
    me = os.getpid()
    stream = io.BufferedReader(io.FileIO(fd, closefd=False), 65536)
    candidate: Candidate | None = None
    _guard(fd)
    while len(head := stream.read(HEADER.size)) == HEADER.size:
        _, sequence, kind, length = HEADER.unpack(head)
        body = stream.read(length)
        if kind == SETUP:
            try:
                candidate = _load(pickle.loads(body))
                kind, body = READY, b""
            except BaseException as error:  # noqa: BLE001 - anything may happen while a candidate is imported
                kind, body = UNLOADED, orjson.dumps([describe(error), _trace(error)])
        elif candidate is not None:
            kind, body = candidate.reply(kind, body)
        if os.getpid() != me:
            os._exit(0)  # a child that the candidate forked came back here
        try:
            _send(fd, sequence, kind, body)
        except OSError:
            os._exit(70)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
