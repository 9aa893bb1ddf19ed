"""Reading files of cases: what is accepted, what is mended and said, what is refused and how."""

import hashlib
import os
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pilotbase.data.files import FileCases, open_cases
from pilotbase.data.order import order_rows
from pilotbase.domain.pilot import TestData
from pilotbase.errors import InvalidInput, UserError


def put(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def opened(folder: Path, content: bytes | str, name: str = "t.csv", seed: int = 1, **more: object) -> FileCases:
    put(folder, name, content)
    fields = {"inputs": ("a",), **more}
    return open_cases(TestData(path=name, **fields), folder, seed, folder / "scratch")  # type: ignore[arg-type]


def refused(folder: Path, content: bytes | str, name: str = "t.csv", **more: object) -> str:
    with pytest.raises(UserError) as caught:
        opened(folder, content, name, **more)
    assert not list((folder / "scratch").glob("*"))
    return str(caught.value)


def by_id(cases: FileCases, column: str = "a") -> dict[str, object]:
    return dict(zip(cases.ids, cases.inputs(0, cases.count)[column].to_list(), strict=True))


ORDER_7 = [0, 4, 1, 7, 3, 5, 6, 2]
CLUSTERED_7 = [4, 5, 0, 1, 7, 6, 3, 2]
GOOD = "id,a,b,y,g\nr1,1,x,yes,n\nr2,2.5,,no,s\nr3,3,z,yes,\n"


def test_a_csv_gives_inputs_truth_groups_and_ids_in_one_order(tmp_path: Path) -> None:
    cases = opened(tmp_path, GOOD, inputs=("a", "b"), id="id", target="y", groups=("g",), positive="yes")
    frame = cases.inputs(0, 3)
    assert frame.columns == ["a", "b"]
    assert by_id(cases) == {"r1": 1.0, "r2": 2.5, "r3": 3.0}
    assert cases.truth is not None
    assert dict(zip(cases.ids, cases.truth.values(), strict=True)) == {"r1": "yes", "r2": "no", "r3": "yes"}
    assert dict(zip(cases.ids, cases.groups["g"].values(), strict=True)) == {"r1": "n", "r2": "s", "r3": None}
    assert cases.numbers is None
    assert cases.repairs == ("`b`: 1 values are missing", "`g`: 1 values are missing")
    assert cases.spread()["a"] == pytest.approx(np.std([1, 2.5, 3], ddof=1))


def test_all_formats_of_one_table_give_the_same_cases(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"id": ["r1", "r2", "r3"], "a": [1, 2, 3], "b": [0.5, None, 2.0], "y": [1.0, 0.0, 1.0], "t": ["x,\n1", "", "中"]}
    )
    frame.write_csv(tmp_path / "t.csv", quote_style="non_numeric")
    frame.write_csv(tmp_path / "t.tsv", separator="\t", quote_style="non_numeric")
    frame.write_ndjson(tmp_path / "t.jsonl")
    frame.write_json(tmp_path / "t.json")
    frame.write_parquet(tmp_path / "t.parquet")
    seen = []
    for name in ("t.csv", "t.tsv", "t.jsonl", "t.json", "t.parquet"):
        spec = TestData(path=name, inputs=("a", "b", "t"), id="id", target="y", positive=1)
        cases = open_cases(spec, tmp_path, 5, tmp_path / "scratch")
        assert cases.truth is not None and cases.numbers is not None
        assert cases.digest == "sha256:" + hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        seen.append((cases.inputs(0, 3).rows(), list(cases.ids), cases.truth.values(), cases.numbers.tolist(), cases.order))
        cases.close()
    assert all(s == seen[0] for s in seen)
    assert set(seen[0][2]) == {"1", "0"}


