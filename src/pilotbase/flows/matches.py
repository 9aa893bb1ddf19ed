"""What fits a need or a capability, among all that is published: by words, and by meaning where a model is named."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pilotbase.catalog.embeddings import Ask, ask_model, cosine, vectors
from pilotbase.catalog.matching import Match, Refusal, rank
from pilotbase.catalog.shelf import Shelf, Shelved
from pilotbase.context import Context
from pilotbase.domain.entry import Capability, Entry, Need
from pilotbase.errors import UserError

__all__ = ["Matched", "matches"]

AT_ONCE = 64
"""Texts that a model is newly asked for while somebody waits for a page; the rest is asked for when one looks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Those that fit and those that are alike and do not, the best first, of `of` published ones.

    `meaning` is how many of them were compared by vectors too, None where no model is named; `trouble` is why not.
    """

    fits: tuple[Match, ...]
    refused: tuple[Refusal, ...]
    of: int
    meaning: int | None = None
    trouble: UserError | None = None


def matches(context: Context, asking: Need | Capability, *, most: int = 10, ask: Ask = ask_model) -> Matched:
    """What is published and fits an entry, in whatever state that is. A model that fails costs its ranking and nothing else."""
    shelf = _shelf(str(context.database.where), str(context.home))
    shelved = shelf.look(context.database)
    others, rows = _others(shelved, asking)
    told: Mapping[str, float] | None = None
    trouble = None
    if context.embeddings is not None:
        try:
            told = _meanings(context, shelf, asking, others, ask)
        except UserError as error:
            trouble = error
    today = context.clock.now().date()
    fits, refused = rank(asking, others, shelved.index, rows, today, meanings=told, most=most)
    return Matched(
        fits=tuple(fits),
        refused=tuple(refused),
        of=len(others),
        meaning=len(told) if told is not None else None,
        trouble=trouble,
    )


def _others(shelved: Shelved, asking: Need | Capability) -> tuple[tuple[Entry, ...], tuple[int, ...]]:
    return shelved.capabilities if isinstance(asking, Need) else shelved.needs


def _meanings(context: Context, shelf: Shelf, asking: Entry, others: tuple[Entry, ...], ask: Ask) -> Mapping[str, float]:
    assert context.embeddings is not None  # asked before
    texts = ["\n".join((one.title, one.field, one.text, " ".join(one.tags))) for one in (asking, *others)]
    found = vectors(
        context.database, context.embeddings, texts, now=context.clock.now(), most=AT_ONCE, ask=ask, kept=shelf.vectors
    )
    own = found[0]
    if own is None:
        return {}
    return {one.id: cosine(own, vector) for one, vector in zip(others, found[1:], strict=True) if vector is not None}


@lru_cache(maxsize=8)
def _shelf(where: str, home: str) -> Shelf:
    """One shelf for each database that this process has open."""
    return Shelf()
