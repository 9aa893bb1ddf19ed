"""YAML 1.2 (core schema) to plain data with the place of every key and value, and every problem at once."""

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from pilotbase.domain.problem import Path, Problem, nearest
from pilotbase.spec.place import Fault, Position, show
from pilotbase.spec.scalar import Refused, resolve
from pilotbase.spec.syntax import explain

__all__ = ["Document", "read"]

MOST_BYTES = 1 << 20
MOST_NODES = 50_000
MOST_DEPTH = 50
MOST_ANCHORS = 10
MOST_EXPANSION = 10_000

_START = Position(1, 1)
_DIRECTIVE = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*%")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says. `keys` and `values` give the place of each path; `raw` the spelling of values that are not text.

    `faults` are the problems found so far; where `whole` is False, reading stopped at one of them and `data` is only a part.
    `lost` are the paths whose value could not be read and stands as None.
    """

    file: str
    data: Any
    keys: Mapping[Path, Position]
    values: Mapping[Path, Position]
    raw: Mapping[Path, str]
    faults: tuple[Fault, ...]
    whole: bool
    lost: frozenset[Path] = frozenset()

    def fault(self, problem: Problem, *, key: bool = False) -> Fault:
        """Place a problem: at the value of its path (or, with `key`, at the key), else at the nearest thing around it."""
        path = problem.path
        while path:
            position = (self.keys.get(path) if key else None) or self.values.get(path)
            if position is not None:
                return Fault(self.file, position, problem.path, problem.message, problem.hint)
            path, key = path[:-1], True
        return Fault(self.file, self.values.get((), _START), problem.path, problem.message, problem.hint)


def read(raw: bytes, file: str) -> Document:
    """Read one YAML document. Never raises for what the bytes say; time and memory are bounded by the limits above."""
    if len(raw) > MOST_BYTES:
        return _nothing(file, _START, f"the file is larger than {MOST_BYTES} bytes (1 MiB)", "keep cases in a data file")
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _nothing(file, _START, "the file is UTF-16", "save it as UTF-8")
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        found = f"byte {error.start} (0x{raw[error.start]:02x}) is not UTF-8"
        return _nothing(file, _place(before, len(before)), found, "save the file as UTF-8")
    strange = [
        Fault(file, _place(text, m.start()), (), f"the character U+{ord(m[0]):04X} is not allowed in YAML", "remove it")
        for m, _ in zip(_UNPRINTABLE.finditer(text), range(20), strict=False)
    ]
    if strange:
        return Document(file, None, {}, {}, {}, tuple(strange), False)
    directive = _DIRECTIVE.match(text)
    if directive:
        found = "directives (`%`) are not allowed"
        return _nothing(file, _place(text, directive.end() - 1), found, "remove the line; the file is read as YAML 1.2")
    return _Reading(file).document(text)


def _place(text: str, index: int) -> Position:
    lines = re.split(r"\r\n|\n|\r", text[:index])
    return Position(len(lines), len(lines[-1]) + 1)


def _nothing(file: str, position: Position, message: str, hint: str) -> Document:
    return Document(file, None, {}, {}, {}, (Fault(file, position, (), message, hint),), False)


@dataclass(slots=True)
class _Node:
    """`items` of a sequence are nodes, of a mapping keys and values in turn. `size` and `height` count aliases expanded."""

    position: Position
    items: list["_Node"] | None = None
    mapping: bool = False
    value: Any = None
    plain: str | None = None
    problems: list[Problem] = field(default_factory=list)
    size: int = 1
    height: int = 1
    open: bool = False


class _StopError(Exception):
    """Reading cannot go on."""


class _Reading:
    """One pass over the parser's events: ruamel's own composer recurses, resolves by YAML 1.1 and stops at one error."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self.root: _Node | None = None
        self.stack: list[_Node] = []
        self.anchors: dict[str, _Node] = {}
        self.anchored = self.nodes = self.expanded = self.documents = 0
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self.raw: dict[Path, str] = {}
        self.lost: set[Path] = set()

    def document(self, text: str) -> Document:
        whole = True
        try:
            for event in self._events(text):
                self._take(event)
        except _StopError:
            whole = False
        if self.root is None and whole:
            self._fault(_START, "the file is empty", "`pilotbase init DIR` writes one to start from")
            whole = False
        while self.stack:
            self._close()
        data = self._plain(self.root, ()) if self.root is not None else None
        faults = tuple(dict.fromkeys(self.faults))
        return Document(self.file, data, self.keys, self.values, self.raw, faults, whole, frozenset(self.lost))

    def _events(self, text: str) -> Iterator[Any]:
        reader = YAML(typ="safe", pure=True)
        try:
            _, parser = reader.get_constructor_parser(text)
            while parser.check_event():
                yield parser.get_event()
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            position = Position(mark.line + 1, mark.column + 1) if mark is not None else _START
            opened = error.context_mark and Position(error.context_mark.line + 1, error.context_mark.column + 1)
            self._fault(position, *explain(error.context, error.problem, opened))
            raise _StopError from None
        except (YAMLError, ValueError, OverflowError, IndexError):
            # ruamel lets Python's own errors through, as for the escape "\UFFFFFFFF".
            position = Position(reader.reader.line + 1, reader.reader.column + 1)
            self._fault(position, "the YAML cannot be read here", "look at the quotes and escapes around it")
            raise _StopError from None

    def _fault(self, position: Position, message: str, hint: str | None = None) -> None:
        self.faults.append(Fault(self.file, position, (), message, hint))

    def _stop(self, position: Position, message: str, hint: str | None = None) -> None:
        self._fault(position, message, hint)
        raise _StopError

    def _take(self, event: Any) -> None:
        at = Position(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self._stop(at, "a second document starts here", "a file holds one document; remove `---` or `...`")
        elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            self._close()
        elif isinstance(event, AliasEvent):
            self._add(self._alias(event.anchor, at))
        elif isinstance(event, (ScalarEvent, MappingStartEvent, SequenceStartEvent)):
            self._node(event, at)

    def _node(self, event: Any, at: Position) -> None:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            self._stop(at, f"the file has more than {MOST_NODES} values", "keep cases in a data file")
        above = self.stack[-1] if self.stack else None
        if (
            above is not None
            and above.mapping
            and above.items
            and len(above.items) % 2
            and event.start_mark.index == event.end_mark.index
        ):
            at = above.items[-1].position  # an empty value is marked where the next thing starts; its key is nearer
        node = _Node(at)
        if event.tag is not None:
            hint = "remove it; quote a value to make it text"
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            node.problems.append(Problem((), f"the tag `{show(tag)}` is not allowed", hint))
        if event.anchor is not None:
            self._anchor(event.anchor, node)
        if isinstance(event, ScalarEvent):
            _fill(node, event)
            self._add(node)
            return
        if len(self.stack) >= MOST_DEPTH:
            self._stop(at, f"the file is nested more than {MOST_DEPTH} deep", "no part of a pilot needs that")
        node.items, node.mapping, node.open = [], isinstance(event, MappingStartEvent), True
        self.stack.append(node)

    def _anchor(self, name: str, node: _Node) -> None:
        self.anchored += 1
        if self.anchored == MOST_ANCHORS + 1:
            self._stop(node.position, f"more than {MOST_ANCHORS} anchors (`&`)", "write the values out")
        if name in self.anchors:
            node.problems.append(Problem((), f"the anchor `&{show(name)}` is used twice", "rename one"))
        self.anchors[name] = node

    def _alias(self, name: str, at: Position) -> _Node:
        """The anchored node itself, or an empty one with the problem."""
        target = self.anchors.get(name)
        if target is None:
            near = nearest(name, self.anchors)
            hint = f"did you mean `*{near}`" if near else "anchor a value with `&` first, or quote the text"
            return _Node(at, problems=[Problem((), f"`*{show(name)}` names no anchor above", hint)])
        if target.open:
            return _Node(at, problems=[Problem((), f"`*{show(name)}` stands within itself", "write the values out")])
        self.expanded += target.size
        if self.expanded > MOST_EXPANSION:
            self._stop(at, f"the aliases (`*`) expand to more than {MOST_EXPANSION} values", "write the values out")
        if len(self.stack) + target.height > MOST_DEPTH:
            self._stop(at, f"the aliases (`*`) nest more than {MOST_DEPTH} deep", "write the values out")
        return target

    def _add(self, node: _Node) -> None:
        if not self.stack:
            self.root = node
            return
        above = self.stack[-1]
        assert above.items is not None
        above.items.append(node)
        above.size += node.size
        above.height = max(above.height, node.height + 1)

    def _close(self) -> None:
        node = self.stack.pop()
        node.open = False
        self._add(node)

    def _plain(self, node: _Node, path: Path) -> Any:
        """The node as data, its places noted. Recursion is bounded by MOST_DEPTH."""
        self.values[path] = node.position
        self._report(node, path)
        if node.items is None:
            if node.problems:
                self.lost.add(path)
            if node.plain is not None and not isinstance(node.value, str):
                self.raw[path] = node.plain
            return node.value
        if not node.mapping:
            return [self._plain(item, (*path, i)) for i, item in enumerate(node.items)]
        data: dict[str, Any] = {}
        for key, value in zip(node.items[::2], node.items[1::2], strict=False):
            name = self._key(key, path)
            if name is None:
                continue
            here = (*path, name)
            if name in data:
                first = self.keys[here]
                twice = Problem(here, f"`{show(name)}` is written twice", f"the first is at line {first.line}; keep one")
                self.faults.append(Fault(self.file, key.position, here, twice.message, twice.hint))
                continue
            self.keys[here] = key.position
            data[name] = self._plain(value, here)
        return data

    def _report(self, node: _Node, path: Path) -> None:
        self.faults += [Fault(self.file, node.position, path, p.message, p.hint) for p in node.problems]

    def _key(self, key: _Node, path: Path) -> str | None:
        self._report(key, path)
        if key.problems:
            return None
        if key.items is not None:
            found = "a mapping" if key.mapping else "a list"
            key.problems.append(Problem((), f"a key is {found}", "keys are text"))
        elif not key.plain and key.value is None:
            key.problems.append(Problem((), "a key is empty", "name it"))
        elif not isinstance(key.value, str):
            key.problems.append(Problem((), f"the key `{show(key.plain)}` is not text", f'quote it: "{show(key.plain)}"'))
        elif key.plain == "<<":
            key.problems.append(Problem((), "merge keys (`<<`) are not part of YAML 1.2", "write the values out"))
        else:
            return key.value
        self._report(key, path)
        return None


def _fill(node: _Node, event: Any) -> None:
    text = event.value
    if any("\ud800" <= c <= "\udfff" for c in text):
        try:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            node.problems.append(Problem((), "half of a surrogate pair is no character", "write the character itself"))
            text = ""
    if not event.implicit[0]:
        node.value = text
        return
    node.plain = text
    node.value = resolve(text)
    if isinstance(node.value, Refused):
        node.problems.append(Problem((), node.value.message, node.value.hint))
        node.value = None
