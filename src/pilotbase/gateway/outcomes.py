"""Whether a request in the ledger was served, was failed by whoever answers it, or says nothing about that."""

__all__ = ["failed"]

_SERVED = frozenset(("answered", "unfinished"))
_FAILED = frozenset(("cut", "failed", "blocked"))


def failed(outcome: str, status: int | None) -> bool | None:
    """True where the one who answers failed, False where it served, None where the request says nothing about it.

    What was blocked by an output guard, broke off or ended in an error was not served. What the caller broke off, a person
    stopped, the gateway itself could not do or knew from before, or was wrong in the request says nothing.
    """
    if outcome in _SERVED:
        return False
    if outcome in _FAILED:
        return True
    if outcome.startswith("released: upstream_") and (status is None or status >= 500 or status == 429):
        return True
    return None
