"""Open one case of a sealed dossier later, with a proof that it is the one that was tested."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotbase.dossier import merkle
from pilotbase.dossier.commitments import commit, salt
from pilotbase.errors import UserError

__all__ = ["OpenedCase", "check", "disclose"]

_FIELDS = frozenset({"position", "salt", "input", "answer", "proof", "root", "candidate"})
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCase:
    """A case that a dossier is bound to: this input was asked, this answer recorded, and neither changed since the seal."""

    candidate: str
    position: int
    input: Any
    answer: Any


def disclose(secret: bytes, candidate: str, position: int, *, given: Any, answer: Any, leaves: Sequence[bytes]) -> dict[str, Any]:
    """A document that opens one case of `candidate` and no other: position, salt, input, answer, proof, root, candidate.

    `leaves` are the candidate's commitments. UserError where the input or the answer is not what was committed to.
    """
    if not 0 <= position < len(leaves):
        raise UserError(f"there is no case at position {position}: positions are 0 to {len(leaves) - 1}")
    salted = salt(secret, candidate, position)
    if commit(salted, position, given, answer) != leaves[position]:
        raise UserError(
            f"the input or the answer at position {position} of {candidate} is not what the dossier is bound to",
            hint="give the case and the recorded answer of the run that the dossier was made from, and that run's secret",
        )
    return {
        "position": position,
        "salt": salted.hex(),
        "input": given,
        "answer": answer,
        "proof": [node.hex() for node in merkle.proof(leaves, position)],
        "root": merkle.root(leaves).hex(),
        "candidate": candidate,
    }


def check(opened: object, record: Mapping[str, Any]) -> OpenedCase:
    """The case in a document of `disclose`, proved against a dossier's record (verify that first). UserError if not proved."""
    if not isinstance(opened, Mapping) or set(opened) != _FIELDS:
        raise UserError(f"an opened case has exactly the fields {', '.join(sorted(_FIELDS))}")
    proof = opened["proof"]
    candidate, position, salted = opened["candidate"], opened["position"], opened["salt"]
    if not isinstance(candidate, str) or type(position) is not int or not 0 <= position < 2**32:
        raise UserError("the opened case names no candidate, or no position")
    if not _digest(salted) or not isinstance(proof, list) or len(proof) > 64 or not all(map(_digest, proof)):
        raise UserError("the opened case's salt or proof is not made of 64 hex digits each")
    sealed = record.get("commitments")
    entry = sealed.get(candidate) if isinstance(sealed, Mapping) else None
    if not isinstance(entry, Mapping) or not _digest(entry.get("root")) or type(entry.get("count")) is not int:
        raise UserError(f"the dossier holds no commitments of a candidate {candidate!r}")
    if opened["root"] != entry["root"]:
        raise UserError("the opened case belongs to another dossier: its root is not the one that was sealed")
    try:
        leaf = commit(bytes.fromhex(salted), position, opened["input"], opened["answer"])
    except (TypeError, ValueError, RecursionError):
        raise UserError("the opened case's input or answer has no canonical form") from None
    path = [bytes.fromhex(node) for node in proof]
    if not merkle.verify(leaf, position, entry["count"], path, bytes.fromhex(entry["root"])):
        raise UserError(f"the input or answer shown for position {position} of {candidate} is not the one that was sealed")
    return OpenedCase(candidate=candidate, position=position, input=opened["input"], answer=opened["answer"])


def _digest(text: object) -> bool:
    return isinstance(text, str) and _HEX.fullmatch(text) is not None
