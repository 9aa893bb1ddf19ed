"""YAML 1.2 core, its places and its limits."""

import pytest

from pilotbase.spec.place import Position
from pilotbase.spec.yaml import MOST_BYTES, MOST_NODES, Document, read


def one(text: str | bytes) -> Document:
    return read(text.encode() if isinstance(text, str) else text, "f.yaml")


def lines(text: str | bytes) -> list[str]:
    return [str(fault) for fault in one(text).faults]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("True", True),
        ("~", None),
        ("", None),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("+5", 5),
        ("-.5", -0.5),
        ("1e3", 1000.0),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-11-21", "2026-11-21"),
        ("=", "="),
        ("'1'", "1"),
        ('"\\u4e2d"', "中"),
        ('"\\ud83d\\ude00"', "😀"),
        ("a\n  b", "a b"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    document = one(f"k: {text}\n")
    assert document.faults == ()
    assert document.data == {"k": value}
    assert type(document.data["k"]) is type(value)


def test_every_key_and_value_has_its_place_in_characters() -> None:
    document = one("名: {a: 1, 二: [x, {y: z}]}\n")
    assert document.keys[("名",)] == Position(1, 1)
    assert document.values[("名", "a")] == Position(1, 8)
    assert document.keys[("名", "二")] == Position(1, 11)
    assert document.values[("名", "二", 1, "y")] == Position(1, 22)


def test_a_value_reached_through_an_alias_has_the_place_where_it_is_written() -> None:
    document = one("a: &x {k: 1}\nb: *x\n")
    assert document.data == {"a": {"k": 1}, "b": {"k": 1}}
    assert document.values[("b", "k")] == Position(1, 11)


def test_a_byte_order_mark_is_accepted_and_takes_no_column() -> None:
    document = one(b"\xef\xbb\xbfa: 1\n")
    assert document.data == {"a": 1}
    assert document.keys[("a",)] == Position(1, 1)


def test_windows_line_ends_count_once() -> None:
    assert one("a: 1\r\nb: 2\r\n").keys[("b",)] == Position(2, 1)


def test_bytes_that_are_not_utf_8_are_named_with_their_offset() -> None:
    assert lines("a: 1\nb: 中".encode("gb18030")) == ["f.yaml:2:4: byte 8 (0xd6) is not UTF-8; save the file as UTF-8"]


def test_utf_16_is_named() -> None:
    assert lines("a: 1".encode("utf-16")) == ["f.yaml:1:1: the file is UTF-16; save it as UTF-8"]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_file_says_how_to_begin(text: str) -> None:
    assert lines(text) == ["f.yaml:1:1: the file is empty; `pilotbase init DIR` writes one to start from"]


def test_problems_of_structure_before_a_syntax_error_are_told_with_it() -> None:
    assert lines("a: 1\na: 2\nb: !t 3\nc: [\n") == [
        "f.yaml:5:1: the file ends where a value should stand; write it and close what is open",
        "f.yaml:2:1: a: `a` is written twice; the first is at line 1; keep one",
        "f.yaml:3:4: b: the tag `!t` is not allowed; remove it; quote a value to make it text",
    ]


def test_a_file_of_billions_of_aliases_ends_with_one_error() -> None:
    laughs = ["a0: &a0 [" + ", ".join(["lol"] * 10) + "]"]
    laughs += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]" for i in range(1, 10)]
    document = one("\n".join(laughs))
    assert [str(f) for f in document.faults] == [
        "f.yaml:4:45: the aliases (`*`) expand to more than 10000 values; write the values out"
    ]
    assert len(document.values) <= 10_000 + 200


def test_more_than_ten_anchors_are_refused_once() -> None:
    text = "".join(f"k{i}: &a{i} 1\n" for i in range(30))
    assert lines(text) == ["f.yaml:11:6: more than 10 anchors (`&`); write the values out"]
    assert lines("".join(f"k{i}: &a{i} 1\n" for i in range(10))) == []


def test_aliases_cannot_nest_deeper_than_the_file_may() -> None:
    deep = "[" * 30 + "]" * 30
    text = f"a: &a {deep}\nb: {'[' * 30}*a{']' * 30}\n"
    assert lines(text) == ["f.yaml:2:34: the aliases (`*`) nest more than 50 deep; write the values out"]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_ends_at_fifty(opening: str) -> None:
    document = one(opening * 100_000)
    assert len(document.faults) == 1
    assert "the file is nested more than 50 deep" in document.faults[0].message
    assert len(document.values) <= 51


def test_fifty_levels_are_allowed() -> None:
    assert lines("[" * 50 + "]" * 50) == []


def test_a_file_over_a_mebibyte_is_not_read() -> None:
    document = one("a: " + "x" * MOST_BYTES)
    assert [str(f) for f in document.faults] == [
        "f.yaml:1:1: the file is larger than 1048576 bytes (1 MiB); keep cases in a data file"
    ]
    assert document.values == {}


def test_a_file_of_too_many_values_stops_at_the_limit() -> None:
    document = one("- a\n" * (MOST_NODES + 10_000))
    assert [str(f) for f in document.faults] == ["f.yaml:50000:3: the file has more than 50000 values; keep cases in a data file"]
    assert len(document.values) <= MOST_NODES


@pytest.mark.parametrize(
    "text", ["%a\n" * 300_000, "&a " * 300_000, "!a " * 300_000, ":" * 300_000, "'" * 299_999, "---\n" * 300_000]
)
def test_long_hostile_files_end_with_an_error(text: str) -> None:
    document = one(text)
    assert document.faults
    assert not document.whole


def test_strange_characters_are_all_named_up_to_twenty() -> None:
    assert lines("a\x00b\nc\x1b: 1") == [
        "f.yaml:1:2: the character U+0000 is not allowed in YAML; remove it",
        "f.yaml:2:2: the character U+001B is not allowed in YAML; remove it",
    ]
    assert len(lines("\x00" * 100)) == 20
