"""The Open Inference Protocol v2 over HTTP: paths, metadata, and inference requests as rows of named values.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md. The binary tensor data extension is not
supported. Everything here is pure: parsed documents in, documents out. What is wrong raises `Refused`; `error_document` writes it
in this protocol's shape.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from pilotbase.gateway.answers import Refused, bad_request
from pilotbase.gateway.tensors import Tensor, read_tensor, write_tensor

__all__ = ["BINARY_HEADER", "Infer", "Place", "error_document", "live", "model_document", "model_ready"]
__all__ += ["read_infer", "read_place", "server_document", "write_infer"]

BINARY_HEADER = b"inference-header-content-length"
"""A request that carries this header has binary data behind its JSON."""
_ROOT = "/v2"


@dataclass(frozen=True, slots=True)
class Place:
    """What a path under `/v2` means. `model` may hold slashes; `version` is None where the path names none."""

    what: Literal["server", "live", "ready", "model", "model-ready", "infer"]
    model: str = ""
    version: str | None = None

    @property
    def method(self) -> str:
        """The one method that it answers to."""
        return "POST" if self.what == "infer" else "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Infer:
    """A request: one mapping of named values a row. `outputs` are the tensors asked for; None asks for all."""

    id: str | None
    rows: Sequence[Mapping[str, Any]]
    outputs: tuple[str, ...] | None = None


def read_place(path: str) -> Place | None:
    """A decoded path; None where the protocol has none like it."""
    match path.rstrip("/"):
        case "/v2":
            return Place("server")
        case "/v2/health/live":
            return Place("live")
        case "/v2/health/ready":
            return Place("ready")
    head = f"{_ROOT}/models/"
    if not path.startswith(head):
        return None
    rest, what = path[len(head) :].rstrip("/"), "model"
    for ending, meaning in (("/infer", "infer"), ("/ready", "model-ready")):
        if rest.endswith(ending):
            rest, what = rest.removesuffix(ending), meaning
            break
    model, mark, version = rest.rpartition("/versions/")
    if not mark:
        model, version = rest, ""
    if not model or (mark and (not version or "/" in version)):
        return None
    return Place(what, model, version or None)  # type: ignore[arg-type]


def read_infer(document: Any, columns: Sequence[str] = (), *, binary: bool = False, most: int = 10_000) -> Infer:
    """A request as rows.

    Each tensor is a column of that name, its first dimension the rows; a single matrix whose name is no declared column, and
    which is as wide as `columns`, holds those columns in order. With `columns` declared every one must be there and no other.
    `binary` says that the request came with `BINARY_HEADER`. Refused (400) names the tensor; more than `most` rows are refused.
    """
    if binary:
        raise bad_request("The binary tensor data extension is not supported; send the values as JSON in `data`.")
    if not isinstance(document, dict):
        raise bad_request("The request is not a JSON object.")
    name = document.get("id")
    if name is not None and not isinstance(name, str):
        raise bad_request("`id` is not a string.", param="id")
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise bad_request("`inputs` must be a list of at least one tensor.", param="inputs")
    if _asks(document.get("parameters"), "binary_data_output"):
        raise bad_request("Binary output is not supported; leave `binary_data_output` out.", param="parameters")
    outputs = _outputs(document.get("outputs"))
    tensors = [read_tensor(one, place) for place, one in enumerate(inputs)]
    count = tensors[0].shape[0]
    if count > most:
        raise bad_request(f"The request has {count} rows; send at most {most} at once.", param=tensors[0].name[:80])
    return Infer(id=name, rows=_rows(tensors, count, tuple(columns)), outputs=outputs)


def write_infer(request: Infer, rows: Sequence[Mapping[str, Any]], *, model: str, version: str | None = None) -> dict[str, Any]:
    """The response: one tensor a name that some row has a value for, in order of first appearance, of those asked for.

    `rows` are the answers, as many as were asked. Refused (400) where an output was asked for that is not there.
    """
    names = list(dict.fromkeys(name for row in rows for name, value in row.items() if value is not None))
    if request.outputs is not None:
        missing = [name for name in request.outputs if name not in names]
        if missing:
            raise bad_request(f"Output `{missing[0][:80]}` is none of this model's: {', '.join(names)}.", param="outputs")
        names = list(request.outputs)
    document: dict[str, Any] = {"model_name": model}
    if version is not None:
        document["model_version"] = version
    if request.id is not None:
        document["id"] = request.id
    return document | {"outputs": [write_tensor(name, [row.get(name) for row in rows]) for name in names]}


def server_document(version: str) -> dict[str, Any]:
    """Server metadata; no extension is supported."""
    return {"name": "pilotbase", "version": version, "extensions": []}


def live(well: bool) -> dict[str, Any]:
    """The answer to both probes. The specification's text has `live` for both, servers and clients use `ready` for the second."""
    return {"live": well, "ready": well}


