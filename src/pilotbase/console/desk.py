"""Who stands before the console: the session of a request, the language and the theme, and the frame around a page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from starlette.responses import Response

from pilotbase.accounts import sessions
from pilotbase.accounts.sessions import Signed
from pilotbase.console import answers
from pilotbase.console.asked import Asked
from pilotbase.console.notes import Notes
from pilotbase.console.page import Page
from pilotbase.console.rendering import Frame, Trouble, render_frame, words_of
from pilotbase.console.visits import SignedVisit
from pilotbase.console.words import LANGUAGES, preferred, speak
from pilotbase.context import Context

__all__ = ["LANGUAGE", "SESSION", "THEME", "THEMES", "YEAR", "Desk", "keep", "trouble"]

SESSION, LANGUAGE, THEME = "pilotbase_session", "pilotbase_language", "pilotbase_theme"
THEMES = ("light", "dark")
WEEK, YEAR = 7 * 86_400, 365 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What all answers share. `say` tells the operator of faults; `provider` names who else vouches for members."""

    context: Context
    pages: Sequence[Page]
    public_url: str | None = None
    provider: str = ""
    say: Callable[[str], None] = print
    notes: Notes = field(default_factory=Notes)

    @property
    def secure(self) -> bool:
        """Whether browsers come by TLS."""
        return (self.public_url or "").startswith("https:")

    def signed(self, asked: Asked, *, used: bool = True) -> Signed | None:
        """The session that the request's cookie names, where it is still good."""
        token = asked.cookies.get(SESSION, "")
        return sessions.find(self.context.database, token, self.context.clock.now(), used=used) if token else None

    def language(self, asked: Asked, signed: Signed | None) -> str:
        """The member's own language, else what the browser was told, else what it likes."""
        told = (signed.member.language if signed is not None else "") or asked.cookies.get(LANGUAGE, "")
        return told if told in LANGUAGES else preferred(asked.accepted)

    def frame(self, asked: Asked, signed: Signed | None, title: str, error: Trouble | None = None) -> Frame:
        """The frame of a page that is none of the list: the doors, and errors."""
        cookie = asked.cookies.get(THEME, "")
        theme = (signed.member.theme if signed is not None else "") or (cookie if cookie in THEMES else "")
        return Frame(
            language=self.language(asked, signed),
            theme=theme,
            member=signed.member if signed is not None else None,
            menu=self.pages if signed is not None else (),
            title=title,
            csrf=signed.csrf if signed is not None else "",
            error=error,
            form=asked.form,
        )

    def page_frame(self, asked: Asked, signed: Signed, page: Page, *, error: Trouble | None, act: str) -> Frame:
        """The frame of a page of the list, with the note that was left for it."""
        frame = self.frame(asked, signed, page.title, error)
        return replace(frame, page=page, act=act, note=self.notes.take(signed.session))

    def visit(self, asked: Asked, signed: Signed, page: Page) -> SignedVisit:
        """What a page sees of the request."""
        language = self.language(asked, signed)
        return SignedVisit(
            context=self.context,
            member=signed.member,
            language=language,
            t=speak(language, words_of(page)),
            place=asked.place,
            query=asked.query,
            files=asked.files,
            token=asked.cookies.get(SESSION, ""),
            session=signed.session,
            address=asked.address,
        )

    def refuse(
        self, asked: Asked, status: int, *, number: str = "", signed: Signed | None = None, told: Trouble | None = None
    ) -> Response:
        """An error as a page. What is not there and what one may not see look alike."""
        title, words = _ERRORS.get(status, _ERRORS[400])
        values = {"status": status, "words": "" if told is not None else words, "number": number}
        return answers.page(render_frame("error.html.j2", values, self.frame(asked, signed, title, told)), status)


_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("This cannot be done", "The request is not one that this page makes. Go back, load the page again, and try once more."),
    403: (
        "Not allowed",
        "The form did not come from a page of this site, it is too old, or you may not do this. "
        "Go back, load the page again, and try once more.",
    ),
    404: ("Nothing here", "There is no such page, or you may not see it. Check the address, or ask an operator of this base."),
    405: ("This cannot be done", "The request is not one that this page makes. Go back, load the page again, and try once more."),
    413: ("Too large", "The form holds more than its page takes. Shorten it, or choose smaller files, and send it again."),
    500: (
        "Something went wrong",
        "It is not your fault. Try again; if it stays so, tell the operator of this base the number below.",
    ),
}


def trouble(error: Exception) -> Trouble:
    """A UserError or an InvalidInput in the words of a page."""
    place = getattr(error, "where", None)
    message = getattr(error, "message", str(error))
    told = f"{place}: {message}" if place else message
    return Trouble(
        message=told, hint=getattr(error, "hint", None) or "", lines=cast(Sequence[str], getattr(error, "problems", ()))
    )


def keep(response: Response, name: str, value: str, *, secure: bool, seconds: int = WEEK, hidden: bool = True) -> Response:
    """Have the browser keep a value, or with an empty one forget it."""
    response.set_cookie(
        name, value, max_age=seconds if value else 0, path="/console", secure=secure, httponly=hidden, samesite="lax"
    )
    return response
