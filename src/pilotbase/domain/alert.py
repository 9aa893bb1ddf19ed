"""Alerts: what went wrong, on what evidence, in two languages; and the channels that tell people of it."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, get_args

from pilotbase.domain.canonical import canonical, digest
from pilotbase.domain.problem import CONFIG, Problem, kebab
from pilotbase.domain.severity import SEVERITIES

__all__ = ["Alert", "Channel", "Kind", "Outcome", "clean_line", "parse_server", "read_alert", "read_channel"]

Kind = Literal[
    "failing-check", "worse", "burn", "missing-evidence", "limit", "drift", "breaker", "feedback", "controller", "operator",
    "held-back",
]  # fmt: skip
"""`held-back` is the summary of alerts that a channel was spared; everything else is a cause."""

TITLE = 200
LONGEST_TEXT = 500
MOST_ENTRIES = 50
DEEPEST = 4
LARGEST = 16_000  # bytes; the Standard Webhooks specification advises bodies under 20 kB

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_URL = re.compile(r"https?://[^/?#@\s\\]+(?:/[^\s?#]*)?")
_MAIL_WORDS = ("smtp", "from_", "user_env", "password_env")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One warning. `severity` runs from 1 (worst) to 4. `route`, `release` and `check` are names, "" where there is none.

    `about` tells causes apart that share all of these: the feature that drifts, the limit that was reached. `evidence` is what
    it rests on, in JSON's types: where a check fired `value`, `low`, `high`, `n`, `require`, `method`, `window`. `first_bad` is
    the first request that showed it, where one can be named. Raises ValueError for an unknown kind or severity.
    """

    kind: Kind
    severity: int
    route: str
    title: str
    title_zh: str = ""
    release: str = ""
    check: str = ""
    about: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    first_bad: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"`{self.kind}` is no kind of alert; use one of {', '.join(get_args(Kind))}")
        if self.severity not in SEVERITIES:
            raise ValueError(f"{self.severity} is no severity; use 1 (worst) to 4")

    @property
    def same(self) -> str:
        """Its cause: alerts that share it are one alert, raised several times. Neither severity nor evidence is in it."""
        words = (self.kind, self.route, self.release, self.check, self.about)
        return canonical([clean_line(word) for word in words]).decode()

    def document(self) -> dict[str, Any]:
        """It as JSON's types, whatever it was made of: texts on one line, numbers finite or null, at most about 16 kB.

        Nothing is refused here: an alert that cannot be raised would hold up the rollback that raises it.
        """
        return {
            "kind": self.kind,
            "severity": int(self.severity),
            "route": clean_line(self.route),
            "release": clean_line(self.release),
            "check": clean_line(self.check),
            "about": clean_line(self.about),
            "title": clean_line(self.title, TITLE),
            "title-zh": clean_line(self.title_zh, TITLE),
            "evidence": _fitting(self.evidence),
            "first-bad": clean_line(self.first_bad),
        }


