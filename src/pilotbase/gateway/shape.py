"""What the gateway must know of a request, and the few bytes of it that it may change.

Sources: the OpenAPI description of OpenAI's API, 2.3.0 (fields and their types); RFC 8259. A body is parsed once; unknown fields,
the order of keys, the spelling of numbers and strings stay as they came, because only the named spans are ever replaced.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pilotbase.domain.traffic import Preamble
from pilotbase.gateway.answers import Refused, bad_request
from pilotbase.gateway.endpoints import Endpoint, Kind
from pilotbase.gateway.estimate import AUDIO, IMAGE, prompt_tokens
from pilotbase.gateway.multipart import READ, Form, read_form
from pilotbase.gateway.spans import Edit, Member, change, member, members, plain, repeated

__all__ = ["Shape", "read_shape", "rewrite"]

LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""The names under which a caller limits an answer: a default for one is left out where he uses another."""
FIXED = frozenset({"model", "stream", "messages", "input", "prompt"})
"""What no default may set: who answers, in which form, and to what."""
_WORDLESS = frozenset({"embeddings", "moderations", "rerank"})
_USAGE_ON_REQUEST = frozenset({"chat", "completions"})
_LARGEST = 2**31 - 1
_COPIES = 1024


@dataclass(slots=True, kw_only=True)
class Shape:
    """One request. Not frozen, since it is made for each request and that would cost 2 µs; nobody changes it.

    `stream`: whether the answer comes as events. `usage_asked`: the caller wants the usage in a stream of his own accord.
    `answers`: how many answers one request asks for (`n` or `best_of`, times the prompts of a completion). `max_output`: the
    tokens that all of them may have together; 0 for kinds that write none; None where the caller named no limit (`answers` times
    the route's own then applies). `prompt`: the tokens read, estimated; what `previous` brings along is not in it.
    `previous`: the response or conversation that this one goes on from. `document`: the parsed body; of a form, its text fields.
    `plain`: see `spans.plain`.
    """

    kind: Kind
    model: str
    stream: bool
    usage_asked: bool
    answers: int
    max_output: int | None
    prompt: int
    previous: str | None
    user: str | None
    document: dict[str, Any]
    plain: bool = False
    form: Form | None = None


def read_shape(endpoint: Endpoint, content_type: bytes, body: bytes) -> Shape:
    """Read a request's body. Takes about 10 µs for an ordinary one.

    Refused: 415 for a content type that this path does not take; 400 in OpenAI's words, with `param`, for what is no JSON object
    in UTF-8, a key that stands there twice, no model, or a field of the wrong type or range.
    """
    media = content_type.partition(b";")[0].strip().lower()
    if endpoint.body == "multipart" and media != b"application/json":
        return _read_form(endpoint, content_type, body)
    if media and media != b"application/json" and not media.endswith(b"+json"):
        raise Refused(
            status=415,
            code="unsupported_media_type",
            message="This address takes JSON: send content type application/json.",
            retry=False,
        )
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"We could not parse the JSON body of your request: {str(error)[:200]}.", code="invalid_json") from None
    if not isinstance(document, dict):
        raise bad_request("The body of your request must be a JSON object.", code="invalid_json")
    clear = plain(body, document)
    if not clear and (twice := repeated(members(body))) is not None:
        raise bad_request(f"Duplicate parameter: '{twice[:80]}'.", param=twice[:80], code="repeated_parameter")
    return _shape(endpoint, document, clear)


