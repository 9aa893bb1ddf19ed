"""The verdicts as JUnit XML, so that a build server shows them: one suite per candidate, one case per check."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from pilotbase.dossier.figures import mapped, tidy
from pilotbase.dossier.reading import CandidateView, CheckView, headline, read_candidates

__all__ = ["render"]


def render(record: Mapping[str, Any]) -> bytes:
    """JUnit XML in UTF-8.

    A mandatory, deciding check that fails is a `failure`; an inconclusive one is `skipped` with its reasons. Checks that decide
    nothing (informing, in an optional gate, of a reference) are never failures, as the exit code of `run` ignores them too: their
    verdict stands in the message.
    """
    clean = tidy(record)
    candidates = read_candidates(clean, "en")
    verdict, confirmatory, sentence = headline(clean, candidates, "en")
    run, pilot = mapped(clean.get("run")), mapped(clean.get("pilot"))
    root = ET.Element("testsuites", {"name": str(pilot.get("pilot") or "pilot"), **_seconds(run)})
    standing = "confirmatory" if confirmatory else "exploratory"
    totals = [_suite(root, one, run, standing) for one in candidates]
    for position, name in enumerate(("tests", "failures", "errors", "skipped")):
        root.set(name, str(sum(t[position] for t in totals)))
    root.insert(0, ET.Comment(f" {verdict} ({standing}): {sentence} ".replace("--", "- -")))
    ET.indent(root)
    text = str(ET.tostring(root, encoding="unicode"))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _seconds(run: Mapping[str, Any]) -> dict[str, str]:
    """`time` of the whole run, where both ends are known."""
    try:
        spent = datetime.fromisoformat(str(run.get("finished"))) - datetime.fromisoformat(str(run.get("created")))
    except (ValueError, TypeError):
        return {}
    return {"time": f"{max(0.0, spent.total_seconds()):.3f}"}


def _suite(root: ET.Element, one: CandidateView, run: Mapping[str, Any], standing: str) -> tuple[int, int, int, int]:
    suite = ET.SubElement(root, "testsuite", {"name": one.id})
    if run.get("created"):
        suite.set("timestamp", str(run["created"]))
    properties = {
        "verdict": one.verdict if one.judged else "reference",
        "standing": standing,
        "fingerprint": one.fingerprint,
        "sentence": one.sentence,
    }
    _properties(suite, properties | {"run": str(run.get("id") or "")})
    failures = skipped = count = 0
    for gate in one.gates:
        for check in gate.checks:
            outcome = _case(suite, gate.name, check)
            count, failures, skipped = count + 1, failures + (outcome == "failure"), skipped + (outcome == "skipped")
    for name, value in (("tests", count), ("failures", failures), ("errors", 0), ("skipped", skipped)):
        suite.set(name, str(value))
    return count, failures, 0, skipped


def _case(suite: ET.Element, gate: str, check: CheckView) -> str:
    case = ET.SubElement(suite, "testcase", {"classname": gate, "name": f"{check.id}: {check.title} {check.require}"})
    figures = {
        "value": check.value,
        "low": check.low,
        "high": check.high,
        "n": check.n,
        "planned": check.planned,
        "failed": check.failed,
    }
    rest = {"not_asked": check.not_asked, "confidence": check.confidence, "needed": check.needed}
    texts = {
        "verdict": check.verdict,
        "literal": check.literal or None,
        "unit": check.unit or None,
        "method": check.method or None,
    }
    _properties(case, {k: str(v) for k, v in (texts | figures | rest).items() if v is not None})
    why = "; ".join(check.reasons) or check.verdict
    message = f"{check.title} {check.require}: measured {check.value_text}, interval {check.interval_text}; {why}"
    if check.decides and check.verdict == "fail":
        ET.SubElement(case, "failure", {"message": message, "type": "fail"}).text = message
        return "failure"
    if check.verdict == "inconclusive":
        ET.SubElement(case, "skipped", {"message": f"inconclusive: {message}"})
        return "skipped"
    if check.verdict == "fail":
        ET.SubElement(case, "skipped", {"message": f"decides nothing; fail: {message}"})
        return "skipped"
    return "passed"


def _properties(parent: ET.Element, values: Mapping[str, str]) -> None:
    holder = ET.SubElement(parent, "properties")
    for name, value in values.items():
        ET.SubElement(holder, "property", {"name": name, "value": value})
