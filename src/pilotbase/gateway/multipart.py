"""The text fields of a form with files: found in place, so that a file of any size is neither copied nor looked through twice.

Source: RFC 7578 (multipart/form-data) and RFC 2046, section 5.1 (boundaries). Where two readers could see two different forms
(a repeated `model`, text before or after the parts, a boundary that goes on, a second name) the form is refused: it could be
billed as one and answered as the other.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pilotbase.gateway.answers import Refused, bad_request
from pilotbase.gateway.spans import Edit, change

__all__ = ["READ", "Form", "read_form"]

READ = frozenset({"model", "stream", "response_format", "prompt", "n", "user", "language"})
"""The fields that the gateway reads: text, at most once each."""
_PARTS = 1000
_HEADERS = 8192
_TEXT = 1 << 20
_TYPE = re.compile(r"multipart/form-data\s*(;.*)?", re.IGNORECASE | re.DOTALL)
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*;\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\\r\n]|\\[^\r\n])*)"|({_TOKEN}))')
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_DISPOSITION = re.compile(r"form-data(?=\s*;|\s*$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form's parts. `texts` holds the places of those in `READ` (`start <= i < end`); `files` counts the files."""

    boundary: bytes
    names: frozenset[str]
    texts: Mapping[str, tuple[int, int]]
    files: int

    def text(self, body: bytes, name: str) -> str | None:
        """A field's value; None where it is not there. Refused where it is no UTF-8."""
        place = self.texts.get(name)
        if place is None:
            return None
        try:
            return body[place[0] : place[1]].decode()
        except UnicodeDecodeError:
            raise bad_request(f"The form field '{name}' is not valid UTF-8.", param=name) from None

    def rewrite(self, body: bytes, model: str | None, added: Mapping[str, str]) -> bytes:
        """The form with another value for `model`, and with these fields before the others.

        ValueError where a name or a value would break the form.
        """
        values = [model or "", *added.values()]
        if any(self.boundary in v.encode() for v in values) or any(re.search(r'["\r\n]', name) for name in added):
            raise ValueError("a field's name or value would break the form")
        edits = []
        if model is not None and "model" in self.texts:
            edits.append(Edit(*self.texts["model"], model.encode()))
        head = b"".join(
            b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (self.boundary, name.encode(), value.encode())
            for name, value in added.items()
        )
        start = body.find(b"--" + self.boundary)
        return change(body, [Edit(start, start, head), *edits] if head else edits)


def read_form(content_type: bytes, body: bytes) -> Form:
    """Read where the parts stand. Refused (400, or 415 for another content type) for a form that is cut short or doubtful."""
    boundary = _boundary(content_type)
    names: set[str] = set()
    texts: dict[str, tuple[int, int]] = {}
    files = 0
    for headers, start, end in _parts(body, boundary):
        name, is_file, encoded = _describe(headers)
        names.add(name)
        if name not in READ:
            files += is_file
            continue
        if name in texts:
            raise bad_request(f"The form field '{name}' stands there more than once.", param=name, code="repeated_parameter")
        if is_file or encoded or end - start > _TEXT:
            raise bad_request(f"The form field '{name}' must be plain text of at most 1 MiB.", param=name, code="invalid_type")
        texts[name] = (start, end)
    return Form(boundary=boundary, names=frozenset(names), texts=texts, files=files)


def _boundary(content_type: bytes) -> bytes:
    found = _TYPE.fullmatch(content_type.decode("latin-1").strip())
    if found is None:
        raise Refused(
            status=415,
            code="unsupported_media_type",
            message="This address takes a form: send content type multipart/form-data.",
            retry=False,
        )
    given = [value for name, value in _parameters(found[1] or "") or () if name == "boundary"]
    if len(given) != 1 or not _BOUNDARY.fullmatch(given[0]):
        raise bad_request("The content type names no usable boundary: 1 to 70 characters, as in RFC 2046.")
    return given[0].encode("latin-1")


def _parameters(text: str) -> list[tuple[str, str]] | None:
    """`; a=b; c="d"` -> its pairs, names in small letters; None where it is anything else."""
    found, at = [], 0
    while one := _PARAMETER.match(text, at):
        value = one[3] if one[2] is None else re.sub(r"\\(.)", r"\1", one[2])
        found.append((one[1].lower(), value))
        at = one.end()
    return found if text[at:].strip(" \t;") == "" else None


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(headers, start of the content, its end) of each part."""
    delimiter = b"--" + boundary
    at = body.find(delimiter)
    if at < 0 or body[:at].strip(b"\r\n"):
        raise bad_request("The form does not begin with its boundary.")
    if at and body[at - 2 : at] != b"\r\n":
        raise bad_request("The form does not begin with its boundary.")
    at += len(delimiter)
    for count in range(1, _PARTS + 2):
        if body.startswith(b"--", at):
            if body[at + 2 :].strip(b" \t\r\n"):
                raise bad_request("Something follows the end of the form.")
            if body.count(delimiter) != count:
                raise bad_request("The boundary of the form stands in one of its parts.")
            return
        line = body.find(b"\r\n", at, at + 256)
        if line < 0 or body[at:line].strip(b" \t"):
            raise bad_request("A boundary of the form is followed by something else than the end of its line.")
        start = line + 2
        blank = body.find(b"\r\n\r\n", line, start + _HEADERS)
        if blank < 0:
            raise bad_request("A part of the form has no end of its headers.")
        end = body.find(b"\r\n" + delimiter, blank + 4)
        if end < 0:
            raise bad_request("The form is cut short: its last boundary is missing.")
        yield body[start:blank], blank + 4, end
        at = end + 2 + len(delimiter)
    raise bad_request(f"The form has more than {_PARTS} parts.")


def _describe(headers: bytes) -> tuple[str, bool, bool]:
    """(name, whether it is a file, whether it is encoded) from a part's headers."""
    dispositions, encoded = [], False
    for line in headers.split(b"\r\n") if headers else ():
        key, colon, value = line.partition(b":")
        if not colon or key != key.strip() or not key or b"\n" in line or b"\r" in line:
            raise bad_request("A part of the form has a header that cannot be read.")
        if key.lower() == b"content-disposition":
            dispositions.append(value)
        elif key.lower() == b"content-transfer-encoding":
            encoded = value.strip().lower() not in (b"7bit", b"8bit", b"binary")
    try:
        text = dispositions[0].decode().strip() if len(dispositions) == 1 else ""
    except UnicodeDecodeError:
        text = ""
    found = _DISPOSITION.match(text)
    pairs = _parameters(text[found.end() :]) if found else None
    given = [value for name, value in pairs or () if name == "name"]
    if pairs is None or len(given) != 1 or any(name == "name*" for name, _ in pairs):
        raise bad_request("A part of the form does not say its one name in Content-Disposition.")
    return given[0], any(name.startswith("filename") for name, _ in pairs), encoded
