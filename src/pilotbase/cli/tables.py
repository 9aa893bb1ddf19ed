"""A result as a person reads it in a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from pilotbase.cli.console import Console

__all__ = ["figure", "print_result", "told"]

_MARKS = {"pass": "[green]✔ PASS[/]", "fail": "[red]✘ FAIL[/]", "inconclusive": "[yellow]? INCONCLUSIVE[/]"}
_EXPONENT = (1e-3, 1e6)


def told(verdict: str) -> str:
    """A verdict with its mark, as markup."""
    return _MARKS.get(verdict, escape(verdict))


def figure(number: float | None, unit: str = "") -> str:
    """A number with at most four significant digits, and its unit; seconds under one as milliseconds."""
    if number is None:
        return "—"
    if unit == "s" and abs(number) < 1:
        number, unit = number * 1000, "ms"
    text = f"{number:,.4g}" if not number or _EXPONENT[0] <= abs(number) < _EXPONENT[1] else f"{number:.3e}"
    return f"{text} {unit}".strip()


def print_result(console: Console, document: Mapping[str, Any]) -> None:
    """The run's table: a row a check, then the verdicts."""
    for candidate in document["candidates"]:
        _candidate(console, candidate)
    family = document["family"]
    confidence = document["confidence"]
    if document["exploratory_because"]:
        console.print(f"[yellow]exploratory[/]: {escape('; '.join(document['exploratory_because']))}")
    spent = ", divided over them" if family["corrected"] else ""
    console.print(
        f"[dim]confidence {confidence:g}: low and high are each one-sided at that level (together {2 * confidence - 1:.0%}); "
        f"{family['candidates']} candidate(s) tried, round {family['round']} on this data{spent}[/]"
    )
    state = "" if document["status"] == "complete" else f" ({document['status']})"
    console.print(f"[bold]{escape(document['run'])}[/]{state}: {told(document['verdict'])}")


def _candidate(console: Console, candidate: Mapping[str, Any]) -> None:
    notes: list[str] = []
    table = Table(box=None, pad_edge=False, title=None, header_style="dim")
    for name, side in (
        ("gate", "left"),
        ("check", "left"),
        ("require", "left"),
        ("value", "right"),
        ("low", "right"),
        ("high", "right"),
        ("n", "right"),
        ("", "left"),
    ):
        table.add_column(name, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for gate in candidate["gates"]:
        for i, check in enumerate(gate["checks"]):
            table.add_row(
                escape(gate["gate"] + ("" if gate["mandatory"] else " (optional)")) if not i else "",
                escape(check["id"].split("/", 1)[-1] + (" (informs)" if check["role"] == "inform" else "")),
                escape(check["require"]),
                figure(check["value"], check["unit"]),
                figure(check["low"], check["unit"]),
                figure(check["high"], check["unit"]),
                f"{check['n']:,}" + (f"/{check['planned']:,}" if check["n"] != check["planned"] else ""),
                told(check["verdict"]),
            )
            if check["verdict"] != "pass":
                notes += [f"  {check['id']}: {reason}" for reason in check["reasons"]]
    role = "" if candidate["role"] == "candidate" else f" ({candidate['role']})"
    console.print(f"\n[bold]{escape(candidate['id'])}[/]{role}: {told(candidate['verdict'])}")
    console.print(table)
    for note in notes:
        console.print(note, markup=False, style="dim")
    if candidate["verdict"] == "inconclusive" and candidate["reasons"]:
        withheld = [r for r in candidate["reasons"] if "partial" in r or "exploratory" in r]
        for reason in withheld:
            console.print(f"  {reason}", markup=False, style="dim")
