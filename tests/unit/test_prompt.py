"""Prompts: templates become JSON messages, and nothing in them can reach into an object."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.errors import UserError
from pilotbase.prompt import Prompt, escape


def render(content: str, **inputs: Any) -> str:
    text: str = json.loads(Prompt((("user", content),)).render(inputs))[0]["content"]
    return text


def test_a_place_is_replaced_by_its_input() -> None:
    assert render("Case: {a}, {b}.", a="x", b=2) == "Case: x, 2."


def test_doubled_braces_are_braces() -> None:
    assert render('Answer {{"label": "{a}"}}', a="yes") == 'Answer {"label": "yes"}'


def test_messages_keep_their_roles_and_order() -> None:
    prompt = Prompt((("system", "Be brief."), ("user", "{问题}")))
    assert json.loads(prompt.render({"问题": "什么是中试?"})) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "什么是中试?"},
    ]
    assert prompt.columns == ("问题",)


def test_a_place_is_a_name_and_never_an_attribute() -> None:
    with pytest.raises(UserError, match=r"a\.__class__"):
        render("{a.__class__}", a="x")


def test_braces_in_an_input_are_not_read_again() -> None:
    assert render("{a}", a="{b}", b="secret") == "{b}"


@pytest.mark.parametrize("content", ["an { open brace", "a } closed one", "{}", "{ }", "{a{b}}"])
def test_a_stray_brace_is_an_error_that_says_how_to_write_one(content: str) -> None:
    with pytest.raises(UserError, match="stray") as caught:
        Prompt((("user", content),))
    assert "{{" in str(caught.value)


def test_an_unknown_column_names_the_nearest_one_and_all_inputs() -> None:
    with pytest.raises(UserError) as caught:
        Prompt((("user", "{qestion}"),), known=("question", "language"))
    assert "{qestion}" in caught.value.message
    assert "did you mean {question}?" in str(caught.value)
    assert "question, language" in str(caught.value)


def test_an_unknown_column_is_found_when_a_case_is_rendered_too() -> None:
    with pytest.raises(UserError, match="not among the inputs"):
        render("{b}", a=1)


def test_no_message_at_all_is_an_error() -> None:
    with pytest.raises(UserError, match="no prompt"):
        Prompt(())


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (1, "1"), (0.1, "0.1"), ([1, "a"], '[1,"a"]'), ({"k": None}, '{"k":null}'), ("\ud800", "?")],
)
def test_values_that_are_no_text_have_one_spelling(value: object, text: str) -> None:
    assert json.loads(b'"' + escape(value) + b'"') == text


@given(st.text(), st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_any_text_in_any_template_comes_out_as_it_went_in(before: str, value: str) -> None:
    plain = before.encode(errors="replace").decode()
    template = plain.replace("{", "{{").replace("}", "}}") + "{x}"
    assert render(template, x=value) == plain + value
