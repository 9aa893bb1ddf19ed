"""Signing in through an identity provider, from the button to the session, over real sockets; and every way to be refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.fakes.console_server import COOKIE, Client, ConsoleServer
from tests.fakes.oidc_server import CLIENT, SECRET, OidcServer
from tests.fakes.watched import Time

from pilotbase.accounts import identities, members
from pilotbase.accounts.oidc import Oidc, Provider
from pilotbase.accounts.oidc_fetch import fetch_json
from pilotbase.console.app import make_console
from pilotbase.console.provider_door import BACK
from pilotbase.context import Context
from pilotbase.domain.account import Member
from pilotbase.errors import UserError

OUTSIDE = "http://base.example"


class Served(ConsoleServer):
    provider: OidcServer
    secret: str = SECRET

    def application(self, context: Context) -> Any:
        given = Provider(issuer=self.provider.issuer, client=CLIENT, secret=self.secret, back=OUTSIDE + BACK, name="市民云")
        oidc = Oidc(given, fetch_json, self.time.now)
        return make_console(context, provider=oidc, public_url=OUTSIDE, say=self.said.append)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    time = Time()
    with OidcServer(time) as provider:
        base = Served(tmp_path_factory.mktemp("provider") / "home", time)
        base.provider = provider
        with base:
            base.member("first@base.example", "operator")
            yield base


@pytest.fixture
def provider(base: Served) -> OidcServer:
    """The provider as it is on a good day."""
    provider = base.provider
    fresh = OidcServer(base.time)
    provider.person, provider.claims, provider.head = fresh.person, {}, {"kid": "k1"}
    provider.algorithm, provider.key = "RS256", fresh.key
    return provider


@pytest.fixture
def li(base: Served) -> Iterator[Member]:
    found = members.find_login(base.context.database, "li@base.example") or base.member("li@base.example", "engineer")
    yield found
    identities.forget(base.context.database, found, who="test", now=base.time.now())


def leave(client: Client, on: str = "/console/runs") -> str:
    answer = client.get(f"/console/provider?next={on}")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def come(client: Client, url: str) -> httpx2.Response:
    parts = urlsplit(url)
    return client.get(f"{parts.path}?{parts.query}")


def test_a_member_signs_in_by_the_button_and_is_known_by_the_subject_from_then_on(
    base: Served, provider: OidcServer, li: Member
) -> None:
    client = base.visitor()
    page = client.get("/console/sign-in?next=/console/runs").text
    assert "Sign in with 市民云" in page and "/console/provider?next=/console/runs" in page
    answer = come(client, provider.consent(leave(client)))
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/runs")
    assert client.get("/console").status_code == 200
    provider.person |= {"email": "another@base.example", "email_verified": False}
    later = base.visitor()
    assert come(later, provider.consent(leave(later))).status_code == 303
    assert li.name in later.get("/console").text
    assert not provider.refused


def test_a_code_and_a_state_count_once_and_in_the_browser_that_began(base: Served, provider: OidcServer, li: Member) -> None:
    client, other = base.visitor(), base.visitor()
    back = provider.consent(leave(client))
    assert come(other, back).status_code == 403, "another browser, led here by somebody who wants it to be him"
    assert come(client, back).status_code == 403, "the state was spent"
    again = provider.consent(leave(client))
    assert come(client, again).status_code == 303
    assert come(client, again).status_code == 403
    late = provider.consent(leave(client))
    base.time.wall += 11 * 60
    assert come(client, late).status_code == 403


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "another"}, "does not verify"),
        ({"aud": [CLIENT, "another"]}, "another application"),
        ({"azp": "another"}, "another application"),
        ({"iss": "https://another.example"}, "does not verify"),
        ({"nonce": "another"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"exp": 1}, "too old"),
        ({"exp": None}, "does not verify"),
        ({"exp": "soon"}, ""),
        ({"iat": 2**40}, "not yet good"),
        ({"sub": None}, "does not verify"),
    ],
    ids=str,
)
def test_a_token_that_is_not_in_order_lets_nobody_in(
    base: Served, provider: OidcServer, li: Member, claims: dict[str, Any], words: str
) -> None:
    provider.claims = claims
    client = base.visitor()
    answer = come(client, provider.consent(leave(client)))
    assert answer.status_code == 403 and words in answer.text
    assert client.http.cookies.get(COOKIE) is None
    assert not base.said


def test_a_token_of_another_key_or_kind_of_signature_lets_nobody_in(base: Served, provider: OidcServer, li: Member) -> None:
    def tried() -> httpx2.Response:
        client = base.visitor()
        return come(client, provider.consent(leave(client)))

    provider.forge()
    assert "does not verify" in tried().text
    provider.algorithm = "HS256"
    assert "not signed in a way" in tried().text
    provider.algorithm = "none"
    assert "not signed in a way" in tried().text
    provider.algorithm, provider.head = "RS256", {"kid": "k2"}
    assert "a key that the provider does not have" in tried().text
    assert not base.said


def test_a_refusal_of_the_provider_and_a_mix_up_are_told(base: Served, provider: OidcServer, li: Member) -> None:
    client = base.visitor()
    refused = come(client, provider.consent(leave(client), error="access_denied"))
    assert refused.status_code == 403 and "the provider refused" in refused.text
    mixed = come(client, provider.consent(leave(client), iss="https://another.example"))
    assert mixed.status_code == 403 and "another provider" in mixed.text


def test_nobody_becomes_a_member_by_it(base: Served, provider: OidcServer, li: Member) -> None:
    def tried(**person: object) -> httpx2.Response:
        provider.person |= person
        client = base.visitor()
        return come(client, provider.consent(leave(client)))

    assert "does not vouch" in tried(sub="p2", email_verified=False).text
    assert "does not vouch" in tried(sub="p2", email_verified="true").text
    assert "nobody of this base" in tried(sub="p2", email="stranger@base.example", email_verified=True).text
    assert "nobody of this base" in tried(sub="p2", email="").text
    assert tried(sub="p2", email="LI@base.example").status_code == 303
    assert "bound to another identity" in tried(sub="p3").text
    base.time.wall += 1
    members.disable(base.context.database, li.id, version=li.version, who="test", now=base.time.now())
    assert "nobody of this base" in tried(sub="p2").text
    members.enable(base.context.database, li.id, version=li.version + 1, who="test", now=base.time.now())


def test_one_is_led_on_to_the_console_alone(base: Served, provider: OidcServer, li: Member) -> None:
    client = base.visitor()
    for on in ("https://evil.example/console", "//evil.example", "/console/provider", "/console/sign-out"):
        assert come(client, provider.consent(leave(client, on))).headers["location"] == "/console"


@pytest.mark.parametrize("url", ["http://provider.example/x", "ftp://provider.example", "https://", "file:///etc/passwd"])
def test_only_https_is_asked_or_this_machine(url: str) -> None:
    with pytest.raises(UserError) as refused:
        fetch_json(url, None, {})
    assert refused.value.status == 502


def test_a_provider_that_does_not_answer_is_told_and_the_password_still_works(tmp_path: Path) -> None:
    time = Time()
    with OidcServer(time) as provider:
        base = Served(tmp_path / "home", time)
        base.provider = provider
    with base:
        base.member("li@base.example", "operator")
        client = base.visitor()
        answer = client.get("/console/provider")
        assert answer.status_code == 502 and "cannot be reached" in answer.text and SECRET not in answer.text
        assert client.fill("/console/sign-in", login="li@base.example", password="quiet-harbour-42").status_code == 303
