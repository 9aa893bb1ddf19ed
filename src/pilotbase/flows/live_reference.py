"""What inputs and outputs looked like in the pilot, kept to compare live ones with."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from pilotbase.context import Context
from pilotbase.data.files import open_cases
from pilotbase.errors import UserError
from pilotbase.flows.evidence import read_log
from pilotbase.flows.facts import pilot_of
from pilotbase.pilots.records import RunRecord, find_run
from pilotbase.release.drift_reference import Column, Kind, Reference, cells, reference_document

__all__ = ["OUTPUTS", "reference_of"]

OUTPUTS = ("answer: label", "answer: score", "answer: text")
"""What a candidate gave, as features beside the inputs, which have their own names."""
MOST = 2000
CATEGORIES = 50
LONGEST_CATEGORY = 40


def reference_of(context: Context, record: Mapping[str, Any], candidate: str) -> tuple[Mapping[str, Any] | None, str | None]:
    """(the reference as a document, why there is none or only half of one)."""
    try:
        run = find_run(context.database, record["run"]["id"])
    except UserError:
        return None, "the run of the dossier is not in this home: drift from what the pilot saw cannot be watched"
    columns = _outputs(context, run.run, candidate)
    inputs, lack = _inputs(context, run, record)
    columns = [*inputs, *columns]
    if not columns:
        return None, lack
    shortest = min(len(column.values) for column in columns)
    cut = [replace(column, values=column.values[:shortest]) for column in columns]
    return reference_document(Reference.sampled(cut, seed=0)), lack


def _outputs(context: Context, run: str, candidate: str) -> list[Column]:
    frames = [
        frame.filter((pl.col("variant") == 0) & pl.col("failure").is_null() & (pl.col("position") < MOST))
        for frame in read_log(context, run, candidate, ["variant", "position", "failure", "label", "score", "text"])
    ]
    if not frames or not sum(frame.height for frame in frames):
        return []
    whole = pl.concat(frames).sort("position")
    found = []
    for name, word in zip(OUTPUTS, ("label", "score", "text"), strict=True):
        values = whole[word].to_list()
        kind: Kind = "numeric" if word == "score" else "categorical" if word == "label" else "text"
        if any(value is not None for value in values) and not (word == "label" and _free(values)):
            found.append(Column(name=name, side="output", kind=kind, values=cells(kind, values)))
    return found


def _inputs(context: Context, run: RunRecord, record: Mapping[str, Any]) -> tuple[list[Column], str | None]:
    """The pilot's inputs, from its own data file as long as that is still the one that was tried."""
    pilot = pilot_of(record["pilot"])
    gone = "the pilot's data are not where they were, or are others now: drift of inputs cannot be watched"
    try:
        cases = open_cases(pilot.data.test, Path(run.options["spec"]).parent, pilot.seed, context.scratch() / "reference")
    except (UserError, KeyError):
        return [], gone
    try:
        if cases.digest != record["data"]["digest"]:
            return [], gone
        frame = cases.inputs(0, min(MOST, cases.count))
        return [_input(name, frame[name]) for name in frame.columns if name not in pilot.data.test.media], None
    finally:
        cases.close()


def _input(name: str, series: pl.Series) -> Column:
    values = series.to_list()
    kind: Kind = "numeric" if series.dtype.is_numeric() else "text" if _free(values) else "categorical"
    return Column(name=name, side="input", kind=kind, values=cells(kind, values))


def _free(values: Sequence[Any]) -> bool:
    """Whether values are free text and not of a few kinds."""
    texts = [value for value in values if isinstance(value, str)]
    return len(set(texts)) > CATEGORIES or any(len(text) > LONGEST_CATEGORY for text in texts)
