"""Lists a page at a time: `limit` and an opaque `cursor` in the query; `next` in the answer and as a `Link` (RFC 8288)."""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

import orjson
from fastapi import Depends, Query, Request, Response

from pilotbase.errors import UserError

__all__ = ["Listed", "Paged", "Paging"]

LARGEST = 200
_LONGEST = 2000
Item = TypeVar("Item")
Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[Shape]):
    """One page of a list. `next` is the cursor of the page behind it, null on the last one."""

    items: list[Shape]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """The page that a request asks for: at most `limit` items behind the place `after`, which is None for the first page."""

    request: Request
    response: Response
    limit: int
    after: tuple[str, ...] | None

    def start(self, parts: int = 1) -> tuple[str, ...] | None:
        """`after`, which has so many parts. UserError (422) where it has not: the cursor is of another list."""
        if self.after is not None and len(self.after) != parts:
            raise _no_cursor()
        return self.after

    @property
    def before(self) -> str:
        """The id of the last item seen; empty on the first page."""
        found = self.start()
        return found[0] if found is not None else ""

    def page(
        self, found: Iterable[Item], place: Callable[[Item], Sequence[str]], shape: Callable[[Item], Shape]
    ) -> Listed[Shape]:
        """The page of `found`, of which one more than `limit` were asked for. `place` is where to go on behind an item."""
        items = list(islice(found, self.limit + 1))
        more = len(items) > self.limit
        items = items[: self.limit]
        cursor = _packed(self.request.url.path, place(items[-1])) if more else None
        if cursor is not None:
            query = {**self.request.query_params, "cursor": cursor}
            self.response.headers["link"] = f'<{self.request.url.path}?{urlencode(query)}>; rel="next"'
        return Listed(items=[shape(one) for one in items], next=cursor)


def _asked(
    request: Request,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=LARGEST, description="how many at most")] = 50,
    cursor: Annotated[str | None, Query(description="`next` of the page before", max_length=_LONGEST)] = None,
) -> Paging:
    after = _unpacked(request.url.path, cursor) if cursor is not None else None
    return Paging(request=request, response=response, limit=limit, after=after)


Paged = Annotated[Paging, Depends(_asked)]
"""What an operation that lists depends on."""


def _packed(path: str, place: Sequence[str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([path, *place])).rstrip(b"=").decode()


def _unpacked(path: str, cursor: str) -> tuple[str, ...]:
    try:
        found = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise _no_cursor() from None
    if not isinstance(found, list) or not all(isinstance(part, str) for part in found) or found[:1] != [path]:
        raise _no_cursor()
    if any("\0" in part for part in found):
        raise _no_cursor()
    return tuple(found[1:])


def _no_cursor() -> UserError:
    return UserError("`cursor` is none of this list", hint="begin without one, and take `next` of each page", status=422)
