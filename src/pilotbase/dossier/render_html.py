"""The report for readers: one HTML file, both languages inside, nothing fetched."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, Undefined
from markupsafe import Markup

from pilotbase.dossier import charts, reading
from pilotbase.dossier.figures import DASH, count, interval, listed, mapped, moment, number, percent, tidy
from pilotbase.dossier.words import LANGUAGES, WORDS, told, word

__all__ = ["render"]

_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST = 2_000  # characters of one example's input or answer


def render(record: Mapping[str, Any]) -> bytes:
    """The record as one self-contained HTML page in UTF-8: equal records give equal bytes.

    Everything from the record is escaped, and a Content-Security-Policy lets nothing run or load
    but the page's own style and script.
    """
    clean = tidy(record)
    style, script = _text("report.css"), _text("report.js")
    pages = [
        _page(clean, language) for language in reversed(LANGUAGES)
    ]  # Chinese first: without script, `#zh:target ~ #en` hides the English one
    html = (
        _environment()
        .get_template("report.html.j2")
        .render(
            pages=pages,
            titles={p["lang"]: p["title"] for p in pages},
            style=Markup(style),
            script=Markup(script),
            policy=_policy(style, script),
        )
    )
    return html.encode("utf-8")


def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Content Security Policy Level 3, section 2.3.1: inline parts are allowed by their hash alone."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    own = f"style-src 'sha256-{digest(style)}'; script-src 'sha256-{digest(script)}'"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=ChainableUndefined,
        finalize=lambda value: DASH if value is None or isinstance(value, Undefined) else value,
    )
    environment.filters |= {
        "rows": listed,
        "fields": mapped,
        "number": number,
        "percent": percent,
        "moment": moment,
        "short": _short,
        "whole": count,
    }
    environment.globals |= {"interval": interval}
    return environment


def _short(value: Any) -> str:
    text = DASH if value is None or isinstance(value, Undefined) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _named(key: str, value: Any, *, language: str) -> str:
    """A word of the scenario's fixed lists for readers; one that the table does not know stays as it is."""
    known = f"{key}-{value}"
    return word(known, language) if known in WORDS else str(value or word("unknown", language))


def _page(record: Mapping[str, Any], language: str) -> dict[str, Any]:
    """What the templates place, for one language."""
    candidates = reading.read_candidates(record, language)
    verdict, confirmatory, headline = reading.headline(record, candidates, language)
    pilot, result = mapped(record.get("pilot")), mapped(record.get("result"))
    deciding = [c for one in candidates if one.judged for c in one.checks if c.decides]
    levels = sorted({c.confidence for one in candidates for c in one.checks if c.confidence is not None})
    return {
        "lang": language,
        "t": partial(word, language=language),
        "told": partial(told, language=language),
        "named": partial(_named, language=language),
        "category": partial(reading.category, language=language),
        "interval_chart": partial(charts.interval_chart, language=language),
        "group_chart": partial(charts.group_chart, language=language),
        "histogram": partial(charts.histogram, language=language),
        "calibration_chart": partial(charts.calibration_chart, language=language),
        "group_span": charts.group_span,
        "record": record,
        "pilot": pilot,
        "scenario": mapped(pilot.get("scenario")),
        "test": mapped(mapped(pilot.get("data")).get("test")),
        "result": result,
        "family": mapped(result.get("family")),
        "data": mapped(record.get("data")),
        "criteria": mapped(record.get("criteria")),
        "run": mapped(record.get("run")),
        "held_out": mapped(record.get("data")).get("custody") == "held-out"
        or mapped(mapped(pilot.get("data")).get("test")).get("custody") == "held-out",
        "title": told(pilot.get("title"), language) or str(pilot.get("pilot") or word("dossier", language)),
        "verdict": verdict,
        "confirmatory": confirmatory,
        "headline": headline,
        "candidates": candidates,
        "deciding": len(deciding),
        "level": levels[0] if len(levels) == 1 else None,
        "together": 2 * levels[0] - 1 if len(levels) == 1 else None,
        "false_pass": reading.false_pass(record, language),
    }
