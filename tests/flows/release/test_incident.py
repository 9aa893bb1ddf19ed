"""`pilotbase incident`: from a report to a regression case that the next trial covers, and out to others."""

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.flows.stories import Said, pilotbase
from tests.flows.support import Base, accuracy, cases, check_of, verdicts

from pilotbase.errors import UserError
from pilotbase.flows.regression_case import Origin, close_incident
from pilotbase.release import incidents
from pilotbase.store.disk import Calls, LocalDisk
from pilotbase.store.lock import RunLock

REGRESSIONS = {"metric": "regressions", "require": "= 0"}


def told(base: Base, *arguments: object) -> Said:
    """`pilotbase incident ARGUMENTS`, which succeeds."""
    done = pilotbase(base.home, "incident", *arguments)
    assert done.code == 0, done.err
    return done


def refused(base: Base, *arguments: object) -> str:
    done = pilotbase(base.home, "incident", *arguments)
    assert done.code == 2 and "Traceback" not in done.err
    return done.err


def shown(base: Base, name: str) -> Any:
    return told(base, "show", name, "--json").json


@pytest.fixture
def served(base: Base) -> Base:
    """A pilot whose data knows incidents, and a route `chat`."""
    base.write(
        rows=[{**case, "incident": ""} for case in cases(40)],
        checks=[accuracy(), REGRESSIONS],
        data={"incident": "incident"},
    )
    added = pilotbase(base.home, "route", "add", "chat", "--upstream", "http://127.0.0.1:9/v1")
    assert added.code == 0, added.err
    return base


def opened(base: Base, *more: object) -> str:
    return told(base, "open", "chat", *more).out.split()[1].rstrip(":")


def mended(base: Base, *more: object) -> str:
    name = opened(base, *more)
    told(base, "contain", name, "--action", "rollback")
    told(base, "resolve", name, "--cause", "the index was stale")
    return name


def case_file(base: Base, name: str = "case.json", **more: Any) -> Path:
    path = base.home.parent / name
    path.write_bytes(orjson.dumps({"id": "bad-1", "x": 13, "label": "yes", **more}))
    return path


def data_of(base: Base) -> str:
    return (base.folder / "test.csv").read_text("utf-8")


def test_from_a_report_to_the_next_trial_that_catches_it(served: Base) -> None:
    name = mended(served, "--title", "Thirteen is odd", "--title-zh", "十三是奇数", "--severity", "2")
    done = told(served, "close", name, "--pilot", served.pilot, "--case", case_file(served))
    assert done.out == f"added to {served.folder / 'test.csv'}: bad-1\n{name}: closed, version 5\n"
    assert data_of(served).endswith(f"bad-1,13,,,yes,{name}\n")
    record = shown(served, name)
    (regression,) = record["regressions"]
    assert regression["pilot"] == "small" and regression["data"] == "test.csv" and regression["cases"] == ["bad-1"]
    assert regression["before"] != regression["after"] and record["pending"] is None
    document = served.run()
    check = check_of(document, "capability/regressions")
    assert check["verdict"] == "fail" and check["value"] == 1.0
    assert verdicts(document) == {"good": "fail"}
    assert document["candidates"][0]["gates"][0]["checks"][0]["planned"] == 40


def test_closing_twice_adds_nothing_twice(served: Base) -> None:
    name = mended(served)
    told(served, "close", name, "--pilot", served.pilot, "--case", case_file(served))
    before, record = data_of(served), shown(served, name)
    again = told(served, "close", name, "--pilot", served.pilot, "--case", case_file(served))
    assert "holds the cases already; nothing was added" in again.out
    assert data_of(served) == before and shown(served, name) == record
    said = refused(served, "close", name, "--pilot", served.pilot, "--case", case_file(served, "other.json", id="bad-2"))
    assert "it is closed, and its record is final" in said and data_of(served) == before


def test_an_incident_cannot_be_closed_without_a_regression_case(served: Base) -> None:
    name = mended(served)
    said = refused(served, "close", name)
    assert "it cannot be closed: it has no regression case, so the next trial would not catch it" in said
    assert f"pilotbase incident close {name} --pilot PILOT --case FILE --cause TEXT" in said
    assert shown(served, name)["state"] == "resolved"
    assert "no case is given" in refused(served, "close", name, "--pilot", served.pilot)
    assert "to which pilot's data" in refused(served, "close", name, "--case", case_file(served))


