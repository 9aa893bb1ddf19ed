"""The page on cases draws the way that the code follows, and says of each step who may take it."""

from tests.docs.pages import ROOT, blocks
from tests.docs.test_state_diagram import arrows

from pilotbase.domain.admission import FINAL, STEPS, Step

PAGE = ROOT / "docs/cases.md"
EDGE = "[*]"


def expected() -> set[tuple[str, str, str]]:
    moves = {(start, step.to, step.name) for step in STEPS if step.to is not None for start in step.starts}
    return moves | {(EDGE, "draft", "")} | {(state, EDGE, "") for state in FINAL}


def drawn() -> str:
    lines = [f"    {start} --> {to}" + (f": {step}" if step else "") for start, to, step in sorted(expected())]
    return "\n".join(["stateDiagram-v2", *lines]) + "\n"


def who(step: Step) -> str:
    return " or ".join(f"the base ({', '.join(step.roles)})" if party == "base" else f"the {party}" for party in step.parties)


def table() -> str:
    """Every step with its states and those who may take it."""
    lines = ["| step | from | to | who |", "|---|---|---|---|"]
    lines += [f"| `{one.name}` | {', '.join(one.starts)} | {one.to or '(stays)'} | {who(one)} |" for one in STEPS]
    return "\n".join(lines)


def test_the_diagram_on_the_page_is_the_way_of_the_code() -> None:
    diagrams = [block for block in blocks(PAGE, "mermaid") if block.startswith("stateDiagram-v2")]
    assert len(diagrams) == 1
    assert arrows(diagrams[0]) == expected(), f"the diagram should be:\n\n{drawn()}"


def test_the_table_of_steps_is_the_one_of_the_code() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), f"put this into {PAGE.name}:\n{table()}"
