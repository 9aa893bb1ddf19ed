"""The console without HTTP: a visit by a member of any role, and a page as that member sees it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from pilotbase.console import rendering
from pilotbase.console.page import Page, Shown, To, Visit
from pilotbase.console.words import speak
from pilotbase.context import Context
from pilotbase.domain.account import Member, Role

__all__ = ["act", "render", "visit"]

BORN = datetime(2026, 1, 1, tzinfo=UTC)


def visit(
    context: Context,
    *,
    role: Role = "operator",
    language: Literal["en", "zh"] = "en",
    place: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    name: str = "Li Wei",
    organisation: str = "base",
) -> Visit:
    """A request by a member of one role."""
    member = Member(id=f"member-{role}", login=role, name=name, organisation=organisation, roles=(role,), created=BORN)
    return Visit(context=context, member=member, language=language, t=speak(language), place=place or {}, query=query or {})


def render(page: Page, seen: Visit, *, note: str = "") -> str:
    """What the page shows. AssertionError where it leads on to another one."""
    shown = page.show(seen)
    assert isinstance(shown, Shown), f"the page leads on to {shown}"
    return rendering.render(shown, seen, page=page, menu=(page,), csrf="token", note=note)


def act(page: Page, name: str, seen: Visit, /, **form: str) -> To | str:
    """What a form of the page leads to: another page, or this one again as HTML."""
    done = page.acts[name].do(seen, form)
    if isinstance(done, To):
        return done
    return rendering.render(done, seen, page=page, menu=(page,), csrf="token", act=name, form=form)
