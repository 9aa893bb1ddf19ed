"""What leaves the house about an incident: valid where it goes, without names, and harmless in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pilotbase.domain.incident import (
    Action,
    Affected,
    Detection,
    FirstBad,
    Incident,
    Regression,
    Subject,
    Technique,
    closed,
    contained,
    opened,
    resolved,
)
from pilotbase.domain.scenario import Titles
from pilotbase.release.incident_exports import Form, Telling, export

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TACTIC, TECHNIQUE = r"^(?:[A-Z]+\d*\.)+TA\d{4}$", r"^(?:[A-Z]+\d*\.)+T\d{4}(?:\.\d{3})?$"
# The rules of `case_study` in mitre-atlas/atlas-data, dist/schemas/atlas_contribution_schema.json, version 1.0.0.
STUDY: Mapping[str, Any] = {
    "name": str,
    "summary": str,
    "incident-date": date,
    "incident-date-granularity": {"YEAR", "MONTH", "DATE"},
    "procedure": [{"tactic": re.compile(TACTIC), "technique": re.compile(TECHNIQUE), "description": str}],
    "reporter": str,
    "target": str,
    "actor": str,
    "case-study-type": {"incident", "exercise"},
    "references": [{"title": str, "url": str}],
    "id": re.compile(r"^(?:[A-Z]+\d*\.)+CS\d{4}$"),
    "object-type": {"case-study"},
}
DUE = {"name", "summary", "incident-date", "incident-date-granularity", "procedure"}


def faults(found: Any, rule: Any, at: str = "study") -> Iterator[str]:
    """What breaks a rule: a type, a set of words, a pattern, a list of, or a mapping without other keys."""
    if isinstance(rule, Mapping):
        yield from (f"{at}.{key} is not allowed" for key in set(found) - set(rule))
        for key in set(found) & set(rule):
            yield from faults(found[key], rule[key], f"{at}.{key}")
        if at != "study":
            yield from (f"{at}.{key} is missing" for key in set(rule) - set(found))
    elif isinstance(rule, list):
        for i, item in enumerate(found):
            yield from faults(item, rule[0], f"{at}[{i}]")
    elif isinstance(rule, set):
        if found not in rule:
            yield f"{at} is {found}"
    elif isinstance(rule, re.Pattern):
        if not rule.match(found):
            yield f"{at} is {found}"
    elif type(found) is not rule:
        yield f"{at} is a {type(found)}"


def study_faults(document: Any) -> list[str]:
    study = document["study"]
    missing = [f"{name} is missing" for name in DUE - set(study)]
    if study.get("case-study-type") == "incident" and "reporter" not in study:
        missing.append("an incident needs a reporter")
    return [*missing, *faults(study, STUDY)]


def documents(text: str) -> list[Any]:
    return list(YAML(typ="safe").load_all(text))


def incident(**more: Any) -> Incident:
    fields: dict[str, Any] = {
        "id": "inc-1",
        "route": "chat",
        "kind": "incident",
        "severity": 2,
        "detected": NOW,
        "detected_by": Detection(by="user", ref="user:ann"),
        "title": Titles(en="Leaked a number", zh="泄露号码"),
        "summary": Titles(en='It told the number 13800138000 of a visitor: "call her".\nThen more.'),
        "subject": Subject(scenario="desk", candidate="c2", dossier="sha256:d", fingerprint="sha256:f"),
        "first_bad": FirstBad(request="req-7", at=NOW - timedelta(days=1)),
        "affected": Affected(requests=1200, people=30, group="visitors"),
        "harms": ("privacy",),
        "techniques": (Technique(tactic="AML.TA0005", technique="AML.T0051.000", note="told to ignore its prompt"),),
    }
    one = opened(Incident(**{**fields, **more}), who="user:ann", now=NOW)
    one = contained(one, Action(act="rollback", at=NOW + timedelta(minutes=1), who="user:ann", note="ring 13800138000"))
    one = resolved(one, who="user:bob", now=NOW + timedelta(hours=1), cause="no guard on numbers")
    cases = Regression(pilot="p", data="t.csv", cases=("patient-9",), before="sha256:a", after="sha256:b")
    return closed(one, who="user:bob", now=NOW + timedelta(hours=2), regression=cases)


def test_a_case_study_keeps_the_rules_of_atlas() -> None:
    text = export([incident(), incident(id="inc-2", kind="exercise")], "atlas").text
    one, two = documents(text)
    assert study_faults(one) == study_faults(two) == []
    study = one["study"]
    assert study["incident-date"] == date(2026, 11, 20)
    assert (study["case-study-type"], two["study"]["case-study-type"]) == ("incident", "exercise")
    assert study["procedure"] == [
        {"tactic": "AML.TA0005", "technique": "AML.T0051.000", "description": "told to ignore its prompt"}
    ]
    assert study["reporter"] == "Anonymous"
    assert one["meta"]["source-id"] == "inc-1"


def test_the_rules_of_the_test_refuse_what_atlas_refuses() -> None:
    (good,) = documents(export([incident()], "atlas").text)
    broken = {
        "incident-date": "2026-11-20",
        "procedure": [{"tactic": "impact", "technique": "AML.T0051", "description": "x"}],
        "case-study-type": "near-miss",
        "severity": 2,
    }
    for name, value in broken.items():
        assert study_faults({"study": {**good["study"], name: value}})
    assert study_faults({"study": {k: v for k, v in good["study"].items() if k != "reporter"}})


def test_a_failure_without_an_attack_has_an_empty_procedure_and_says_so() -> None:
    done = export([incident(techniques=())], "atlas")
    (one,) = documents(done.text)
    assert study_faults(one) == [] and one["study"]["procedure"] == []
    assert "inc-1 tells no technique" in done.notes[0]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_any_text_comes_through_yaml_as_it_was(text: str) -> None:
    technique = Technique(tactic="AML.TA0005", technique="AML.T0051", note=text)
    (one,) = documents(export([incident(techniques=(technique,))], "atlas", Telling(names=True)).text)
    assert one["study"]["procedure"][0]["description"] == text


def test_a_submission_has_what_the_form_of_the_aiid_asks_for() -> None:
    telling = Telling(url="https://example.org/report", deployers=("A city",), developers=("A firm",), reporter="The city")
    done = export([incident()], "aiid", telling)
    (one,) = orjson.loads(done.text)
    assert done.notes == ()
    assert 6 <= len(one["title"]) <= 500 and 6 <= len(one["incident_title"]) <= 500
    assert 3 <= len(one["description"]) <= 500 and 80 <= len(one["text"]) <= 50_000
    for word in ("date_published", "date_downloaded", "incident_date"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", one[word])
    assert one["incident_date"] == "2026-11-20" and one["date_published"] == "2026-11-21"
    for word in ("authors", "submitters", "deployers", "developers", "harmed_parties", "implicated_systems"):
        assert one[word] and all(3 <= len(name) <= 200 for name in one[word])
    assert one["url"] == "https://example.org/report" and one["incident_ids"] == [] and one["language"] == "en"


def test_what_the_aiid_will_miss_is_said_and_a_bare_report_is_long_enough() -> None:
    bare = replace(
        incident(title=Titles(en="Bad"), summary=Titles(), affected=Affected(), first_bad=FirstBad()), actions=(), cause=""
    )
    done = export([bare, incident(id="inc-2", kind="exercise")], "aiid")
    (one,) = orjson.loads(done.text)
    assert len(one["text"]) >= 80 and one["title"] == "Bad on route chat"
    said = "; ".join(done.notes)
    for words in ("inc-2 is left out: an exercise", "give --url", "give --deployer", "give --developer", "inc-1 names no group"):
        assert words in said


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def test_a_csv_has_one_line_an_incident_and_opens_in_a_spreadsheet() -> None:
    text = export([incident(), incident(id="inc-2")], "csv").text
    assert text.startswith("\ufeff") and text.count("\n") == 3
    one, two = rows(text)
    assert (one["id"], two["id"]) == ("inc-1", "inc-2")
    assert (one["severity"], one["severity_zh"], one["state"]) == ("2", "重大", "closed")
    assert (one["seconds_to_detect"], one["seconds_to_contain"], one["seconds_to_resolve"]) == ("86400.0", "60.0", "3600.0")
    assert (one["requests"], one["people"], one["regression_cases"]) == ("1200", "30", "1")
    assert one["first_bad"] == "2026-11-20T12:00:00Z"
    assert list(one) == export([], "csv").text.removeprefix("\ufeff").strip().split(",")


@pytest.mark.parametrize("head", ["=", "+", "-", "@", "\t=", "\r=", " =", "＝", "＠"])
def test_no_cell_begins_a_formula(head: str) -> None:
    bad = f'{head}HYPERLINK("http://x","y")'
    one = incident(title=Titles(en=bad), summary=Titles(zh=bad), harms=(bad,), affected=Affected(group=bad))
    (row,) = rows(export([replace(one, cause=bad)], "csv").text)
    for name in ("title", "summary_zh", "harms", "group", "cause"):
        assert row[name].startswith("'")
    assert not [name for name, cell in row.items() if cell[:1] in tuple("=+-@\t\r＝＋－＠") and cell]


@pytest.mark.parametrize("form", ["json", "csv", "atlas", "aiid"])
def test_no_export_tells_who_it_was_unless_asked(form: Form) -> None:
    text = export([incident()], form).text
    for private in ("user:ann", "user:bob", "13800138000", "patient-9"):
        assert private not in text


def test_names_and_cases_are_told_where_they_are_asked_for() -> None:
    (one,) = orjson.loads(export([incident()], "json", Telling(names=True)).text)
    assert one["regressions"][0]["cases"] == ["patient-9"] and "13800138000" in one["summary"]["en"]
    assert {entry["who"] for entry in one["history"]} == {"user:ann", "user:bob"}
    assert "user:ann" in export([incident()], "csv", Telling(names=True)).text


def test_json_has_everything_else_of_the_record() -> None:
    (one,) = orjson.loads(export([incident()], "json").text)
    assert one["schema"] == "pilotbase.incident/1"
    assert one["regressions"] == [{"pilot": "p", "data": "t.csv", "cases": 1, "before": "sha256:a", "after": "sha256:b"}]
    assert one["subject"]["dossier"] == "sha256:d" and one["first_bad"]["request"] == "req-7"
    assert one["seconds_to"] == {"detect": 86400.0, "contain": 60.0, "resolve": 3600.0}
    assert one["severity_name"] == {"en": "serious", "zh": "重大"}
    assert "pending" not in one
