"""What the keeper serves behind its workers: the administration API under `/api`, the console under everything else."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pilotbase.accounts.oidc import Oidc, Provider
from pilotbase.accounts.oidc_fetch import check_address, fetch_json
from pilotbase.api.app import make_api
from pilotbase.console.app import make_console
from pilotbase.console.provider_door import BACK
from pilotbase.context import Context
from pilotbase.errors import UserError
from pilotbase.gateway.transport import App

__all__ = ["make_site"]


def make_site(
    context: Context, pepper: bytes, *, public_url: str | None = None, provider: Callable[[str], Provider] | None = None
) -> App:
    """Both as one ASGI application. UserError where `public_url` is no address of a site.

    `provider` makes the identity provider of the address that the browser comes back to; it needs a `public_url`.
    """
    _check(public_url)
    oidc = _oidc(context, public_url, provider)
    api, console = make_api(context, pepper), make_console(context, public_url=public_url, provider=oidc)

    async def site(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        app = api if path == "/api" or path.startswith("/api/") else console
        await app(scope, receive, send)

    return site


def _oidc(context: Context, public_url: str | None, provider: Callable[[str], Provider] | None) -> Oidc | None:
    if provider is None:
        return None
    if public_url is None:
        hint = "set PILOTBASE_PUBLIC_URL to the address that browsers use, which the provider has to know"
        raise UserError("an identity provider is named, but not where it sends people back to", hint=hint)
    found = provider(public_url.rstrip("/") + BACK)
    check_address(found.issuer)
    return Oidc(found, fetch_json, context.clock.now)


def _check(public_url: str | None) -> None:
    if public_url is None:
        return
    try:
        parts = urlsplit(public_url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username
        fine = fine and parts.path in ("", "/") and not parts.query and not parts.fragment
        _ = parts.port
    except ValueError:
        fine = False
    if not fine:
        hint = "write scheme, host and, where it is needed, port: https://base.example"
        raise UserError(f"`{public_url[:120]}` is not the address of a site", where="PILOTBASE_PUBLIC_URL", hint=hint)
