"""The guards that are built in: thin wrappers over `detect`, and a model over HTTP. Each `kind` below is an entry point."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pilotbase.detect import pii as personal
from pilotbase.detect.keywords import Keywords, read_keywords
from pilotbase.detect.language import Script, share
from pilotbase.domain.problem import CONFIG, Problem
from pilotbase.domain.quantity import parse_duration
from pilotbase.errors import UserError
from pilotbase.gateway.remote_guard import HttpGuard
from pilotbase.ports import Finding, Phase, Secrets

__all__ = [
    "HttpOptions",
    "KeywordOptions",
    "KeywordsGuard",
    "LanguageGuard",
    "LanguageOptions",
    "LengthGuard",
    "LengthOptions",
    "PiiGuard",
    "PiiOptions",
    "http",
    "keywords",
    "language",
    "length",
    "pii",
]

LARGEST_LIST = 16 * 1024 * 1024
_USUAL: tuple[personal.Kind, ...] = ("id-number", "bank-card", "mobile", "passport", "plate", "email")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordOptions:
    """`file`: the list, one word a line (see `detect.keywords`)."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    file: str


class KeywordsGuard:
    """Finds the words of a list. A rule is `line-N`: the word's line in its file, so that no record repeats the word."""

    name = "keywords"

    def __init__(self, words: Sequence[tuple[int, str]], repairs: Sequence[str] = ()) -> None:
        self._keywords = Keywords(words)
        self.reach = self._keywords.reach
        self.repairs = tuple(repairs)

    def inspect(self, text: str, phase: Phase) -> list[Finding]:
        return [
            Finding(guard=self.name, rule=f"line-{hit.line}", start=hit.start, end=hit.end) for hit in self._keywords.find(text)
        ]

    def inspect_part(self, text: str, phase: Phase, before: int) -> list[Finding]:
        return self.inspect(text, phase)

    def settled(self, text: str, phase: Phase, before: int) -> int:
        return self._keywords.open_from(text)


