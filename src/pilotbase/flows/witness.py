"""Countersignatures on criteria: taken in, kept with the criteria, put into dossiers."""

from typing import Any

import orjson

from pilotbase.context import Context
from pilotbase.dossier.countersign import read_countersignature, witness_entry
from pilotbase.errors import UserError

__all__ = ["keep_witness", "witness_of"]


def witness_of(context: Context, criteria_digest: str) -> dict[str, Any] | None:
    """The record's `criteria.witness`, or None where time is self-declared."""
    row = context.database.row("SELECT countersignature FROM criteria WHERE digest = ?", (criteria_digest,))
    if row is None or not row["countersignature"]:
        return None
    return dict(witness_entry(orjson.loads(row["countersignature"]), criteria_digest))


def keep_witness(context: Context, document: bytes) -> tuple[str, str]:
    """Take in a second party's countersignature on criteria recorded here; (digest, fingerprint of the witness).

    UserError where it is garbled, its signature fails, or no such criteria were recorded here.
    """
    try:
        parsed = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise UserError(
            f"not a countersignature: {error}", hint="give the file that `pilotbase countersign DIGEST` wrote"
        ) from None
    witness = read_countersignature(parsed)
    with context.database.transaction():
        changed = context.database.execute(
            "UPDATE criteria SET countersignature = ? WHERE digest = ?", (orjson.dumps(parsed).decode(), witness.digest)
        )
    if not changed:
        raise UserError(
            f"no criteria of digest {witness.digest} were recorded in this home",
            hint="commit them first: pilotbase explain PILOT --commit",
        )
    return witness.digest, witness.key_id
