"""Texts of an upstream made fit for others: without its address, its key, and its own name for the model."""

import re
from urllib.parse import urlsplit

__all__ = ["Scrub"]

LONGEST = 2000
_PLACES = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>`]+"  # addresses
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"  # IPv4
    r"|\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\](?::\d+)?"  # IPv6, as in an address
    r"|\b(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+):\d{2,5}\b"  # host and port
)
_KEYS = re.compile(r"\bBearer\s+\S+|\b(?:sk|pk|key|pb)[-_][A-Za-z0-9_*.-]{8,}", re.IGNORECASE)


class Scrub:
    """Takes out what belongs to one upstream: `secrets` (its key, its headers' values), `url`, and `model`, for which the
    route's name `shown` is put in.
    """

    __slots__ = ("_model", "_shown", "_words")

    def __init__(self, *, url: str | None, secrets: tuple[str, ...] = (), model: str | None = None, shown: str = "") -> None:
        parts = urlsplit(url or "")
        words = {*secrets, url or "", parts.netloc, parts.hostname or ""}
        # The longest first, so that no rest of an address is left of it.
        self._words = sorted((word for word in words if len(word) >= 4), key=lambda word: (-len(word), word))
        own = model if model and len(model) >= 3 and model != shown else None
        self._model = re.compile(rf"(?<![\w.-]){re.escape(own)}(?![\w-])") if own else None
        self._shown = shown

    def __call__(self, text: str) -> str:
        """The text without them, at most 2000 characters, control characters as spaces."""
        text = text[: LONGEST * 4]
        for word in self._words:
            text = text.replace(word, "***")
        text = _KEYS.sub("***", _PLACES.sub("***", text))
        if self._model is not None:
            text = self._model.sub(lambda _: self._shown, text)
        return "".join(c if c.isprintable() or c == "\n" else " " for c in text[:LONGEST])
