"""Spans of time as readers of the console say them."""

from collections.abc import Callable

__all__ = ["span"]

_UNITS = (86400.0, 3600.0, 60.0)


def span(seconds: float | None, t: Callable[[str], str]) -> str:
    """`45 s`, `3.5 min`, `2 h`, with two significant digits or the whole number; a dash for None. `t` says a text."""
    if seconds is None:
        return "—"
    texts = (t("%(number)s d"), t("%(number)s h"), t("%(number)s min"))
    size, text = next(
        ((size, text) for size, text in zip(_UNITS, texts, strict=True) if seconds >= size), (1.0, t("%(number)s s"))
    )
    number = seconds / size
    return text % {"number": f"{number:.0f}" if number >= 10 or size == 1.0 else f"{number:.2g}"}
