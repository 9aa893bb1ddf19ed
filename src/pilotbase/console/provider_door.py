"""The door of an identity provider: to it by a plain link, and back from it with a code."""

from threading import Lock
from urllib.parse import urlsplit

from starlette.responses import Response

from pilotbase.accounts import identities
from pilotbase.accounts.oidc import Begun, Oidc
from pilotbase.console import answers
from pilotbase.console.asked import Asked, own_path
from pilotbase.console.desk import Desk, keep, trouble
from pilotbase.errors import UserError

__all__ = ["BACK", "ProviderDoor"]

BACK = "/console/provider/back"
STATE = "pilotbase_provider"
MOST = 1000
"""Sign-ins under way; the oldest gives way. They are kept in memory: after a restart one begins again."""
_MINUTES = 10 * 60


class ProviderDoor:
    """`begun` is what lets a member in: it begins a session and leads on."""

    def __init__(self, oidc: Oidc) -> None:
        self._oidc = oidc
        self._under_way: dict[str, tuple[float, Begun, str]] = {}
        self._lock = Lock()

    @property
    def name(self) -> str:
        """What stands on the button: the provider's name, or its host."""
        provider = self._oidc.provider
        return provider.name or urlsplit(provider.issuer).netloc

    def leave(self, desk: Desk, asked: Asked) -> Response:
        """GET /console/provider: off to the provider. The state in a cookie of this browser ties the way back to it."""
        try:
            begun = self._oidc.begin()
        except UserError as error:
            return desk.refuse(asked, error.status, told=trouble(error))
        with self._lock:
            self._under_way[begun.state] = (desk.context.clock.now().timestamp(), begun, own_path(asked.query.get("next", "")))
            while len(self._under_way) > MOST:
                del self._under_way[next(iter(self._under_way))]
        return keep(answers.lead_on(begun.url), STATE, begun.state, secure=desk.secure, seconds=_MINUTES)

    def come_back(self, desk: Desk, asked: Asked) -> tuple[str, str] | Response:
        """GET /console/provider/back: (member, where to go on), or why not. A state counts once."""
        state = asked.query.get("state", "")
        with self._lock:
            at, begun, on = self._under_way.pop(state, (0.0, None, ""))
        now = desk.context.clock.now()
        try:
            if begun is None or asked.cookies.get(STATE) != state or now.timestamp() - at > _MINUTES:
                hint = "begin again, in this browser, and come back within ten minutes"
                raise UserError("this sign-in was not begun here, or too long ago", hint=hint, status=403)
            told = self._oidc.finish(asked.query, begun)
            return identities.enter(desk.context.database, told, asked.address, now).id, on
        except UserError as error:
            return desk.refuse(asked, error.status, told=trouble(error))
