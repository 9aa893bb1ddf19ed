"""Adding cases to data files: each in its own format and dialect, all or nothing, and never twice."""

import codecs
import csv
import io
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.data.append import Plan, append_cases, plan_cases, read_cases
from pilotbase.data.encoding import digest_file
from pilotbase.data.files import open_cases
from pilotbase.domain.pilot import TestData
from pilotbase.errors import InvalidInput, UserError
from pilotbase.store.disk import Calls, LocalDisk

CASE = {"id": "bad-1", "text": "hello, world", "label": "no"}
CSV = "id,text,label,incident\nr1,one,yes,\nr2,two,no,\n"


def spec(name: str = "t.csv", **more: Any) -> TestData:
    fields: dict[str, Any] = {"path": name, "inputs": ("text",), "id": "id", "target": "label", "incident": "incident", **more}
    return TestData(**fields)


def planned(folder: Path, *cases: Mapping[str, Any], of: TestData | None = None, incident: str = "inc-1") -> Plan:
    return plan_cases(of or spec(), folder, incident, cases or (CASE,))


def added(folder: Path, content: bytes | str, *cases: Mapping[str, Any], of: TestData | None = None) -> bytes:
    of = of or spec()
    (folder / of.path).write_bytes(content.encode() if isinstance(content, str) else content)
    plan = planned(folder, *cases, of=of)
    after = append_cases(LocalDisk(), plan)
    assert after == digest_file(folder / of.path) != plan.before
    assert os.listdir(folder) == [of.path]
    return (folder / of.path).read_bytes()


def refused(folder: Path, content: bytes | str, *cases: Mapping[str, Any], of: TestData | None = None) -> str:
    of = of or spec()
    raw = content.encode() if isinstance(content, str) else content
    (folder / of.path).write_bytes(raw)
    with pytest.raises(UserError) as caught:
        append_cases(LocalDisk(), planned(folder, *cases, of=of))
    assert (folder / of.path).read_bytes() == raw
    assert os.listdir(folder) == [of.path]
    return str(caught.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (CSV, CSV + 'bad-1,"hello, world",no,inc-1\n'),
        (CSV.replace("\n", "\r\n"), CSV.replace("\n", "\r\n") + 'bad-1,"hello, world",no,inc-1\r\n'),
        (CSV.replace("\n", "\r"), CSV.replace("\n", "\r") + 'bad-1,"hello, world",no,inc-1\r'),
        (CSV.rstrip("\n"), CSV + 'bad-1,"hello, world",no,inc-1\n'),
        (
            '"id","text","label","incident"\n"r1","a","yes",""\n"r2","b","no",""\n',
            '"id","text","label","incident"\n"r1","a","yes",""\n"r2","b","no",""\n"bad-1","hello, world","no","inc-1"\n',
        ),
        ("label,incident,text,id,more\nyes,,a,r1,x\nno,,b,r2,y\n", "label,incident,text,id,more\nyes,,a,r1,x\nno,,b,r2,y\n"
         'no,inc-1,"hello, world",bad-1,\n'),
    ],
    ids=["line feeds", "carriage returns and line feeds", "carriage returns", "no last line end", "all quoted", "another order"],
)  # fmt: skip
def test_a_csv_grows_in_its_own_dialect(tmp_path: Path, before: str, after: str) -> None:
    assert added(tmp_path, before).decode() == after


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-be", "gb18030", "utf-32"])
def test_a_csv_keeps_its_encoding(tmp_path: Path, codec: str) -> None:
    text = "id,text,label,incident\nr1,你好世界这是中文文本,是,\nr2,另外一个中文文本例子,否,\n"
    raw = codecs.BOM_UTF16_BE + text.encode("utf-16-be") if codec == "utf-16-be" else text.encode(codec)
    case = {"id": "bad-1", "text": "坏的", "label": "否"}
    grown = added(tmp_path, raw, case)
    assert grown.startswith(raw)
    assert grown.decode("utf-16" if codec == "utf-16-be" else codec) == text + "bad-1,坏的,否,inc-1\n"


