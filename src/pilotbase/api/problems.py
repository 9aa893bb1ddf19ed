"""Errors of the administration API as problem documents (RFC 9457, `application/problem+json`)."""

import http
from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from pilotbase.errors import InvalidInput, UserError

__all__ = ["PROBLEM", "RESPONSES", "answer_errors", "problem"]

PROBLEM = "application/problem+json"
_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was found."},
        "hint": {"type": "string", "description": "What to do about it."},
        "problems": {"type": "array", "items": {"type": "string"}, "description": "All that is wrong, a line each."},
    },
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request cannot be met.", "content": {PROBLEM: {"schema": _SCHEMA}}},
    "5XX": {"description": "The base is in trouble, as when its disk is full.", "content": {PROBLEM: {"schema": _SCHEMA}}},
}


def problem(
    status: int, detail: str, *, hint: str | None = None, problems: Sequence[str] = (), headers: dict[str, str] | None = None
) -> Response:
    """One problem document. What it says is for an administrator; it names no file of the server."""
    try:
        title = http.HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": _clean(detail)}
    if hint:
        body["hint"] = _clean(hint)
    if problems:
        body["problems"] = [_clean(line) for line in problems]
    return Response(orjson.dumps(body), status_code=status, media_type=PROBLEM, headers=headers)


def answer_errors(app: FastAPI) -> None:
    """Have every error of `app` that somebody can mend answered so; bugs stay 500 without a word of theirs."""

    async def user_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, UserError)
        status = 422 if isinstance(error, InvalidInput) else error.status
        lines = error.problems if isinstance(error, InvalidInput) else ()
        return problem(status, error.message, hint=error.hint, problems=lines)

    async def misfit(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        lines = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
        return problem(422, "the request is not what this operation takes", problems=lines[:100])

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    app.add_exception_handler(UserError, user_error)
    app.add_exception_handler(RequestValidationError, misfit)
    app.add_exception_handler(HTTPException, refused)


def _clean(text: str) -> str:
    """Text that has a UTF-8 form, whatever a request put into it."""
    return text.encode("utf-8", "replace").decode("utf-8")
