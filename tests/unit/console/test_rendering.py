"""The frame and the macros: hostile texts stay texts, states have words, moments are exact."""

from datetime import UTC, datetime

import pytest
from jinja2 import UndefinedError

from pilotbase.console.rendering import Frame, Trouble, _environment, render_frame, when
from pilotbase.domain.account import Member

HOSTILE = '<script>alert("x")</script>{{ 7 * 7 }}'


def macro(source: str, **values: object) -> str:
    environment = _environment()
    given = {"_": lambda text: text, "title": "T", "csrf": "c", "failed": "", "language": "en"}
    module = environment.get_template("macros.html.j2").make_module(given)
    named = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return environment.from_string(source).render({**named, **given, **values})


@pytest.mark.parametrize(
    "source",
    [
        "{{ badge(x) }}",
        "{{ fact(x, x) }}",
        "{{ table([x], [[x, x]], caption=x) }}",
        "{{ empty(x) }}",
        "{{ moment(x) }}",
        "{{ form_head(x) }}",
        "{{ text_field('n', x, value=x, hint=x) }}",
        "{{ choice('n', x, [(x, x)]) }}",
        "{% call confirm(x, x) %}{{ x }}{% endcall %}",
    ],
)
def test_a_hostile_text_is_shown_as_text(source: str) -> None:
    told = macro(source, x=HOSTILE)
    assert "<script>" not in told
    assert "49" not in told


def test_a_state_has_a_shape_and_a_word() -> None:
    told = macro("{{ badge('pass') }}{{ badge('rolled-back') }}{{ badge('mystery') }}")
    assert "✓" in told
    assert "rolled back" in told
    assert "mystery" in told


def test_a_moment_is_told_in_utc_whatever_it_was_made_of() -> None:
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert when("2026-05-01T20:00:00+08:00") == noon
    assert when("2026-05-01T12:00:00Z") == noon
    assert when("2026-05-01T12:00:00") == noon
    assert when(noon.timestamp()) == noon
    assert when("never") is None
    assert 'title="2026-05-01 12:00:00 UTC"' in macro("{{ moment(x) }}", x=noon)
    assert macro("{{ moment(x) }}", x=None) == "—"


def test_a_name_that_a_template_is_not_given_is_a_fault() -> None:
    with pytest.raises(UndefinedError):
        macro("{{ nothing_like_it }}")


def test_a_frame_says_its_language_and_theme_and_shows_an_error_with_what_to_do() -> None:
    li = Member(id="m", login="li", name=HOSTILE, organisation="o", roles=("auditor",), created=datetime(2026, 1, 1, tzinfo=UTC))
    error = Trouble(message=HOSTILE, hint="do this", lines=["one", HOSTILE])
    told = render_frame(
        "base.html.j2", {}, Frame(language="zh", theme="dark", member=li, title="Home", error=error, note=HOSTILE)
    )
    assert '<html lang="zh-CN" data-theme="dark">' in told
    assert 'role="alert"' in told
    assert "do this" in told
    assert "<script>alert" not in told
    assert "style=" not in told
