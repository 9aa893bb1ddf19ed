"""The entries of a dossier record that describe the run, its criteria, data, accounts and plan."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import orjson

from pilotbase.checks.conclude import Account
from pilotbase.checks.plan import PlannedCheck
from pilotbase.checks.rows import CaseColumns
from pilotbase.context import Context
from pilotbase.flows.witness import witness_of
from pilotbase.pilots.records import RunRecord

__all__ = [
    "account_entries",
    "check_entry",
    "column_entry",
    "criteria_entry",
    "data_entry",
    "plain_entry",
    "run_entry",
    "unquoted",
]

UNREACHED = "could not be reached"
_QUOTED = re.compile(r" \(first in row [\d,]+: `.*`\)", re.DOTALL)


def run_entry(record: RunRecord) -> dict[str, Any]:
    kept = ("early_stop", "only", "limit", "partial")
    status = record.result["status"] if record.result else "interrupted"
    return {"id": record.run, "created": record.created, "finished": record.updated, "status": status, "round": record.round,
            "options": {k: record.options[k] for k in kept}}  # fmt: skip


def criteria_entry(context: Context, record: RunRecord) -> dict[str, Any]:
    row = context.database.row("SELECT recorded, document FROM criteria WHERE digest = ?", (record.criteria_digest,))
    assert row is not None  # recorded when the run began
    return {
        "digest": record.criteria_digest,
        "recorded": row["recorded"],
        "witness": witness_of(context, record.criteria_digest),
        "document": orjson.loads(row["document"]),
    }


def data_entry(record: RunRecord, columns: CaseColumns, *, quote: bool) -> dict[str, Any]:
    data = record.options["data"]
    found: dict[str, Any] = {
        **{k: data[k] for k in ("digest", "order", "count", "name")},
        "repairs": data["repairs"] if quote else [_QUOTED.sub("", text) for text in data["repairs"]],
        "groups": {name: len(coded.names) for name, coded in columns.groups.items()},
        "clusters": columns.cluster_count,
    }
    return found if columns.incidents is None else {**found, "regressions": columns.regressions}


def unquoted(account: Account) -> Account:
    """An account without what a candidate or its endpoint said when it could not be reached, which may repeat an input."""

    def kept(why: str) -> str:
        return why.partition(UNREACHED)[0] + UNREACHED if UNREACHED in why else why

    return replace(account, why=kept(account.why), load_missing={v: kept(why) for v, why in account.load_missing.items()})


def account_entries(accounts: Mapping[str, Account]) -> dict[str, Any]:
    return {
        name: {
            "answered": {str(v): n for v, n in a.answered.items()},
            "why": a.why,
            "currency": a.currency,
            "judges": {str(v): asdict(c) for v, c in a.judges.items()},
            "load_missing": {str(v): why for v, why in a.load_missing.items()},
        }
        for name, a in accounts.items()
    }


def check_entry(p: PlannedCheck) -> dict[str, Any]:
    return {
        "id": p.id,
        "gate": p.gate,
        "metric": p.check.metric,
        "title": {"en": p.metric.title[0], "zh": p.metric.title[1]},
        "column": column_entry(p.column),
        "other": None if p.other is None else column_entry(p.other),
        "reference": p.reference,
        "view": p.check.view[0] if p.check.view else None,
        "anytime": p.anytime,
        "source": p.metric.source,
    }


def column_entry(column: Any) -> dict[str, Any]:
    return {"metric": column.metric, "parameters": orjson.loads(column.parameters), "variant": column.variant}


def plain_entry(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: plain_entry(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain_entry(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value