def test_an_incident_that_is_not_resolved_adds_nothing_to_the_data(served: Base) -> None:
    before, name = data_of(served), opened(served)
    said = refused(served, "close", name, "--pilot", served.pilot, "--case", case_file(served))
    assert "neither contained nor resolved; its root cause is not told" in said
    assert data_of(served) == before and shown(served, name)["pending"] is None


def test_a_pilot_that_would_not_count_the_case_is_refused_with_the_lines_to_add(served: Base) -> None:
    name = mended(served)
    served.write()
    said = refused(served, "close", name, "--pilot", served.pilot, "--case", case_file(served))
    assert "the next trial would not count cases from incidents; it lacks" in said
    assert "under data.test:              incident: incident" in said
    assert 'under the checks of a gate:   - {metric: regressions, require: "= 0"}' in said
    served.write(rows=[{**c, "incident": ""} for c in cases(40)], data={"incident": "incident"})
    said = refused(served, "close", name, "--pilot", served.pilot, "--case", case_file(served))
    assert "no deciding check counts them" in said and '{metric: regressions, require: "= 0"}' in said


def test_a_data_file_that_has_no_incident_column_yet_gets_it_with_the_first_case(served: Base) -> None:
    served.write(checks=[accuracy(), REGRESSIONS], data={"incident": "incident"})
    name = mended(served)
    told(served, "close", name, "--pilot", served.folder, "--case", case_file(served))
    rows = list(csv.DictReader(io.StringIO(data_of(served))))
    assert [row["incident"] for row in rows if row["incident"]] == [name] and len(rows) == 61


def test_cases_come_as_csv_with_further_columns_set_by_hand(served: Base) -> None:
    name = mended(served)
    path = served.home.parent / "cases.csv"
    path.write_text("id,x,label\nbad-1,13,yes\nbad-2,23,yes\n")
    told(served, "close", name, "--pilot", served.pilot, "--case", path, "--set", "site=north")
    assert data_of(served).endswith(f"bad-1,13,north,,yes,{name}\nbad-2,23,north,,yes,{name}\n")
    assert shown(served, name)["regressions"][0]["cases"] == ["bad-1", "bad-2"]
    assert "`site` sets no column" in refused(served, "close", name, "--pilot", served.pilot, "--case", path, "--set", "site")


def test_a_case_that_does_not_fit_leaves_the_incident_and_the_data_as_they_were(served: Base) -> None:
    before, name = data_of(served), mended(served)
    said = refused(served, "close", name, "--pilot", served.pilot, "--case", case_file(served, x="many", label="maybe"))
    assert "case 1 (`bad-1`): `x` is a column of numbers, found `many`" in said
    assert "case 1 (`bad-1`): the target `label` is `maybe`, and test.csv knows `no`, `yes`" in said
    assert data_of(served) == before and shown(served, name)["state"] == "resolved"


def inputs(request: str) -> Mapping[str, Any] | None:
    return {"x": 13, "more": "kept out"} if request == "req-1" else None


def test_a_kept_request_becomes_the_case_with_the_answer_that_was_due(served: Base) -> None:
    name = mended(served)
    with served.opened() as context:
        origin = Origin(pilot=served.pilot, request="req-1", expect="yes")
        with pytest.raises(UserError, match="nothing says how request `req-1` should have been answered"):
            close_incident(context, name, replace(origin, expect=None), who="ann", inputs=inputs)
        with pytest.raises(UserError, match="the inputs of request `req-2` are not kept here"):
            close_incident(context, name, replace(origin, request="req-2"), who="ann", inputs=inputs)
        done = close_incident(context, name, origin, who="ann", inputs=inputs)
    assert done.added == ("req-1",)
    assert data_of(served).endswith(f"req-1,13,,,yes,{name}\n")


def test_without_a_store_of_samples_a_request_is_refused_in_words(served: Base) -> None:
    said = refused(served, "close", mended(served), "--pilot", served.pilot, "--request", "req-1", "--expect", "yes")
    assert "the inputs of request `req-1` are not kept here" in said and "--case FILE" in said


