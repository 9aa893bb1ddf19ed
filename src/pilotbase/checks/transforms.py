"""Seeded changes to inputs, as a table of pure functions.

Noise belongs to a position and not to a call: the row at position p gets the same change whatever slice it is asked in. Each
column has its own Philox stream (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), keyed by seed,
transform and column, whose counter is the position: one block of four 64-bit words a row, by `random_raw`, which NumPy
promises never to change.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pilotbase.errors import UserError

__all__ = ["TRANSFORMS", "Apply", "TransformRow", "choose_transform"]

AppliesTo = Literal["numeric", "text", "any"]
_Words = NDArray[np.uint64]
_UNIT = 2.0**-53
_SHIFT = np.uint64(11)


class Apply(Protocol):
    """Change `columns` of a frame whose first row stands at position `start`; other columns come back as they are.

    `columns` None means every column that the transform applies to; a caller leaves out media paths. `unit` is "" or "sd", and
    `spread` holds the standard deviation of each numeric column over all cases. UserError where a column, the strength or
    the unit does not fit.
    """

    def __call__(
        self,
        frame: pl.DataFrame,
        start: int,
        *,
        seed: int,
        strength: float,
        unit: str = "",
        spread: Mapping[str, float],
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformRow:
    """One transform. `describe(strength, unit)` says in words what it does; `source` where it comes from."""

    name: str
    applies_to: AppliesTo
    apply: Apply
    source: str
    describe: Callable[[float, str], str]


def choose_transform(name: str) -> TransformRow:
    """The row of that name; UserError with the nearest one where there is none."""
    if row := TRANSFORMS.get(name):
        return row
    near = get_close_matches(name, TRANSFORMS, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(sorted(TRANSFORMS))}"
    raise UserError(f"no transform is called `{name}`", hint=hint)


def _draw(seed: int, name: str, column: str, start: int, count: int) -> _Words:
    """Four raw words for each of `count` rows from position `start`: shape (count, 4)."""
    spelt = [w.encode() for w in ("pilotbase/transform/1", name, column, str(seed))]
    key = hashlib.sha256(b"".join(len(w).to_bytes(8, "little") + w for w in spelt)).digest()[:16]
    stream = np.random.Philox(key=np.frombuffer(key, dtype="<u8").astype(np.uint64))
    stream.advance(start)
    return np.asarray(stream.random_raw(4 * count), dtype=np.uint64).reshape(count, 4)


def _uniform(words: _Words) -> NDArray[np.float64]:
    """53 bits of each word as a number in [0, 1)."""
    return (words >> _SHIFT).astype(np.float64) * _UNIT


def _normal(words: _Words) -> NDArray[np.float64]:
    """Standard normals from the first two words of each row (Box & Muller 1958); 1 - u keeps the logarithm finite."""
    radius = np.sqrt(-2.0 * np.log(1.0 - _uniform(words[:, 0])))
    return np.asarray(radius * np.cos(2.0 * np.pi * _uniform(words[:, 1])), dtype=np.float64)


def _choose(frame: pl.DataFrame, columns: Sequence[str] | None, applies_to: AppliesTo, name: str) -> list[str]:
    def fits(column: str) -> bool:
        dtype = frame.schema[column]
        return applies_to == "any" or (dtype.is_numeric() if applies_to == "numeric" else dtype == pl.String)

    if columns is None:
        chosen = [c for c in frame.columns if fits(c)]
        if not chosen:
            raise UserError(
                f"`{name}` finds no {applies_to} column among the inputs", hint="a drop under it would be zero by construction"
            )
        return chosen
    for column in columns:
        if column not in frame.columns:
            raise UserError(
                f"`{name}` is to change `{column}`, which is no input", hint=f"the inputs are {', '.join(frame.columns)}"
            )
        if not fits(column):
            raise UserError(f"`{name}` changes {applies_to} columns, and `{column}` is {frame.schema[column]}")
    return list(columns)


def _refuse_unit(name: str, unit: str) -> None:
    if unit:
        raise UserError(f"`{name}` takes no unit, and `{unit}` was given", hint="write the number alone")


def _require_chance(name: str, strength: float, unit: str) -> None:
    _refuse_unit(name, unit)
    if not 0 <= strength <= 1:
        raise UserError(f"`{name}` takes a chance from 0 to 1, and {strength:g} was given")


def _gaussian_noise(
    frame: pl.DataFrame,
    start: int,
    *,
    seed: int,
    strength: float,
    unit: str = "",
    spread: Mapping[str, float],
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    name = "gaussian-noise"
    if not 0 <= strength < float("inf"):
        raise UserError(f"`{name}` takes a strength of 0 or more, and {strength:g} was given")
    if unit not in {"", "sd"}:
        raise UserError(f"`{name}` takes the unit `sd` or none, and `{unit}` was given")
    done: list[pl.Series] = []
    for column in _choose(frame, columns, "numeric", name):
        if unit == "sd" and column not in spread:
            raise UserError(f"the standard deviation of `{column}` is not known", hint="give the strength without `sd`")
        size = strength * (spread[column] if unit == "sd" else 1.0)
        noise = _normal(_draw(seed, name, column, start, frame.height)) * size
        done.append((frame[column].cast(pl.Float64) + pl.Series(noise)).alias(column))
    return frame.with_columns(done)


def _missing(
    frame: pl.DataFrame,
    start: int,
    *,
    seed: int,
    strength: float,
    unit: str = "",
    spread: Mapping[str, float],
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    _require_chance("missing", strength, unit)
    chosen = _choose(frame, columns, "any", "missing")
    masks = {c: pl.Series(_uniform(_draw(seed, "missing", c, start, frame.height)[:, 0]) < strength) for c in chosen}
    return frame.with_columns(pl.when(pl.lit(~mask)).then(pl.col(c)).alias(c) for c, mask in masks.items())


def _scale(
    frame: pl.DataFrame,
    start: int,
    *,
    seed: int,
    strength: float,
    unit: str = "",
    spread: Mapping[str, float],
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    _refuse_unit("scale", unit)
    if not abs(strength) < float("inf"):
        raise UserError(f"`scale` takes a finite strength, and {strength:g} was given")
    return frame.with_columns(pl.col(c).cast(pl.Float64) * (1.0 + strength) for c in _choose(frame, columns, "numeric", "scale"))


def _typos(
    frame: pl.DataFrame,
    start: int,
    *,
    seed: int,
    strength: float,
    unit: str = "",
    spread: Mapping[str, float],
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    _require_chance("typos", strength, unit)
    chosen = _choose(frame, columns, "text", "typos")
    return frame.with_columns(
        _edit(frame[c], _draw(seed, "typos", c, start, frame.height), "[A-Za-z]{2,}", strength, _misspell) for c in chosen
    )


def _full_width(
    frame: pl.DataFrame,
    start: int,
    *,
    seed: int,
    strength: float,
    unit: str = "",
    spread: Mapping[str, float],
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    _require_chance("full-width", strength, unit)
    chosen = _choose(frame, columns, "text", "full-width")
    return frame.with_columns(
        _edit(frame[c], _draw(seed, "full-width", c, start, frame.height), "[!-~]+", strength, _widen) for c in chosen
    )


def _misspell(word: str, draw: int) -> str:
    """Swap two neighbouring letters, or drop one; equal neighbours are dropped, so that the word always changes."""
    place = (draw >> 1) % (len(word) - 1)
    if draw & 1 and word[place] != word[place + 1]:
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    return word[:place] + word[place + 1 :]


def _widen(word: str, draw: int) -> str:
    """ASCII `!` to `~` as U+FF01 to U+FF5E."""
    return "".join(chr(ord(c) + 0xFEE0) for c in word)


def _edit(cells: pl.Series, words: _Words, pattern: str, chance: float, change: Callable[[str, int], str]) -> pl.Series:
    """Change each match of `pattern` with a chance; a cell's Philox block seeds one splitmix64 value for each match."""
    counts = cells.str.count_matches(pattern).fill_null(0).to_numpy().astype(np.int64)
    row = np.repeat(np.arange(len(cells)), counts)
    first = np.cumsum(counts) - counts
    place = np.arange(len(row)) - first[row]
    chances = _uniform(_splitmix(words[row, 0], place))
    hit = np.flatnonzero(chances < chance)
    if not len(hit):
        return cells
    draws = _splitmix(words[row[hit], 1], place[hit]) >> np.uint64(1)
    changes: dict[int, dict[int, int]] = {}
    for r, p, d in zip(row[hit].tolist(), place[hit].tolist(), draws.tolist(), strict=True):
        changes.setdefault(r, {})[p] = d
    compiled = re.compile(pattern)
    at = sorted(changes)
    texts = [_rewrite(text, compiled, changes[r], change) for r, text in zip(at, cells.gather(at).to_list(), strict=True)]
    return cells.scatter(pl.Series(at, dtype=pl.UInt32), texts)


