"""The state diagram of releases on its page is the one that the code follows."""

import re
from typing import get_args

import pytest
from tests.docs.pages import ROOT, blocks

from pilotbase.domain.release import MOVES, TERMINAL, State

PAGE = ROOT / "docs/release.md"
EDGE = "[*]"
# Mermaid ends a state's name at a hyphen, so a state that has one is declared under another name.
ALIAS = re.compile(r'state "([a-z-]+)" as ([a-z_]+)')
ARROW = re.compile(r"(\[\*\]|[a-z_]+) --> (\[\*\]|[a-z_]+)(?:: ?([a-z]+))?")


def arrows(diagram: str) -> set[tuple[str, str, str]]:
    """(from, to, move) of every arrow; AssertionError for a line that is neither an arrow nor a name, or an arrow drawn twice."""
    lines = [line.strip() for line in diagram.splitlines() if line.strip() and not line.strip().startswith("%%")]
    assert lines[:1] == ["stateDiagram-v2"]
    names: dict[str, str] = {}
    found: list[tuple[str, str, str]] = []
    for line in lines[1:]:
        if alias := ALIAS.fullmatch(line):
            names[alias[2]] = alias[1]
        elif arrow := ARROW.fullmatch(line):
            found.append((arrow[1], arrow[2], arrow[3] or ""))
        else:
            assert line.startswith("direction "), f"`{line}` is no arrow `state --> state: move`"
    assert len(found) == len(set(found)), "an arrow is drawn twice"
    return {(names.get(start, start), names.get(to, to), move) for start, to, move in found}


def expected() -> set[tuple[str, str, str]]:
    """Every move, the climb to the last rung and the way back to it from a limit, the first state and the last ones."""
    moves = {(start, to, move) for (start, move), to in MOVES.items()}
    ends: set[tuple[str, str, str]] = {(state, EDGE, "") for state in TERMINAL}
    return (
        moves
        | ends
        | {("climbing", "full", "climb"), ("held", "full", "resume"), (EDGE, "climbing", "start"), (EDGE, "full", "start")}
    )


def drawn(arrows_: set[tuple[str, str, str]]) -> str:
    """A diagram of arrows, as a page would show it."""
    known = sorted(state for state in get_args(State) if "-" in state)
    lines = [f'    state "{state}" as {state.replace("-", "_")}' for state in known]
    for start, to, move in sorted(arrows_):
        lines.append(f"    {start.replace('-', '_')} --> {to.replace('-', '_')}" + (f": {move}" if move else ""))
    return "\n".join(["stateDiagram-v2", *lines]) + "\n"


def test_the_diagram_on_the_page_is_the_state_machine_of_the_code() -> None:
    assert PAGE.exists(), f"docs/release.md is absent; it must hold this diagram:\n\n```mermaid\n{drawn(expected())}```"
    diagrams = [block for block in blocks(PAGE, "mermaid") if block.startswith("stateDiagram-v2")]
    assert len(diagrams) == 1, "docs/release.md must hold one state diagram"
    found = arrows(diagrams[0])
    assert (found - expected(), expected() - found) == (set(), set()), f"the diagram should be:\n\n{drawn(expected())}"


def test_a_diagram_drawn_from_the_moves_is_read_as_them() -> None:
    assert arrows(drawn(expected())) == expected()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("climbing --> rolled-back: back", "is no arrow"),
        ("climbing -> paused: pause", "is no arrow"),
        ("climbing --> paused: pause", "drawn twice"),
    ],
)
def test_a_line_that_would_not_be_drawn_as_meant_is_found(line: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        arrows(f"{drawn(expected())}    {line}\n")
