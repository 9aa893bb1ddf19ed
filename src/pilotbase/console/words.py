"""The console's two languages: English stands in the source, Chinese in the gettext catalogues of `console/locale/zh`."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from babel.messages.pofile import read_po

__all__ = ["LANGUAGES", "Language", "catalogue", "catalogues", "preferred", "speak"]

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
_LOCALE = Path(__file__).parent / "locale"


@cache
def catalogues(language: str) -> Mapping[str, Mapping[str, str]]:
    """The catalogues of a language by name, each of texts by their English. None for English."""
    return {path.stem: _texts(path, language) for path in sorted((_LOCALE / language).glob("*.po"))}


@cache
def catalogue(language: str, first: str = "") -> Mapping[str, str]:
    """Every text of a language by its English text: the catalogue `first`, then all in the order of their names."""
    merged: dict[str, str] = dict(catalogues(language).get(first, {}))
    for one in catalogues(language).values():
        for text, told in one.items():
            merged.setdefault(text, told)
    return merged


def speak(language: str, first: str = "") -> Callable[[str], str]:
    """The function that says an English text in `language`; what has no translation is said in English.

    A page's own catalogue comes `first`: one English word may be two Chinese ones on different pages.
    """
    known = catalogue(language, first)
    return lambda text: known.get(text, text)


def preferred(accepted: str) -> Language:
    """The language that an `Accept-Language` header (RFC 9110, 12.5.4) likes best of ours; English where it likes neither."""
    best: tuple[float, Language] = (0.0, "en")
    for part in accepted[:500].split(","):
        tag, _, weight = part.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        if primary in LANGUAGES and (liking := _weight(weight)) > best[0]:
            best = (liking, primary)
    return best[1]


def _texts(path: Path, language: str) -> Mapping[str, str]:
    with path.open("rb") as file:
        return {
            message.id: str(message.string)
            for message in read_po(file, locale=language)
            if isinstance(message.id, str) and message.id and message.string
        }


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if not text.strip():
        return 1.0
    try:
        return min(1.0, float(value)) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
