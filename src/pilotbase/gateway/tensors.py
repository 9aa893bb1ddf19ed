"""Tensors of the Open Inference Protocol as JSON, read into Python values and written from them.

Source: Open Inference Protocol v2, HTTP/REST, "Request Input", "Tensor Data" and "Tensor Data Types": data is row-major, flat or
nested. Content types of a tensor are those that MLServer knows (`np`, `pd`, `str`, `base64`, `datetime`).
"""

import base64
import binascii
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pilotbase.gateway.answers import Refused, bad_request

__all__ = ["DATATYPES", "Tensor", "read_tensor", "spell", "write_tensor"]

_INTEGERS: Mapping[str, tuple[int, int]] = {
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
}
_FLOATS: Mapping[str, float] = {"FP16": 65504.0, "FP32": (2 - 2**-23) * 2.0**127, "FP64": math.inf}
DATATYPES = ("BOOL", *_INTEGERS, *_FLOATS, "BYTES")
_CONTENT = (None, "np", "pd", "str", "base64", "datetime")
_MOST_DIMENSIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """`data` is flat, in row-major order, and has as many elements as `shape` says. BYTES are text, or bytes for `base64`."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[Any]

    def rows(self) -> list[Any]:
        """One value for each step of the first dimension: a scalar where the others hold one element, else a flat list."""
        width = math.prod(self.shape[1:])
        if width == 1:
            return list(self.data)
        return [list(self.data[i * width : (i + 1) * width]) for i in range(self.shape[0])]


def read_tensor(document: Any, place: int) -> Tensor:
    """The tensor at `inputs[place]`. Refused (400) naming the tensor and what is wrong with it."""
    if not isinstance(document, dict):
        raise bad_request(f"inputs[{place}] is not an object.", param=f"inputs[{place}]")
    name = document.get("name")
    if not isinstance(name, str) or not name:
        raise bad_request(f"inputs[{place}] has no name.", param=f"inputs[{place}].name")
    parameters = document.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise _wrong(name, "`parameters` is not an object")
    if any(word in parameters for word in ("binary_data_size", "shared_memory_region")):
        raise _wrong(name, "binary and shared-memory data are not supported; send the values as JSON in `data`")
    content = parameters.get("content_type")
    if content not in _CONTENT:
        raise _wrong(name, f"its content type is unknown; use one of {', '.join(word for word in _CONTENT if word)}")
    datatype = document.get("datatype")
    if datatype not in DATATYPES:
        raise _wrong(name, f"its datatype is unknown; use one of {', '.join(DATATYPES)}")
    shape = _shape(name, document.get("shape"))
    if "data" not in document:
        raise _wrong(name, "`data` is missing")
    data = _flat(name, document["data"], shape)
    return Tensor(name=name, datatype=datatype, shape=shape, data=_checked(name, datatype, content, data))


def write_tensor(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """An output tensor of one value a row.

    All booleans are BOOL, all integers INT64, all numbers FP64, lists of numbers of one length an FP64 matrix, all text BYTES;
    anything else is BYTES of JSON with the content type `json`. Rows without a value are null with the content type `pd`.
    """
    given = [v for v in values if v is not None]
    parameters = {"content_type": "pd"} if len(given) < len(values) else {}
    width = len(given[0]) if given and isinstance(given[0], list) else 0
    shape, data = [len(values)], list(values)
    if all(isinstance(v, bool) for v in given):
        datatype = "BOOL"
    elif all(_whole(v) and -(2**63) <= v < 2**63 for v in given):
        datatype = "INT64"
    elif all(_number(v) for v in given):
        datatype, data = "FP64", [None if v is None else float(v) for v in values]
    elif all(isinstance(v, str) for v in given):
        datatype = "BYTES"
    elif width and len(given) == len(values) and all(_vector(v, width) for v in given):
        datatype, shape, data = "FP64", [len(values), width], [float(x) for v in values for x in v]
    else:
        datatype, parameters = "BYTES", {"content_type": "json"}
        data = [spell(v) for v in values]
    written: dict[str, Any] = {"name": name, "shape": shape, "datatype": datatype, "data": data}
    return written | ({"parameters": parameters} if parameters else {})


def spell(value: Any) -> str:
    """Any value as text: JSON, or Python's words for it where JSON has none, as for whole numbers beyond 64 bits."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode()
    except TypeError:
        return str(value)


def _wrong(name: str, what: str) -> Refused:
    return bad_request(f"Tensor `{name[:80]}`: {what}.", param=name[:80])


def _shape(name: str, shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or not 1 <= len(shape) <= _MOST_DIMENSIONS:
        raise _wrong(name, f"`shape` must be a list of 1 to {_MOST_DIMENSIONS} whole numbers")
    if not all(_whole(d) and 0 < d < 2**32 for d in shape):
        raise _wrong(name, "every dimension in `shape` must be a whole number of at least 1")
    return tuple(shape)


def _flat(name: str, data: Any, shape: tuple[int, ...]) -> list[Any]:
    if not isinstance(data, list):
        raise _wrong(name, "`data` is not a list")
    if data and isinstance(data[0], list):
        flat = list(_unnest(name, data, shape, 0))
    else:
        flat = data
    if len(flat) != math.prod(shape):
        raise _wrong(name, f"its shape {list(shape)} needs {math.prod(shape)} elements and `data` has {len(flat)}")
    return flat


def _unnest(name: str, data: Any, shape: tuple[int, ...], depth: int) -> Iterator[Any]:
    if depth == len(shape):
        yield data
        return
    if not isinstance(data, list) or len(data) != shape[depth]:
        raise _wrong(name, f"its nested `data` does not follow its shape {list(shape)}")
    for inner in data:
        yield from _unnest(name, inner, shape, depth + 1)


def _checked(name: str, datatype: str, content: str | None, data: list[Any]) -> list[Any]:
    for i, value in enumerate(data):
        if value is None and content == "pd":
            continue
        if problem := _problem(datatype, value):
            raise _wrong(name, f"element {i} {problem}")
    if content == "base64" and datatype == "BYTES":
        try:
            return [base64.b64decode(value, validate=True) for value in data]
        except (binascii.Error, ValueError):
            raise _wrong(name, "it holds an element that is no base64") from None
    return data


def _problem(datatype: str, value: Any) -> str | None:
    """What keeps a value from being of this type."""
    if datatype == "BYTES":
        return None if isinstance(value, str) else "is not a string"
    if datatype == "BOOL":
        return None if isinstance(value, bool) else "is not true or false"
    if datatype in _INTEGERS:
        low, high = _INTEGERS[datatype]
        return None if _whole(value) and low <= value <= high else f"is not a whole number from {low} to {high}"
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return "is not a number"
    return None if abs(value) <= _FLOATS[datatype] else f"is beyond the range of {datatype}"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e308 < value < 1e308


def _vector(value: Any, width: int) -> bool:
    return isinstance(value, list) and len(value) == width and all(_number(x) for x in value)
