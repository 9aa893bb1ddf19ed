"""The failures of a run worth reading: by kind, counted, with examples where the custodian allows it."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from pilotbase.context import Context
from pilotbase.data.files import open_cases
from pilotbase.domain.evidence import canonical_label
from pilotbase.errors import UserError
from pilotbase.flows.casebook import cases_path, read_cases
from pilotbase.flows.evidence import read_log
from pilotbase.flows.facts import pilot_of
from pilotbase.pilots.records import RunRecord

__all__ = ["failures_of"]

KINDS = 12
_FIGURES = re.compile(r"\d+(\.\d+)?")


def failures_of(context: Context, record: RunRecord, examples: int, *, quote: bool = True) -> dict[str, list[dict[str, Any]]]:
    """For each candidate its kinds of failure, most frequent first.

    A kind is a failure (`raised: ValueError ...` by its first words), or for labels of few classes `wrong: A for B`. Examples
    hold the inputs only where custody is open and the data is still where it was; held-out data shows counts alone.
    """
    pilot = pilot_of(record.options["document"])
    columns = read_cases(cases_path(context, record.run), canonical_label(pilot.data.test.positive))
    truth = columns.truth.values() if columns.truth is not None else [None] * columns.count
    names = frozenset(columns.truth.names) if columns.truth is not None else frozenset()
    few = columns.truth is not None and len(columns.truth.names) <= 50
    open_ = quote and pilot.data.test.custody == "open"
    found: dict[str, list[dict[str, Any]]] = {}
    for candidate in record.options["candidates"]:
        counts: Counter[str] = Counter()
        kept: dict[str, list[tuple[int, str | None]]] = {}
        for frame in read_log(
            context, record.run, candidate["id"], ["variant", "position", "failure", "label", "text", "detail"]
        ):
            rows = frame.filter(pl.col("variant") == 0)
            for position, failure, label, text, detail in rows.select(
                "position", "failure", "label", "text", "detail"
            ).iter_rows():
                said = text if label is None else label
                kind: str | None
                if failure is not None:
                    kind = _failed(failure, detail if open_ else None)
                else:
                    kind = _wrong(said, truth[position], names, text is not None, open_) if few else None
                if kind is None:
                    continue
                counts[kind] += 1
                if len(kept.setdefault(kind, [])) < examples:
                    kept[kind].append((position, said))
        found[candidate["id"]] = [
            {"category": kind, "count": count, "examples": [(p, s) for p, s in kept[kind]] if open_ else []}
            for kind, count in counts.most_common(KINDS)
        ]
    return _with_inputs(context, record, found, columns.ids, truth) if open_ else found


def _failed(failure: str, detail: str | None) -> str:
    """A failure by the first words of its detail, figures left out: what differs only by the case is one kind."""
    first = _FIGURES.sub("#", (detail or "").partition("\n")[0])[:80].strip()
    return f"{failure}: {first}" if first else failure


def _wrong(said: str | None, truth: str | None, names: frozenset[str], free: bool, open_: bool) -> str | None:
    """`wrong: A for B`, or None. Free text is wrong here only where it is another class: metrics of texts read it in own ways.

    What is no class may be a row read aloud, which held-out data never shows.
    """
    word = said.strip() if said is not None else None
    if word is None or truth is None or word == truth or (free and word not in names):
        return None
    return f"wrong: {word[:40] if open_ or word in names else 'no class of the truth'} for {truth}"


def _with_inputs(
    context: Context, record: RunRecord, found: dict[str, list[dict[str, Any]]], ids: Any, truth: Any
) -> dict[str, list[dict[str, Any]]]:
    wanted = sorted({p for kinds in found.values() for kind in kinds for p, _ in kind["examples"]})
    inputs: dict[int, dict[str, Any]] = {}
    if wanted:
        pilot = pilot_of(record.options["document"])
        try:
            cases = open_cases(pilot.data.test, Path(record.options["folder"]), pilot.seed, context.scratch())
        except UserError:
            cases = None  # the data moved on; the failures are told without their inputs
        if cases is not None:
            if cases.digest == record.data_digest:
                inputs = {p: cases.inputs(p, p + 1).to_dicts()[0] for p in wanted}
            cases.close()
    for kinds in found.values():
        for kind in kinds:
            kind["examples"] = [
                {"case": ids[p], "input": inputs.get(p), "answer": said, "truth": truth[p]} for p, said in kind["examples"]
            ]
    return found
