"""What a result needs of a run, from the record of a home or of a dossier."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotbase.domain.pilot import Pilot
from pilotbase.errors import UserError
from pilotbase.pilots.records import RunRecord
from pilotbase.spec.parts import parse

__all__ = ["RunFacts", "facts_of", "pilot_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a result needs of a run beside its pilot and evidence."""

    run: str
    round: int
    early_stop: bool
    partial: str
    only: tuple[str, ...]
    fingerprints: Mapping[str, str]


def facts_of(record: RunRecord) -> RunFacts:
    """The facts of a run in this home."""
    options = record.options
    return RunFacts(
        run=record.run,
        round=record.round,
        early_stop=options["early_stop"],
        partial=options["partial"],
        only=tuple(options["only"]),
        fingerprints=record.fingerprints,
    )


def pilot_of(document: Mapping[str, Any]) -> Pilot:
    """The pilot of a normalised document. Targets keep their options as plain data: nothing is reached from here."""
    candidates = [
        {**c, "target": {"kind": (kind := next(iter(c["target"]))), "options": c["target"][kind]}} for c in document["candidates"]
    ]
    parsed = parse(Pilot, {**document, "candidates": candidates})
    if parsed.value is None or parsed.findings:
        raise UserError(
            "the recorded pilot cannot be read by this version", hint="; ".join(f.problem.message for f in parsed.findings[:3])
        )
    return parsed.value
