"""Labels by people: read in order, with every wrong line named at once."""

from pathlib import Path

import pytest

from pilotbase.errors import InvalidInput, UserError
from pilotbase.judges.labels import Label, read_labels


def write(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_a_csv_file_is_read_in_its_order(tmp_path: Path) -> None:
    path = write(tmp_path, "l.csv", 'id,answer,label\nq1,yes it is,Yes\n007,"no, ""never""",no\nq3,,unsure\n')
    assert read_labels(path) == [
        Label(id="q1", answer="yes it is", label="yes", line=2),
        Label(id="007", answer='no, "never"', label="no", line=3),
        Label(id="q3", answer=None, label="unsure", line=4),
    ]


def test_a_json_lines_file_is_read_alike(tmp_path: Path) -> None:
    path = write(tmp_path, "l.jsonl", '{"id": 1, "label": "yes", "answer": "对"}\n\n{"id": "b", "label": "no"}\n')
    assert read_labels(path) == [Label(id="1", answer="对", label="yes", line=1), Label(id="b", answer=None, label="no", line=3)]


def test_the_answer_column_may_be_missing(tmp_path: Path) -> None:
    assert read_labels(write(tmp_path, "l.csv", "id,label\na,no\n"))[0].answer is None


def test_every_wrong_line_is_named_with_its_number(tmp_path: Path) -> None:
    path = write(tmp_path, "l.csv", 'id,answer,label\na,"two\nlines",maybe\n,x,yes\nb,y,\nc,z,no\nc,z,yes\n')
    with pytest.raises(InvalidInput) as caught:
        read_labels(path)
    said = str(caught.value)
    for part in ("l.csv:2: label `maybe` is none of yes, no, unsure", "l.csv:4: `id` is missing", "l.csv:5: `label` is missing"):
        assert part in said
    assert "l.csv:7: id `c` with the same answer stands in line 6 already" in said


def test_a_long_list_of_wrong_lines_is_cut_and_counted(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="50 lines") as caught:
        read_labels(write(tmp_path, "l.csv", "id,label\n" + "".join(f"{i},perhaps\n" for i in range(50))))
    assert "and 30 more" in str(caught.value)


@pytest.mark.parametrize("line", ['{"id": 1,', "[1]", '{"id": true, "label": "yes"}', '{"id": "a", "label": "yes", "answer": 3}'])
def test_a_line_of_another_shape_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidInput, match="1 lines") as caught:
        read_labels(write(tmp_path, "l.jsonl", '{"id": "z", "label": "no"}\n' + line + "\n"))
    assert "l.jsonl:2:" in str(caught.value)


def test_a_missing_column_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column `label`") as caught:
        read_labels(write(tmp_path, "l.csv", "id,lable\na,yes\n"))
    assert "did you mean `lable`?" in str(caught.value)


def test_a_file_of_the_base_in_gb18030_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "l.csv", "id,answer,label\n一,正确,yes\n".encode("gb18030"))
    assert read_labels(path)[0] == Label(id="一", answer="正确", label="yes", line=2)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("l.csv", b"", "not CSV"),
        ("l.csv", b"id,label\n", "no labels"),
        ("l.jsonl", b"\n", "no labels"),
        ("l.csv", b"id,label\n\xff\xff,yes\n", "neither UTF-8 nor GB18030"),
        ("l.xlsx", b"", "neither CSV nor JSON Lines"),
    ],
)
def test_a_file_without_labels_says_what_is_wrong(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_labels(write(tmp_path, name, data))


def test_a_missing_file_says_where_paths_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read") as caught:
        read_labels(tmp_path / "none.csv")
    assert "starts at the pilot file" in str(caught.value)
