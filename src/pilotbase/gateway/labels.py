"""The labels of a route's answers (GB 45438-2025): beside the content in a header and a member, and inside it where asked.

Never doubled: a member `AIGC`, a front matter or explicit words that an upstream has put there stay the only ones. Answers that
must be JSON get no words inside, because they would be none any more.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilotbase.detect import aigc_label
from pilotbase.domain.traffic import Labels
from pilotbase.errors import UserError
from pilotbase.gateway.answers import Header
from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.lenient import parse, write

__all__ = ["GENERATED", "Mark", "Wording", "insert_member", "mark", "responses_texts"]

GENERATED: frozenset[Kind] = frozenset(
    ("chat", "completions", "responses", "speech", "images", "image-edits", "image-variations")
)
"""The kinds of endpoint whose answers are generated content. Transcripts, vectors, scores and tensors are not labelled."""
WORDED: frozenset[Kind] = frozenset(("chat", "completions", "responses"))
_OUTSIDE = re.compile(r"[^\x21\x23-\x5b\x5d-\x7e]")
_LONGEST_FRONT = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What goes inside a text: `front`, a front matter (or empty), and `words` for the reader (or empty) at their place."""

    front: str
    words: str
    at_end: bool

    def __bool__(self) -> bool:
        return bool(self.front or self.words)

    def undecided(self, head: str) -> bool:
        """Whether more of a text must be seen before one knows what it lacks at its start."""
        rest = aigc_label.behind_front_matter(head)
        if rest is not None:
            return bool(self.words) and not self.at_end and (not rest.strip() or self._may_start(rest))
        if head.startswith("---"[: len(head)]):
            return len(head) < _LONGEST_FRONT
        return bool(self.words) and not self.at_end and self._may_start(head)

    def before(self, head: str) -> str:
        """What goes before a text that begins with `head`."""
        if aigc_label.behind_front_matter(head) is not None:
            return ""
        words = "" if self.at_end or self._begins(head) else self.words
        return self.front + (f"{words}\n\n" if words else "")

    def after(self, head: str, tail: str) -> str:
        """What goes behind a text that begins with `head` and ends with `tail` (its last `aigc_label.TAIL` characters).

        Where a text has its own front matter, which must stay first, the words go to its end.
        """
        rest = aigc_label.behind_front_matter(head)
        if not self.words or not (self.at_end or (rest is not None and not self._begins(rest))):
            return ""
        return "" if tail.rstrip().endswith(self.words) or aigc_label.ends_labelled(tail) else f"\n\n{self.words}"

    def put(self, text: str) -> str:
        """A whole text with what it lacks; an empty one as it is."""
        if not text:
            return text
        head = text[:_LONGEST_FRONT]
        return self.before(head) + text + self.after(head, text[-aigc_label.TAIL :])

    def _begins(self, text: str) -> bool:
        return text.lstrip().startswith(self.words) or aigc_label.starts_labelled(text)

    def _may_start(self, head: str) -> bool:
        bare = head.lstrip()
        return aigc_label.may_start_labelled(head) or (len(bare) < len(self.words) and self.words.startswith(bare))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The label of one answer."""

    kind: Kind
    label: dict[str, str]
    header: bool
    metadata: bool
    wording: Wording

    def headers(self) -> list[Header]:
        """The header of the answer, if the route wants it."""
        return [(aigc_label.HEADER, aigc_label.header_value(self.label))] if self.header else []

    def document(self, body: bytes) -> bytes:
        """A whole answer in JSON with its label. Anything else, and an error, is handed back as it is.

        Without words inside, the bytes stay and one member is added behind the others.
        """
        if not self.metadata and not self.wording:
            return body
        document = _document(body)
        if not isinstance(document, dict) or document.get("error"):
            return body
        if self.wording and self._word(document):
            body = write(document)
        return insert_member(body, self.label) if self.metadata and aigc_label.KEY not in document else body

    def _word(self, document: dict[str, Any]) -> bool:
        changed = False
        for holder, name in _texts(self.kind, document):
            fresh = self.wording.put(holder[name])
            changed = changed or fresh != holder[name]
            holder[name] = fresh
        return changed


def mark(labels: Labels, kind: Kind, content: str, moment: datetime, *, structured: bool = False) -> Mark | None:
    """The label of one answer; None for a kind that is not generated content.

    `content` is the answer's id (the request's), made unique over time by the `moment`; characters that a label may not hold are
    replaced. `structured`: the caller asked for JSON. Raises UserError where the route's provider code is wrong.
    """
    if kind not in GENERATED:
        return None
    written = f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}-{_OUTSIDE.sub('_', content)[:200]}"
    try:
        label = aigc_label.build(labels.producer, written)
    except ValueError as error:
        raise UserError(f"the label of this route is wrong: {error}", where="labels.producer", hint=_HINT) from None
    inside = kind in WORDED and not structured
    return Mark(
        kind=kind,
        label=label,
        header=labels.header,
        metadata=labels.metadata and kind != "speech",
        wording=Wording(
            front=aigc_label.front_matter(label) if inside and labels.content else "",
            words=(labels.explicit or "") if inside else "",
            at_end=labels.place == "end",
        ),
    )


_HINT = "27 characters: 00, 11, the unified social credit code (18), and 5 of your own, such as 00000"


def _document(data: bytes) -> Any:
    """A document to be labelled; None where it is none."""
    try:
        return parse(data)
    except ValueError:
        return None


def insert_member(body: bytes, label: dict[str, str]) -> bytes:
    """The label as the last member of the JSON object in `body`; no other byte moves. What stands behind the object stays."""
    close = body.rfind(b"}")
    if close < 0:
        return body
    comma = b"" if body[:close].rstrip().endswith(b"{") else b","
    return body[:close] + comma + aigc_label.member(label) + body[close:]


def responses_texts(items: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """(holder, key) of every text that a list of output items shows to a reader."""
    for item in items if isinstance(items, list) else ():
        parts = item.get("content") if isinstance(item, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and part.get("type") == "output_text" and isinstance(part.get("text"), str):
                yield part, "text"


def _texts(kind: Kind, document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    if kind == "responses":
        yield from responses_texts(document.get("output"))
        return
    choices: Sequence[Any] = document["choices"] if isinstance(document.get("choices"), list) else ()
    for choice in choices:
        holder = choice.get("message") if kind == "chat" and isinstance(choice, dict) else choice
        name = "content" if kind == "chat" else "text"
        if isinstance(holder, dict) and isinstance(holder.get(name), str):
            yield holder, name
