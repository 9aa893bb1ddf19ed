"""The console's two languages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment

import pilotbase.console
from pilotbase.console.contents import PAGES
from pilotbase.console.people import ROLE_WORDS
from pilotbase.console.states import STATES
from pilotbase.console.words import catalogue, catalogues, preferred, speak

FOLDER = Path(pilotbase.console.__file__).parent
PLACE = re.compile(r"%\((\w+)\)[sd]")


def texts() -> Iterator[tuple[str, str]]:
    """Every text that the console says, and where."""
    for page in PAGES:
        yield page.title, page.name
    yield from ((word, "roles") for word in ROLE_WORDS.values())
    yield from ((word, "states") for _, _, word in STATES.values())
    for path in sorted((FOLDER / "templates").glob("*.j2")):
        for _, _, told in Environment(extensions=["jinja2.ext.i18n"]).extract_translations(path.read_text(encoding="utf-8")):
            for one in told if isinstance(told, tuple) else (told,):
                if one:
                    yield one, path.name
    for path in sorted(FOLDER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if name in ("t", "say") and isinstance(node, ast.Call) and node.args:
                for part in ast.walk(node.args[0]):
                    if (
                        isinstance(part, ast.Constant)
                        and isinstance(part.value, str)
                        and not isinstance(node.args[0], ast.Subscript)
                    ):
                        yield part.value, path.name


def test_every_text_has_its_chinese() -> None:
    known = catalogue("zh")
    assert sorted({(where, text) for text, where in texts() if text not in known}) == []


def test_the_chinese_of_a_text_has_its_places_and_no_others() -> None:
    for name, told in catalogues("zh").items():
        for english, chinese in told.items():
            assert sorted(PLACE.findall(english)) == sorted(PLACE.findall(chinese)), (name, english)


def test_a_pages_own_catalogue_comes_first_and_what_has_no_translation_stays_english() -> None:
    assert speak("zh", "audit")("Action") == catalogues("zh")["audit"]["Action"]
    assert speak("zh")("no such text at all") == "no such text at all"
    assert speak("en")("Sign in") == "Sign in"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-US,en;q=0.9,zh;q=0.8", "en"),
        ("fr, zh-Hant;q=0.5, en;q=0.4", "zh"),
        ("de", "en"),
        ("zh;q=0, en;q=0.1", "en"),
        ("zh;q=nonsense,en", "en"),
        (";;;,,,=;q", "en"),
    ],
)
def test_a_browsers_liking_is_respected(accepted: str, language: str) -> None:
    assert preferred(accepted) == language
