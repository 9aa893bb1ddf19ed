"""The estimate: additive, never below what its rule says, and nothing decoded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.gateway.estimate import AUDIO, IMAGE, TOKEN, estimate, prompt_tokens, tokens, units, weigh


@given(st.lists(st.text(max_size=90), max_size=6))
def test_text_counted_in_pieces_weighs_what_the_whole_weighs(pieces: list[str]) -> None:
    assert sum(map(units, pieces)) == units("".join(pieces))


@given(st.text(min_size=65, max_size=300))
def test_long_texts_weigh_by_the_same_table_as_short_ones(text: str) -> None:
    assert units(text) == sum(units(sign) for sign in text)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_text_weigh_something_and_raise_nothing(raw: bytes) -> None:
    assert 0 <= weigh(raw) <= 36 * len(raw)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("a", 1), ("word" * 25, 25), ("中试基地", 4), ("2026", 2), ("é" * 3, 2), ("😀", 3), ("\ud800", 1)],
)
def test_each_class_of_characters_has_its_weight(text: str, expected: int) -> None:
    assert estimate(text) == expected


def test_tokens_round_up() -> None:
    assert [tokens(n) for n in (0, 1, TOKEN, TOKEN + 1)] == [0, 1, 1, 2]


def test_a_picture_costs_its_flat_number_and_its_bytes_are_not_counted() -> None:
    parts = [
        {"type": "text", "text": "what"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 90_000}},
        {"type": "input_audio", "input_audio": {"data": "B" * 90_000}},
    ]
    assert prompt_tokens("chat", {"messages": [{"role": "user", "content": parts}]}) == 1 + IMAGE + AUDIO + 2 * 4


def test_tools_and_tool_calls_are_part_of_the_prompt() -> None:
    bare = {"messages": [{"role": "user", "content": "hi"}]}
    call = {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "x" * 400}}]}
    tooled = {"messages": [*bare["messages"], call], "tools": [{"type": "function", "function": {"name": "y" * 400}}]}
    assert prompt_tokens("chat", tooled) >= prompt_tokens("chat", bare) + 200


def test_a_prompt_of_token_numbers_counts_each_number_once() -> None:
    assert prompt_tokens("completions", {"prompt": [[1, 2, 3], [4, 5]]}) == 5
    assert prompt_tokens("embeddings", {"input": [9] * 100}) == 100


def test_a_rerank_reads_its_query_with_every_document() -> None:
    assert prompt_tokens("rerank", {"query": "word" * 10, "documents": ["word"] * 4}) == 44