def test_a_declared_encoding_that_has_no_place_for_the_case_refuses_it(tmp_path: Path) -> None:
    of = spec(encoding="windows-1252")
    raw = "id,text,label,incident\nr1,é,yes,\nr2,è,no,\n".encode("windows-1252")
    assert "bad-1,ü,no,inc-1\n".encode("windows-1252") in added(tmp_path, raw, {**CASE, "text": "ü"}, of=of)
    said = refused(tmp_path, raw, {**CASE, "text": "坏"}, of=of)
    assert "a case holds '坏', which cp1252 has no place for" in said and "save the data file as UTF-8" in said


def test_a_tsv_is_separated_by_tabs(tmp_path: Path) -> None:
    of = spec("t.tsv")
    assert added(tmp_path, CSV.replace(",", "\t"), of=of).decode().endswith("bad-1\thello, world\tno\tinc-1\n")


def test_json_lines_grow_by_a_line_each(tmp_path: Path) -> None:
    of = spec("t.jsonl")
    raw = '{"id": "r1", "text": "a", "label": "yes"}\r\n{"id": "r2", "text": "b", "label": "no"}'
    grown = added(tmp_path, raw, of=of).decode()
    assert grown.startswith(raw + "\r\n") and grown.endswith("\r\n")
    assert orjson.loads(grown.splitlines()[-1]) == {**CASE, "incident": "inc-1"}


def test_a_list_of_records_grows_within_its_brackets(tmp_path: Path) -> None:
    of = spec("t.json")
    raw = '[\n {"id": "r1", "text": "a]", "label": "yes"},\n {"id": "r2", "text": "b", "label": "no"}\n]\n'
    assert orjson.loads(added(tmp_path, raw, of=of))[-1] == {**CASE, "incident": "inc-1"}


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    of = spec("t.parquet", inputs=("text", "n", "day"))
    frame = pl.select(
        id=pl.lit("r1"),
        text=pl.lit("a"),
        n=pl.lit(1, dtype=pl.Int16),
        day=pl.date(2026, 1, 1),
        label=pl.lit("yes"),
        incident=pl.lit(None, dtype=pl.String),
    )
    out = io.BytesIO()
    frame.write_parquet(out)
    grown = pl.read_parquet(io.BytesIO(added(tmp_path, out.getvalue(), {**CASE, "n": 7, "day": "2026-11-21"}, of=of)))
    assert grown.schema == frame.schema
    assert grown.row(1, named=True)["n"] == 7 and str(grown["day"][1]) == "2026-11-21"
    assert grown["incident"].to_list() == [None, "inc-1"]
    said = refused(tmp_path, out.getvalue(), {**CASE, "n": 7, "day": "soon"}, of=of)
    assert "t.parquet: the cases cannot be added" in said


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
def test_a_file_without_the_incident_column_gets_it(tmp_path: Path, name: str) -> None:
    of = spec(name)
    frame = pl.DataFrame({"id": ["r1", "r2"], "text": ['a,\n"b"', "c"], "label": ["yes", "no"]})
    frame.write_csv(tmp_path / "t.csv")
    frame.write_csv(tmp_path / "t.tsv", separator="\t")
    frame.write_ndjson(tmp_path / "t.jsonl")
    frame.write_parquet(tmp_path / "t.parquet")
    plan = planned(tmp_path, of=of)
    assert plan.gains
    append_cases(LocalDisk(), plan)
    cases = open_cases(of, tmp_path, 1, tmp_path / "scratch")
    assert sorted(cases.ids) == ["bad-1", "r1", "r2"] and cases.incidents is not None
    found = dict(zip(cases.ids, cases.incidents.values(), strict=True))
    assert found == {"bad-1": "inc-1", "r1": None, "r2": None}
    assert 'a,\n"b"' in cases.inputs(0, 3)["text"].to_list()
    cases.close()
    assert planned(tmp_path, of=of).new == ()


def test_running_it_twice_adds_nothing_twice(tmp_path: Path) -> None:
    once = added(tmp_path, CSV)
    plan = planned(tmp_path)
    assert (plan.ids, plan.added, plan.new) == (("bad-1",), (), ())
    assert append_cases(LocalDisk(), plan) == plan.before
    assert (tmp_path / "t.csv").read_bytes() == once
    both = planned(tmp_path, CASE, {**CASE, "id": "bad-2"})
    assert (both.ids, both.added) == (("bad-1", "bad-2"), ("bad-2",))