class _Keywords:
    """The entry point `keywords`."""

    name = "keywords"
    options = KeywordOptions

    def build(self, options: KeywordOptions, folder: Path, secrets: Secrets) -> KeywordsGuard:
        path = folder / options.file
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST_LIST + 1)
        except OSError as error:
            message = f"the keyword list cannot be read: {error.strerror or 'unknown reason'}"
            raise UserError(message, where=str(path), hint="check `file` of the guard `keywords`") from None
        if len(data) > LARGEST_LIST:
            raise UserError("the keyword list is larger than 16 MiB", where=str(path), hint="split it over several guards")
        found = read_keywords(data, str(path))
        return KeywordsGuard(found.words, found.repairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class PiiOptions:
    """`kinds` of personal data to look for (see `detect.pii`). Codes of organisations, IP addresses, and American numbers are not
    among the usual ones."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    kinds: tuple[personal.Kind, ...] = _USUAL

    def problems(self) -> Iterator[Problem]:
        if not self.kinds:
            yield Problem(("kinds",), "no kind is named", f"name some of: {', '.join(personal.KINDS)}")


class PiiGuard:
    """Finds personal data. A rule is its kind; the mask names the kind in the reader's language."""

    name = "pii"

    def __init__(self, kinds: Sequence[personal.Kind] = _USUAL) -> None:
        self._kinds = frozenset(kinds)
        self.reach = personal.reach(self._kinds)

    def inspect(self, text: str, phase: Phase) -> list[Finding]:
        return [
            Finding(guard=self.name, rule=one.kind, start=one.start, end=one.end, mask=personal.MASKS[one.kind])
            for one in personal.find(text, self._kinds)
        ]

    def inspect_part(self, text: str, phase: Phase, before: int) -> list[Finding]:
        return self.inspect(text, phase)

    def settled(self, text: str, phase: Phase, before: int) -> int:
        tail = text[-2 * self.reach :]
        return len(text) - len(tail) + personal.open_from(tail)


class _Pii:
    """The entry point `pii`."""

    name = "pii"
    options = PiiOptions

    def build(self, options: PiiOptions, folder: Path, secrets: Secrets) -> PiiGuard:
        return PiiGuard(options.kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthOptions:
    """The most characters: `input` of all texts of a request together, `output` of each answer's text."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    input: int | None = None
    output: int | None = None

    def problems(self) -> Iterator[Problem]:
        if self.input is None and self.output is None:
            yield Problem(("input",), "no limit is given", "write `input`, `output`, or both")
        for word, most in (("input", self.input), ("output", self.output)):
            if most is not None and not 1 <= most <= 1_000_000_000:
                yield Problem((word,), f"{most} is out of range", "use 1 to 1000000000")


class LengthGuard:
    """Finds the first character beyond a limit."""

    name = "length"
    reach = 1
    masks = False
    total = True

    def __init__(self, options: LengthOptions) -> None:
        self._most = {"input": options.input, "output": options.output}

    def inspect(self, text: str, phase: Phase) -> list[Finding]:
        return self.inspect_part(text, phase, 0)

    def inspect_part(self, text: str, phase: Phase, before: int) -> list[Finding]:
        most = self._most[phase]
        place = 0 if most is None else most - before
        if most is None or not 0 <= place < len(text):
            return []
        return [Finding(guard=self.name, rule=f"most-{most}", start=place, end=place + 1)]

    def settled(self, text: str, phase: Phase, before: int) -> int:
        return len(text)


class _Length:
    """The entry point `length`."""

    name = "length"
    options = LengthOptions

    def build(self, options: LengthOptions, folder: Path, secrets: Secrets) -> LengthGuard:
        return LengthGuard(options)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageOptions:
    """Scripts that are allowed, and the least share of letters in them, judged in windows of `window` characters.

    A window with fewer than `letters` letters is not judged: a name or a formula says nothing about a language.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    scripts: tuple[Script, ...]
    share: float = 0.5
    window: int = 200
    letters: int = 20

    def problems(self) -> Iterator[Problem]:
        if not self.scripts:
            yield Problem(("scripts",), "no script is named", "name at least one, as `han`")
        if not 0.0 < self.share <= 1.0:
            yield Problem(("share",), f"{self.share} is out of range", "use a share above 0, at most 1")
        if not 20 <= self.window <= 100_000:
            yield Problem(("window",), f"{self.window} is out of range", "use 20 to 100000 characters")
        if not 1 <= self.letters <= self.window:
            yield Problem(("letters",), f"{self.letters} is out of range", "use 1 to the size of the window")


class LanguageGuard:
    """Finds windows written in other scripts. Windows are counted from the start of each text; the last one may be shorter."""

    name = "language"
    masks = False

    def __init__(self, options: LanguageOptions) -> None:
        self._options = options
        self.reach = options.window

    def inspect(self, text: str, phase: Phase) -> list[Finding]:
        return self.inspect_part(text, phase, 0)

    def inspect_part(self, text: str, phase: Phase, before: int) -> list[Finding]:
        window = self._options.window
        found: list[Finding] = []
        for start in range(-before % window, len(text), window):
            part = text[start : start + window]
            allowed, letters = share(part, self._options.scripts)
            if letters >= self._options.letters and allowed < self._options.share:
                rule = "not-" + "-".join(self._options.scripts)
                found.append(Finding(guard=self.name, rule=rule, start=start, end=start + len(part)))
        return found

    def settled(self, text: str, phase: Phase, before: int) -> int:
        return max(0, len(text) - (before + len(text)) % self._options.window)


class _Language:
    """The entry point `language`."""

    name = "language"
    options = LanguageOptions

    def build(self, options: LanguageOptions, folder: Path, secrets: Secrets) -> LanguageGuard:
        return LanguageGuard(options)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """A model guard: where it answers (`url`, or `url-env`, the variable that holds it), its key's variable, and its time limit.

    `fail-open`: whether a text passes when no judgement came in time. `window`: output is judged in pieces of at most so many
    characters, cut at the ends of sentences; 0 holds the whole answer back and judges it once.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    url: str | None = None
    url_env: str | None = None
    key_env: str | None = None
    name: str = "http"
    timeout: str = "2s"
    fail_open: bool = False
    window: int = 0

    def problems(self) -> Iterator[Problem]:
        if (self.url is None) == (self.url_env is None):
            found = "neither" if self.url is None else "both"
            yield Problem(("url",), f"{found} of `url` and `url-env` is given", "write `url`, or the variable that holds it")
        if self.url is not None and not _is_address(self.url):
            yield Problem(("url",), "no usable http(s) address", "write it without user, password or query")
        for word, variable in (("url-env", self.url_env), ("key-env", self.key_env)):
            if variable is not None and not _VARIABLE.fullmatch(variable):
                yield Problem((word,), "not the name of an environment variable", "name the variable; no secret stands here")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", self.name):
            yield Problem(("name",), "not a name", "use letters, digits, `.`, `_`, `-`, at most 64")
        if self.window and not 20 <= self.window <= 100_000:
            yield Problem(("window",), f"{self.window} is out of range", "use 0, or 20 to 100000 characters")
        try:
            seconds = parse_duration(self.timeout)
        except ValueError as error:
            yield Problem(("timeout",), str(error))
        else:
            if not 0 < seconds <= 120:
                yield Problem(("timeout",), f"{self.timeout} is out of range", "use up to 120s")


class _Http:
    """The entry point `http`."""

    name = "http"
    options = HttpOptions

    def build(self, options: HttpOptions, folder: Path, secrets: Secrets) -> HttpGuard:
        url = options.url if options.url_env is None else secrets(options.url_env)
        if not url or not _is_address(url):
            raise UserError(f"the variable `{options.url_env}` holds no http(s) address", hint="set it to the model's address")
        key = None if options.key_env is None else secrets(options.key_env)
        if options.key_env is not None and not key:
            raise UserError(f"the variable `{options.key_env}` is not set", hint="set it to the model's key")
        seconds = parse_duration(options.timeout)
        return HttpGuard(name=options.name, url=url, key=key, timeout=seconds, fail_open=options.fail_open, window=options.window)


def _is_address(url: str) -> bool:
    return re.fullmatch(r"https?://[^/?#@\s]+(?:/[^\s?#]*)?", url) is not None


keywords = _Keywords()
pii = _Pii()
length = _Length()
language = _Language()
http = _Http()
