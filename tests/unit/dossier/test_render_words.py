"""The table of words: complete in both languages, and neither short nor long of what the report uses."""

import re
import string
from pathlib import Path

import pytest

from pilotbase.checks.metrics import METRICS
from pilotbase.domain.evidence import FAILURES
from pilotbase.dossier import words

SOURCE = Path(words.__file__).parent
READERS = [*SOURCE.glob("render_*.py"), SOURCE / "reading.py", SOURCE / "charts.py", *SOURCE.glob("templates/*.j2")]


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", words.WORDS)
def test_a_word_stands_in_both_languages_with_the_same_figures(key: str) -> None:
    english, chinese = words.WORDS[key]
    assert english.strip() and chinese.strip()
    assert fields(english) == fields(chinese)


def test_chinese_words_are_chinese() -> None:
    same = {"switch", "false-fail-told"}
    assert [k for k, (_, chinese) in words.WORDS.items() if k not in same and not re.search("[\u4e00-\u9fff；]", chinese)] == []


def test_every_word_is_used_and_every_used_word_exists() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in READERS)
    quoted = set(re.findall(r"[\"']([a-z0-9][a-z0-9-]*)[\"']", text))
    made = {
        k
        for k in words.WORDS
        if k.startswith(("area-", "risk-", "authority-", "status-", "failed-", "view-", "headline-", "limit-"))
    }
    assert set(words.WORDS) - quoted - made == set()
    called = set(re.findall(r"\bt\(\"([a-z0-9-]+)\"(?: [a-z]|[,)])", text)) | set(re.findall(r"\bword\(\"([a-z0-9-]+)\"", text))
    assert called - set(words.WORDS) == set()


def test_metric_names_are_those_of_the_table_of_metrics() -> None:
    assert {name: row.title for name, row in METRICS.items()} == words.METRIC_TITLES


def test_every_kind_of_failure_has_words() -> None:
    assert {f"failed-{kind}" for kind in FAILURES} == {k for k in words.WORDS if k.startswith("failed-")}


def test_a_metric_of_a_plug_in_keeps_its_own_name() -> None:
    assert words.metric_title("vendor.score", "zh") == "vendor.score"


def test_a_text_in_one_language_is_told_in_the_other_rather_than_left_out() -> None:
    assert words.told({"en": "Triage", "zh": None}, "zh") == "Triage"
    assert words.told("plain", "zh") == "plain"
    assert words.told(None, "en") == ""