def test_without_an_id_column_a_case_is_known_by_its_row(tmp_path: Path) -> None:
    of = spec(id=None)
    (tmp_path / "t.csv").write_text("text,label,incident\na,yes,\nb,no,\n")
    case = {"text": "c", "label": "no"}
    plan = planned(tmp_path, case, case, of=of)
    assert (plan.ids, plan.added, len(plan.new)) == (("3",), ("3",), 1)
    append_cases(LocalDisk(), plan)
    assert (tmp_path / "t.csv").read_text() == "text,label,incident\na,yes,\nb,no,\nc,no,inc-1\n"
    again = planned(tmp_path, case, {**case, "text": "d"}, of=of)
    assert (again.ids, again.added) == (("3", "4"), ("4",))


WRONG = [
    ({"id": "x", "label": "no"}, "the input `text` is missing; write null where it has no value"),
    ({"id": "x", "text": None, "label": "no"}, "no input has a value"),
    ({"id": "x", "text": "a"}, "the target `label` has no value"),
    ({"text": "a", "label": "no"}, "the id `id` has no value"),
    ({"id": "r2", "text": "a", "label": "no"}, "the id `r2` is used in row 2 of t.csv for another case; choose another `id`"),
    ({**CASE, "site": "n"}, "t.csv has no column `site`"),
    ({**CASE, "lable": "n"}, "t.csv has no column `lable`; did you mean `label`?"),
    ({**CASE, "incident": "inc-9"}, "`incident` says inc-9, and this is incident inc-1; leave it out"),
    ({**CASE, "label": ["no"]}, "`label` is a column of text, found `['no']`"),
]