def rewrite(
    body: bytes,
    shape: Shape,
    *,
    model: str | None = None,
    ask_usage: bool = False,
    preamble: Sequence[Preamble] = (),
    defaults: Mapping[str, Any] | None = None,
) -> bytes:
    """The body with these changes and no other byte moved; `body` itself where nothing changes.

    `model` takes the place of the caller's. `ask_usage` asks for the usage of a chat or completion stream. `preamble` goes to the
    start of a chat's messages. Of a response, system and developer words go before the `instructions`, a blank line between them
    (a later turn does not inherit instructions, so they come each time); the other messages go to the start of `input`, but not
    where an earlier turn is named, which holds them. No other kind has a place for them: Refused. `defaults` are set where the
    key is absent; never those of `FIXED`, nor a limit beside the caller's.
    """
    if preamble and shape.kind not in ("chat", "responses"):
        raise bad_request(
            f"The model '{shape.model}' answers under /chat/completions and /responses only.",
            param="model",
            code="unsupported_endpoint",
        )
    added = _missing(shape.document if shape.form is None else shape.form.names, defaults) if defaults else {}
    if shape.form is not None:
        return shape.form.rewrite(
            body, model, {k: v if isinstance(v, str) else orjson.dumps(v).decode() for k, v in added.items()}
        )
    edits: list[Edit] = []
    if model is not None and model != shape.model:
        edits.append(_replace(body, shape, "model", orjson.dumps(model)))
    if ask_usage and shape.stream and not shape.usage_asked and shape.kind in _USAGE_ON_REQUEST:
        if "stream_options" in shape.document:
            edits += _usage_edits(body, _place(body, shape, "stream_options"))
        else:
            given = added.get("stream_options")
            added["stream_options"] = {**(given if isinstance(given, dict) else {}), "include_usage": True}
    if preamble:
        edits += _chat_edits(body, shape, preamble) if shape.kind == "chat" else _response_edits(body, shape, preamble, added)
    if added:
        # The object is never empty: it has a model.
        at = body.index(b"{") + 1
        edits.append(Edit(at, at, orjson.dumps(added)[1:-1] + b","))
    return change(body, edits)


def _read_form(endpoint: Endpoint, content_type: bytes, body: bytes) -> Shape:
    form = read_form(content_type, body)
    document: dict[str, Any] = {name: form.text(body, name) for name in READ if name in form.texts}
    for name in ("stream", "n"):
        value = document.get(name)
        if name == "stream" and value in ("true", "True", "1", "false", "False", "0", ""):
            document[name] = value in ("true", "True", "1")
        elif name == "n" and value is not None and value.isascii() and value.isdigit() and len(value) < 10:
            document[name] = int(value)
    shape = _shape(endpoint, document, False)
    shape.form = form
    flat = AUDIO if endpoint.kind in ("transcriptions", "translations") else IMAGE
    shape.prompt += flat * max(1, form.files)
    return shape


def _shape(endpoint: Endpoint, document: dict[str, Any], clear: bool) -> Shape:
    get = document.get
    model = get("model")
    if model is None or model == "":
        raise bad_request("You must provide a model parameter.", param="model", code="missing_required_parameter")
    if not isinstance(model, str):
        raise _wrong_type("model", "a string", model)
    kind = endpoint.kind
    if kind == "speech":
        stream = get("stream_format") == "sse"
    else:
        stream = _flag(document, "stream", "stream") and endpoint.streams
    options = get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise _wrong_type("stream_options", "an object", options)
    answers = max(_count(document, "n", 1, _COPIES) or 1, _count(document, "best_of", 1, _COPIES) or 1)
    if kind == "completions":
        answers *= _prompts(get("prompt"))
    limits = [limit for name in LIMITS if name in document and (limit := _count(document, name, 0, _LARGEST)) is not None]
    user = get("user")
    return Shape(
        kind=kind,
        model=model,
        stream=stream,
        usage_asked=options is not None and _flag(options, "include_usage", "stream_options.include_usage"),
        answers=answers,
        max_output=0 if kind in _WORDLESS else max(limits) * answers if limits else None,
        prompt=prompt_tokens(kind, document),
        previous=_previous(document),
        user=user if isinstance(user, str) else None,
        document=document,
        plain=clear,
    )


def _previous(document: dict[str, Any]) -> str | None:
    found = document.get("previous_response_id")
    name = "previous_response_id"
    if found is None:
        name, found = "conversation", document.get("conversation")
        if isinstance(found, dict):
            found = found.get("id")
    if found is not None and not isinstance(found, str):
        raise _wrong_type(name, "a string", found)
    return found or None


def _flag(document: dict[str, Any], key: str, param: str) -> bool:
    value = document.get(key)
    if value is None or value is False:
        return False
    if value is not True:
        raise _wrong_type(param, "a boolean", value)
    return True


