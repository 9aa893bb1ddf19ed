"""Replies as rows of evidence, and rows of evidence as observations."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from pilotbase.domain.evidence import Reply, read_answer
from pilotbase.domain.price import Price
from pilotbase.domain.quantity import NANO
from pilotbase.ports import FrameReply, Observations

__all__ = ["OBSERVED", "Pricing", "frame_columns", "from_frame", "from_rows", "reply_row"]

# What scoring reads back of a row (see `domain.evidence.OBSERVATION`).
OBSERVED = (
    "variant", "position", "repetition", "failure", "label", "score", "text", "extra",
    "cost", "tokens_in", "tokens_out", "seconds", "ttft", "scheduled", "late",
)  # fmt: skip


class Pricing:
    """What a call costs, in billionths of the currency; `known` where a price is declared."""

    __slots__ = ("call", "currency", "known", "read", "wrote")

    def __init__(self, price: Price | None) -> None:
        call, read, wrote = price.amounts() if price else (None, None, None)
        self.known = price is not None and price.currency is not None
        self.currency = price.currency if price else None
        self.call = call.nanos if call else 0
        self.read = read.nanos if read else 0
        self.wrote = wrote.nanos if wrote else 0

    def of(self, tokens_in: int | None, tokens_out: int | None) -> int | None:
        """The cost of one call; None where no price is known, or a token price without a count."""
        if not self.known or (self.read and tokens_in is None) or (self.wrote and tokens_out is None):
            return None
        return self.call + ((tokens_in or 0) * self.read + (tokens_out or 0) * self.wrote) // 1_000_000


def reply_row(
    variant: int, position: int, repetition: int, reply: Reply, positive: str | None, pricing: Pricing
) -> dict[str, Any]:
    """One row of `domain.evidence.OBSERVATION`. An answer of no known shape is recorded as the failure `shape`."""
    failure, detail = reply.failure, reply.detail
    read = None if failure else read_answer(reply.answer, positive)
    if failure is None and read is None:
        failure, detail = "shape", f"the answer is of no known shape: {_brief(reply.answer)}"
    label, score, text, rest = read or (None, None, None, {})
    extra = None
    try:
        for said in (label, text):
            if said is not None and not said.isascii():
                said.encode()
        if rest or reply.extra:
            extra = orjson.dumps({**rest, **reply.extra}, option=orjson.OPT_SERIALIZE_NUMPY, default=str).decode()
    except (TypeError, ValueError) as error:
        failure, detail = failure or "shape", detail or f"the answer cannot be written down: {error}"
        label = score = text = None
    usage = reply.usage
    tokens_in = usage.tokens_in if usage else None
    tokens_out = usage.tokens_out if usage else None
    return {
        "variant": variant,
        "position": position,
        "repetition": repetition,
        "failure": failure,
        "label": None if label == text else label,
        "score": score,
        "text": text,
        "extra": extra,
        "started": int(reply.started * 1e6),
        "seconds": reply.seconds,
        "ttft": reply.ttft,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "cost": pricing.of(tokens_in, tokens_out),
        "attempts": min(reply.attempts, 65535),
        "detail": detail[:500].encode("utf-8", "replace").decode() or None if detail else None,
    }


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def frame_columns(variant: int, positions: NDArray[np.int64], reply: FrameReply, pricing: Pricing) -> pl.DataFrame:
    """A frame's reply as rows of evidence."""
    n = len(positions)
    per_row = reply.seconds / n if n else 0.0
    label = _labels(reply.labels, n)
    score = pl.Series("score", reply.scores, dtype=pl.Float64) if reply.scores is not None else _numbers(reply.labels, n)
    failed = reply.failed if reply.failed is not None else np.zeros(n, dtype=bool)
    answered = label.is_not_null() | (score.is_not_null() & score.is_finite())
    if reply.texts is not None:
        answered |= pl.Series("text", reply.texts, dtype=pl.String).is_not_null()
    kind = reply.failure or "shape"
    missing = ~answered.to_numpy() | failed if reply.failure is None else np.ones(n, dtype=bool)
    columns: dict[str, Any] = {
        "variant": np.full(n, variant, dtype=np.uint16),
        "position": positions.astype(np.uint32),
        "repetition": np.zeros(n, dtype=np.uint32),
        "failure": pl.Series("failure", [None], dtype=pl.String).new_from_index(0, n),
        "label": label,
        "score": score,
        "text": pl.Series("text", reply.texts if reply.texts is not None else [None] * n, dtype=pl.String),
        "started": np.full(n, int(reply.started * 1e6), dtype=np.int64),
        "seconds": np.full(n, per_row),
        "attempts": np.ones(n, dtype=np.uint16),
    }
    frame = pl.DataFrame(columns)
    if missing.any():
        mark = pl.Series("missing", missing)
        hide = [pl.when(mark).then(None).otherwise(pl.col(c)).alias(c) for c in ("label", "score", "text")]
        detail = reply.detail[:500].encode("utf-8", "replace").decode() or "no answer of a known shape in this row"
        frame = frame.with_columns(
            *hide,
            failure=pl.when(mark).then(pl.lit(kind)).otherwise(None),
            detail=pl.when(mark).then(pl.lit(detail)).otherwise(None),
        )
    if pricing.known and not (pricing.read or pricing.wrote):
        frame = frame.with_columns(cost=pl.lit(pricing.call, dtype=pl.Int64))
    return frame