@pytest.mark.parametrize(("case", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_a_case_that_does_not_fit_is_refused_with_its_reason(tmp_path: Path, case: dict[str, Any], said: str) -> None:
    assert said in refused(tmp_path, CSV, case)


def test_all_that_is_wrong_with_all_cases_is_told_at_once(tmp_path: Path) -> None:
    said = refused(tmp_path, CSV, {"id": "x", "label": "no"}, {"text": "a", "label": "no"}, CASE, CASE)
    assert "the cases do not fit t.csv" in said
    assert "case 1 (`x`): the input `text` is missing" in said
    assert "case 2: the id `id` has no value" in said
    assert "case 4 (`bad-1`): the id `bad-1` is given twice" in said
    assert "a case has the columns of t.csv: id, text, label" in said


def test_groups_and_the_cluster_are_due_too(tmp_path: Path) -> None:
    of = spec(groups=("site",), cluster="patient")
    text = "id,text,label,site,patient,incident\nr1,a,yes,n,p1,\nr2,b,no,s,p2,\n"
    said = refused(tmp_path, text, CASE, of=of)
    assert "the group `site` has no value" in said and "the cluster `patient` has no value" in said
    assert b"bad-1,ok,no,n,p3,inc-1\n" in added(tmp_path, text, {**CASE, "text": "ok", "site": "n", "patient": "p3"}, of=of)


def test_a_column_of_numbers_stays_one(tmp_path: Path) -> None:
    of = spec(inputs=("n",))
    text = "id,n,label,incident\nr1,1,yes,\nr2,2,no,\n"
    assert "`n` is a column of numbers, found `many`" in refused(tmp_path, text, {"id": "x", "n": "many", "label": "no"}, of=of)
    assert "`n` is a column of numbers" in refused(tmp_path, text, {"id": "x", "n": "nan", "label": "no"}, of=of)
    assert b"x,7,no,inc-1\n" in added(tmp_path, text, {"id": "x", "n": "7", "label": "no"}, of=of)


def test_a_label_that_the_data_does_not_know_is_refused_where_there_are_two(tmp_path: Path) -> None:
    of = spec(positive="yes")
    said = refused(tmp_path, CSV, {**CASE, "label": "nope"}, of=of)
    assert "the target `label` is `nope`, and t.csv knows `no`, `yes`" in said


def test_media_of_a_case_lie_beside_the_data(tmp_path: Path) -> None:
    of = spec(media=("text",))
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "t.csv").write_text("id,text,label,incident\nr1,a.png,yes,\nr2,a.png,no,\n")
    with pytest.raises(InvalidInput, match="`hello, world` does not exist"):
        planned(tmp_path, of=of)
    assert planned(tmp_path, {**CASE, "text": "a.png"}, of=of).added == ("bad-1",)


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(CSV)
    plan = planned(tmp_path)
    (tmp_path / "t.csv").write_text(CSV + "r3,three,no,\n")
    with pytest.raises(UserError, match="rows would be read otherwise"):
        append_cases(LocalDisk(), plan)
    assert (tmp_path / "t.csv").read_text() == CSV + "r3,three,no,\n"
    (tmp_path / "t.csv").write_text(CSV.replace("one", "eno"))
    with pytest.raises(UserError, match="it was changed meanwhile"):
        append_cases(LocalDisk(), plan)
    assert os.listdir(tmp_path) == ["t.csv"]


def test_permissions_stay_and_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text(CSV)
    (tmp_path / "real.csv").chmod(0o600)
    (tmp_path / "t.csv").symlink_to("real.csv")
    append_cases(LocalDisk(), planned(tmp_path))
    assert (tmp_path / "t.csv").is_symlink()
    assert (tmp_path / "real.csv").stat().st_mode & 0o777 == 0o600
    assert "inc-1" in (tmp_path / "real.csv").read_text()


class Killed(BaseException):
    """The process dies at a system call."""


def dying(at: int) -> LocalDisk:
    """A disk on which the process dies at the system call number `at`."""
    seen = 0

    def counted(call: Any) -> Any:
        def run(*given: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen >= at:
                raise Killed
            return call(*given)

        return run

    calls = Calls()
    return LocalDisk(
        replace(calls, **{name: counted(getattr(calls, name)) for name in ("open_file", "write", "sync", "rename", "unlink")})
    )


def test_a_process_that_dies_anywhere_leaves_the_old_file_or_the_whole_new_one_and_another_run_ends_it(tmp_path: Path) -> None:
    outcomes = set()
    for at in range(1, 12):
        (tmp_path / "t.csv").write_text(CSV)
        with suppress(Killed):
            append_cases(dying(at), planned(tmp_path))
        found = (tmp_path / "t.csv").read_text()
        outcomes.add(found)
        assert found in (CSV, CSV + 'bad-1,"hello, world",no,inc-1\n')
        append_cases(LocalDisk(), planned(tmp_path))
        assert (tmp_path / "t.csv").read_text() == CSV + 'bad-1,"hello, world",no,inc-1\n'
        assert os.listdir(tmp_path) == ["t.csv"]
    assert len(outcomes) == 2


@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30).filter(str.strip))
def test_any_text_is_read_back_as_it_was_given(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("t")
    (folder / "t.csv").write_text(CSV)
    append_cases(LocalDisk(), planned(folder, {**CASE, "text": text}))
    last = list(csv.reader(io.StringIO((folder / "t.csv").read_bytes().decode(), newline="")))[-1]
    assert last == ["bad-1", text, "no", "inc-1"]
    assert planned(folder, {**CASE, "text": text}).new == ()


def cases_of(folder: Path, name: str, content: str) -> list[dict[str, Any]]:
    (folder / name).write_text(content, "utf-8")
    return read_cases(folder / name)


def test_cases_come_as_an_object_a_list_json_lines_or_csv(tmp_path: Path) -> None:
    one = {"id": "x", "text": "a\u2028b", "label": None}
    spelled = orjson.dumps(one).decode()
    assert cases_of(tmp_path, "c.json", spelled) == [one]
    assert cases_of(tmp_path, "c.json", f"[{spelled}, {spelled}]") == [one, one]
    assert cases_of(tmp_path, "c.jsonl", f"{spelled}\n\n{spelled}\n") == [one, one]
    assert cases_of(tmp_path, "c.csv", "\ufeffid,text,label\nx,a\u2028b,\n") == [one]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("c.json", "", "0 cases: 1 to 1,000 are due"),
        ("c.json", "{", "c.json, line 1: not JSON"),
        ("c.json", "[1]", "case 1 is no object"),
        ("c.csv", "id,text\nx\n", "c.csv, row 1: 1 fields where the header has 2"),
        ("c.csv", "id,text\n", "0 cases"),
    ],
)
def test_a_file_of_cases_that_cannot_be_read_says_why(tmp_path: Path, name: str, content: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        cases_of(tmp_path, name, content)
    assert said in str(caught.value)


def test_a_missing_file_of_cases_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_cases(tmp_path / "none.json")
