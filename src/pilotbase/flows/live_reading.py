"""A sampled request and its answer, read back as a case: inputs by the pilot's names, and what the candidate said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from pilotbase.context import Context
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.pilot import Pilot
from pilotbase.flows.facts import pilot_of
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.inference import read_infer
from pilotbase.gateway.local_asks import Declared, read_asks
from pilotbase.prompt import places
from pilotbase.release import records
from pilotbase.sse import Events

__all__ = ["Said", "declared_of", "inputs_of", "read_sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One request and its answer. `text` and `label` are None where the answer cannot be read as one."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None
    label: str | None = None
    score: float | None = None


def declared_of(pilot: Pilot, candidate: str) -> Declared:
    """Which inputs a live request carries: all that the candidate was tried with; of a chat candidate the one that a client's
    message stands for.
    """
    columns = pilot.data.test.inputs
    found = next((c for c in pilot.candidates if c.id == candidate), None)
    if found is not None and found.target.kind == "openai":
        template = found.messages[-1].content if found.messages else found.prompt or ""
        used = [text for is_column, text in places(template) if is_column]
        columns = tuple(used) or columns
    return Declared(columns=columns, positive=canonical_label(pilot.data.test.positive))


def inputs_of(context: Context, request: str) -> Mapping[str, Any] | None:
    """The inputs of a request that was sampled, by the pilot's names; None where none were kept."""
    row = context.database.row("SELECT * FROM samples WHERE request = ?", (request,))
    release = records.find(context.database, row["release_id"]) if row is not None else None
    if row is None or release is None:
        return None
    pilot = pilot_of(release.document["pilot"])
    return read_sample(dict(row), declared_of(pilot, release.document["candidate_id"])).inputs or None


def read_sample(row: Mapping[str, Any], declared: Declared) -> Said:
    """A row of `samples`, as far as it can be read: what is of another shape leaves its part empty."""
    if row["asked"] is None or row["answered"] is None:
        return Said()
    inputs = _inputs(row["endpoint"], row["asked"], declared)
    try:
        answer = _streamed(row["endpoint"], row["answered"]) if row["streamed"] else orjson.loads(row["answered"])
    except (orjson.JSONDecodeError, ValueError):
        return Said(inputs=inputs)
    if row["endpoint"] == "infer":
        return _inferred(inputs, answer)
    text = answer if isinstance(answer, str) else _text(row["endpoint"], answer)
    return Said(inputs=inputs, text=text, label=canonical_label(text))


def _inputs(endpoint: str, asked: str, declared: Declared) -> Mapping[str, Any]:
    try:
        document = orjson.loads(asked)
        rows = read_infer(document).rows if endpoint == "infer" else read_asks(endpoint, document, declared)  # type: ignore[arg-type]
    except (orjson.JSONDecodeError, Refused, TypeError, AttributeError):
        return {}
    return dict(rows[0]) if rows else {}


def _text(endpoint: str, document: Any) -> str | None:
    """The words of a whole answer in OpenAI's shapes."""
    try:
        if endpoint == "chat":
            found = document["choices"][0]["message"]["content"]
        elif endpoint == "completions":
            found = document["choices"][0]["text"]
        elif endpoint == "responses":
            parts = [part for item in document["output"] for part in item.get("content") or ()]
            found = "".join(part["text"] for part in parts if part.get("type") == "output_text")
        else:
            return None
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _streamed(endpoint: str, body: str) -> str | None:
    """The words of a stream, its pieces put together. ValueError for what is no stream."""
    decoder = Events()
    pieces: list[str] = []
    for data in [*decoder.feed(body.encode()), *decoder.finish()]:
        if data == b"[DONE]":
            continue
        event = orjson.loads(data)
        if not isinstance(event, dict):
            continue
        if endpoint == "responses":
            if event.get("type") == "response.output_text.delta" and isinstance(event.get("delta"), str):
                pieces.append(event["delta"])
            continue
        for choice in event.get("choices") or ():
            if not isinstance(choice, dict) or choice.get("index") not in (0, None):
                continue
            delta = choice.get("delta")
            piece = delta.get("content") if isinstance(delta, dict) else choice.get("text")
            if isinstance(piece, str):
                pieces.append(piece)
    return "".join(pieces)


def _inferred(inputs: Mapping[str, Any], document: Any) -> Said:
    """The first row of an inference answer's tensors `label`, `score` and `text`."""
    found: dict[str, Any] = {}
    outputs = document.get("outputs") if isinstance(document, dict) else None
    for tensor in outputs if isinstance(outputs, list) else ():
        if isinstance(tensor, dict) and isinstance(data := tensor.get("data"), list) and data:
            found[str(tensor.get("name"))] = data[0]
    text, score = found.get("text"), found.get("score")
    label = canonical_label(found["label"]) if "label" in found else None
    return Said(
        inputs=inputs,
        text=text if isinstance(text, str) else None,
        label=label if label is not None else canonical_label(text if text is not None else found.get("answer")),
        score=float(score) if isinstance(score, (int, float)) and not isinstance(score, bool) else None,
    )