def read_alert(document: Mapping[str, Any]) -> Alert:
    """The alert that `document()` wrote; further words are passed over."""
    words = ("kind", "severity", "route", "release", "check", "about", "title", "title-zh", "evidence", "first-bad")
    return Alert(**{word.replace("-", "_"): document[word] for word in words if word in document})


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A way to tell people: one of `log`, `webhook` and `email`.

    A webhook is signed with the key in the variable `key_env`. Mail goes through the server `smtp` (`host:port`), as `from_`,
    with the name and password in two variables where it asks for them; `tls` is how it is encrypted. Secrets are named here and
    never stand here.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    log: bool = False
    webhook: str | None = None
    key_env: str | None = None
    email: tuple[str, ...] = ()
    smtp: str | None = None
    from_: str | None = None
    user_env: str | None = None
    password_env: str | None = None
    tls: Literal["starttls", "tls", "none"] = "starttls"

    @property
    def kind(self) -> Literal["log", "webhook", "email"]:
        return "webhook" if self.webhook is not None else "email" if self.email else "log"

    @property
    def name(self) -> str:
        """What records and messages call it: no address is in it but the host's, for paths and names may be confidential."""
        if self.kind == "log":
            return "log"
        host = re.sub(r"^https?://([^/]*).*$", r"\1", self.webhook) if self.webhook is not None else self.smtp or ""
        return f"{self.kind} {clean_line(host, 80)} {digest(self.document())[7:15]}"

    def document(self) -> dict[str, Any]:
        """It as a plan spells it, without what is left at its default."""
        words: dict[str, Any] = {"log": self.log or None, "webhook": self.webhook, "email": list(self.email) or None}
        for word in ("key_env", *_MAIL_WORDS):
            words[kebab(word)] = getattr(self, word)
        words["tls"] = self.tls if self.tls != "starttls" else None
        return {word: value for word, value in words.items() if value is not None}

    def problems(self) -> Iterator[Problem]:
        ways = [
            w for w, there in (("log", self.log), ("webhook", self.webhook is not None), ("email", bool(self.email))) if there
        ]
        if len(ways) != 1:
            message = f"{' and '.join(ways)} in one channel" if ways else "a channel without a way to tell anybody"
            yield Problem(
                (), message, "write one of `log: true`, `webhook: URL`, `email: [ADDRESS]`; several channels are a list"
            )
            return
        for word in ("key_env", "user_env", "password_env"):
            value = getattr(self, word)
            if value is not None and not _VARIABLE.fullmatch(value):
                hint = "name the variable; the secret itself never stands here"
                yield Problem((kebab(word),), "not the name of an environment variable", hint)
        yield from self._strange()
        if self.webhook is not None:
            yield from self._webhook_problems()
        if self.email:
            yield from self._mail_problems()

    def _strange(self) -> Iterator[Problem]:
        """Words that belong to another kind of channel."""
        for word in ("key_env",) if self.kind != "webhook" else ():
            if getattr(self, word) is not None:
                yield Problem((kebab(word),), f"a channel of kind `{self.kind}` has no `{kebab(word)}`", "leave it out")
        for word in _MAIL_WORDS if self.kind != "email" else ():
            if getattr(self, word) is not None:
                yield Problem((kebab(word),), f"a channel of kind `{self.kind}` has no `{kebab(word)}`", "leave it out")
        if self.kind != "email" and self.tls != "starttls":
            yield Problem(("tls",), f"a channel of kind `{self.kind}` has no `tls`", "leave it out; a webhook's is in its URL")

    def _webhook_problems(self) -> Iterator[Problem]:
        if not _URL.fullmatch(self.webhook or ""):
            hint = "write it as in `https://example.org/alerts`, without user, password or query: no secret stands here"
            yield Problem(("webhook",), "no usable http(s) address is given", hint)
        if self.key_env is None:
            hint = "name the variable that holds the `whsec_...` key which the receiver has too"
            yield Problem(("key-env",), "a webhook is signed, and no key is named", hint)

    def _mail_problems(self) -> Iterator[Problem]:
        for i, address in enumerate(self.email):
            if not _ADDRESS.fullmatch(address):
                yield Problem(("email", i), f"`{clean_line(address, 60)}` is no address", "write NAME@DOMAIN in plain ASCII")
        if self.from_ is None or not _ADDRESS.fullmatch(self.from_):
            yield Problem(("from",), "no usable sender is given", "write NAME@DOMAIN in plain ASCII")
        host = None
        try:
            host, _ = parse_server(self.smtp or "")
        except ValueError as error:
            yield Problem(("smtp",), str(error))
        if (self.user_env is None) != (self.password_env is None):
            missing = "user-env" if self.user_env is None else "password-env"
            yield Problem((missing,), "a name and a password go together", "name both variables, or neither")
        if self.tls == "none" and self.password_env is not None and host is not None and not _local(host):
            hint = "use `tls: starttls` or `tls: tls`; `none` with a password is for a server on this machine"
            yield Problem(("tls",), "a password would cross the network unencrypted", hint)


def read_channel(document: Mapping[str, Any]) -> Channel:
    """The channel that `document()` wrote; further words are passed over."""
    fields = {kebab(name): name for name in ("log", "webhook", "key_env", "email", *_MAIL_WORDS, "tls")}
    found = {fields[word]: value for word, value in document.items() if word in fields}
    return Channel(**(found | {"email": tuple(found.get("email") or ())}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one try to tell a channel.

    `gone`: the receiver wants no more of it. `after`: seconds that it asked to be left alone. `said` is in our own words: what a
    server answers may repeat a secret.
    """

    result: Literal["delivered", "failed", "gone"]
    said: str = ""
    after: float | None = None


def parse_server(text: str) -> tuple[str, int]:
    """`mail.example.org:587`, `[::1]:25` -> (host, port 1-65535). Raises ValueError with what is allowed."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})))(?::(\d{1,5}))", text)
    if match is None or not 0 < int(match[3]) < 65536:
        raise ValueError(f"`{clean_line(text, 80)}` is no mail server; write HOST:PORT, as in `mail.example.org:587`")
    return match[1] or match[2], int(match[3])


def clean_line(text: object, most: int = LONGEST_TEXT) -> str:
    """A text on one line: unprintable characters, line ends and lone surrogates become single spaces, and the end is cut."""
    words = "".join(c if c.isprintable() else " " for c in str(text)[: 4 * most]).split()
    line = " ".join(words)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _fitting(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Evidence in JSON's types; entries that would make it too large are left out and named."""
    kept: dict[str, Any] = {}
    left, size = [], 0
    for word, value in evidence.items():
        plain = _plain(value, DEEPEST)
        size += len(canonical([clean_line(word), plain]))
        if size <= LARGEST and len(kept) < MOST_ENTRIES:
            kept[clean_line(word, 80)] = plain
        else:
            left.append(clean_line(word, 80))
    return kept | ({"left-out": left[:MOST_ENTRIES]} if left else {})


def _plain(value: Any, deep: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        # JSON has no limit, but receivers read 64 bits.
        return int(value) if abs(int(value)) < 2**63 else clean_line(value)
    if isinstance(value, Real):
        try:
            return float(value) if math.isfinite(float(value)) else None
        except OverflowError:
            return None
    if deep and isinstance(value, Mapping):
        return {clean_line(key, 80): _plain(item, deep - 1) for key, item in list(value.items())[:MOST_ENTRIES]}
    if deep and isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        return [_plain(item, deep - 1) for item in value[:MOST_ENTRIES]]
    return clean_line(value)