class Killed(BaseException):
    """The process dies at a system call."""


def dying(at: int, file: str = "test.csv") -> LocalDisk:
    """A disk on which the process dies before (at 0) or after (at 1) the new data file takes its place."""

    def rename(source: Path, target: Path) -> None:
        if Path(target).name == file:
            if at:
                Calls().rename(source, target)
            raise Killed
        Calls().rename(source, target)

    return LocalDisk(replace(Calls(), rename=rename))


@pytest.mark.parametrize("at", [0, 1], ids=["before the data changed", "between the data and the record"])
def test_a_crash_while_closing_is_mended_by_the_same_command(served: Base, at: int) -> None:
    name, before = mended(served), data_of(served)
    case = case_file(served)
    with served.opened() as context:
        with pytest.raises(Killed):
            close_incident(replace(context, disk=dying(at)), name, Origin(pilot=served.pilot, files=(case,)), who="ann")
        found = incidents.find(context.database, name)
        assert found.state == "resolved" and found.pending is not None and found.pending.cases == ("bad-1",)
        digest = found.pending.before
    assert (data_of(served) != before) == bool(at)
    told(served, "close", name, "--pilot", served.pilot, "--case", case)
    assert data_of(served) == f"{before}bad-1,13,,,yes,{name}\n"
    (regression,) = shown(served, name)["regressions"]
    assert regression["before"] == digest != regression["after"]


def test_two_closes_at_once_do_not_meet_in_the_data(served: Base) -> None:
    name, case = mended(served), case_file(served)
    with RunLock(served.home / "regression-cases.lock"):
        said = refused(served, "close", name, "--pilot", served.pilot, "--case", case)
    assert "in use by process" in said and "bad-1" not in data_of(served)
    told(served, "close", name, "--pilot", served.pilot, "--case", case)


def test_a_near_miss_is_reported_without_a_name_and_says_so(served: Base) -> None:
    done = told(served, "open", "chat", "--kind", "near-miss", "--summary", "It nearly told a number.")
    assert "no name was recorded" in done.err
    name = done.out.split()[1].rstrip(":")
    told(served, "contain", name, "--action", "other", "--note", "the guard stands again")
    record = shown(served, name)
    assert {entry["who"] for entry in record["history"]} == {"anonymous"} == {one["who"] for one in record["actions"]}
    assert record["detected_by"] == {"by": "user", "ref": ""} and record["severity"] == 4
    assert "user:" not in orjson.dumps(record).decode()


def test_a_near_miss_carries_a_name_where_one_is_given(served: Base) -> None:
    done = told(served, "open", "chat", "--kind", "near-miss", "--by", "Ann")
    assert "no name" not in done.err
    record = shown(served, done.out.split()[1].rstrip(":"))
    assert record["history"][0]["who"] == "Ann" == record["detected_by"]["ref"]


def ledger_row(base: Base, started: datetime) -> None:
    row = {"id": "req-7", "worker": "w", "access_key": "k", "route": "chat", "endpoint": "chat", "day": "2026-11-21"}
    row |= {"started": int(started.timestamp() * 1_000_000), "state": "settled", "currency": "", "reserved": 0}
    with base.opened() as context:
        context.database.execute(
            f"INSERT INTO requests ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
        )


def test_the_first_bad_request_gives_the_time_to_detect(served: Base) -> None:
    began = datetime.now(UTC) - timedelta(hours=2)
    ledger_row(served, began)
    record = shown(served, opened(served, "--first-bad", "req-7"))
    assert record["first_bad"] == {"request": "req-7", "at": began.isoformat(timespec="microseconds")}
    assert 7200 <= record["seconds_to"]["detect"] < 7800
    assert 3600 <= shown(served, opened(served, "--since", "1h"))["seconds_to"]["detect"] < 3700
    assert "the ledger has no request `req-8` on route `chat`" in refused(served, "open", "chat", "--first-bad", "req-8")
    assert "is yet to come" in refused(served, "open", "chat", "--since", "2999-01-01")


