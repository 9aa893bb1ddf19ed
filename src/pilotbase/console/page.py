"""What a page of the console is: a name, a path, who may see it, and pure functions that show it and act on it.

A new page is one file in `console/pages` with a `PAGES` tuple, one template, one catalogue in `console/locale/zh`, and a line in
`console/contents`. It sees a `Visit` and nothing of HTTP.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pilotbase.context import Context
from pilotbase.domain.account import Member, Permit

__all__ = ["Act", "Answer", "Live", "Page", "Sent", "Shown", "To", "Upload", "Visit"]

Words = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that came with a form: its last name alone, whatever path the browser told; `file` is open until the act ends."""

    name: str
    size: int
    file: BinaryIO = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request by a member who may see the page. `t` says a text in the member's language (`en` or `zh`).

    `place` holds the parts of the path that the page names in braces, `query` the first value of each word behind `?`, `files`
    what was chosen in the fields of files, where the page takes any.
    """

    context: Context
    member: Member
    language: str
    t: Words
    place: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Upload] = field(default_factory=dict)

    @property
    def who(self) -> str:
        """How the audit log names this member."""
        return f"member:{self.member.login}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What to render: a template of `console/templates`, and its values beside those that every page has."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class To:
    """Go on to another page, with a note in the member's language that is shown there once."""

    path: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A file to keep: the browser saves it as `name`, and never shows it as a page of ours. `data` may be where it lies."""

    name: str
    data: bytes | Path
    media_type: str = "application/octet-stream"


Answer = Shown | To | Sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The part of a page that moves: its template and values as they are now, and whether more will come.

    The template is that of the part alone, which the page includes in an element with the attribute `data-live`; it holds no
    form, for it is replaced under the reader's hands.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    more: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that a form of the page does. `do(visit, form)` gets the form's first values, and leads on or shows the page.

    UserError is shown on the page, with its hint, and nothing is lost that was filled in.
    """

    permit: Permit
    do: Callable[[Visit, Mapping[str, str]], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page. `path` begins with `/console`; `title` is English, with a translation; `menu` is its place in the menu, or None.

    A form posts to the page's own path with a field `act` that names one of `acts`. `uploads` is how many bytes a form with files
    may hold in all (`enctype="multipart/form-data"`); 0 takes none. `live` looks at the part that moves, about once a second for
    each reader, and so costs next to nothing.
    """

    name: str
    path: str
    title: str
    permit: Permit
    show: Callable[[Visit], Answer]
    menu: int | None = None
    acts: Mapping[str, Act] = field(default_factory=dict)
    uploads: int = 0
    live: Callable[[Visit], Live] | None = None
