"""The console as an ASGI application: every page of the list, the doors, its own files, and errors as pages."""

import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from pilotbase.accounts.oidc import Oidc
from pilotbase.accounts.sessions import Signed
from pilotbase.console import answers, doors
from pilotbase.console.asked import Asked, GarbledError, TooLargeError, ask
from pilotbase.console.assets import assets
from pilotbase.console.contents import PAGES
from pilotbase.console.desk import Desk, trouble
from pilotbase.console.page import Answer, Page, Sent, To
from pilotbase.console.parts import close
from pilotbase.console.provider_door import BACK, ProviderDoor
from pilotbase.console.rendering import render_frame
from pilotbase.console.streams import Streams
from pilotbase.context import Context
from pilotbase.domain.account import may
from pilotbase.errors import UserError

__all__ = ["make_console"]

Handler = Callable[[Desk, Asked], Response]


def make_console(
    context: Context,
    *,
    public_url: str | None = None,
    provider: Oidc | None = None,
    pages: Sequence[Page] = PAGES,
    say: Callable[[str], None] = print,
) -> ASGIApp:
    """The ASGI application under `/console`; `/` leads to it. `public_url` is how browsers reach it from outside,
    `provider` an identity provider through which members may sign in too.

    Answers are made in threads, which take turns at the database of `context`. It trusts the header of `asked.CLIENT`: serve it
    behind the workers of the gateway alone.
    """
    streams = Streams()
    door = ProviderDoor(provider) if provider is not None else None
    name = door.name if door is not None else ""
    desk = Desk(
        context=context, pages=sorted(pages, key=lambda one: one.menu or 0), public_url=public_url, provider=name, say=say
    )
    both, get, post = ["GET", "POST"], ["GET"], ["POST"]
    routes = [
        Route("/", _leading, methods=get),
        Route("/console/static/{name}", _file, methods=get),
        Route("/console/sign-in", _handled(desk, doors.sign_in), methods=both),
        Route("/console/sign-out", _handled(desk, doors.sign_out), methods=post),
        Route("/console/set-up", _handled(desk, doors.set_up_door), methods=both),
        *(_provided(desk, door) if door is not None else ()),
        Route("/console/look", _handled(desk, doors.change_look), methods=post),
        *(
            Route(one.path, _handled(desk, _page(one), one.uploads, streams.of(desk, one)), methods=both)
            for one in _in_order(pages)
        ),
        Route("/{rest:path}", _handled(desk, _nothing), methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    ]
    app = Starlette(routes=routes, exception_handlers={405: _handled(desk, _unusual)})
    app.router.redirect_slashes = False
    return app


def _provided(desk: Desk, door: ProviderDoor) -> Sequence[Route]:
    def back(desk: Desk, asked: Asked) -> Response:
        return doors.come_back(desk, asked, door)

    return (
        Route("/console/provider", _handled(desk, door.leave), methods=["GET"]),
        Route(BACK, _handled(desk, back), methods=["GET"]),
    )


def _in_order(pages: Sequence[Page]) -> list[Page]:
    """Paths with names in braces last: `/console/runs/new` is not a run called `new`."""
    return sorted(pages, key=lambda one: one.path.count("{"))


def _handled(
    desk: Desk, handler: Handler, uploads: int = 0, stream: Callable[[Asked], Awaitable[Response]] | None = None
) -> Callable[..., Awaitable[Response]]:
    async def answer(request: Request, _: Exception | None = None) -> Response:
        nothing = Asked(method="POST", path="", own=False, cookies=request.cookies)
        # Large forms are read for members alone: nobody else fills this machine's disk.
        known = uploads > 0 and request.method == "POST" and await run_in_threadpool(desk.signed, nothing) is not None
        try:
            asked = await ask(request, desk.public_url, uploads if known else 0)
        except TooLargeError:
            return desk.refuse(nothing, 413)
        except GarbledError:
            return desk.refuse(nothing, 400)
        if stream is not None and asked.streams:
            return await stream(asked)
        try:
            return await run_in_threadpool(_answered, desk, asked, handler)
        finally:
            close(asked.files)

    return answer


def _answered(desk: Desk, asked: Asked, handler: Handler) -> Response:
    try:
        return handler(desk, asked)
    except Exception as error:  # noqa: BLE001 - the outermost: one request's fault is told and ends that request alone
        number = token_hex(6)
        desk.say(_place(number, error))
        return desk.refuse(asked, 500, number=number)


def _page(page: Page) -> Handler:
    def handler(desk: Desk, asked: Asked) -> Response:
        signed = desk.signed(asked)
        if signed is None:
            return _to_the_door(asked)
        if not may(signed.member, page.permit):
            return desk.refuse(asked, 404, signed=signed)
        try:
            if asked.method == "POST":
                return _acted(desk, asked, signed, page)
            return _shown(desk, asked, signed, page)
        except UserError as error:
            # Of what is not there a page says no more than of what one may not see.
            told = None if error.status == 404 else trouble(error)
            return desk.refuse(asked, error.status, signed=signed, told=told)

    return handler


def _acted(desk: Desk, asked: Asked, signed: Signed, page: Page) -> Response:
    """A form of a page. What is refused is said on the page, with what was filled in."""
    if not doors.genuine(asked, signed):
        return desk.refuse(asked, 403, signed=signed)
    name = asked.form.get("act", "")
    act = page.acts.get(name)
    if act is None:
        return desk.refuse(asked, 400, signed=signed)
    if not may(signed.member, act.permit):
        return desk.refuse(asked, 403, signed=signed)
    form = {word: value for word, value in asked.form.items() if word not in ("csrf", "act")}
    try:
        done = act.do(desk.visit(asked, signed, page), form)
    except UserError as error:
        return _shown(desk, asked, signed, page, error=error, act=name)
    return _led(desk, asked, signed, page, done, act=name)


def _shown(desk: Desk, asked: Asked, signed: Signed, page: Page, *, error: UserError | None = None, act: str = "") -> Response:
    return _led(desk, asked, signed, page, page.show(desk.visit(asked, signed, page)), error=error, act=act)


def _led(
    desk: Desk, asked: Asked, signed: Signed, page: Page, done: Answer, *, error: UserError | None = None, act: str = ""
) -> Response:
    """Answer with what a page shows or sends, or lead on to where it leads."""
    if isinstance(done, Sent):
        return answers.sent(done.name, done.media_type, done.data)
    if isinstance(done, To):
        desk.notes.leave(signed.session, done.note or (desk.notes.take(signed.session) if asked.method == "GET" else ""))
        return answers.lead_on(done.path)
    frame = desk.page_frame(asked, signed, page, error=trouble(error) if error is not None else None, act=act)
    status = error.status if error is not None else done.status
    return answers.page(render_frame(done.template, done.values, frame), status)


def _to_the_door(asked: Asked) -> Response:
    """Sign in, then come back; a form is not sent again by itself."""
    target = asked.target if asked.method in ("GET", "HEAD") else asked.path
    return answers.lead_on("/console/sign-in" + ("" if target == "/console" else f"?{urlencode({'next': target})}"))


def _nothing(desk: Desk, asked: Asked) -> Response:
    signed = desk.signed(asked)
    if signed is None and asked.method == "GET" and asked.path.startswith("/console"):
        return _to_the_door(asked)
    return desk.refuse(asked, 404 if asked.method in ("GET", "HEAD", "POST") else 405, signed=signed)


def _unusual(desk: Desk, asked: Asked) -> Response:
    return desk.refuse(asked, 405, signed=desk.signed(asked))


async def _leading(request: Request) -> Response:
    return answers.lead_on("/console")


async def _file(request: Request) -> Response:
    found = assets().get(request.path_params["name"])
    return answers.file(*found) if found is not None else Response(status_code=404, headers=dict(answers.HEADERS))


def _place(number: str, error: Exception) -> str:
    """What went wrong and where, without the error's words: they may repeat what was filled in."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    way = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"fault {number} of the console: {type(error).__name__} at {way}"
