"""How many tokens a text is likely to have, counted from its characters: no vocabulary, no table of words.

A character weighs a twelfth of a token times: 3 for an ASCII letter, space or control sign, 6 for an ASCII digit or sign, 8 for a
character of two bytes in UTF-8 (accents, Greek, Cyrillic, Arabic), 12 for one of three (Chinese, Japanese, Korean, Thai), 36 for
one of four (emoji, rare ideographs). Weights add up, so that a text counted in pieces gives what it gives as a whole.

The weights lean upwards. Published rates for vocabularies of 100,000 tokens and more are 0.22 to 0.30 a character for English,
0.30 to 0.40 for code and for languages with accents, 0.5 to 0.7 for Cyrillic and Arabic, 0.6 to 0.8 for Chinese, 0.7 to 1.0 for
Japanese and Korean; this rule gives 0.26, 0.31, 0.3 to 0.35, 0.6, and 1.0. It is high by a third or more for Chinese with
vocabularies that know it well, low for Chinese with those of 2023 and before (1.0 to 1.3), and low by about half for random
strings such as base64. That is why it only reserves, and settles only where an upstream told nothing, marked as an estimate.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from pilotbase.gateway.answers import bad_request
from pilotbase.gateway.endpoints import Kind

__all__ = ["AUDIO", "FILE", "IMAGE", "MESSAGE", "TOKEN", "VIDEO", "estimate", "prompt_tokens", "tokens", "units", "weigh"]

TOKEN = 12
"""Units in one token."""
MESSAGE = 4
"""Tokens that the frame of one chat message takes: its role and the signs around it."""
IMAGE = 1600
"""Tokens reserved for an image: about 1 megapixel in tiles of 28 x 28 pixels merged by two; what OpenAI's tiles give is less."""
AUDIO = 3000
"""Tokens reserved for a piece of sound: five minutes at ten tokens a second."""
VIDEO = 8192
"""Tokens reserved for a film."""
FILE = 8192
"""Tokens reserved for a document given as a file: about ten pages."""

_DEEP = 16
_STRUCTURED = ("tools", "functions", "response_format", "text")
_FLAT = {
    "image_url": IMAGE,
    "input_image": IMAGE,
    "image": IMAGE,
    "computer_screenshot": IMAGE,
    "input_audio": AUDIO,
    "audio": AUDIO,
    "audio_url": AUDIO,
    "video": VIDEO,
    "video_url": VIDEO,
    "input_video": VIDEO,
    "file": FILE,
    "input_file": FILE,
}
_WORDED = (
    "content",
    "text",
    "name",
    "arguments",
    "output",
    "input",
    "refusal",
    "reasoning_content",
    "summary",
    "tool_calls",
    "function",
    "function_call",
    "custom",
)
_LIGHT = bytes([*range(0x21), *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 0x7F])
_ASCII = bytes(range(0x80))
_HEAVY = bytes(set(_ASCII) - set(_LIGHT))
_REST = bytes(range(0x80, 0xC0))
_NOT_THREE = bytes(set(range(0x100)) - set(range(0xE0, 0xF0)))
_NOT_FOUR = bytes(range(0xF0))
_SHORT = 64
_WEIGHTS = bytes(
    3 if b in _LIGHT else 6 if b < 0x80 else 0 if b < 0xC0 else 8 if b < 0xE0 else 12 if b < 0xF0 else 36 for b in range(0x100)
)


def weigh(raw: bytes) -> int:
    """The units of a text in UTF-8; bytes that are none weigh something too. A delta of a stream takes about 0.5 µs."""
    if len(raw) <= _SHORT:
        return sum(raw.translate(_WEIGHTS))
    if raw.isascii():
        return 3 * (len(raw) + len(raw.translate(None, _LIGHT)))
    plain = raw.translate(None, _REST)  # one byte a character is left
    wide = plain.translate(None, _ASCII)
    three, four = len(wide.translate(None, _NOT_THREE)), len(wide.translate(None, _NOT_FOUR))
    narrow = len(plain) - len(wide)
    heavy = narrow - len(plain.translate(None, _HEAVY)) + len(wide)
    return 3 * (narrow + heavy) + 8 * (len(wide) - three - four) + 12 * three + 36 * four


def units(text: str) -> int:
    """The units of a text."""
    return weigh(text.encode("utf-8", "surrogatepass"))


def tokens(count: int) -> int:
    """Whole tokens of so many units, rounded up."""
    return -(-count // TOKEN)


def estimate(text: str) -> int:
    """The tokens that a text is likely to have, rounded up; 0 for none."""
    return tokens(units(text))


def prompt_tokens(kind: Kind, document: Mapping[str, Any]) -> int:
    """The tokens that a request reads: its texts estimated, pictures, sounds and files by their flat numbers, nothing decoded.

    Refused where tools or messages nest deeper than any real ones.
    """
    get = document.get
    if kind == "chat":
        messages = get("messages")
        total, flat = _walk(messages)
        flat += MESSAGE * (len(messages) + 1) if isinstance(messages, list) else 0
    elif kind == "rerank":
        # Every document is read together with the query.
        documents = get("documents")
        total, flat = _walk(documents)
        total += _walk(get("query"))[0] * (len(documents) if isinstance(documents, list) else 1)
    else:
        total, flat = _walk([get("instructions"), get("input"), get("prompt"), get("suffix")])
    for name in _STRUCTURED:
        if isinstance(value := get(name), list | dict):
            total += _whole(value)
    return tokens(total) + flat


def _walk(value: object, depth: int = 0) -> tuple[int, int]:
    """(units of text, flat tokens) of anything that stands where words are given. A number is one token of its own."""
    if isinstance(value, str):
        return units(value), 0
    if isinstance(value, dict):
        return _walk_part(value, depth)
    if not isinstance(value, list):
        return 0, 0
    if depth > _DEEP:
        return _whole(value), 0
    total = flat = 0
    for one in value:
        if isinstance(one, str):
            total += units(one)
        elif isinstance(one, int):
            flat += 1
        else:
            more, lump = _walk(one, depth + 1)
            total, flat = total + more, flat + lump
    return total, flat


def _walk_part(part: Mapping[str, Any], depth: int) -> tuple[int, int]:
    """A message, one of its parts, an item of a response, a tool call, or a document to rank."""
    kind = part.get("type")
    if isinstance(kind, str) and kind in _FLAT:
        return 0, _FLAT[kind]
    total = flat = 0
    for name in _WORDED:
        value = part.get(name)
        if isinstance(value, str):
            total += units(value)
        elif value is not None:
            more, lump = _walk(value, depth + 1)
            total, flat = total + more, flat + lump
    return total, flat


def _whole(value: object) -> int:
    try:
        return weigh(orjson.dumps(value))
    except orjson.JSONEncodeError:
        raise bad_request("The JSON body of your request is nested too deep.", code="invalid_json") from None
