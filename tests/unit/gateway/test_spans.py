"""Places of top-level members, in any spelling of an object."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.gateway.spans import Edit, change, member, members, plain, repeated, without

KEYS = st.sampled_from(["model", "stream", "a b", "é", 'q"', "\\", "n", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(alphabet='a"\\{}[],:é\n中', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
SPACE = st.sampled_from(["", " ", "\n\t", "  "])


@st.composite
def objects(draw: st.DrawFn) -> tuple[list[tuple[str, object]], bytes]:
    """(members in order, repeated keys and all; a spelling of the object)."""
    pairs = draw(st.lists(st.tuples(KEYS, VALUES), max_size=6))
    gap = lambda: draw(SPACE)  # noqa: E731
    parts = [f"{gap()}{orjson.dumps(k).decode()}{gap()}:{gap()}{orjson.dumps(v).decode()}{gap()}" for k, v in pairs]
    return pairs, f"{gap()}{{{','.join(parts) or gap()}}}{gap()}".encode()


@given(objects())
def test_every_member_of_any_spelling_is_found_in_its_place(made: tuple[list[tuple[str, object]], bytes]) -> None:
    pairs, body = made
    found = members(body)
    assert [(m.key, orjson.loads(body[m.start : m.end])) for m in found] == pairs
    assert all(orjson.loads(body[m.key_start : body.index(b":", m.key_start + len(orjson.dumps(m.key)))]) == m.key for m in found)


@given(objects())
def test_a_repeated_key_is_found_and_never_called_plain(made: tuple[list[tuple[str, object]], bytes]) -> None:
    pairs, body = made
    keys = [k for k, _ in pairs]
    twice = repeated(members(body))
    assert (twice is None) == (len(set(keys)) == len(keys))
    if plain(body, orjson.loads(body)):
        assert twice is None
        for key in keys:
            assert member(body, key) == next(m for m in members(body) if m.key == key)


@given(objects())
def test_a_member_taken_out_leaves_the_others_byte_for_byte(made: tuple[list[tuple[str, object]], bytes]) -> None:
    pairs, body = made
    left = members(without(body, "model"))
    assert [m.key for m in left] == [k for k, _ in pairs if k != "model"]
    assert orjson.loads(without(body, "model")) == {k: v for k, v in orjson.loads(body).items() if k != "model"}


def test_a_key_spelled_with_escapes_is_the_same_key() -> None:
    body = rb'{"model":"a","mod\u0065l":"b"}'
    assert not plain(body, orjson.loads(body))
    assert repeated(members(body)) == "model"


@pytest.mark.parametrize("depth", [1, 7, 8, 9, 40, 1000])
def test_values_nested_to_any_depth_that_parses_are_crossed(depth: int) -> None:
    body = b'{"x":' + b'[{"y":"]}"},' * (depth // 2) + b"1" + b"]" * (depth // 2) + b',"model":"m"}'
    assert orjson.loads(body[members(body)[1].start : members(body)[1].end]) == "m"
    assert [m.key for m in members(body)] == ["x", "model"]


@pytest.mark.parametrize("inside", [b"A" * 10_000, b"A" * 5000 + rb"\"" + b"B" * 5000, rb"\\" * 5000, b"A" * 4999 + rb"\\"])
def test_long_strings_end_where_they_end(inside: bytes) -> None:
    body = b'{"messages":[{"content":"' + inside + b'"}],"t":"' + inside + b'","model":"m"}'
    assert orjson.loads(body)
    found = members(body)
    assert [m.key for m in found] == ["messages", "t", "model"]
    assert body[found[2].start : found[2].end] == b'"m"'


@given(st.binary(max_size=60))
def test_bytes_that_are_no_json_raise_only_value_errors(raw: bytes) -> None:
    try:
        members(b"{" + raw)
    except (ValueError, IndexError) as error:
        assert isinstance(error, ValueError)


def test_edits_at_one_place_stand_in_their_order_and_none_is_no_copy() -> None:
    assert change(b"abcd", [Edit(3, 4, b"!"), Edit(1, 1, b"1"), Edit(1, 1, b"2")]) == b"a12bc!"
    body = b"abcd"
    assert change(body, []) is body
