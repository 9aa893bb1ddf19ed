"""Keyword lists, found in a text however it was spelt: width, case, script, invisible characters and inner spaces do not count.

A word that begins or ends in an ASCII letter or digit matches there only at a word's boundary (`ass` is not in `class`). Between
two Chinese characters up to `GAP` spaces and invisible characters are seen through; a longer gap parts words.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import ahocorasick

from pilotbase.detect.zh import fold_width, simplify
from pilotbase.errors import UserError

__all__ = ["GAP", "Hit", "KeywordList", "Keywords", "read_keywords"]

GAP = 8
LONGEST = 128
_PART = "\x00"  # stands where a gap is too wide; no keyword holds it
_CHINESE = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_BETWEEN_CHINESE = re.compile(f" (?<=[{_CHINESE}] )(?=[{_CHINESE}])")
_SPACES = re.compile(" +")
_IS_CHINESE = re.compile(f"[{_CHINESE}]").match


class _Spelling(dict[int, str]):
    """One character's normal form, worked out when it is first met: `str.translate` then runs at the speed of a table."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if unicodedata.category(char) in ("Cf", "Cc") and char not in "\t\n\r\v\f":
            plain = ""
        elif char.isspace():
            plain = " "
        elif 0x300 <= code <= 0x36F or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
            plain = ""
        else:
            folded = unicodedata.normalize("NFKD", fold_width(char)).casefold()
            bare = "".join(c for c in folded if not 0x300 <= ord(c) <= 0x36F)
            plain = simplify(unicodedata.normalize("NFC", bare))
            if plain:
                plain = plain.strip() or " "
        self[code] = plain
        return plain


_SPELLING = _Spelling()


@dataclass(frozen=True, slots=True)
class Hit:
    """Characters `start <= i < end` spell the keyword in this line of its list."""

    start: int
    end: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordList:
    """A list as it was read: (line, word) in order, and what was mended on reading, in words."""

    words: tuple[tuple[int, str], ...]
    repairs: tuple[str, ...] = ()


def read_keywords(data: bytes, where: str) -> KeywordList:
    """One keyword a line, UTF-8; empty lines and lines that begin with `#` do not count; GB18030 is accepted and told.

    UserError where the bytes are neither, a word is longer than 128 characters, or no word is there.
    """
    repairs: list[str] = []
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = data.decode("gb18030")
        except UnicodeDecodeError:
            message = "the keyword list is neither UTF-8 nor GB18030"
            raise UserError(message, where=where, hint="save it as UTF-8") from None
        repairs.append("read as GB18030, because it is not UTF-8")
    words: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        if len(word) > LONGEST:
            message = f"a keyword of {len(word)} characters"
            raise UserError(message, where=f"{where}:{number}", hint=f"a keyword has at most {LONGEST}")
        if not _normal(word).strip():
            message = "a keyword without any visible character"
            raise UserError(message, where=f"{where}:{number}", hint="take the line out")
        words.append((number, word))
    if not words:
        raise UserError("the keyword list holds no word", where=where, hint="write one keyword a line")
    return KeywordList(words=tuple(words), repairs=tuple(repairs))


class Keywords:
    """Finds the words of a list.

    `longest` is the most characters of a text that one finding can span, gaps included; `reach` adds those behind it that may
    still decide whether a word ends there (see `ports.Guard`). `count` is how many different words there are.
    """

    __slots__ = ("_automaton", "_first", "_most", "count", "longest", "reach")

    def __init__(self, words: Sequence[tuple[int, str]]) -> None:
        self._automaton = ahocorasick.Automaton()
        lines: dict[str, int] = {}
        for line, word in words:
            lines.setdefault(_normal(word).strip(), line)
        for word, line in lines.items():
            self._automaton.add_word(word, (line, len(word), _wordlike(word[0]), _wordlike(word[-1])))
        self._automaton.make_automaton()
        self.count = len(lines)
        self._most = max((len(word) for word in lines), default=0)
        self.longest = max(1, self._most + GAP * (self._most - 1))
        self.reach = self.longest + GAP + 1
        self._first = {word[0] for word in lines}

    def find(self, text: str) -> list[Hit]:
        """Every keyword in `text`, overlapping ones too, in order of `start`."""
        if next(self._automaton.iter(_normal(text)), None) is None:
            return []
        plain, places = _traced(text)
        found: list[Hit] = []
        for last, (line, length, opens, closes) in self._automaton.iter(plain):
            first = last - length + 1
            if opens and first and _wordlike(plain[first - 1]):
                continue
            if closes and last + 1 < len(plain) and _wordlike(plain[last + 1]):
                continue
            found.append(Hit(places[first], places[last] + 1, line))
        return sorted(set(found), key=lambda h: (h.start, -h.end, h.line))

    def open_from(self, text: str) -> int:
        """Where the first keyword begins that the end of `text` may be the beginning of; the length of `text` where none may be.

        Every finding that begins before it stands for good, and no other one can begin there.
        """
        tail = text[-self.reach :]
        if self._first.isdisjoint(tail.translate(_SPELLING)):
            return len(text)
        plain, places = _traced(tail)
        end = len(plain)
        for first in range(max(0, end - self._most), end):
            if plain[first] in self._first and self._automaton.match(plain[first:end]):
                return len(text) - len(tail) + places[first]
        return len(text)


def _wordlike(char: str) -> bool:
    return char.isascii() and char.isalnum()


def _normal(text: str) -> str:
    """The text as the automaton reads it, gaps of any width closed: what is not found in it is not in the text."""
    return _BETWEEN_CHINESE.sub("", _SPACES.sub(" ", text.translate(_SPELLING)))


def _traced(text: str) -> tuple[str, list[int]]:
    """The text as the automaton reads it, and for each of its characters the place in `text` that it came from."""
    plain: list[str] = []
    places: list[int] = []
    gap = 0
    spaced = False
    for place, char in enumerate(text):
        spelt = _SPELLING[ord(char)]
        if spelt in ("", " "):
            gap += 1
            spaced = spaced or spelt == " "
            continue
        if gap and plain and (joint := _joint(gap, spaced, plain[-1], spelt[0])):
            plain.append(joint)
            places.append(place - 1)
        gap, spaced = 0, False
        for one in spelt:
            plain.append(one)
            places.append(place)
    return "".join(plain), places


def _joint(gap: int, spaced: bool, before: str, after: str) -> str:
    if gap > GAP:
        return _PART
    return " " if spaced and not (_IS_CHINESE(before) and _IS_CHINESE(after)) else ""
