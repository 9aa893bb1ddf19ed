"""Cases, asks, replies and observations: what was asked, and what came back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["FAILURES", "OBSERVATION", "Ask", "Failure", "Reply", "Usage", "canonical_label", "read_answer"]

Failure = Literal["raised", "timeout", "crashed", "shape", "too-large", "unreachable", "refused", "unparseable"]
FAILURES: tuple[Failure, ...] = ("raised", "timeout", "crashed", "shape", "too-large", "unreachable", "refused", "unparseable")

# One column a field; the order is the order on disk. `variant` numbers the plan's ways of asking, `position` the case in the
# recorded order. `label`, `score`, `text` and `extra` (JSON) are the answer; `failure` is null where there is one.
# `started` is microseconds since the epoch; `seconds` runs to the last byte, under load from the scheduled arrival;
# `cost` is in billionths of a unit of currency.
OBSERVATION: dict[str, str] = {
    "variant": "u16",
    "position": "u32",
    "repetition": "u32",
    "failure": "str",
    "label": "str",
    "score": "f64",
    "text": "str",
    "extra": "str",
    "started": "i64",
    "seconds": "f64",
    "ttft": "f64",
    "scheduled": "f64",
    "late": "f64",
    "tokens_in": "i64",
    "tokens_out": "i64",
    "cost": "i64",
    "attempts": "u16",
    "detail": "str",
}


@dataclass(slots=True, kw_only=True)
class Ask:
    """One question to a candidate: the inputs of one case after a transform, and nothing else of it.

    `key` identifies (position, repetition) to the runner and is not passed on to the candidate.
    """

    key: int
    inputs: Mapping[str, Any]
    repetition: int = 0


@dataclass(slots=True, kw_only=True)
class Usage:
    """Tokens that the endpoint says it used; None where it does not say."""

    tokens_in: int | None = None
    tokens_out: int | None = None


@dataclass(slots=True, kw_only=True)
class Reply:
    """What came back for one ask: an answer (any JSON-like value), or a failure with its detail.

    `seconds` is from the start of the (last) call to the last byte, `ttft` to the first content. `extra` travels into evidence
    (steps of a trajectory, finish reason).
    """

    answer: Any = None
    failure: Failure | None = None
    detail: str = ""
    started: float = 0.0
    seconds: float = 0.0
    ttft: float | None = None
    usage: Usage | None = None
    attempts: int = 1
    extra: dict[str, Any] = field(default_factory=dict)


def canonical_label(value: Any) -> str | None:
    """One spelling for a label: the numbers 1 and 1.0 and the text "1" are the same; True is `true`. None for what cannot be a
    label.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return None


def read_answer(raw: Any, positive: str | None) -> tuple[str | None, float | None, str | None, dict[str, Any]] | None:
    """Split an answer into (label, score, text, the rest); None where its shape is none that is known.

    A string is label and text; a number label and score; a list of numbers a vector, a list of strings a ranking; a mapping holds
    `label, score, probabilities, text, ranking, vector, media, steps, usage` by name. With `probabilities` and a positive
    class the score is
    that class's probability, and the label the likeliest class, where they are not given. NaN and infinity are no answers.
    """
    if raw is None:
        return None
    if isinstance(raw, (str, bool)):
        return canonical_label(raw), None, raw if isinstance(raw, str) else None, {}
    if isinstance(raw, (int, float)):
        label = canonical_label(raw)
        return (label, float(raw), None, {}) if label is not None and abs(raw) < 1e308 else None
    if isinstance(raw, list):
        if raw and all(isinstance(v, str) for v in raw):
            return None, None, None, {"ranking": raw}
        if raw and all(isinstance(v, (int, float)) and math.isfinite(v) for v in raw):
            return None, None, None, {"vector": raw}
        return None
    return _read_mapping(raw, positive) if isinstance(raw, Mapping) else None


_PARTS = ("probabilities", "ranking", "vector", "media", "steps", "usage")


def _read_mapping(
    raw: Mapping[str, Any], positive: str | None
) -> tuple[str | None, float | None, str | None, dict[str, Any]] | None:
    label = canonical_label(raw.get("label"))
    text = raw.get("text")
    score = raw.get("score")
    rest = {k: raw[k] for k in _PARTS if raw.get(k) is not None}
    if text is not None and not isinstance(text, str):
        return None
    if score is not None and (isinstance(score, bool) or not isinstance(score, (int, float)) or not math.isfinite(score)):
        return None
    if isinstance(chances := rest.get("probabilities"), Mapping):
        named = {canonical_label(k) or "": v for k, v in chances.items()}
        if not named or not all(isinstance(v, (int, float)) and math.isfinite(v) for v in named.values()):
            return None
        if score is None and positive is not None:
            score = named.get(positive)
        if label is None:
            label = max(named, key=lambda k: named[k])
    if label is None and text is None and score is None and not rest:
        return None
    return (
        label if label is not None else (text.strip() if text is not None else None),
        None if score is None else float(score),
        text,
        rest,
    )
