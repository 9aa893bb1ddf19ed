"""Errors that an upstream reports inside a stream: their words made fit for callers, or the status that they stand for.

Sources: OpenAI's OpenAPI description 2.3.0 (the event `error`, `error` of a response); servers that send `{"error": {...}}` as an
event of a chat (vLLM, OpenRouter).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from pilotbase.gateway.answers import Refused
from pilotbase.gateway.attempts import said
from pilotbase.gateway.frames import Frame

__all__ = ["cleaned", "refused_by"]

_CLIENT = frozenset(("invalid_request_error", "BadRequestError"))


def cleaned(frame: Frame, clean: Callable[[str], str]) -> Frame | None:
    """The event without what its words tell of the upstream; None where it reports no error.

    An error keeps `message`, `type`, `param` and `code`; what else an upstream puts beside them stays here.
    """
    document = _object(frame.data)
    if document is None:
        return None
    response = document.get("response")
    if document.get("type") == "error" and document.get("error") is None:
        document = {
            key: _words(value, clean)
            for key, value in document.items()
            if key in ("type", "code", "message", "param", "sequence_number")
        }
    elif document.get("error") is not None:
        document["error"] = _error(document["error"], clean)
    elif isinstance(response, dict) and response.get("error") is not None:
        error = response["error"]
        words = error if isinstance(error, dict) else {"message": error}
        response["error"] = {key: _words(words.get(key), clean) for key in ("code", "message")}
    else:
        return None
    data = orjson.dumps(document)
    head = b"event: " + frame.event + b"\n" if frame.event else b""
    return Frame(head + b"data: " + data + b"\n\n", data, frame.event)


def refused_by(frame: Frame, clean: Callable[[str], str]) -> Refused:
    """The refusal that an error stands for which comes before anything of an answer."""
    document = _object(frame.data) or {}
    error = document.get("error")
    error = error if isinstance(error, dict) else document if error is None else {"message": error}
    code = error.get("code")
    if type(code) is int and 400 <= code < 600:
        status = code
    else:
        status = 400 if error.get("type") in _CLIENT else 502
    told, _ = said(status, orjson.dumps({"error": error}), None, lambda: datetime.now(UTC), clean, found=True)
    return told.refused


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _error(error: object, clean: Callable[[str], str]) -> dict[str, Any]:
    found = error if isinstance(error, dict) else {"message": error}
    return {key: _words(found.get(key), clean) for key in ("message", "type", "param", "code")}


def _words(value: object, clean: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return clean(value)
    return value if value is None or isinstance(value, int | float) else clean(orjson.dumps(value).decode())