def _labels(given: Sequence[Any] | NDArray[Any] | None, n: int) -> pl.Series:
    if given is None:
        return pl.Series("label", [None], dtype=pl.String).new_from_index(0, n)
    series = pl.Series("label", given, strict=False)
    if series.dtype == pl.Boolean:
        return series.cast(pl.Int8).replace_strict([0, 1], ["false", "true"], return_dtype=pl.String)
    if series.dtype.is_float():
        whole = series.is_finite() & (series == series.round()) & (series.abs() < 2**53)
        if bool(whole.all()):
            return series.cast(pl.Int64).cast(pl.String)
        return pl.Series("label", [_spell(v) for v in series.to_list()], dtype=pl.String)
    return series.cast(pl.String).str.strip_chars()


def _spell(value: float | None) -> str | None:
    if value is None or not math.isfinite(value):
        return None
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _numbers(given: Sequence[Any] | NDArray[Any] | None, n: int) -> pl.Series:
    if given is not None:
        series = pl.Series("score", given, strict=False)
        if series.dtype.is_numeric():
            return series.cast(pl.Float64).fill_nan(None)
    return pl.Series("score", [None], dtype=pl.Float64).new_from_index(0, n)


def from_rows(rows: Sequence[Mapping[str, Any]]) -> Observations:
    """Rows of one variant, as just written."""

    def floats(name: str) -> NDArray[np.float64]:
        return np.array([np.nan if r.get(name) is None else r[name] for r in rows], dtype=np.float64)

    extras = [r.get("extra") for r in rows]
    return Observations(
        variant=rows[0]["variant"],
        position=np.array([r["position"] for r in rows], dtype=np.int64),
        repetition=np.array([r["repetition"] for r in rows], dtype=np.int64),
        failed=np.array([r["failure"] is not None for r in rows]),
        label=[r["label"] if r["label"] is not None else (r["text"].strip() if r["text"] is not None else None) for r in rows],
        score=floats("score"),
        text=[r["text"] for r in rows],
        extra=[orjson.loads(e) if e else None for e in extras] if any(extras) else None,
        cost=floats("cost") / NANO,
        tokens_in=floats("tokens_in"),
        tokens_out=floats("tokens_out"),
        seconds=floats("seconds"),
        ttft=floats("ttft"),
        scheduled=floats("scheduled"),
        late=floats("late"),
    )


def from_frame(frame: pl.DataFrame) -> Iterator[Observations]:
    """Rows read back, one portion for each variant among them."""
    for variant, part in _by_variant(frame):
        extra = part["extra"]
        texts = part["text"]
        label = (
            part["label"]
            if texts.null_count() == part.height
            else part.select(pl.coalesce("label", pl.col("text").str.strip_chars()))["label"]
        )
        yield Observations(
            variant=variant,
            position=part["position"].to_numpy().astype(np.int64),
            repetition=part["repetition"].fill_null(0).to_numpy().astype(np.int64),
            failed=part["failure"].is_not_null().to_numpy(),
            label=label,
            score=_floats(part, "score"),
            text=None if texts.null_count() == part.height else texts.to_list(),
            extra=None if extra.null_count() == part.height else [orjson.loads(e) if e else None for e in extra.to_list()],
            cost=_floats(part, "cost") / NANO,
            tokens_in=_floats(part, "tokens_in"),
            tokens_out=_floats(part, "tokens_out"),
            seconds=_floats(part, "seconds"),
            ttft=_floats(part, "ttft"),
            scheduled=_floats(part, "scheduled"),
            late=_floats(part, "late"),
        )


def _by_variant(frame: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows of each variant in turn; a frame of one variant, which most are, is not copied."""
    variants = frame["variant"].unique(maintain_order=True).to_list()
    if len(variants) == 1:
        yield variants[0], frame
        return
    for variant in variants:
        yield variant, frame.filter(pl.col("variant") == variant)


def _floats(frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