def model_ready(name: str, ready: bool) -> dict[str, Any]:
    """The answer to a model's readiness probe."""
    return {"name": name, "ready": ready}


def model_document(
    name: str, columns: Sequence[str], *, version: str | None = None, platform: str = "pilotbase"
) -> dict[str, Any]:
    """Model metadata. Columns are declared without a type: they are BYTES here, and any type is taken."""
    document: dict[str, Any] = {"name": name}
    if version is not None:
        document["versions"] = [version]
    inputs = [{"name": column, "datatype": "BYTES", "shape": [-1]} for column in columns]
    outputs = [
        {"name": word, "datatype": kind, "shape": [-1]}
        for word, kind in (("label", "BYTES"), ("score", "FP64"), ("text", "BYTES"))
    ]
    return document | {"platform": platform, "inputs": inputs, "outputs": outputs}


def error_document(refused: Refused) -> bytes:
    """`{"error": message}`, as this protocol has it."""
    return orjson.dumps({"error": refused.message})


def _asks(parameters: Any, word: str) -> bool:
    return isinstance(parameters, dict) and bool(parameters.get(word))


def _outputs(outputs: Any) -> tuple[str, ...] | None:
    if outputs is None or outputs == []:
        return None
    if not isinstance(outputs, list) or not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in outputs):
        raise bad_request("`outputs` must be a list of objects that each have a `name`.", param="outputs")
    for one in outputs:
        if _asks(one.get("parameters"), "binary_data"):
            raise bad_request(f"Output `{one['name'][:80]}`: binary output is not supported.", param="outputs")
    return tuple(dict.fromkeys(one["name"] for one in outputs))


def _rows(tensors: Sequence[Tensor], count: int, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    first = tensors[0]
    if len(tensors) == 1 and columns and first.name not in columns and len(first.shape) == 2:
        if first.shape[1] != len(columns):
            raise bad_request(
                f"Tensor `{first.name[:80]}`: it has {first.shape[1]} columns and the model takes {len(columns)}: "
                f"{', '.join(columns)}.",
                param=first.name[:80],
            )
        width = len(columns)
        return [dict(zip(columns, first.data[i * width : (i + 1) * width], strict=True)) for i in range(count)]
    named: dict[str, list[Any]] = {}
    for tensor in tensors:
        if tensor.name in named:
            raise bad_request(f"Tensor `{tensor.name[:80]}`: there are two of this name.", param=tensor.name[:80])
        if tensor.shape[0] != count:
            raise bad_request(
                f"Tensor `{tensor.name[:80]}`: it has {tensor.shape[0]} rows and `{first.name[:80]}` has {count}.",
                param=tensor.name[:80],
            )
        if columns and tensor.name not in columns:
            raise bad_request(
                f"Tensor `{tensor.name[:80]}`: the model takes no such input; it takes {', '.join(columns)}.",
                param=tensor.name[:80],
            )
        named[tensor.name] = tensor.rows()
    for column in columns:
        if column not in named:
            raise bad_request(f"Tensor `{column}`: the model needs this input and it is missing.", param=column)
    return [{name: values[i] for name, values in named.items()} for i in range(count)]
