"""What happened to cases, as openness and the funnel count it."""

from collections.abc import Sequence

from pilotbase.context import Context
from pilotbase.domain.journey import Journey

__all__ = ["journeys"]


def journeys(context: Context, *, need: str | None = None) -> Sequence[Journey]:
    """The journeys of all cases that were submitted, or of those for one need."""
    return ()
