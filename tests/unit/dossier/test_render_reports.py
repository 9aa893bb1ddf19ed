"""The three reports: complete, true to the record, the same each time, and safe whatever the record says."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt
from tests.fakes import records

from pilotbase.dossier import render_html, render_junit, render_markdown
from pilotbase.dossier.reading import read_candidates

RENDERERS = {"html": render_html.render, "markdown": render_markdown.render, "junit": render_junit.render}
CSS = Path(render_html.__file__).parent / "templates" / "report.css"


class Seen(HTMLParser):
    """Tags, attributes, ids and visible text of one page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += " "
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def html(record: dict[str, Any]) -> str:
    return render_html.render(record).decode("utf-8")


def part(page: str, section: str) -> str:
    """The visible text of one section, white space folded."""
    found = re.search(rf'<section id="{section}".*?</section>', page, flags=re.DOTALL)
    assert found, section
    return " ".join(Seen(found[0]).text.split())


@pytest.mark.parametrize("name", records.VARIANTS)
@pytest.mark.parametrize("kind", RENDERERS)
def test_equal_records_give_equal_bytes(kind: str, name: str) -> None:
    first = records.VARIANTS[name]()
    again = json.loads(json.dumps(dict(reversed(first.items())) if kind == "junit" else first))
    before = json.dumps(first)
    assert RENDERERS[kind](first) == RENDERERS[kind](again)
    assert json.dumps(first) == before


@pytest.mark.parametrize("kind", RENDERERS)
def test_a_null_anywhere_is_no_error(kind: str, size: Callable[[int, int], int]) -> None:
    found = records.nulled(records.record())
    for made in found[:: size(7, 1)]:
        assert RENDERERS[kind](made)


@pytest.mark.parametrize("name", records.VARIANTS)
def test_the_page_fetches_nothing_and_its_ids_are_unique(name: str) -> None:
    page = html(records.VARIANTS[name]())
    seen = Seen(page)
    assert len(seen.ids) == len(set(seen.ids))
    assert {link[1:] for link in seen.links} <= set(seen.ids)
    assert all(link.startswith("#") for link in seen.links)
    assert not re.search(r"url\(|@import|https?://", page)
    assert "default-src &#39;none&#39;" in page


def test_hostile_text_in_every_field_adds_no_element_and_no_attribute_to_the_page() -> None:
    usual, page = Seen(html(records.record())), html(records.hostile(records.record()))
    seen = Seen(page)
    assert set(seen.tags) <= set(usual.tags)
    assert seen.attributes <= usual.attributes
    assert [seen.tags.count(t) for t in ("script", "style", "title")] == [1, 1, usual.tags.count("title")]
    assert "<script>alert(1)" not in page
    assert "<script>alert(1)</script>" in seen.text
    assert "{{7*7}}" in seen.text
    assert not re.search("[\x00\x1b\u202e]", page)


def test_hostile_text_in_every_field_stays_text_in_markdown() -> None:
    text = render_markdown.render(records.hostile(records.record())).decode("utf-8")
    shown = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text)
    usual = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(
        render_markdown.render(records.record()).decode("utf-8")
    )
    seen, expected = Seen(shown), Seen(usual)
    assert set(seen.tags) <= set(expected.tags)
    assert seen.tags.count("tr") == expected.tags.count("tr")
    assert seen.tags.count("td") == expected.tags.count("td")
    assert seen.tags.count("h1") == expected.tags.count("h1")
    assert seen.links == []
    assert "<script>alert(1)</script>" in seen.text
    assert not re.search(r"https?://", text)


def test_hostile_text_in_every_field_stays_text_in_junit() -> None:
    given = records.hostile(records.record())
    usual, seen = ET.fromstring(render_junit.render(records.record())), ET.fromstring(render_junit.render(given))
    assert [e.tag for e in seen.iter("testcase")] == [e.tag for e in usual.iter("testcase")]
    assert {e.tag for e in seen.iter()} <= {e.tag for e in usual.iter()}
    assert "]]></style>" in (seen[0].get("name") or "")


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "en",
            [
                "1 of 3",
                "Logistic regression (logistic) met all 4 mandatory checks, each at 95 % confidence.",
                "Threshold on mean radius (threshold-rule) did not meet 2 of 4",
                "The evidence does not decide whether 对话助手",
                "it is not judged",
                "Rank aspirates",
            ],
        ),
        (
            "zh",
            ["3 个中有 1 个", "满足全部 4 个必过检验项", "有 2 个必过检验项未满足", "有 2 个未定", "不作判定", "对穿刺样本排序"],
        ),
    ],
)
def test_the_verdict_stands_in_plain_sentences_in_both_languages(language: str, expected: list[str]) -> None:
    told = part(html(records.record()), f"{language}-verdict")
    assert [text for text in expected if text not in told] == []


