"""Links lead somewhere, and the pages name nothing of the machine that they were written on."""

import re
from pathlib import Path

import pytest
from tests.docs.pages import EXEMPT, PAIRS, ROOT, blocks, name, pages

PAGES = pages()
LOCAL = re.compile(r"(?<![\w.])/(?:work|tmp|root|home|mnt|opt)/\w")
REGISTRY = re.compile(r"https?://\S*(?:pypi|pythonhosted|conda|npmjs|mirror|registry)", re.IGNORECASE)
PRAISE = re.compile(r"\b(?:world-class|cutting-edge|revolutionary|seamless|blazing|compliant|certified)\b", re.IGNORECASE)
CHINESE = re.compile(r"[一-鿿]")


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What the headings of a page can be linked by."""
    found = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(ROOT) or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_names_no_path_of_a_machine_no_registry_and_no_praise(page: Path) -> None:
    text = page.read_text("utf-8")
    assert [found[0] for pattern in (LOCAL, REGISTRY, PRAISE) if (found := pattern.search(text))] == []


def test_there_are_two_set_up_commands_and_both_are_scripts_of_this_project() -> None:
    for page in PAIRS[0]:
        assert blocks(page, "console")[0].splitlines() == [f"$ {script}" for script in EXEMPT]
    assert all((ROOT / script).is_file() for script in EXEMPT)


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in re.findall(r"\]\(([^)\s:]+)\)", prose(page))]
    assert [name(page) for page in PAGES if page not in reached and "docs/adr/" not in name(page)] == []


def test_the_chinese_pages_are_chinese_and_have_the_same_sections_as_the_english_ones() -> None:
    for one, other in PAIRS:
        assert len(CHINESE.findall(prose(other))) > 800
        assert re.findall(r"^#+ ", prose(one), re.MULTILINE) == re.findall(r"^#+ ", prose(other), re.MULTILINE)
