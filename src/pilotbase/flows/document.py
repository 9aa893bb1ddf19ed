"""A result as the document of VERDICT.md section 8."""

from dataclasses import asdict
from typing import Any

from pilotbase.domain.verdict import Family, RunResult

__all__ = ["document_of"]


def document_of(result: RunResult) -> dict[str, Any]:
    """The shape of VERDICT.md section 8, with the reasons in both languages."""

    def check(c: Any) -> dict[str, Any]:
        body = {f: getattr(c, f) for f in c.__dataclass_fields__ if f not in ("reasons", "parts")}
        return {
            **body,
            "reasons": [r.text("en") for r in c.reasons],
            "reasons_zh": [r.text("zh") for r in c.reasons],
            "parts": [dict(p) for p in c.parts],
        }

    return {
        "schema": "pilotbase.run/1",
        "run": result.run,
        "pilot": result.pilot,
        "verdict": result.verdict,
        "status": result.status,
        "confirmatory": result.confirmatory,
        "exploratory_because": list(result.exploratory_because),
        "confidence": result.confidence,
        "family": _family(result.family),
        "candidates": [
            {
                "id": c.id,
                "role": c.role,
                "fingerprint": c.fingerprint,
                "verdict": c.verdict,
                "reasons": list(c.reasons),
                "gates": [
                    {"gate": g.gate, "mandatory": g.mandatory, "verdict": g.verdict, "checks": [check(k) for k in g.checks]}
                    for g in c.gates
                ],
            }
            for c in result.candidates
        ],
    }


def _family(family: Family) -> dict[str, Any]:
    return asdict(family)