def test_a_verdict_is_told_by_word_and_shape_beside_its_colour() -> None:
    page = html(records.record())
    badges = re.findall(
        r'<span class="badge (pass|fail|inconclusive)[^"]*"><svg class="icon"[^>]*><use href="#i-(\w+)"/></svg>(.*?)</span>', page
    )
    words = {"pass": {"PASS", "通过"}, "fail": {"FAIL", "未通过"}, "inconclusive": {"INCONCLUSIVE", "未定"}}
    assert len(badges) > 40
    assert all(shape == kind and text in words[kind] for kind, shape, text in badges)


def test_the_bounds_are_said_to_be_one_sided() -> None:
    told = part(html(records.record()), "en-gates")
    assert "Each bound is one-sided at 95 %: together low and high make a 90 % interval." in told
    given = records.record()
    given["result"]["candidates"][0]["gates"][0]["checks"][0]["confidence"] = 0.99
    assert "1 − 2α" in part(html(given), "en-gates")


def test_a_reason_is_told_in_the_readers_language() -> None:
    page = html(records.record())
    assert "low 0.9636 keeps >= 0.95" in part(page, "en-gates")
    assert "low 0.9636 满足 >= 0.95" in part(page, "zh-gates")


def test_an_exploratory_pass_is_marked_wherever_it_is_told() -> None:
    page = html(records.exploratory())
    for section in ("verdict", "standing", "gates"):
        assert "EXPLORATORY" in part(page, f"en-{section}")
    assert "no release may rest on it" in part(page, "en-verdict")
    assert "the confidence 0.9 is not the recorded one" in part(page, "en-standing")
    assert "EXPLORATORY" in render_markdown.render(records.exploratory(), "en").decode()
    assert b'name="standing" value="exploratory"' in render_junit.render(records.exploratory())


def test_a_record_that_does_not_say_that_it_is_confirmatory_is_exploratory() -> None:
    given = records.record()
    del given["confirmatory"]
    assert "EXPLORATORY" in part(html(given), "en-verdict")


def test_a_time_without_a_witness_is_called_self_declared() -> None:
    assert "self-declared" in part(html(records.record()), "en-standing")
    assert "countersigned by key SHA256:base-key at 2026-11-21 18:39:59 UTC" in part(html(records.held_out()), "en-standing")


def test_held_out_rows_are_never_shown_even_where_the_record_holds_them() -> None:
    for kind, render in RENDERERS.items():
        text = render(records.held_out()).decode("utf-8")
        assert "87139402" not in text, kind
        assert "I cannot say" not in text, kind
    assert "87139402" in html(records.record())
    assert "rows stay with the custodian" in part(html(records.held_out()), "en-failures")
    assert "数据行只留在保管方" in part(html(records.held_out()), "zh-failures")


def test_planned_cases_are_the_sum_of_scored_failed_and_not_asked() -> None:
    for candidate in read_candidates(records.record(), "en"):
        for check in candidate.checks:
            assert check.planned == (check.scored or 0) + (check.failed or 0) + (check.not_asked or 0)
    assert "Sensitivity 212 209 3 0 212" in part(html(records.record()), "en-accounting")


def test_the_family_prints_what_was_tried_and_both_bounds() -> None:
    told = part(html(records.record()), "en-family")
    assert "0.3: min(1, K·R·α)" in told
    assert "logistic: 0.2 (m = 4)" in told
    given = records.record()
    given["result"]["family"] |= {"corrected": True, "alpha": 0.0025}
    assert "0.05: α is divided over candidates and rounds" in part(html(given), "en-family")


def test_what_was_not_tested_is_listed_or_its_absence_explained() -> None:
    assert "Patients of any other hospital" in part(html(records.record()), "en-not-tested")
    assert "does not mean that everything was tested" in part(html(records.only_failures()), "en-not-tested")


