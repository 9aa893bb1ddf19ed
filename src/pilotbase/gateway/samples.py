"""Requests and answers of a declared sample, and what users thought of answers, in the database."""

from collections.abc import Mapping, Sequence
from typing import Any

from pilotbase.store.database import Database

__all__ = ["keep", "keep_feedback"]


def keep(database: Database, documents: Sequence[Mapping[str, Any]]) -> None:
    """Keep sampled requests, each once. Bodies are missing where they were too large."""
    database.execute_many(
        "INSERT INTO samples (request, release_id, arm, at, endpoint, streamed, asked, answered) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (request) DO NOTHING",
        [
            (
                one["request"],
                one["release"],
                one["arm"],
                one["at"],
                one["endpoint"],
                int(one["streamed"]),
                _storable(one["asked"]),
                _storable(one["answered"]),
            )
            for one in documents
        ],
    )


def _storable(text: str | None) -> str | None:
    return None if text is None else text.replace("\0", "")  # no database keeps this character in a text


def keep_feedback(database: Database, request: str, key: str, good: bool, comment: str, *, at: int) -> bool:
    """Keep what a user thought of an answer; a later word replaces an earlier one. False where the key made no such request."""
    if database.row("SELECT 1 FROM requests WHERE id = ? AND access_key = ?", (request, key)) is None:
        return False
    database.execute(
        "INSERT INTO feedback (request, access_key, at, good, comment) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (request) DO UPDATE SET at = excluded.at, good = excluded.good, comment = excluded.comment",
        (request, key, at, int(good), comment),
    )
    return True
