"""Bytes of a text file as UTF-8 blocks: which encoding it is in, and where it is in none."""

import codecs
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pilotbase.errors import UserError

__all__ = ["BLOCK", "Undecodable", "choose_encoding", "digest_file", "guess_after", "read_blocks"]

BLOCK = 1 << 21
_SAMPLE = 1 << 20
_KNOWN = (
    "utf-8",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "gb18030",
    "gbk",
    "gb2312",
    "big5",
    "shift_jis",
    "euc-kr",
    "windows-1252",
    "latin-1",
)


class Undecodable(Exception):
    """Bytes that the encoding tried does not allow; `offset` counts from 0 in the file."""

    def __init__(self, offset: int, byte: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset
        self.byte = byte
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """A codec, how many bytes of mark to skip, and what to say about it ("" for plain UTF-8)."""

    codec: str
    skip: int = 0
    repair: str = ""


def digest_file(path: Path) -> str:
    """`sha256:...` of the file's bytes, read in blocks."""
    seen = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            seen.update(block)
    return "sha256:" + seen.hexdigest()


def choose_encoding(path: Path, declared: str | None) -> Encoding:
    """By declaration, byte order mark, or the zero bytes of unmarked UTF-16; otherwise UTF-8, until it proves wrong."""
    with path.open("rb") as file:
        head = file.read(4096)
    if declared is not None:
        return _declared(declared, head)
    if head.startswith(codecs.BOM_UTF8):
        return Encoding(codec="utf-8", skip=3, repair="the byte order mark at the start was skipped")
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) and len(head) % 4 == 0 and head[2:4] == b"\0\0":
        return Encoding(codec="utf-32", repair="read as UTF-32 and converted to UTF-8")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Encoding(codec="utf-16", repair="read as UTF-16 and converted to UTF-8")
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) >= max(2, 0.3 * (len(head) // 2)) and min(even, odd) == 0:
        name = "UTF-16-LE" if odd else "UTF-16-BE"
        return Encoding(codec=name.lower(), repair=f"read as {name} and converted to UTF-8")
    return Encoding(codec="utf-8")


def _declared(name: str, head: bytes) -> Encoding:
    try:
        codec = codecs.lookup(name)
        codecs.getincrementaldecoder(name)()
        if not isinstance(codec.decode(b"")[0], str):
            raise LookupError(name)
    except (LookupError, UnicodeError):
        near = get_close_matches(name.lower(), _KNOWN, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"for example {', '.join(_KNOWN[:6])}"
        raise UserError(f"`encoding: {name}` is not known", where="data.test.encoding", hint=hint) from None
    marked = codec.name == "utf-8" and head.startswith(codecs.BOM_UTF8)
    return Encoding(codec=codec.name, skip=3 if marked else 0)


def read_blocks(path: Path, encoding: Encoding) -> Iterator[bytes]:
    """The text as UTF-8 in blocks of about 2 MiB that may cut a character. Raises Undecodable, also where a NUL byte stands."""
    plain = encoding.codec == "utf-8"
    decoder = codecs.getincrementaldecoder(encoding.codec)()
    with path.open("rb") as file:
        offset = file.seek(encoding.skip)
        last = False
        while not last:
            raw = file.read(BLOCK)
            last = not raw
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(raw, final=last)
            except UnicodeError as error:
                start = error.start if isinstance(error, UnicodeDecodeError) else 0
                bad = error.object[start] if isinstance(error, UnicodeDecodeError) else 0
                raise Undecodable(offset - pending + start, bad, f"not {encoding.codec}") from None
            if (zero := text.find("\0")) >= 0:
                exact = offset - pending + len(text[:zero].encode()) if plain else offset
                raise Undecodable(exact, 0, "NUL")
            offset += len(raw)
            if text:
                yield raw if plain else text.encode("utf-8", "surrogatepass")


def guess_after(path: Path, failure: Undecodable) -> Encoding | None:
    """GB18030 where what is not UTF-8 reads as Chinese; None where it does not.

    GB18030 accepts much that was never Chinese (an accented Latin letter before another letter is one ideograph). Real text is
    made almost only of characters of GB 2312, whose two bytes are both over 0xA0; mistaken text is not.
    """
    if failure.reason == "NUL":
        return None
    begin = max(0, failure.offset - 2)
    with path.open("rb") as file:
        file.seek(begin)
        sample = file.read(_SAMPLE)
    sample = sample[failure.offset - begin :]
    decoder = codecs.getincrementaldecoder("gb18030")()
    try:
        text = decoder.decode(sample)
    except UnicodeDecodeError:
        return None
    wide = [c for c in text if ord(c) > 127]
    if not wide:
        return None
    common = sum(1 for c in wide if _in_gb2312(c))
    if common < 0.7 * len(wide):
        return None
    return Encoding(codec="gb18030", repair="read as GB18030 (not UTF-8) and converted to UTF-8")


def _in_gb2312(char: str) -> bool:
    try:
        char.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True