@pytest.mark.parametrize(
    ("cells", "expected", "repair"),
    [
        (["1", "2", "3"], [1, 2, 3], ""),
        (["1", "2.5", " 3 "], [1.0, 2.5, 3.0], ""),
        (["true", "False", "TRUE"], [True, False, True], ""),
        (["007", "12", "3"], ["007", "12", "3"], "codes"),
        (["12345678901234567890", "1", "2"], ["12345678901234567890", "1", "2"], "codes"),
        (["1.50", "n/a", "2"], [1.5, None, 2.0], "1 values are missing"),
        (["1.50", "oops", "2"], ["1.50", "oops", "2"], "1 of 3 values are not numbers (first in row 2: `oops`): kept as text"),
        (["1", "inf", "nan"], [1.0, None, None], "2 values are NaN or infinite"),
        (["=1+1", "@x", "-"], ["=1+1", "@x", "-"], ""),
        (['"x\ny"', '"q""q"', "z"], ["x\ny", 'q"q', "z"], ""),
        (["1_000", "0x1", "１"], ["1_000", "0x1", "１"], ""),
    ],
)
def test_a_column_has_the_type_that_all_its_values_allow(
    tmp_path: Path, cells: list[str], expected: list[object], repair: str
) -> None:
    cases = opened(tmp_path, "a\n" + "\n".join(cells) + "\n")
    assert [by_id(cases)[str(i)] for i in (1, 2, 3)] == expected
    assert repair in "; ".join(cases.repairs) if repair else cases.repairs == ()


def test_the_type_of_a_column_does_not_depend_on_its_first_rows(tmp_path: Path) -> None:
    filler = "x" * 100
    rows = [f"{i}.50,{filler}" for i in range(40_000)]
    cases = opened(tmp_path, "a,b\n" + "\n".join([*rows, f"late,{filler}"]) + "\n")
    values = by_id(cases)
    assert (values["1"], values["40001"]) == ("0.50", "late")
    assert "1 of 40,001 values are not numbers (first in row 40001: `late`): kept as text" in cases.repairs[0]


@pytest.mark.parametrize(
    ("codec", "mark", "repair"),
    [
        ("utf-8-sig", b"", "byte order mark"),
        ("gb18030", b"", "GB18030"),
        ("utf-16", b"", "UTF-16"),
        ("utf-16-le", b"", "UTF-16-LE"),
        ("utf-16-be", b"", "UTF-16-BE"),
    ],
)
def test_other_encodings_are_read_and_said(tmp_path: Path, codec: str, mark: bytes, repair: str) -> None:
    cases = opened(
        tmp_path, mark + "a,类别\n肺部结节，直径八毫米,良性\nplain,恶性\n".encode(codec), target="类别", positive="恶性"
    )
    assert by_id(cases) == {"1": "肺部结节，直径八毫米", "2": "plain"}
    assert len(cases.repairs) == 1
    assert repair in cases.repairs[0]


def test_a_declared_encoding_is_used(tmp_path: Path) -> None:
    assert by_id(opened(tmp_path, "a\ncafé\n".encode("cp1252"), encoding="windows-1252")) == {"1": "café"}


def test_undecodable_bytes_are_named_by_offset_and_line(tmp_path: Path) -> None:
    text = refused(tmp_path, "a\nok\ncafé olé\n".encode("latin-1"))
    assert "byte 0xE9 at byte 8 (line 3) is not UTF-8" in text
    assert "encoding: windows-1252" in text


def test_a_nul_byte_is_named_by_offset(tmp_path: Path) -> None:
    assert "a NUL byte at byte 4 (line 2)" in refused(tmp_path, b"a\nok\0x\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty (0 bytes)"),
        ("a,b\n", "holds a header and no case"),
        ("x", "no column `a`; the file has: `x`"),
        ("a;b\n1;2\n", "separated by ';'"),
        ("A1,a,a\n1,2,3\n", "column `a` appears 2 times"),
        ("a,b\n1,2\n3\n4,5,6\n", "line 3 (row 2): 1 fields where the header has 2\nt.csv, line 4 (row 3): 3 fields"),
        ('a,b\n1,2\n"3,4\n', "line 3 (row 2): a quote is opened and never closed"),
        ('a,b\n5" pipe,2\n6" pipe,3\n', "quotes are used wrongly in rows 1 to 1"),
        (",".join(f"c{i}" for i in range(100_000)) + "\n", "100,000 columns: at most 10,000 are read"),
    ],
)
def test_a_malformed_csv_is_refused_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    assert message in refused(tmp_path, content)


