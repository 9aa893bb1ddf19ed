"""Signing in through an identity provider: OpenID Connect Core 1.0, the code flow (section 3.1) with PKCE (RFC 7636).

Pure protocol: what is fetched comes from a function that is passed in. Tokens of the provider are read once and kept nowhere.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final
from urllib.parse import urlencode

import jwt

from pilotbase.errors import UserError

__all__ = ["Begun", "Fetch", "Oidc", "Provider", "Told"]

Fetch = Callable[[str, Mapping[str, str] | None, Mapping[str, str]], Mapping[str, Any]]
"""`fetch(url, form, headers)`: the JSON object at an address, by POST where there is a form. UserError where there is none."""
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Signatures by a key of the provider's. None by a shared secret, and never `none`."""
_FRESH: Final = timedelta(hours=1)
_AGAIN: Final = timedelta(minutes=1)
_LEEWAY: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """`issuer` as its metadata write it; `back` is where the browser comes back to; `name` stands on the button."""

    issuer: str
    client: str
    secret: str = field(repr=False)
    back: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A sign-in under way. `state` goes through the browser, the rest stays here."""

    url: str
    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who it is by the provider's word: `subject` never changes, `email` only counts where it is verified."""

    issuer: str
    subject: str
    email: str
    verified: bool
    name: str


class Oidc:
    """One provider. `now` is the clock; metadata and keys are fetched again after an hour, keys also for an unknown one."""

    def __init__(self, provider: Provider, fetch: Fetch, now: Callable[[], datetime]) -> None:
        self.provider = provider
        self._fetch = fetch
        self._now = now
        self._lock = Lock()
        self._metadata: tuple[datetime, Mapping[str, Any]] | None = None
        self._keys: tuple[datetime, Mapping[str, Any]] | None = None

    def begin(self) -> Begun:
        """Where to send the browser (Core, section 3.1.2.1). UserError (502) where the provider does not answer rightly."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "scope": "openid email profile",
            "client_id": self.provider.client,
            "redirect_uri": self.provider.back,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        place = self._told("authorization_endpoint")
        return Begun(url=f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}", state=state, nonce=nonce, verifier=verifier)

    def finish(self, answer: Mapping[str, str], begun: Begun) -> Told:
        """Who came back with `answer`, the words behind `?`. UserError (403) for a refusal or anything that is not in order."""
        if not hmac.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
            raise _refused("the answer belongs to another sign-in")
        if answer.get("iss", self.provider.issuer) != self.provider.issuer:  # RFC 9207
            raise _refused("the answer comes from another provider")
        if "error" in answer or not answer.get("code"):
            raise _refused("the provider refused the sign-in")
        form = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": self.provider.back,
            "client_id": self.provider.client,
            "client_secret": self.provider.secret,
            "code_verifier": begun.verifier,
        }
        given = self._fetch(self._told("token_endpoint"), form, {"accept": "application/json"}).get("id_token")
        claims = self._verified(given, begun.nonce)
        return Told(
            issuer=self.provider.issuer,
            subject=str(claims["sub"]),
            email=str(claims.get("email") or ""),
            verified=claims.get("email_verified") is True,
            name=str(claims.get("name") or ""),
        )

    def _verified(self, token: object, nonce: str) -> Mapping[str, Any]:
        """The claims of an ID token (Core, section 3.1.3.7)."""
        if not isinstance(token, str) or len(token) > 65_536:
            raise _refused("the provider sent no ID token")
        try:
            head = jwt.get_unverified_header(token)
            if head.get("alg") not in ALGORITHMS:
                raise _refused("the ID token is not signed in a way that is accepted")
            key = jwt.PyJWK(self._key(str(head.get("kid") or "")), algorithm=head["alg"])
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[head["alg"]],
                audience=self.provider.client,
                issuer=self.provider.issuer,
                leeway=_LEEWAY,
                options={
                    "require": ["exp", "iat", "sub", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            raise _refused("the ID token does not verify") from None
        self._timely(claims)
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") != self.provider.client:
            raise _refused("the ID token was made for another application")
        if not hmac.compare_digest(str(claims.get("nonce") or "").encode(), nonce.encode()):
            raise _refused("the ID token belongs to another sign-in")
        return claims

    def _timely(self, claims: Mapping[str, Any]) -> None:
        """By the base's own clock, which is not always that of the machine."""
        at = self._now().timestamp()
        try:
            fine = float(claims["exp"]) > at - _LEEWAY and float(claims["iat"]) < at + _LEEWAY
        except (TypeError, ValueError):
            fine = False
        if not fine:
            raise _refused("the ID token is too old, or not yet good: compare this machine's clock with the provider's")

    def _told(self, word: str) -> str:
        """An address out of the provider's metadata (OpenID Connect Discovery 1.0, section 4)."""
        with self._lock:
            now = self._now()
            if self._metadata is None or now - self._metadata[0] > _FRESH:
                found = self._fetch(f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration", None, {})
                if found.get("issuer") != self.provider.issuer:
                    raise _ill("its metadata name another issuer")
                self._metadata = (now, found)
            value = self._metadata[1].get(word)
        if not isinstance(value, str) or not value.startswith(("https://", "http://")):
            raise _ill(f"its metadata have no {word}")
        return value

    def _key(self, name: str) -> dict[str, Any]:
        """The provider's key of that id; the only one, where the token names none."""
        place = self._told("jwks_uri")
        with self._lock:
            now = self._now()
            if self._keys is None or now - self._keys[0] > _FRESH:
                self._keys = (now, self._fetch(place, None, {}))
            found = _named(self._keys[1], name)
            if found is None and now - self._keys[0] > _AGAIN:
                self._keys = (now, self._fetch(place, None, {}))
                found = _named(self._keys[1], name)
        if found is None:
            raise _refused("the ID token is signed by a key that the provider does not have")
        return found


def _named(keys: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    listed = keys.get("keys")
    usable = (
        [one for one in listed if isinstance(one, dict) and one.get("use", "sig") == "sig"] if isinstance(listed, list) else []
    )
    if not name:
        return usable[0] if len(usable) == 1 else None
    return next((one for one in usable if one.get("kid") == name), None)


def _refused(why: str) -> UserError:
    hint = "sign in again; if it stays so, tell an operator of this base"
    return UserError(f"signing in through the provider failed: {why}", hint=hint, status=403)


def _ill(why: str) -> UserError:
    hint = "try again later, or sign in with a password; an operator checks PILOTBASE_OIDC_ISSUER"
    return UserError(f"the identity provider does not answer rightly: {why}", hint=hint, status=502)
