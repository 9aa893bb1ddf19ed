"""Where the texts for people stand in requests, answers and stream frames of each kind of endpoint, and how one is replaced.

A fixed list of members would let a text pass unseen wherever an upstream invents a new one, so whole messages, choices and items
are walked, and what is no text (ids, names of roles and types, addresses, data in base64) is left out by its key. Where the
expected member is missing, the whole document is walked. Pictures, sound and text inside addresses are not seen.

Source: the OpenAPI description of OpenAI's API, 2.3.0; Open Inference Protocol v2; rerank as vLLM and Jina serve it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pilotbase.gateway.endpoints import Kind

__all__ = ["TOKEN_NUMBERS", "Path", "Piece", "answer_pieces", "frame_pieces", "replace", "request_pieces", "takes_numbers"]

Path = tuple[str | int, ...]
TOKEN_NUMBERS = "token-numbers"
"""The rule that a request breaks whose text came as numbers of tokens, which no guard can read."""


class Piece(NamedTuple):
    """A text at `path` of a parsed document. Pieces of one `lane` are one text, in order; `grows`: later frames continue it."""

    lane: Path
    path: Path
    text: str
    grows: bool = False


_NO_TEXT = frozenset(
    [
        "role",
        "type",
        "id",
        "object",
        "status",
        "index",
        "call_id",
        "tool_call_id",
        "item_id",
        "file_id",
        "response_id",
        "previous_response_id",
        "container_id",
        "name",
        "model",
        "created",
        "created_at",
        "finish_reason",
        "stop_reason",
        "matched_stop",
        "logprobs",
        "system_fingerprint",
        "service_tier",
        "obfuscation",
        "image_url",
        "video_url",
        "audio_url",
        "input_audio",
        "url",
        "file_data",
        "file_url",
        "b64_json",
        "partial_image_b64",
        "encrypted_content",
        "signature",
        "thought_signature",
        "detail",
        "format",
        "mime_type",
        "media_type",
        "token_ids",
        "prompt_token_ids",
        "embedding",
        "usage",
        "error",
    ]
)
_PROMPTED = frozenset(("images", "image-edits", "image-variations", "transcriptions", "translations"))
_CHOICES = frozenset(("chat", "completions"))
_SILENT = frozenset(("embeddings", "moderations"))
_ASKED: Mapping[str, tuple[str, ...]] = {
    "chat": ("messages", "prediction", "documents"),
    "completions": ("prompt", "suffix"),
    "responses": ("input", "instructions", "prompt"),
    "embeddings": ("input",),
    "moderations": ("input",),
    "speech": ("input", "instructions"),
    "rerank": ("query", "documents"),
}


def request_pieces(kind: Kind, document: Any) -> list[Piece]:
    """Every text of a request. The parts of one message are one text: a word split over two of them is found.

    Of tools and response formats, what is said of a value: descriptions, titles, choices, defaults, examples. A document that is
    no object has none.
    """
    found: list[Piece] = []
    if not isinstance(document, dict):
        return found
    if kind == "infer":
        _tensors(document, "inputs", found)
        return found
    for name in ("prompt",) if kind in _PROMPTED else _ASKED.get(kind, ()):
        if name in document:
            _walk(document[name], (name,), (name,), found, joined=True)
    for name in ("tools", "functions", "response_format", "text"):
        if name in document:
            _descriptions(document[name], (name,), found)
    return found


def takes_numbers(kind: Kind, document: Any) -> bool:
    """Whether a request brings its text as numbers of tokens."""
    if kind not in ("completions", "embeddings") or not isinstance(document, dict):
        return False
    given = document.get("prompt" if kind == "completions" else "input")
    return isinstance(given, list) and any(not isinstance(one, str | dict) for one in given)


def answer_pieces(kind: Kind, document: Any) -> list[Piece]:
    """Every text of an answer that came whole; of a string, itself (a transcript as plain text)."""
    found: list[Piece] = []
    if isinstance(document, str):
        return [Piece((), (), document)]
    if kind in _SILENT or not isinstance(document, dict):
        return found
    if kind == "infer":
        _tensors(document, "outputs", found)
        return found
    word = "choices" if kind in _CHOICES else "output" if kind == "responses" else "results" if kind == "rerank" else ""
    if word and isinstance(document.get(word), list):
        _walk(document[word], (word,), (word,), found)
    else:
        _walk(document, (), (), found)
    return found


def frame_pieces(kind: Kind, document: Any) -> list[Piece]:
    """Every text of one frame of a stream."""
    found: list[Piece] = []
    if not isinstance(document, dict):
        return found
    if kind in _CHOICES and isinstance(document.get("choices"), list):
        _walk(document["choices"], ("choices",), ("choices",), found, grows=True)
        return found
    word = document.get("type")
    if isinstance(word, str):
        _event(word, document, found)
    else:
        _walk(document, (), (), found, grows=True)
    return found


def replace(document: Any, path: Path, text: str) -> Any:
    """Put `text` at `path`, in place; the document, or `text` itself where the path is empty.

    Token probabilities beside it spell the old text out, so they are emptied all along the way.
    """
    if not path:
        return text
    here = document
    for step in path[:-1]:
        _forget(here)
        here = here[step]
    _forget(here)
    here[path[-1]] = text
    return document


def _forget(here: Any) -> None:
    if isinstance(here, dict) and here.get("logprobs"):
        here["logprobs"] = [] if isinstance(here["logprobs"], list) else None


def _walk(value: Any, path: Path, lane: Path, found: list[Piece], *, joined: bool = False, grows: bool = False) -> None:
    """All strings below `value`. `joined`: the elements of a `content` list share one lane."""
    if isinstance(value, str):
        if value:
            found.append(Piece(lane, path, value, grows))
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in _NO_TEXT or (isinstance(inner, str) and _is_media(key, value)):
                continue
            if joined and key == "content" and isinstance(inner, list):
                shared: list[Piece] = []
                _walk(inner, (*path, key), (), shared)
                found += [piece._replace(lane=(*lane, key)) for piece in shared]
            else:
                _walk(inner, (*path, key), (*lane, key), found, joined=joined, grows=grows)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            # Deltas of one tool call or choice are known by their `index`, wherever they stand in their frame.
            index = inner.get("index", place) if grows and isinstance(inner, dict) else place
            step = index if isinstance(index, int) else place
            _walk(inner, (*path, place), (*lane, step), found, joined=joined, grows=grows)


_TYPED = ("format", "mimeType", "mime_type", "media_type", "transcript", "expires_at")


def _is_media(key: str, holder: dict[str, Any]) -> bool:
    """Whether a string is no text but a picture or sound in base64."""
    if key == "data":
        return holder.get("type") in ("image", "audio", "redacted_thinking") or any(name in holder for name in _TYPED)
    return key == "audio" or (key == "result" and holder.get("type") == "image_generation_call")


_SAID = frozenset(("description", "title", "enum", "const", "default", "examples", "definition"))


def _descriptions(value: Any, path: Path, found: list[Piece]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _SAID and not isinstance(inner, dict):
                _walk(inner, (*path, key), (*path, key), found)
            else:
                _descriptions(inner, (*path, key), found)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _descriptions(inner, (*path, place), found)


def _tensors(document: dict[str, Any], word: str, found: list[Piece]) -> None:
    tensors = document.get(word)
    for place, tensor in enumerate(tensors if isinstance(tensors, list) else ()):
        if isinstance(tensor, dict) and tensor.get("datatype") == "BYTES":
            _walk(tensor.get("data"), (word, place, "data"), (word, place, "data"), found)


def _event(word: str, document: dict[str, Any], found: list[Piece]) -> None:
    """An event that names its type: a delta of one text, or whole texts (`*.done`, items, and the response at the end)."""
    delta = document.get("delta")
    if word.endswith(".delta") and isinstance(delta, str):
        if "audio" not in word.split(".") or "transcript" in word:
            places = (document.get(name) for name in ("item_id", "output_index", "content_index", "summary_index"))
            lane = (word, *(place if isinstance(place, int | str) else -1 for place in places))
            if delta:
                found.append(Piece(lane, ("delta",), delta, True))
        return
    response = document.get("response")
    if isinstance(response, dict):
        # The response repeats the instructions, which were the caller's own.
        output = response.get("output")
        if isinstance(output, list):
            _walk(output, ("response", "output"), ("response", "output"), found)
        else:
            _walk(response, ("response",), ("response",), found)
    rest = {key: inner for key, inner in document.items() if key != "response"}
    _walk(rest, (), (word,), found)