def test_all_missing_columns_are_named_with_the_nearest(tmp_path: Path) -> None:
    text = refused(tmp_path, "age,sexx\n1,2\n", inputs=("agee", "sex"), target="y")
    assert "no column `agee`; nearest: `age`" in text
    assert "no column `sex`; nearest: `sexx`" in text
    assert "no column `y`; the file has: `age`, `sexx`" in text


def test_problems_of_rows_are_told_together(tmp_path: Path) -> None:
    content = "id,a,y,c\n1,1,p,k\n1,2,,k\n2,3,q,\n2,4,q,k\n3,5,q,k\n,6,q,k\n"
    text = refused(tmp_path, content, id="id", target="y", positive="P", cluster="c")
    assert "2 ids are used more than once: `1` in rows 1, 2; `2` in rows 3, 4" in text
    assert "column `id` (id): 1 of 6 rows have no value (first: row 6)" in text
    assert "column `y` (target): 1 of 6 rows have no value (first: row 2)" in text
    assert "column `c` (cluster): 1 of 6 rows have no value (first: row 3)" in text
    assert "`positive: P` is not among the truths: `p`, `q`" in text


def test_blank_lines_and_crlf_and_lone_returns_are_read(tmp_path: Path) -> None:
    cases = opened(tmp_path, "a,b\r\n1,2\r\n\r\n3,4\r\n")
    assert by_id(cases) == {"1": 1, "2": 3}
    assert cases.repairs == ("1 empty lines were skipped",)
    assert by_id(opened(tmp_path, "a,b\r1,2\r3,4\r")) == {"1": 1, "2": 3}


def test_bad_lines_of_json_are_named_up_to_twenty(tmp_path: Path) -> None:
    lines = ['{"a": 1}', "{bad", "[1]", *["oops"] * 30]
    text = refused(tmp_path, "\n".join(lines), "t.jsonl")
    assert "32 lines cannot be read" in text
    assert "t.jsonl, line 2: not JSON" in text
    assert "t.jsonl, line 3: a list where an object {...} is due" in text
    assert text.count("t.jsonl, line") == 20


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ('{"a": 1}', "a object where a list"), ("[1]", "item 1: a number"), ("[]", "holds no case")],
)
def test_a_json_file_that_is_no_list_of_objects_is_refused(tmp_path: Path, content: str, message: str) -> None:
    assert message in refused(tmp_path, content, "t.json")


def test_nested_json_is_kept_and_mixed_values_become_text(tmp_path: Path) -> None:
    content = '{"a": {"x": [1, 2]}, "m": 1, "y": 1}\n{"a": {"x": []}, "m": "two", "y": "1"}\n{"a": null, "m": 3.0, "y": 1.0}\n'
    cases = opened(tmp_path, content, "t.jsonl", inputs=("a", "m"), target="y", positive=1)
    assert by_id(cases) == {"1": {"x": [1, 2]}, "2": {"x": []}, "3": None}
    assert by_id(cases, "m") == {"1": "1", "2": "two", "3": "3"}
    assert cases.truth is not None and cases.truth.names == ("1",)


def test_a_truncated_parquet_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"a": range(1000)}).write_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    assert "cut short, or is no Parquet" in refused(tmp_path, content[:-100], "t.parquet")
    assert "cut short, or is no Parquet" in refused(tmp_path, b"x", "t.parquet")


def test_a_missing_file_names_the_nearest_and_a_folder_its_files(tmp_path: Path) -> None:
    put(tmp_path, "cases.csv", "a\n1\n")
    with pytest.raises(UserError, match=r"there is `cases[.]csv`"):
        open_cases(TestData(path="case.csv", inputs=("a",)), tmp_path, 1, tmp_path)
    with pytest.raises(UserError, match=r"is a folder\n  name a file in it: cases[.]csv"):
        open_cases(TestData(path=".", inputs=("a",)), tmp_path, 1, tmp_path)
    put(tmp_path, "cases.xlsx", "x")
    with pytest.raises(UserError, match="save the sheet as CSV UTF-8"):
        open_cases(TestData(path="cases.xlsx", inputs=("a",)), tmp_path, 1, tmp_path)


