"""Checks and gates: measurable claims with thresholds, in order."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from pilotbase.domain.price import Price
from pilotbase.domain.problem import CONFIG, Problem
from pilotbase.domain.quantity import (
    Money,
    Require,
    parse_daily,
    parse_duration,
    parse_rate,
    parse_require,
    parse_scale,
    parse_share,
)

__all__ = ["Check", "Gate", "JudgeSpec", "Live", "Load", "Match", "PackUse", "Transform"]

Role = Literal["decide", "inform"]
Match = Literal["exact", "normalised", "contains", "label"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """A seeded change to the inputs. `scale` is a strength, `0.1 sd` a share of each column's standard deviation."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    transform: str
    scale: str | float = 0.1
    columns: tuple[str, ...] = ()

    @property
    def strength(self) -> tuple[float, str]:
        """(number, "sd" or "")."""
        return parse_scale(str(self.scale))

    def problems(self) -> Iterator[Problem]:
        try:
            parse_scale(str(self.scale))
        except ValueError as error:
            yield Problem(("scale",), str(error))

    def __str__(self) -> str:
        return f"{self.transform} {self.scale}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Open-loop arrivals: calls start on schedule, whether or not earlier ones have ended."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    rate: str
    for_: str
    warmup: str | None = None
    arrivals: Literal["poisson", "uniform"] = "poisson"

    @property
    def per_second(self) -> float:
        return parse_rate(self.rate)

    @property
    def seconds(self) -> float:
        return parse_duration(self.for_)

    @property
    def warmup_seconds(self) -> float:
        """VERDICT.md section 6: 1 s unless declared."""
        return parse_duration(self.warmup) if self.warmup else 1.0

    def problems(self) -> Iterator[Problem]:
        for path, text, parse in (
            ("rate", self.rate, parse_rate),
            ("for", self.for_, parse_duration),
            ("warmup", self.warmup, parse_duration),
        ):
            if text is not None:
                try:
                    parse(text)
                except ValueError as error:
                    yield Problem((path,), str(error))

    def __str__(self) -> str:
        return f"{self.rate} for {self.for_} ({self.arrivals})"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSpec:
    """A model that scores answers by a rubric. Without `labels` it informs and cannot gate.

    `labels` names a CSV or JSON Lines file with columns `id`, `answer` (the application's own answer) and `label` (yes or no,
    by people). `price` is what one judgement costs, by which a live check keeps to what it may spend.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG
    __later__: ClassVar[tuple[str, ...]] = ("price",)

    url: str
    model: str
    rubric: str
    key_env: str | None = None
    labels: str | None = None
    version: str | None = None
    timeout: str = "60s"
    concurrency: int = 8
    price: Price | None = None

    def problems(self) -> Iterator[Problem]:
        if not re.match(r"https?://", self.url):
            yield Problem(("url",), f"`{self.url}` is not an http(s) address")
        try:
            parse_duration(self.timeout)
        except ValueError as error:
            yield Problem(("timeout",), str(error))
        if not 1 <= self.concurrency <= 1024:
            yield Problem(("concurrency",), f"{self.concurrency} is out of range", "use 1 to 1024")
        if self.price is not None:
            yield from (p.under("price") for p in self.price.problems())


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The check is decided on live traffic too, during a release; the offline verdict does not change by it.

    `sample` is the share of requests that are scored, `spend` what a judge may cost a day. `windows` windows of `window` scored
    requests each are declared beforehand for metrics that are concluded once; alpha is split over them (VERDICT.md section 2).
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    sample: str = "100 %"
    spend: str | None = None
    windows: int | None = None
    window: int | None = None

    @property
    def share(self) -> float:
        """The sample as a share in (0, 1]."""
        return parse_share(self.sample)

    @property
    def daily(self) -> Money | None:
        """What may be spent a day; None: no limit."""
        return parse_daily(self.spend) if self.spend is not None else None

    def problems(self) -> Iterator[Problem]:
        try:
            self.share  # noqa: B018  parsing is the check
        except ValueError as error:
            yield Problem(("sample",), str(error))
        try:
            self.daily  # noqa: B018  parsing is the check
        except ValueError as error:
            yield Problem(("spend",), str(error))
        if (self.windows is None) != (self.window is None):
            given, lacking = ("windows", "window") if self.window is None else ("window", "windows")
            hint = "write both, as in `windows: 20` and `window: 500`: 20 windows of 500 scored requests each"
            yield Problem((given,), f"`{given}` is given without `{lacking}`", hint)
        if self.windows is not None and not 1 <= self.windows <= 1000:
            yield Problem(("windows",), f"{self.windows} windows", "use 1 to 1000; alpha is split over them")
        if self.window is not None and not 30 <= self.window <= 1_000_000:
            yield Problem(("window",), f"a window of {self.window} cases", "use 30 to 1000000")

    def __str__(self) -> str:
        told = f"{self.sample} of requests"
        if self.windows is not None:
            told += f", {self.windows} windows of {self.window}"
        return told + (f", at most {self.spend}" if self.spend is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A measurable claim: `metric`, at most one way of looking at it, and a threshold."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG
    __later__: ClassVar[tuple[str, ...]] = ("live", "match")

    metric: str
    require: str
    id: str | None = None
    role: Role = "decide"
    confidence: float | None = None
    drop_under: Transform | None = None
    gap_by: str | None = None
    ratio_by: str | None = None
    worst_of: str | None = None
    compare_to: str | None = None
    judge: JudgeSpec | None = None
    load: Load | None = None
    minimum: int = 30  # cases per group in the metric's own denominator, settable upwards only
    repeat: int = 3  # for `stability`
    bound: tuple[float, float] | None = None  # declared range of a loss, which makes its mean looks: any
    tolerance: float | None = None
    pattern: str | None = None
    expect: str | None = None  # text looked for by `contains`, where it is not the target column
    choices: tuple[str, ...] = ()
    errors: str | None = None  # `throughput` counts only while failures stay within this share
    live: Live | None = None
    match: Match | None = None  # how `regressions` compares an answer with the truth

    @property
    def required(self) -> Require:
        """The threshold, read."""
        return parse_require(self.require)

    @property
    def view(self) -> tuple[str, str] | None:
        """(word, argument) of the way of looking at the metric, or None."""
        words = (
            ("drop-under", self.drop_under),
            ("gap-by", self.gap_by),
            ("ratio-by", self.ratio_by),
            ("worst-of", self.worst_of),
        )
        for word, value in (*words, ("compare-to", self.compare_to)):
            if value is not None:
                return word, str(value)
        return None

    @property
    def group(self) -> str | None:
        """The column of groups that this check looks at, or None."""
        return self.gap_by or self.ratio_by or self.worst_of

    def problems(self) -> Iterator[Problem]:
        """What is wrong with this check by itself; rules that need the metric's row are the metric table's."""
        try:
            self.required  # noqa: B018  parsing is the check
        except ValueError as error:
            yield Problem(("require",), str(error))
        views = [w for w in ("drop_under", "gap_by", "ratio_by", "worst_of", "compare_to") if getattr(self, w) is not None]
        if len(views) > 1:
            names = ", ".join(w.replace("_", "-") for w in views)
            yield Problem(
                (views[1].replace("_", "-"),),
                f"a check looks at its metric in one way, and this one names {len(views)}: {names}",
                "split it",
            )
        if self.confidence is not None and not 0.5 <= self.confidence < 1:
            yield Problem(("confidence",), f"{self.confidence} is out of range", "use at least 0.5 and less than 1")
        if self.minimum < 30:
            yield Problem(("minimum",), f"{self.minimum} cases per group are too few", "30 is the least; it can only be raised")
        if not 2 <= self.repeat <= 100:
            yield Problem(("repeat",), f"{self.repeat} repetitions", "use 2 to 100")
        if self.bound is not None and not all(math.isfinite(b) for b in self.bound):
            yield Problem(
                ("bound",), f"[{self.bound[0]}, {self.bound[1]}] is no range", "write two finite numbers, [least, most]"
            )
        elif self.bound is not None and not self.bound[0] < self.bound[1]:
            yield Problem(("bound",), f"[{self.bound[0]}, {self.bound[1]}] is empty", "write [least, most]")
        if self.tolerance is not None and not 0 <= self.tolerance < math.inf:
            yield Problem(("tolerance",), f"{self.tolerance} is no distance", "use a finite number of at least 0")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except (re.error, OverflowError, RecursionError) as error:
                yield Problem(("pattern",), f"`{self.pattern}` is not a regular expression: {error}")
        if self.errors is not None:
            try:
                limit = parse_require(self.errors)
            except ValueError as error:
                yield Problem(("errors",), str(error))
            else:
                if limit.op != "<=" or limit.unit or not 0 <= limit.value <= 1:
                    yield Problem(("errors",), f"`{self.errors}` is no limit on a share of failures", "write it as in `<= 1%`")
        parts = (("drop-under", self.drop_under), ("load", self.load), ("judge", self.judge), ("live", self.live))
        for name, part in parts:
            if part is not None:
                yield from (p.under(name) for p in part.problems())
        yield from self._spend_problems()

    def _spend_problems(self) -> Iterator[Problem]:
        """A limit on spending keeps something only where a price says what is spent, in one currency."""
        if self.live is None or self.live.spend is None:
            return
        price = self.judge.price if self.judge is not None else None
        try:
            daily, currency = self.live.daily, price.currency if price is not None else None
        except ValueError:
            return  # told by the part itself
        if self.judge is None:
            yield Problem(("live", "spend"), "only a judge costs anything to score by, and this check has none", "leave it out")
        elif currency is None:
            hint = "add what one judgement costs to `judge`, as in `price: {per-call: 0.002 CNY}`"
            yield Problem(("live", "spend"), "the judge has no price, so nobody can tell what was spent", hint)
        elif daily is not None and daily.currency != currency:
            told = f"the limit is in {daily.currency}, and the judge's price in {currency}"
            yield Problem(("live", "spend"), told, "use one currency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """An ordered group of checks. Optional gates never decide a candidate's verdict."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    gate: str
    checks: tuple[Check, ...]
    mandatory: bool = True
    title: str | None = None

    def problems(self) -> Iterator[Problem]:
        if not self.checks:
            yield Problem(
                ("checks",), "the gate has no checks", "a gate without checks decides nothing; remove it or add a check"
            )
        for i, check in enumerate(self.checks):
            yield from (p.under("checks", i) for p in check.problems())


@dataclass(frozen=True, slots=True, kw_only=True)
class PackUse:
    """A published gate pack, `NAME@VERSION`, put in at this place."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    use: str

    def problems(self) -> Iterator[Problem]:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*@[A-Za-z0-9._-]+", self.use):
            yield Problem(("use",), f"`{self.use}` names no pack", "write NAME@VERSION, as in `tabular-basics@1`")
