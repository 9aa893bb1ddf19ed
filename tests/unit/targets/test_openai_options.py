"""Options of an `openai` target: what is refused before anything is called, and what makes an identity."""

from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.asking import QUESTION, context

from pilotbase.errors import UserError
from pilotbase.targets.openai import Options, call_parameters, kind

URL = "http://127.0.0.1:8000/v1"


def faults(**options: Any) -> list[str]:
    return [".".join(map(str, p.path)) for p in Options(**{"url": URL, "model": "m", **options}).problems()]


def identity(messages: tuple[tuple[str, str], ...] = QUESTION, **options: Any) -> str:
    return kind.fingerprint(Options(**{"url": URL, "model": "m", **options}), context(messages=messages)).digest


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"url": None}, "url"),
        ({"url_env": "U"}, "url"),
        ({"model": None}, "model"),
        ({"url": "127.0.0.1:80"}, "url"),
        ({"url": "ftp://h/v1"}, "url"),
        ({"url": "http://user:pass@h/v1"}, "url"),
        ({"url": "http://h /v1"}, "url"),
        ({"timeout": "soon"}, "timeout"),
        ({"first_byte_timeout": "0s"}, "first-byte-timeout"),
        ({"concurrency": 0}, "concurrency"),
        ({"retries": -1}, "retries"),
        ({"params": {"messages": []}}, "params.messages"),
        ({"headers": {"Authorization": "Bearer x"}}, "headers.Authorization"),
        ({"headers": {"X-A": "b\r\nX-C: d"}}, "headers.X-A"),
        ({"headers": {"X A": "b"}}, "headers.X A"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], place: str) -> None:
    assert faults(**options) == [place]


def test_good_options_have_no_problems() -> None:
    assert faults() == []
    assert faults(url="https://[::1]:8000/v1?api-version=3", first_byte_timeout="5s") == []
    assert list(Options(url_env="U", model_env="M").problems()) == []


def test_a_password_in_an_address_is_not_repeated() -> None:
    problem = next(Options(url="http://user:hunter2@h/v1", model="m").problems())
    assert "hunter2" not in f"{problem.message} {problem.hint}"
    with pytest.raises(UserError) as caught:
        kind.build(Options(url_env="U", model="m"), context({"U": "http://user:hunter2@h/v1"}))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("word", ["key_env", "url_env", "model_env"])
def test_a_missing_variable_is_named(word: str) -> None:
    given = {"url": URL, "model": "m", word: "CHAT_THING"}
    given.pop(word.removesuffix("_env"), None)
    with pytest.raises(UserError, match="CHAT_THING") as caught:
        kind.build(Options(**given), context({"CHAT_THING": "  "}))
    assert word.replace("_", "-") in caught.value.message
    assert "export CHAT_THING" in str(caught.value)


def test_media_in_a_prompt_are_refused_rather_than_sent_as_paths() -> None:
    seen = replace(context(messages=(("user", "{picture}"),)), media=("picture",))
    with pytest.raises(UserError, match="picture"):
        kind.build(Options(url=URL, model="m"), seen)


def test_media_that_the_prompt_does_not_name_are_not_sent_and_no_obstacle() -> None:
    assert kind.build(Options(url=URL, model="m"), replace(context(), media=("picture",))).concurrency == 32


def test_url_model_version_and_prompt_make_the_identity_and_parameters_do_not() -> None:
    base = identity()
    assert base.startswith("sha256:")
    changed = [
        identity(url=URL + "x"),
        identity(model="n"),
        identity(version="2"),
        identity(messages=(("user", "Q: {question}"),)),
    ]
    assert len({base, *changed}) == 5
    assert identity(params={"temperature": 1}, stream=True, timeout="5s", retries=0) == base
    assert identity(url=URL + "/") == identity(url=URL + "/chat/completions") == base


def test_an_identity_is_self_declared_and_shows_no_query() -> None:
    found = kind.fingerprint(Options(url=URL + "?token=abc", model="m", version="2026-11"), context())
    assert found.self_declared
    assert dict(found.parts) == {"url": URL, "model": "m", "version": "2026-11"}


def test_address_and_model_can_come_from_the_environment() -> None:
    secrets = {"U": URL, "M": "m"}
    found = kind.fingerprint(Options(url_env="U", model_env="M"), context(secrets))
    assert found.digest == identity()


def test_call_parameters_hold_what_shapes_an_answer() -> None:
    options = Options(url=URL, model="m", params={"temperature": 0, "seed": 7}, stream=True)
    assert call_parameters(options) == {"params": {"temperature": 0, "seed": 7}, "tools": [], "stream": True}
