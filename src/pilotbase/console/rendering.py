"""Templates to HTML. A page's template extends `base.html.j2` and fills the block `main`; the macros of `macros.html.j2` are
known in every template without an import.

Every template is given `member` (None before sign-in), `language`, `theme`, `menu` (pages), `page` (the one that is shown, or
None), `title`, `csrf`, `note`, `error` (with `message`, `hint` and `lines`), `failed` (the act that was refused, or ""), `_`
(says a text in the language), `may(permit)`, and `filled(name, otherwise, act)`: what was filled in where a form was refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pilotbase import __version__
from pilotbase.console.assets import asset
from pilotbase.console.page import Page, Shown, Visit
from pilotbase.console.states import look
from pilotbase.console.words import speak
from pilotbase.domain.account import Member, may

__all__ = ["Frame", "Trouble", "render", "render_frame", "words_of"]

_TEMPLATES = Path(__file__).parent / "templates"
_EPOCH = 2**31 * 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why something was refused, in English; shown in the reader's language where the catalogues have it."""

    message: str
    hint: str = ""
    lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What stands around a page. `act` and `form` are those of a form that was refused."""

    language: str
    theme: str = ""
    member: Member | None = None
    menu: Sequence[Page] = ()
    page: Page | None = None
    title: str = ""
    csrf: str = ""
    note: str = ""
    error: Trouble | None = None
    act: str = ""
    form: Mapping[str, str] = field(default_factory=dict)


def render(
    shown: Shown,
    visit: Visit,
    *,
    page: Page,
    menu: Sequence[Page] = (),
    csrf: str = "",
    note: str = "",
    error: Trouble | None = None,
    act: str = "",
    form: Mapping[str, str] | None = None,
) -> str:
    """A page as HTML, for the member of the visit."""
    frame = Frame(
        language=visit.language,
        theme=visit.member.theme,
        member=visit.member,
        menu=menu,
        page=page,
        title=page.title,
        csrf=csrf,
        note=note,
        error=error,
        act=act,
        form=form or {},
    )
    return render_frame(shown.template, shown.values, frame)


def render_frame(template: str, values: Mapping[str, Any], frame: Frame) -> str:
    """A template within its frame; `values` never stand in for what the frame gives."""
    environment = _environment()
    say = speak(frame.language, words_of(frame.page))
    given: dict[str, Any] = {
        "_": say,
        "language": frame.language,
        "theme": frame.theme,
        "member": frame.member,
        "menu": [one for one in frame.menu if one.menu is not None and may(frame.member, one.permit)],
        "page": frame.page,
        "title": frame.title,
        "csrf": frame.csrf,
        "note": frame.note,
        "error": frame.error,
        "failed": frame.act,
        "may": partial(may, frame.member),
        "filled": _filling(frame),
    }
    macros = environment.get_template("macros.html.j2").make_module(given)
    named = {name: getattr(macros, name) for name in dir(macros) if not name.startswith("_")}
    return environment.get_template(template).render({**named, **values, **given})


def words_of(page: Page | None) -> str:
    """The name of a page's own catalogue: that of the module which shows it."""
    return str(getattr(page.show, "__module__", "")).rpartition(".")[2] if page is not None else ""


def _filling(frame: Frame) -> Callable[..., str]:
    def filled(name: str, otherwise: object = "", act: str = "") -> str:
        told = frame.form.get(name) if not act or act == frame.act else None
        return told if told is not None else str(otherwise if otherwise is not None else "")

    return filled


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.globals |= {"asset": asset, "look": look, "version": __version__, "when": when}
    environment.filters |= {"number": _number, "percent": _percent}
    return environment


def when(value: object) -> datetime | None:
    """A moment from ISO 8601, a datetime, or seconds since the epoch, in UTC; None where it is none."""
    try:
        if isinstance(value, datetime):
            found = value
        elif isinstance(value, int | float):
            found = datetime.fromtimestamp(value, UTC) if 0 <= value < _EPOCH else None  # type: ignore[assignment]
        else:
            found = datetime.fromisoformat(str(value).strip())
    except (ValueError, OverflowError, OSError):
        return None
    if found is None:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _number(value: object, digits: int = 0) -> str:
    return f"{value:,.{digits}f}" if isinstance(value, int | float) else "—"


def _percent(value: object, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f} %" if isinstance(value, int | float) else "—"