def _count(document: dict[str, Any], name: str, least: int, most: int) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if type(value) is not int:
        raise _wrong_type(name, "an integer", value)
    if value < least:
        raise bad_request(
            f"Invalid '{name}': integer below minimum value. Expected a value >= {least}, but got {value} instead.",
            param=name,
            code="integer_below_min_value",
        )
    if value > most:
        raise bad_request(
            f"Invalid '{name}': integer above maximum value. Expected a value <= {most}, but got {value} instead.",
            param=name,
            code="integer_above_max_value",
        )
    return value


_WORDS = {str: "a string", bool: "a boolean", int: "an integer", float: "a decimal", list: "an array", dict: "an object"}


def _wrong_type(param: str, wanted: str, found: object) -> Refused:
    word = _WORDS.get(type(found), "null")
    return bad_request(
        f"Invalid type for '{param}': expected {wanted}, but got {word} instead.", param=param, code="invalid_type"
    )


def _prompts(prompt: object) -> int:
    """How many prompts a completion has: a string or a list of token numbers is one."""
    return len(prompt) if isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list) else 1


def _missing(present: Mapping[str, Any] | frozenset[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    limited = any(name in present for name in LIMITS)
    return {
        key: value
        for key, value in defaults.items()
        if key not in present and key not in FIXED and not (limited and key in LIMITS)
    }


def _place(body: bytes, shape: Shape, key: str) -> Member:
    return member(body, key) if shape.plain else next(m for m in members(body) if m.key == key)


def _replace(body: bytes, shape: Shape, key: str, new: bytes) -> Edit:
    place = _place(body, shape, key)
    return Edit(place.start, place.end, new)


def _usage_edits(body: bytes, options: Member) -> list[Edit]:
    if body[options.start : options.end] == b"null":
        return [Edit(options.start, options.end, b'{"include_usage":true}')]
    inside = members(body, options.start)
    asked = [Edit(m.start, m.end, b"true") for m in inside if m.key == "include_usage"]
    if asked:
        return asked
    at = options.start + 1
    return [Edit(at, at, b'"include_usage":true,' if inside else b'"include_usage":true')]


def _messages(preamble: Sequence[Preamble]) -> bytes:
    return b",".join(orjson.dumps({"role": one.role, "content": one.content}) for one in preamble)


def _chat_edits(body: bytes, shape: Shape, preamble: Sequence[Preamble]) -> list[Edit]:
    messages = shape.document.get("messages")
    if not isinstance(messages, list):
        raise _wrong_type("messages", "an array", messages)
    at = _place(body, shape, "messages").start + 1
    return [Edit(at, at, _messages(preamble) + (b"," if messages else b""))]


def _response_edits(body: bytes, shape: Shape, preamble: Sequence[Preamble], added: dict[str, Any]) -> list[Edit]:
    edits: list[Edit] = []
    rules = "\n\n".join(one.content for one in preamble if one.role in ("system", "developer"))
    turns = [one for one in preamble if one.role not in ("system", "developer")]
    instructions = shape.document.get("instructions")
    if instructions is not None and not isinstance(instructions, str):
        raise _wrong_type("instructions", "a string", instructions)
    if rules and instructions is not None:
        at = _place(body, shape, "instructions").start + 1
        edits.append(Edit(at, at, orjson.dumps(rules + "\n\n" if instructions else rules)[1:-1]))
    elif rules and "instructions" in shape.document:
        edits.append(_replace(body, shape, "instructions", orjson.dumps(rules)))
    elif rules:
        own = added.get("instructions")
        added["instructions"] = f"{rules}\n\n{own}" if isinstance(own, str) and own else rules
    if not turns or shape.previous is not None:
        return edits
    given = shape.document.get("input")
    if isinstance(given, list):
        at = _place(body, shape, "input").start + 1
        edits.append(Edit(at, at, _messages(turns) + (b"," if given else b"")))
    elif isinstance(given, str):
        place = _place(body, shape, "input")
        edits.append(Edit(place.start, place.start, b"[" + _messages(turns) + b',{"role":"user","content":'))
        edits.append(Edit(place.end, place.end, b"}]"))
    else:
        raise _wrong_type("input", "a string or an array", given)
    return edits
