"""Routes: a public model name, who answers under it, at what price, and by which rules."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pilotbase.domain.price import Price
from pilotbase.domain.problem import CONFIG, Problem
from pilotbase.domain.quantity import parse_duration

__all__ = ["Arm", "GuardUse", "Labels", "Limits", "Preamble", "Route", "Tie", "Timeouts", "Upstream"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long one attempt may take: to connect, to the first byte of the answer, between two bytes, and in all."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    connect: str = "5s"
    first_byte: str = "120s"
    idle: str = "60s"
    total: str = "600s"

    def seconds(self) -> tuple[float, float, float, float]:
        """(connect, first byte, idle, total) in seconds."""
        return (
            parse_duration(self.connect),
            parse_duration(self.first_byte),
            parse_duration(self.idle),
            parse_duration(self.total),
        )

    def problems(self) -> Iterator[Problem]:
        for word in ("connect", "first_byte", "idle", "total"):
            try:
                parse_duration(getattr(self, word))
            except ValueError as error:
                yield Problem((word.replace("_", "-"),), str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one upstream is asked at once: requests under way, requests waiting for a place, and how long they wait."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    concurrency: int = 256
    queue: int = 512
    wait: str = "10s"

    def problems(self) -> Iterator[Problem]:
        if not 1 <= self.concurrency <= 100_000:
            yield Problem(("concurrency",), f"{self.concurrency} is out of range", "use 1 to 100000")
        if not 0 <= self.queue <= 1_000_000:
            yield Problem(("queue",), f"{self.queue} is out of range", "use 0 to 1000000")
        try:
            parse_duration(self.wait)
        except ValueError as error:
            yield Problem(("wait",), str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preamble:
    """A fixed message that stands before a client's own: the part of a candidate's prompt that was tried with it."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    role: Literal["system", "user", "assistant", "developer"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Who answers: an OpenAI-compatible address (`openai`), an Open Inference Protocol one (`v2`), or a target of the spine.

    `model` is its own name for the model where that is another than the route's; `key_env` names the variable that holds its
    key. `weight` shares the traffic of one `tier`; a higher tier is asked only when the lower ones failed. `on_disconnect`:
    whether a client that went away lets the answer run on unseen (`drain`, at most `drain_for` and `drain_tokens`) or stops it
    (`abort`): hosted APIs bill on, vLLM stops. `defaults` are request fields set where the client says nothing.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    name: str = "main"
    kind: Literal["openai", "v2", "target"] = "openai"
    url: str | None = None
    model: str | None = None
    key_env: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    target: Mapping[str, Any] | None = None
    preamble: tuple[Preamble, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    weight: int = 1
    tier: int = 0
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    on_disconnect: Literal["drain", "abort"] = "drain"
    drain_for: str = "30s"
    drain_tokens: int = 8192

    def problems(self) -> Iterator[Problem]:
        if not _NAME.fullmatch(self.name):
            yield Problem(("name",), f"`{self.name[:80]}` is not a name", "use letters, digits, `.`, `_`, `-`, at most 128")
        if self.kind == "target":
            if not isinstance(self.target, Mapping) or "kind" not in self.target:
                yield Problem(
                    ("target",), "an upstream of kind `target` needs a `target`", "add it from a pilot: --pilot, --candidate"
                )
            if self.url is not None:
                yield Problem(("url",), "a target has no `url`", "leave it out")
        else:
            if not re.fullmatch(r"https?://[^/?#@\s]+(?:/[^\s?#]*)?", self.url or ""):
                hint = "write the API's root, as in `http://127.0.0.1:8000/v1`, without user, password or query"
                yield Problem(("url",), "no usable http(s) address is given", hint)
            if self.target is not None:
                yield Problem(("target",), f"an upstream of kind `{self.kind}` has no `target`", "leave it out")
        if self.key_env is not None and not _VARIABLE.fullmatch(self.key_env):
            yield Problem(
                ("key-env",), "not the name of an environment variable", "name the variable; the key itself never stands here"
            )
        for name, value in self.headers.items():
            if name.lower() in ("authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"):
                yield Problem(("headers", name), "a secret may not stand in a route", "name its variable with `key-env`")
            elif not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[\r\n\0]", value):
                yield Problem(("headers", name), "this is no HTTP header")
        if not 0 <= self.weight <= 10_000:
            yield Problem(("weight",), f"{self.weight} is out of range", "use 0 to 10000")
        if not 0 <= self.tier <= 100:
            yield Problem(("tier",), f"{self.tier} is out of range", "use 0 to 100")
        if not 0 <= self.drain_tokens <= 10_000_000:
            yield Problem(("drain-tokens",), f"{self.drain_tokens} is out of range", "use 0 to 10000000")
        try:
            parse_duration(self.drain_for)
        except ValueError as error:
            yield Problem(("drain-for",), str(error))
        yield from (p.under("timeouts") for p in self.timeouts.problems())
        yield from (p.under("limits") for p in self.limits.problems())


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardUse:
    """A guard on this route: the installed kind, what it looks at, what happens on a finding, and its own options.

    `block` refuses; `mask` puts signs in place of what was found; `flag` lets it pass and records it.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    guard: str
    on: Literal["input", "output", "both"] = "both"
    action: Literal["block", "mask", "flag"] = "block"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """How generated content is labelled (GB 45438-2025): `producer` is the provider code of the implicit label.

    `header` and `metadata` carry the implicit label beside the content, `content` as a front matter inside it; `explicit` is
    words for the reader at the start or the end of the text.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    producer: str
    header: bool = True
    metadata: bool = True
    content: bool = False
    explicit: str | None = None
    place: Literal["start", "end"] = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """What a route rests on: a verified dossier's verdict for the candidate that is served, or who allowed it without one."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    policy: Literal["prevent", "warn", "allow"]
    scenario: str | None = None
    dossier: str | None = None
    candidate: str | None = None
    fingerprint: str | None = None
    verdict: str | None = None
    signer: str | None = None
    by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """The candidate arm of a route under release, as the workers see it: who answers there, and whom it may answer.

    `shadow` is the share of requests (0 to 1) that are copied to it after the answer went out, `share` the part of the callers
    (0 to 1) whom it answers; `people` are answered by it whatever the share: an access key's id or name, or `KEY/USER` with the
    user whom its owner names. `notice` is told to those it answers. `sample` is the share of its answers that are kept to be
    scored, `sample_stable` that of the stable arm's. `purse` is the access key that pays for shadows, `price` what they cost
    there. Workers serve nobody from it while nothing tells them that the release is being watched, and warn when `trip` requests
    in a row that were meant for it failed there or found it out of order.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    release: str
    upstreams: tuple[Upstream, ...]
    tie: Tie
    shadow: float = 0.0
    share: float = 0.0
    people: tuple[str, ...] = ()
    notice: str = ""
    sample: float = 0.0
    sample_stable: float = 0.0
    price: Price | None = None
    purse: str = ""
    concurrency: int = 4
    tools: Literal["skip", "ask"] = "skip"
    trip: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One public model name. `arm` is set by a release alone.

    `max_output` is the tokens reserved for an answer whose request names no limit. `hedge_after` asks a second upstream when the
    first has not answered by then (off where it is None). `in_doubt` says what a request costs that a crash cut: the progress
    recorded (`progress`), all that was reserved (`reserved`), or nothing (`release`).
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    name: str
    upstreams: tuple[Upstream, ...]
    price: Price | None = None
    retries: int = 2
    hedge_after: str | None = None
    max_output: int = 4096
    guards: tuple[GuardUse, ...] = ()
    labels: Labels | None = None
    tie: Tie = Tie(policy="allow")
    in_doubt: Literal["progress", "reserved", "release"] = "progress"
    owner: str = "pilotbase"
    arm: Arm | None = None

    def problems(self) -> Iterator[Problem]:
        if not _NAME.fullmatch(self.name):
            yield Problem(
                ("name",), f"`{self.name[:80]}` is not a name", "use letters, digits, `.`, `_`, `-`, `:`, `/`, at most 128"
            )
        if self.arm is not None:
            yield Problem(("arm",), "only a release sets a second arm", "leave it out, and start one: pilotbase release start")
        if not self.upstreams:
            yield Problem(("upstreams",), "no upstream is given", "add at least one: --upstream URL")
        seen: set[str] = set()
        for i, upstream in enumerate(self.upstreams):
            if upstream.name in seen:
                yield Problem(("upstreams", i, "name"), f"two upstreams are called `{upstream.name}`", "give each its own name")
            seen.add(upstream.name)
            yield from (p.under("upstreams", i) for p in upstream.problems())
        if len(self.upstreams) > 1 and any(u.kind != self.upstreams[0].kind or u.kind == "target" for u in self.upstreams):
            message = "the upstreams of one route are of one kind, and a target stands alone"
            yield Problem(("upstreams",), message, "make two routes of it")
        if self.upstreams and not any(u.weight for u in self.upstreams):
            yield Problem(("upstreams",), "every upstream has weight 0", "give at least one a weight")
        if not 0 <= self.retries <= 10:
            yield Problem(("retries",), f"{self.retries} is out of range", "use 0 to 10")
        if not 1 <= self.max_output <= 10_000_000:
            yield Problem(("max-output",), f"{self.max_output} is out of range", "use 1 to 10000000")
        if self.hedge_after is not None:
            try:
                parse_duration(self.hedge_after)
            except ValueError as error:
                yield Problem(("hedge-after",), str(error))
        if self.price is not None:
            yield from (p.under("price") for p in self.price.problems())