def test_what_becomes_known_is_added_on_the_way(served: Base) -> None:
    name = opened(served, "--harm", "privacy")
    told(served, "contain", name, "--action", "throttle", "--requests", "12", "--group", "visitors", "--harm", "money")
    told(served, "resolve", name, "--people", "3", "--severity", "1", "--technique", "AML.TA0011/AML.T0029=flooded")
    record = shown(served, name)
    assert record["affected"] == {"requests": 12, "people": 3, "group": "visitors"}
    assert record["harms"] == ["privacy", "money"] and record["severity"] == 1
    assert record["techniques"] == [{"tactic": "AML.TA0011", "technique": "AML.T0029", "note": "flooded"}]
    assert [entry["what"] for entry in record["history"]][1:] == [
        "told: affected, harms",
        "contained: throttle",
        "told: affected, severity, techniques",
        "resolved",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("open", "chta"), "there is no route `chta`\n  did you mean `chat`?"),
        (("open", "chat", "--severity", "5"), "severity 5 is none of the four levels\n  use 1 especially serious (特别重大)"),
        (("open", "chat", "--people", "-1"), "a count is below zero"),
        (("open", "chat", "--technique", "T0051"), "`T0051` names no technique\n  write TACTIC/TECHNIQUE=WHAT HAPPENED"),
        (("open", "chat", "--alert", "a9"), "route `chat` has no alert `a9`"),
        (("open", "chat", "--release", "r9"), "route `chat` has no release `r9`"),
        (("open", "chat", "--title", "a\nb"), "`title` is 1 to 500 printable characters on one line"),
        (("show", "inc-none"), "there is no incident `inc-none`\n  see: pilotbase incident ls"),
        (("resolve", "inc-none"), "there is no incident `inc-none`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_recorded_is_refused_in_words(served: Base, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(served, *arguments)


def test_the_list_and_the_page_of_an_incident_are_for_people_and_for_programs(served: Base) -> None:
    assert told(served, "ls").out == "no incidents\n" and told(served, "ls", "--json").json == []
    one = opened(served, "--title", "First [bold]", "--summary", "Two\nlines")
    two = opened(served, "--kind", "hazard")
    assert [found["id"] for found in told(served, "ls", "--json").json] == [two, one]
    assert [found["id"] for found in told(served, "ls", "--json", "--kind", "hazard").json] == [two]
    assert told(served, "ls", "--state", "closed").out == "no incidents\n"
    lines = told(served, "ls").out.splitlines()
    assert lines[0].split()[:5] == ["id", "kind", "severity", "state", "route"] and "First [bold]" in lines[2]
    page = told(served, "show", one).out
    for words in ("3 of 4: large (较大)", "Two lines", "noticed by", "opened"):
        assert words in page


def test_an_alert_leads_to_one_incident_however_often_it_is_reported(served: Base) -> None:
    with served.opened() as context:
        context.database.execute(
            "INSERT INTO alerts (id, at, last, same, route, kind, severity, state, document)"
            " VALUES ('a1', 't', 't', 's', 'chat', 'drift', 3, 'open', '{}')"
        )
    name = opened(served, "--alert", "a1")
    assert opened(served, "--alert", "a1") == name
    assert shown(served, name)["detected_by"] == {"by": "alert", "ref": "a1"}


def test_exports_go_to_a_file_or_to_the_terminal_and_say_what_is_missing(served: Base, tmp_path: Path) -> None:
    name = mended(served, "--title", "=1+1", "--group", "visitors")
    text = told(served, "export", "--to", "csv").out
    assert "'=1+1" in text and name in text
    done = told(served, "export", name, "--to", "atlas", "--out", tmp_path / "case.yaml")
    assert done.out == "" and "1 incident(s) in" in done.err and f"{name} tells no technique" in done.err
    assert "case-study-type" in (tmp_path / "case.yaml").read_text("utf-8")
    sent = told(served, "export", name, "--to", "aiid", "--deployer", "A city", "--developer", "A firm")
    assert sent.json[0]["deployers"] == ["A city"] and "the AIID asks for more: give --url" in sent.err
    assert "there is no incident `inc-x`" in refused(served, "export", "inc-x", "--to", "json")