def test_media_stay_inside_the_folder_and_count_in_the_digest(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "img").mkdir(parents=True)
    put(folder / "img", "1.png", b"one")
    put(tmp_path, "secret.png", b"no")
    os.symlink(tmp_path / "secret.png", folder / "img" / "link.png")
    cases = opened(folder, "a\nimg/1.png\n", media=("a",))
    assert cases.inputs(0, 1)["a"].to_list() == [str((folder / "img" / "1.png").resolve())]
    assert cases.digest != cases.rows_digest
    put(folder / "img", "1.png", b"two")
    assert opened(folder, "a\nimg/1.png\n", media=("a",)).digest != cases.digest
    del cases
    bad = {
        "img/link.png": "is a link out",
        "../secret.png": "leaves",
        "/etc/hosts": "is absolute",
        "gone.png": "does not exist",
        "img": "is not a file",
    }
    bad |= {"t.csv": "is the data file itself", "http://x/y.png": "is an address", "C:\\x.png": "is absolute"}
    put(folder, "t.csv", "a\n" + "\n".join(bad) + "\n")
    with pytest.raises(InvalidInput) as caught:
        open_cases(TestData(path="t.csv", inputs=("a",), media=("a",)), folder, 1, tmp_path / "s")
    for row, (path, why) in enumerate(bad.items(), 1):
        assert any(line.startswith(f"row {row}, column `a`: `{path}` {why}") for line in caught.value.problems), (
            path,
            caught.value.problems,
        )


def test_clusters_stay_together_in_the_order(tmp_path: Path) -> None:
    content = "a,c\n" + "".join(f"{i},{'xyzuv'[i % 5]}\n" for i in range(50))
    cases = opened(tmp_path, content, cluster="c")
    assert cases.clusters is not None
    values = cases.clusters.values()
    changes = sum(a != b for a, b in pairwise(values))
    assert changes == 4
    assert Counter(values) == Counter(dict.fromkeys("xyzuv", 10))
    inner = [int(v) for v, c in zip(cases.inputs(0, 50)["a"], values, strict=True) if c == "x"]
    assert inner != sorted(inner)


def test_the_order_is_fixed_by_the_seed_and_not_by_the_target(tmp_path: Path) -> None:
    one = opened(tmp_path, "a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(100)), target="y")
    other = opened(tmp_path, "a,y\n" + "".join(f"{i},{int(i < 50)}\n" for i in range(100)), target="y")
    assert one.order == other.order
    assert one.order != opened(tmp_path, "a\n" + "1\n" * 100, seed=2).order


def test_the_order_of_a_seed_never_changes() -> None:
    assert order_rows(8, 7).tolist() == ORDER_7
    clusters = np.array([0, 0, 1, 1, 2, 2, 3, 3], dtype=np.int32)
    assert order_rows(8, 7, clusters).tolist() == CLUSTERED_7


def test_slices_across_parts_equal_the_whole(tmp_path: Path) -> None:
    cases = opened(tmp_path, "a\n" + "".join(f"{i}\n" for i in range(140_000)))
    whole = cases.inputs(0, cases.count)["a"]
    assert sorted(whole.to_list()) == list(range(140_000))
    for start, stop in ((65_530, 65_540), (0, 0), (139_990, 150_000), (60_000, 139_000)):
        assert cases.inputs(start, stop)["a"].to_list() == whole[start:stop].to_list()
    assert cases.ids[65_536] == str(whole[65_536] + 1)


def test_scratch_is_empty_after_close(tmp_path: Path) -> None:
    cases = opened(tmp_path, GOOD)
    cases.close()
    cases.close()
    assert list((tmp_path / "scratch").iterdir()) == []
