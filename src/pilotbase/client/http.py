"""Requests and answers: the token, limits on time and size, and tries again where nothing can be done twice."""

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from pilotbase.client.errors import ApiError, UnreachableError
from pilotbase.client.reading import read

__all__ = ["Http", "matching"]

LARGEST = 64 << 20
_AGAIN = frozenset((429, 502, 503, 504))
Kind = TypeVar("Kind")
Words = Mapping[str, Any]


class Http:
    """How the nouns of the client reach the base. Ids in paths are given as words; what is None in a query is left out."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float,
        tries: int,
        context: ssl.SSLContext | None,
        proxies: Mapping[str, str],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise ValueError(f"`{url[:120]}` is not the address of a base: write it as https://base.example")
        if not timeout > 0 or tries < 1:
            raise ValueError("timeout is more than 0 seconds, tries are 1 or more")
        self._root, self._token, self._timeout, self._tries, self._pause = url.rstrip("/"), token, timeout, tries, pause
        handlers = [_Still(), urllib.request.ProxyHandler(dict(proxies)), urllib.request.HTTPSHandler(context=context)]
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str, query: Words | None = None, /, **ids: str) -> Any:
        """What a read answers."""
        return self._ask("GET", _filled(path, ids, query or {}), None, {}, again=True)

    def post(self, path: str, body: Words | None = None, /, *, version: int | None = None, once: str = "", **ids: str) -> Any:
        """What a change answers, done once however often it is sent: `once` is the key of that, made up where none is given."""
        headers = {"Idempotency-Key": once or uuid.uuid4().hex, **matching(version)}
        return self._ask("POST", _filled(path, ids, {}), body, headers, again=True)

    def send(self, path: str, data: bytes, media_type: str, /, *, once: str = "", **ids: str) -> Any:
        """What a change answers that takes bytes; done once, as in `post`."""
        headers = {"Idempotency-Key": once or uuid.uuid4().hex, "Content-Type": media_type}
        return self._ask("POST", _filled(path, ids, {}), data, headers, again=True)

    def put(self, path: str, body: Words, /, *, version: int | None = None, **ids: str) -> Any:
        """What a replacement answers."""
        return self._ask("PUT", _filled(path, ids, {}), body, matching(version), again=False)

    def delete(self, path: str, query: Words | None = None, /, **ids: str) -> Any:
        """What a removal answers."""
        return self._ask("DELETE", _filled(path, ids, query or {}), None, {}, again=False)

    def walk(self, kind: type[Kind], path: str, query: Words | None = None, /, **ids: str) -> Iterator[Kind]:
        """Every item of a list, page after page as they are needed."""
        asked = dict(query or {})
        while True:
            page = self.get(path, asked, **ids)
            for item in page["items"]:
                yield read(kind, item)
            if page["next"] is None:
                return
            asked["cursor"] = page["next"]

    def _ask(self, method: str, place: str, body: Words | bytes | None, headers: Mapping[str, str], *, again: bool) -> Any:
        """One answer. Where nothing can be done twice, what did not come through is tried again, after longer pauses."""
        for left in range(self._tries - 1, -1, -1):
            try:
                return self._send(method, place, body, headers)
            except ApiError as error:
                busy = error.status == 409 and error.retry_after != ""
                passing = isinstance(error, UnreachableError) or error.status in _AGAIN or busy
                if not (again and passing and left):
                    raise
                self._pause(_wait(error.retry_after, self._tries - 1 - left))
        raise AssertionError("the last try answers or raises")

    def _send(self, method: str, place: str, body: Words | bytes | None, headers: Mapping[str, str]) -> Any:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        told = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if data is not None:
            told["Content-Type"] = "application/json"
        told |= headers
        request = urllib.request.Request(f"{self._root}/api/v1{place}", data=data, headers=told, method=method)
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return _document(answer.status, answer.read(LARGEST + 1))
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error.code, error.headers, error.read(LARGEST + 1)) from None
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"{method} {place.partition('?')[0]}: {getattr(error, 'reason', error)}") from error


class _Still(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the token is for one place."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def matching(version: int | None) -> dict[str, str]:
    """The header that has a change refused with 412 where the resource has another version than this one."""
    return {"If-Match": f'"{version}"'} if version is not None else {}


def _filled(path: str, ids: Mapping[str, str], query: Words) -> str:
    place = path.format(**{word: quote(value, safe="") for word, value in ids.items()})
    asked = {word: str(value).lower() if isinstance(value, bool) else value for word, value in query.items() if value is not None}
    return f"{place}?{urlencode(asked)}" if asked else place


def _document(status: int, data: bytes) -> Any:
    if status == 204:
        return None
    try:
        return json.loads(data)
    except ValueError:
        raise UnreachableError("what answered there is no base: it sent no JSON", status=status) from None


def _refused(status: int, headers: Any, data: bytes) -> ApiError:
    """The problem document of an answer (RFC 9457), or what stands in for one that something in between sent."""
    try:
        found = json.loads(data)
        title, detail = str(found["title"]), str(found["detail"])
    except (ValueError, TypeError, KeyError):
        return UnreachableError(f"what answered there is no base: it sent {status} without a problem document", status=status)
    retry = headers.get("Retry-After") or ""
    problems = [str(line) for line in found.get("problems", ())]
    return ApiError(status, title, detail, hint=str(found.get("hint", "")), problems=problems, retry_after=retry)


def _wait(told: str, tried: int) -> float:
    """Seconds: what the base said, at most a minute; else 0.5, 1, 2 and so on."""
    return min(60.0, float(told)) if told.isdecimal() else min(60.0, 0.5 * 2.0**tried)
