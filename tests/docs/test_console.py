"""Every command in the pages runs, and prints what the page says."""

from pathlib import Path

import pytest
from tests.docs.pages import PAIRS, agrees, name, pages, session, steps

PAGES = [p for p in pages() if steps(p)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_commands_of_a_page_print_what_it_says(page: Path) -> None:
    told = steps(page)
    printed = session(tuple(s.action for s in told))
    pairs = zip(told, printed, strict=True)
    wrong = [f"$ {s.action.command}\n--- the page\n{s.expected}\n--- printed\n{p}" for s, p in pairs if not agrees(s.expected, p)]
    assert not wrong, "\n".join(wrong)


def test_chinese_pages_go_through_the_same_commands_as_the_english_ones() -> None:
    for one, other in PAIRS:
        assert steps(one) == steps(other)


def test_three_dots_stand_for_any_lines_or_any_text_and_nothing_else_does() -> None:
    assert agrees("a\n...\nz", "a\nb\nc\nz\n")
    assert agrees("a\n...\nz", "a\nz\n")
    assert agrees("took ... s", "took 1.5 s\n")
    assert not agrees("took ... s", "took 1.5 minutes\n")
    assert not agrees("a\nz", "a\nb\nz\n")
