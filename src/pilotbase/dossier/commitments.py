"""Salted commitments to each case's input and answer, and salted codes for groups and clusters.

Everything hangs on one secret of 32 bytes a run, which the custodian keeps. Whoever lacks it learns nothing from the
dossier, not even by trying every likely input; the custodian can open any one case later (`disclose`).
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from pilotbase.domain.canonical import canonical
from pilotbase.errors import UserError

__all__ = ["ALGORITHM", "code", "codes", "commit", "commit_all", "frame", "leaves", "new_secret", "salt"]

ALGORITHM = "sha256 salted leaves, RFC 6962 hashing"

_HEX = re.compile(r"[0-9a-f]{64}")


def new_secret() -> bytes:
    """A fresh secret for one run."""
    return secrets.token_bytes(32)


def salt(secret: bytes, candidate: str, position: int) -> bytes:
    """32 bytes for one candidate's case: HMAC-SHA256 (RFC 2104) of both under the secret.

    The candidate is part of it: opening a case of one candidate would otherwise give the salt of the same case of the
    others, whose input is then known and whose few possible answers can be tried.
    """
    return hmac.digest(secret, b"pilotbase case 1\x00%b\x00%d" % (candidate.encode(), position), "sha256")


def commit(salted: bytes, position: int, given: Any, answer: Any) -> bytes:
    """Leaf data of one case: SHA-256(salt || canonical([input, answer, position])). Raises as `canonical` does."""
    return hashlib.sha256(salted + canonical([given, answer, position])).digest()


def commit_all(secret: bytes, candidate: str, cases: Iterable[tuple[Any, Any]], start: int = 0) -> Iterator[bytes]:
    """Leaf data of a candidate's cases, each (input, answer), in order of position from `start`."""
    for position, (given, answer) in enumerate(cases, start):
        yield commit(salt(secret, candidate, position), position, given, answer)


def code(secret: bytes, column: str, value: str) -> str:
    """16 hex digits that stand for a group or cluster: equal values of a column get equal codes, and no code tells its value."""
    return hmac.digest(secret, b"pilotbase code 1\x00" + canonical([column, value]), "sha256").hex()[:16]


def codes(secret: bytes, column: str, values: Iterable[str | None]) -> list[str | None]:
    """The codes of a whole column; missing values stay missing."""
    known: dict[str | None, str | None] = {None: None}
    found = []
    for value in values:
        if value not in known and value is not None:
            known[value] = code(secret, column, value)
        found.append(known[value])
    return found


def frame(leaves: Iterable[bytes]) -> pl.DataFrame:
    """The table of a candidate's commitments: `position` u32 from 0, `commitment` 64 hex digits."""
    texts = [leaf.hex() for leaf in leaves]
    positions = pl.arange(0, len(texts), dtype=pl.UInt32, eager=True)
    return pl.DataFrame({"position": positions, "commitment": pl.Series(texts, dtype=pl.String)})


def leaves(table: pl.DataFrame, *, where: str | None = None) -> Sequence[bytes]:
    """Leaf data from a table that `frame` made. UserError for another shape, gaps in the order, a garbled commitment."""
    if table.columns != ["position", "commitment"] or table.dtypes != [pl.UInt32, pl.String]:
        raise UserError("a table of commitments has the columns position (u32) and commitment (text)", where=where)
    if table["position"].null_count() or not (table["position"] == pl.arange(0, table.height, dtype=pl.UInt32, eager=True)).all():
        raise UserError("the positions of the commitments are not 0, 1, 2 and so on", where=where)
    found = []
    for position, text in enumerate(table["commitment"]):
        if text is None or not _HEX.fullmatch(text):
            raise UserError(f"the commitment at position {position} is not 64 hex digits", where=where)
        found.append(bytes.fromhex(text))
    return found
