"""Answers given before are found by case."""

import asyncio
from pathlib import Path

import polars as pl
import pytest

from pilotbase.domain.evidence import Ask, Reply
from pilotbase.errors import UserError
from pilotbase.ports import Prompting, TargetContext
from pilotbase.targets.recorded import Options, RecordedAnswers, kind


def _context(folder: Path) -> TargetContext:
    return TargetContext(folder=folder, prompting=Prompting(), secrets=lambda name: None, scratch=folder)


def _target(folder: Path, text: str, name: str = "given.csv", **options: object) -> RecordedAnswers:
    (folder / name).write_text(text, encoding="utf-8")
    return kind.build(Options(path=name, **options), _context(folder))


def _answers(target: RecordedAnswers, *ids: str) -> list[object]:
    return [reply.answer for reply in target.answers(ids)]


def test_answers_come_in_the_order_of_the_ids_and_ids_keep_their_spelling(tmp_path: Path) -> None:
    target = _target(tmp_path, "id,answer\n007,良性\n7,malignant\n")
    assert _answers(target, "7", "007") == ["malignant", "良性"]
    assert target.by_id


def test_a_case_without_an_answer_is_refused(tmp_path: Path) -> None:
    target = _target(tmp_path, "id,answer\na,yes\nb,\n")
    assert [(r.failure, r.detail) for r in target.answers(["b", "c"])] == [("refused", "no recorded answer for this case")] * 2


def test_most_readers_win_and_a_tie_goes_to_the_first_in_sorted_order(tmp_path: Path) -> None:
    rows = "id,who,answer\n1,c,no\n1,a,yes\n1,b,no\n2,z,no\n2,k,yes\n3,q,no\n"
    target = _target(tmp_path, rows, reader="who")
    one, two, three = target.answers(["1", "2", "3"])
    assert (one.answer, two.answer, three.answer) == ("no", "yes", "no")
    assert one.extra == {"readers": {"a": "yes", "b": "no", "c": "no"}} and three.extra == {"readers": {"q": "no"}}


def test_readers_who_give_fractions_are_averaged_and_whole_numbers_are_labels(tmp_path: Path) -> None:
    fractions = _target(tmp_path, "id,r,answer\n1,a,0.5\n1,b,1\n", reader="r")
    assert _answers(fractions, "1") == [0.75]
    labels = _target(tmp_path, "id,r,answer\n1,a,0\n1,b,1\n1,c,1\n", "labels.csv", reader="r")
    assert _answers(labels, "1") == [1]


def test_a_score_and_the_seconds_travel_with_the_answer(tmp_path: Path) -> None:
    target = _target(tmp_path, "id,answer,p,t\n1,yes,0.25,12.5\n", score="p", seconds="t")
    assert target.answers(["1"]) == [Reply(answer={"label": "yes", "score": 0.25, "text": "yes"}, seconds=12.5)]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_json_lines_and_parquet_are_read_too(suffix: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": [1, 2], "answer": ["a", "b"]})
    path = tmp_path / f"given.{suffix}"
    frame.write_ndjson(path) if suffix == "jsonl" else frame.write_parquet(path)
    assert _answers(kind.build(Options(path=path.name), _context(tmp_path)), "2", "1") == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("id,answer\n1,a\n2,b\n1,c\n", {}, "case `1` is answered in rows 1, 3"),
        ("id,r,answer\n1,x,a\n1,x,b\n", {"reader": "r"}, "case `1` by reader `x` is answered in rows 1, 2"),
        ("id,answer\n", {}, "has no answers"),
        ("", {}, "cannot be read"),
        ("id,anwser\n1,a\n", {}, "did you mean `anwser`"),
        ("id,answer\n,a\n", {}, "`id` is empty in row 1"),
        ("id,answer,s\n1,a,high\n", {"score": "s"}, "must hold numbers"),
    ],
)
def test_a_wrong_file_is_an_error_that_says_what_is_wrong(text: str, options: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        _target(tmp_path, text, **options).answers(["1"])
    assert words in str(caught.value)


def test_a_missing_file_is_an_error_for_answers_and_for_the_fingerprint(tmp_path: Path) -> None:
    options = Options(path="absent.csv")
    with pytest.raises(UserError, match="there is no file"):
        kind.build(options, _context(tmp_path)).answers(["1"])
    with pytest.raises(UserError, match=r"absent\.csv"):
        kind.fingerprint(options, _context(tmp_path))


def test_text_in_another_encoding_is_an_error_that_names_utf_8(tmp_path: Path) -> None:
    (tmp_path / "given.csv").write_bytes("id,answer\n1,良性\n".encode("gb18030"))
    with pytest.raises(UserError, match="UTF-8"):
        kind.build(Options(path="given.csv"), _context(tmp_path)).answers(["1"])


def test_nothing_new_can_be_asked(tmp_path: Path) -> None:
    target = _target(tmp_path, "id,answer\n1,a\n")
    with pytest.raises(UserError, match="anything new"):
        asyncio.run(target.invoke([Ask(key=1, inputs={})]))
    asyncio.run(target.aclose())
    asyncio.run(target.aclose())


def test_the_fingerprint_follows_the_file_and_the_columns(tmp_path: Path) -> None:
    _target(tmp_path, "id,answer,other\n1,a,b\n")
    context = _context(tmp_path)
    one = kind.fingerprint(Options(path="given.csv"), context)
    assert kind.fingerprint(Options(path="given.csv", answer="other"), context).digest != one.digest
    (tmp_path / "given.csv").write_text("id,answer,other\n1,a,c\n")
    assert kind.fingerprint(Options(path="given.csv"), context).digest != one.digest
    assert not one.self_declared


def test_wrong_options_are_problems() -> None:
    assert [p.path for p in Options(path="given.xls").problems()] == [("path",)]
    assert [p.path for p in Options(path="a.csv", answer="id").problems()] == [("answer",)]
