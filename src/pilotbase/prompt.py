"""Prompts: chat messages with `{column}` places, compiled once into bytes of JSON with holes.

A place is the name of an input and nothing more: there is no attribute access, no index and no format, so that text from
outside cannot reach into an object. `{{` and `}}` are braces.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from pilotbase.domain.problem import nearest
from pilotbase.errors import UserError

__all__ = ["Prompt", "escape", "places"]

_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")


def places(text: str, where: str | None = None) -> list[tuple[bool, str]]:
    """Split a template into (is a column, text or name). UserError on a brace that is neither a place nor doubled."""
    parts: list[tuple[bool, str]] = []
    plain: list[str] = []
    last = 0
    for match in _TOKEN.finditer(text):
        plain.append(text[last : match.start()])
        last = match.end()
        token = match[0]
        if token in ("{{", "}}"):
            plain.append(token[0])
            continue
        name = token[1:-1].strip()
        if len(token) == 1 or not name:
            line = text.count("\n", 0, match.start()) + 1
            raise UserError(
                f"the prompt has a stray `{token}` in its line {line}",
                where=where,
                hint="write {column} for an input, and {{ or }} for a brace",
            )
        parts.append((False, "".join(plain)))
        parts.append((True, name))
        plain = []
    parts.append((False, "".join(plain) + text[last:]))
    return [p for p in parts if p[0] or p[1]]


def escape(value: Any) -> bytes:
    """A value as the inside of a JSON string.

    Text stays as it is, None is nothing, truth values are `true` and `false`, numbers as Python writes them, the rest JSON.
    """
    if isinstance(value, str):
        text = value
    elif value is None:
        return b""
    elif isinstance(value, bool):
        return b"true" if value else b"false"
    elif isinstance(value, (int, float)):
        text = repr(value)
    elif isinstance(value, bytes):
        text = value.decode(errors="replace")
    else:
        try:
            text = orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:
            text = str(value)
    try:
        return orjson.dumps(text)[1:-1]
    except TypeError:  # a lone surrogate has no UTF-8
        return orjson.dumps(text.encode(errors="replace").decode())[1:-1]


class Prompt:
    """Messages compiled for rendering; `columns` are the inputs that they use, in order of first use."""

    __slots__ = ("_parts", "columns")

    def __init__(
        self, messages: Sequence[tuple[str, str]], *, known: Iterable[str] | None = None, where: str | None = None
    ) -> None:
        """UserError for no message at all, a stray brace, or (where `known` lists the inputs) a name that is none of them."""
        if not messages:
            raise UserError(
                "the candidate has no prompt, so nothing would be said to the model",
                where=where,
                hint='add `prompt: "... {column} ..."` or `messages:` to it',
            )
        parts: list[bytes | str] = []
        for i, (role, content) in enumerate(messages):
            head = b',{"role":' if i else b'[{"role":'
            parts.append(head + orjson.dumps(role) + b',"content":"')
            parts.extend(text if column else escape(text) for column, text in places(content, where))
            parts.append(b'"}')
        parts.append(b"]")
        self._parts = tuple(_merge(parts))
        self.columns = tuple(dict.fromkeys(p for p in self._parts if isinstance(p, str)))
        if known is not None:
            self._check(tuple(known), where)

    def render(self, inputs: Mapping[str, Any]) -> bytes:
        """The messages as a JSON array. UserError where an input that the prompt names is missing."""
        try:
            return b"".join([p if type(p) is bytes else escape(inputs[p]) for p in self._parts])  # type: ignore[index]
        except KeyError:
            self._check(tuple(inputs), None)
            raise

    def _check(self, known: tuple[str, ...], where: str | None) -> None:
        for name in self.columns:
            if name not in known:
                near = nearest(name, known)
                guess = f"did you mean {{{near}}}? " if near else ""
                hint = f"{guess}the inputs are {', '.join(known) or 'none'}; write {{{{ for a brace"
                raise UserError(f"the prompt asks for {{{name}}}, which is not among the inputs", where=where, hint=hint)


def _merge(parts: Iterable[bytes | str]) -> Iterator[bytes | str]:
    plain = b""
    for part in parts:
        if isinstance(part, bytes):
            plain += part
        else:
            yield plain
            yield part
            plain = b""
    yield plain
