"""The reference pages say what the code says: words, defaults, metrics, transforms, commands, settings, figures."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import ROOT, blocks, generated, help_blocks, metric_table, name, pages, transform_table

from pilotbase.checks.rules import metric_problems
from pilotbase.cli.commands import COMMANDS
from pilotbase.domain.evidence import FAILURES
from pilotbase.domain.gate import Check, Gate, JudgeSpec, Live, Load, PackUse, Transform
from pilotbase.domain.pilot import Candidate, Limits, Message, Pilot, TestData
from pilotbase.domain.price import Price
from pilotbase.domain.problem import kebab
from pilotbase.domain.scenario import Scenario, Titles
from pilotbase.spec.load import load_text
from pilotbase.spec.packs import Pack
from pilotbase.spec.plan import read_plan_file
from pilotbase.spec.route import read_route_file
from pilotbase.spec.schema import json_schema
from pilotbase.stats import power
from pilotbase.targets import openai, python, recorded

PILOT_FILE = (ROOT / "docs/pilot-file.md").read_text("utf-8")
COMMANDS_PAGE = (ROOT / "docs/commands.md").read_text("utf-8")
PARTS: Mapping[str, type] = {
    **{kind.__name__: kind for kind in (Pilot, Scenario, Titles, TestData, Candidate, Message, Price, Limits)},
    **{kind.__name__: kind for kind in (Gate, PackUse, Check, Transform, Load, JudgeSpec, Live, Pack)},
    "python": python.Options,
    "openai": openai.Options,
    "recorded": recorded.Options,
}
STOCK = {
    "pilot": "pilot: p",
    "scenario": "scenario: {area: industry, owner: o, need: n, risk: medium}",
    "data": "data: {test: {path: t.csv, inputs: [a, b, c], target: y, positive: yes, groups: [site]}}",
    "candidates": "candidates: [{id: one, target: {python: 'm:f'}}]",
    "gates": "gates: [{gate: g, checks: [{metric: accuracy, require: '>= 0.5'}]}]",
}


def default(field: "dataclasses.Field[Any]") -> str:
    """A field's default as the tables show it."""
    if field.default is dataclasses.MISSING:
        return "required" if field.default_factory is dataclasses.MISSING else "—"
    value = field.default
    if isinstance(value, Limits):
        return "all empty"
    if value is None or value == ():
        return "—"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def rows(section: str) -> Iterator[tuple[str, str]]:
    """(word, default) of each row of a table of words."""
    body = generated(PILOT_FILE, f"words {section}")
    assert body is not None, f"no table of {section}"
    for line in body.splitlines():
        if found := re.match(r"\| `([^`]+)` \|(?:.*?)\| ([^|]*) \| [^|]+ \|$", line):
            yield found[1], found[2]


@pytest.mark.parametrize("part", PARTS)
def test_every_word_of_the_pilot_file_is_told_with_its_default(part: str) -> None:
    told = dict(rows(part))
    real = {kebab(f.name): default(f) for f in dataclasses.fields(PARTS[part]) if f.init}
    assert told == real


def properties(schema: Any) -> Iterator[str]:
    """Every word that a JSON Schema names."""
    if isinstance(schema, list):
        for item in schema:
            yield from properties(item)
    elif isinstance(schema, dict):
        yield from schema.get("properties", {})
        for item in schema.values():
            yield from properties(item)


def test_no_word_of_the_schema_is_missing_from_the_page() -> None:
    assert {w for w in properties(json_schema()) if f"`{w}`" not in PILOT_FILE} == set()


def examples() -> list[tuple[str, str]]:
    """Every piece of a pilot file that a page shows, but for those that need a plug-in."""
    return [(name(page), block) for page in pages() if page.name != "plugins.md" for block in blocks(page, "yaml")]


@pytest.mark.parametrize(("page", "block"), examples(), ids=[f"{page} {i}" for i, (page, _) in enumerate(examples(), 1)])
def test_every_piece_of_a_pilot_route_or_plan_file_in_the_pages_is_right(page: str, block: str, tmp_path: Path) -> None:
    if re.search(r"^(upstreams|guards|labels):", block, re.MULTILINE):
        head = "" if "upstreams:" in block else "name: r\nupstreams: [{url: 'http://127.0.0.1:1/v1'}]\n"
        file = tmp_path / "route.yaml"
        file.write_text(head + block, "utf-8")
        assert read_route_file(file).upstreams
        return
    if block.startswith("- {metric"):
        block = f"gates:\n  - gate: g\n    checks:\n{''.join(f'      {line}' for line in block.splitlines(keepends=True))}"
    if re.search(r"^(bearer|rungs|exposure|evidence|alerts|checks):", block, re.MULTILINE):
        head = "" if "bearer:" in block else "bearer: Li Lei\n"
        file = tmp_path / "plan.yaml"
        file.write_text(head + block, "utf-8")
        assert read_plan_file(file).rungs
        return
    words = set(re.findall(r"^(\w+):", block, re.MULTILINE))
    whole = block + "\n" + "\n".join(text for word, text in STOCK.items() if word not in words)
    assert load_text(whole, Path("pilot.yaml"), metric_problems=metric_problems).pilot.gates


def test_the_tables_of_metrics_and_transforms_are_those_of_the_code() -> None:
    page = (ROOT / "docs/metrics.md").read_text("utf-8")
    assert generated(page, "metrics") == metric_table()
    assert generated(page, "transforms") == transform_table()


def test_every_help_is_on_the_page_of_commands_as_it_is() -> None:
    for command, block in help_blocks():
        assert generated(COMMANDS_PAGE, f"help {command}".strip()) == f"```console\n{block}```"


def test_every_command_has_a_section() -> None:
    assert re.findall(r"^## (\w+)$", COMMANDS_PAGE, re.MULTILINE) == list(COMMANDS)


def test_every_setting_is_told() -> None:
    read = set(re.findall(r"PILOTBASE_[A-Z_]+", (ROOT / "src/pilotbase/settings.py").read_text("utf-8")))
    assert read == set(re.findall(r"^\| `(PILOTBASE_[A-Z_]+)` \|", (ROOT / "docs/evidence.md").read_text("utf-8"), re.MULTILINE))


def test_the_acceptance_lines_that_the_pages_quote_are_those_of_the_exact_rule() -> None:
    found = (power.line(">=", 0.9, 1000, 0.95), power.line(">=", 0.95, 300, 0.95), power.line("<=", 0.05, 300, 0.95))
    assert found == (916, 292, 8)
    for page in ("docs/verdicts.md", "docs/zh/verdicts.md", "docs/statistics.md"):
        text = (ROOT / page).read_text("utf-8")
        assert all(re.search(rf"(?<![\d.,]){number}(?![\d.,]\d)", text) for number in found)


def test_every_kind_of_failure_is_told_in_plain_words() -> None:
    words = {"timeout": "timed out", "shape": "wrong shape", "too-large": "too large", "unparseable": "unreadable"}
    text = (ROOT / "docs/verdicts.md").read_text("utf-8").replace("\n", " ")
    assert [kind for kind in FAILURES if words.get(kind, kind) not in text] == []