def test_the_commands_to_verify_and_the_digests_stand_on_the_page() -> None:
    given, page = records.record(), html(records.record())
    assert "pilotbase verify DIR --signer FINGERPRINT" in part(page, "en-verify")
    assert "pilotbase rerun DIR" in part(page, "zh-verify")
    for digest in (
        given["criteria"]["digest"],
        given["data"]["digest"],
        given["commitments"]["logistic"]["root"],
        given["candidates"][0]["fingerprint"],
    ):
        assert digest in part(page, "en-identity")
    assert "No conformity with any standard is claimed" in part(page, "en-environment")


def test_a_withheld_pass_says_why() -> None:
    given = records.record()
    given["result"]["candidates"][0]["verdict"] = given["result"]["verdict"] = "inconclusive"
    given["result"]["status"] = "partial"
    told = part(html(given), "en-verdict")
    assert "met all 4 mandatory checks, but the pass is withheld. The run is partial, and only a complete run can pass." in told


def test_an_unreadable_verdict_is_shown_as_undecided() -> None:
    given = records.record()
    given["result"]["candidates"][0]["verdict"] = "PASSED"
    assert read_candidates(given, "en")[0].verdict == "inconclusive"


def test_further_cases_are_named_where_every_open_check_names_them() -> None:
    given = records.record()
    checks = given["result"]["candidates"][2]["gates"][0]["checks"]
    assert "further cases" not in read_candidates(given, "en")[2].sentence
    checks[1]["needed"] = 8000
    assert "About 8,000 further cases" in read_candidates(given, "en")[2].sentence


def test_references_follow_the_judged_and_have_no_verdict() -> None:
    given = records.record()
    given["result"]["candidates"].insert(0, given["result"]["candidates"].pop())
    read = read_candidates(given, "en")
    assert [c.id for c in read] == ["logistic", "threshold-rule", "assistant", "readers"]
    assert read[-1].deciding == 0


def test_junit_fails_what_decides_and_skips_what_is_open_or_informs() -> None:
    root = ET.fromstring(render_junit.render(records.record()))
    suites = {s.get("name"): s for s in root.iter("testsuite")}
    assert [suites[n].get("failures") for n in ("logistic", "threshold-rule", "assistant", "readers")] == ["0", "2", "0", "0"]
    failed = suites["threshold-rule"].findall("testcase")[0]
    assert failed.get("classname") == "capability"
    found = failed.find("failure")
    assert found is not None
    assert "high 0.9088 misses >= 0.95" in (found.get("message") or "")
    latency = next(c for c in suites["threshold-rule"].iter("testcase") if "latency" in (c.get("name") or ""))
    skipped = latency.find("skipped")
    assert skipped is not None
    assert (skipped.get("message") or "").startswith("decides nothing; fail")
    properties = {p.get("name"): p.get("value") for p in failed.iter("property")}
    assert (properties["value"], properties["low"], properties["high"], properties["n"]) == ("0.8726", "0.8284", "0.9088", "212")
    assert root.get("time") == "191.500"
    for name in ("tests", "failures", "skipped"):
        assert int(root.get(name) or 0) == sum(int(s.get(name) or 0) for s in suites.values())


def test_markdown_holds_english_and_then_chinese_or_one_of_them() -> None:
    both = render_markdown.render(records.record()).decode()
    english, chinese = (render_markdown.render(records.record(), one).decode() for one in ("en", "zh"))
    assert both == f"{english.strip()}\n\n---\n\n{chinese}"
    assert "What was not tested" in english
    assert "未测试的内容" in chinese
    for candidate in read_candidates(records.record(), "en"):
        assert candidate.sentence.replace("\u00a0", " ") in english
    assert "| Sensitivity | >= 0.95 | ✔ PASS | 0.9858 |" in english


def _luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_and_charts_keep_a_contrast_of_4_5_in_light_dark_and_print() -> None:
    blocks = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", b))
        for b in re.findall(r"\{([^{}]*--ground:[^{}]*)\}", CSS.read_text(encoding="utf-8"))
    ]
    assert len(blocks) == 4
    grounds = {
        "pass": ["pass-ground", "ground", "side"],
        "fail": ["fail-ground", "ground", "side"],
        "plain": ["ground", "raised"],
    }
    grounds |= {"inconclusive": ["inconclusive-ground", "ground", "raised", "side"], "ink": ["ground", "raised", "side"]}
    grounds |= {"muted": ["ground", "raised"], "link": ["ground", "raised"], "limit": ["ground", "side"]}
    for block in blocks:
        for ink, under in grounds.items():
            for ground in under:
                light, dark = sorted((_luminance(block[ink]), _luminance(block[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground, block)
    assert blocks[1] == blocks[2]
