"""JSON objects from an identity provider: over TLS, or plainly from this machine alone; short waits, no way elsewhere."""

import ipaddress
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import orjson

from pilotbase.errors import UserError

__all__ = ["check_address", "fetch_json"]

_WAIT: Final = 10.0
_LARGEST: Final = 1 << 20
_HINT: Final = "try again later, or sign in with a password; an operator checks PILOTBASE_OIDC_ISSUER"


class _Nowhere(urllib.request.HTTPRedirectHandler):
    """A provider's own addresses are final: a secret never follows a redirect."""

    def redirect_request(self, *given: Any, **named: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Nowhere, urllib.request.ProxyHandler())


def fetch_json(url: str, form: Mapping[str, str] | None, headers: Mapping[str, str]) -> Mapping[str, Any]:
    """See `oidc.Fetch`. UserError (502), which repeats nothing of what was sent."""
    check_address(url)
    data = urlencode(form).encode() if form is not None else None
    request = urllib.request.Request(url, data=data, headers={"accept": "application/json", **headers})
    try:
        with _OPENER.open(request, timeout=_WAIT) as answer:
            found = orjson.loads(answer.read(_LARGEST + 1)[: _LARGEST + 1])
    except urllib.error.HTTPError as error:
        raise UserError(f"the identity provider answers {error.code}", hint=_HINT, status=502) from None
    except (OSError, ValueError):
        raise UserError("the identity provider cannot be reached, or its answer cannot be read", hint=_HINT, status=502) from None
    if not isinstance(found, dict):
        raise UserError("the identity provider's answer is no JSON object", hint=_HINT, status=502)
    return found


def check_address(url: str) -> None:
    """UserError (502) for an address that is neither https nor on this very machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and (parts.hostname == "localhost" or _loops(parts.hostname or "")):
        return
    raise UserError("the identity provider's address is not https", where=url[:120], hint=_HINT, status=502)


def _loops(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
