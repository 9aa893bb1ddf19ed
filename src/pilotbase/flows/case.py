"""`pilotbase show RUN --case ID`: all that is recorded of one case, call by call, with the keys that identify it."""

from typing import Any

import orjson
import polars as pl

from pilotbase import plugins
from pilotbase.context import Context
from pilotbase.domain.canonical import canonical
from pilotbase.domain.keys import call_key, score_key
from pilotbase.errors import UserError
from pilotbase.flows.commit import plain_input, position_of
from pilotbase.flows.criteria import METHODS, plan
from pilotbase.flows.dossier import open_data
from pilotbase.flows.evidence import read_log, transformer
from pilotbase.flows.facts import pilot_of
from pilotbase.pilots.records import RunRecord

__all__ = ["case_of"]

SAID = ("label", "score", "text", "extra", "failure", "detail")


def case_of(context: Context, record: RunRecord, case: str) -> list[dict[str, Any]]:
    """The calls made for one case: candidate, variant, inputs, answer, call key and the score keys of its checks.

    Held-out data is refused: its rows are shown to nobody here.
    """
    pilot = pilot_of(record.options["document"])
    if pilot.data.test.custody == "held-out":
        raise UserError(
            "the data is held out: its rows are not shown", hint="the custodian can open one case with `pilotbase disclose open`"
        )
    cases = open_data(context, record)
    try:
        position = position_of(cases, case)
        _, planned, variants = plan(pilot, record.round, early_stop=record.options["early_stop"])
        transform = transformer(cases, pilot.seed, pilot.data.test.media)
        plain = cases.inputs(position, position + 1)
        found: list[dict[str, Any]] = []
        for candidate in record.options["candidates"]:
            parameters = _parameters(record, candidate["id"], candidate["kind"])
            for frame in read_log(context, record.run, candidate["id"]):
                for row in frame.filter(pl.col("position") == position).iter_rows(named=True):
                    variant = variants[row["variant"]]
                    given = plain_input(
                        (transform(variant, plain, position) if variant.kind == "transform" else plain).to_dicts()[0]
                    )
                    arrival = row["repetition"] if variant.kind == "load" else None
                    key = call_key(candidate["fingerprint"], canonical(given), parameters, row["repetition"], arrival)
                    columns = {
                        (p.column.metric, p.column.parameters)
                        for p in planned
                        if row["variant"] in (p.column.variant, p.other and p.other.variant)
                    }
                    found.append({
                        "candidate": candidate["id"],
                        "asked": str(variant),
                        "input": given,
                        "answer": {k: row[k] for k in SAID if row[k] is not None},
                        "seconds": row["seconds"],
                        "attempts": row["attempts"],
                        "call_key": key,
                        "score_keys": {m: score_key(key, m, METHODS, orjson.loads(p)) for m, p in sorted(columns)},
                    })  # fmt: skip
        return found
    finally:
        cases.close()


def _parameters(record: RunRecord, candidate: str, kind: str) -> dict[str, Any]:
    """Decoding parameters, for a kind of target that has them."""
    options = next(c["target"][kind] for c in record.options["document"]["candidates"] if c["id"] == candidate)
    named = getattr(plugins.load("targets", kind), "decoding", ())
    return {name: options.get(name) for name in named}