def _rewrite(text: str, pattern: re.Pattern[str], changes: Mapping[int, int], change: Callable[[str, int], str]) -> str:
    out: list[str] = []
    end = 0
    for i, match in enumerate(pattern.finditer(text)):
        if i in changes:
            out += (text[end : match.start()], change(match.group(), changes[i]))
            end = match.end()
    return "".join((*out, text[end:]))


def _splitmix(state: _Words, step: NDArray[np.int64]) -> _Words:
    """The output of splitmix64 (Steele, Lea & Flood 2014) `step` + 1 places after `state`."""
    z = state + (step.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


def _noise_words(strength: float, unit: str) -> str:
    size = f"{strength:g} of each column's standard deviation" if unit == "sd" else f"{strength:g}"
    return f"normal noise with a standard deviation of {size} is added to every number"


_ROWS = (
    TransformRow(
        name="gaussian-noise",
        applies_to="numeric",
        apply=_gaussian_noise,
        source="additive Gaussian noise, as in Hendrycks & Dietterich 2019, Benchmarking Neural Network Robustness",
        describe=_noise_words,
    ),
    TransformRow(
        name="missing",
        applies_to="any",
        apply=_missing,
        source="values missing completely at random: Rubin 1976, Inference and Missing Data",
        describe=lambda strength, unit: f"each cell is left empty with a chance of {strength:.3g}",
    ),
    TransformRow(
        name="scale",
        applies_to="numeric",
        apply=_scale,
        source="a gain error of an instrument: JCGM 200:2012 (VIM) 4.25, instrument bias",
        describe=lambda strength, unit: f"every number is multiplied by {1 + strength:g}",
    ),
    TransformRow(
        name="typos",
        applies_to="text",
        apply=_typos,
        source="swaps and deletions inside words, as in Belinkov & Bisk 2018, Synthetic and Natural Noise Both Break NMT",
        describe=lambda strength, unit: (
            f"each Latin word is misspelt with a chance of {strength:.3g} (letters swapped, or one left out)"
        ),
    ),
    TransformRow(
        name="full-width",
        applies_to="text",
        apply=_full_width,
        source="full-width forms of ASCII: The Unicode Standard, Halfwidth and Fullwidth Forms (U+FF01 to U+FF5E)",
        describe=lambda strength, unit: f"each run of ASCII is written in full width with a chance of {strength:.3g}",
    ),
)
TRANSFORMS: dict[str, TransformRow] = {row.name: row for row in _ROWS}
