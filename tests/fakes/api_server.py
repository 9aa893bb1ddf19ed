"""The API on a real port in this process, as `ConsoleServer` serves the console.

with ApiServer(furnished.home, furnished.time) as base:
    client = base.client("operator")
"""

from typing import Any

from tests.fakes.console_server import ConsoleServer

from pilotbase.api.app import make_api
from pilotbase.client.client import Client
from pilotbase.context import Context
from pilotbase.domain.account import SCOPES, Role, may
from pilotbase.flows.tokens import create_token
from pilotbase.gateway.secret_key import load_pepper

__all__ = ["ApiServer"]


class ApiServer(ConsoleServer):
    """See the module."""

    def application(self, context: Context) -> Any:
        return make_api(context, load_pepper(context.home))

    def client(self, role: Role, *scopes: str, login: str = "") -> Client:
        """A client with the token of a new member of this role, who is called after it."""
        member = self.member(login or role, role)
        wanted = scopes or [one for one in SCOPES if may(member, one)]
        text = create_token(self.context, member, name="test", scopes=wanted, expires="30d", who="test")[1]
        return Client(self.url, text, timeout=60.0)
