"""The client: an address, a token, and the nouns of the base.

client = Client("https://base.example", token)
for release in client.releases.list(under_way=True):
    print(release.route, release.rungs[release.rung])
"""

import ssl
from collections.abc import Mapping

from pilotbase.client.cases import Cases
from pilotbase.client.catalogue import Capabilities, Needs
from pilotbase.client.http import Http
from pilotbase.client.indicators import Indicators
from pilotbase.client.people import Audit, Members, Organisations, Tokens, UsageReports
from pilotbase.client.reading import read
from pilotbase.client.results import Health
from pilotbase.client.traffic import Keys, Routes, Stops
from pilotbase.client.trials import Incidents, Releases, Runs

__all__ = ["Client"]


class Client:
    """A base, as its API shows it to the bearer of `token` (a member's, or an admin key). May be used by several threads at once.

    `timeout`: seconds that any one step of a request may take. `tries`: how often a request is sent where it cannot be done twice
    (reads, and changes with a key that the client makes for each). `context`: whom to trust for TLS, the system's own otherwise.
    `proxies`: by scheme, as in `{"https": "http://proxy.example:3128"}`; none otherwise, whatever the environment says.

    Raises ValueError for what cannot be an address. Everything raises ApiError where the base refuses (with its words), and
    UnreachableError where no answer came.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 30.0,
        tries: int = 3,
        context: ssl.SSLContext | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> None:
        self._http = Http(url, token, timeout=timeout, tries=tries, context=context, proxies=proxies or {})
        self.runs = Runs(self._http)
        self.routes = Routes(self._http)
        self.keys = Keys(self._http)
        self.stops = Stops(self._http)
        self.releases = Releases(self._http)
        self.incidents = Incidents(self._http)
        self.needs = Needs(self._http)
        self.capabilities = Capabilities(self._http)
        self.cases = Cases(self._http)
        self.indicators = Indicators(self._http)
        self.members = Members(self._http)
        self.organisations = Organisations(self._http)
        self.tokens = Tokens(self._http)
        self.usage = UsageReports(self._http)
        self.audit = Audit(self._http)

    def health(self) -> Health:
        """That the base answers, and whether all traffic is stopped."""
        return read(Health, self._http.get("/health"))
