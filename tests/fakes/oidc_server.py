"""An OpenID provider on a real port, in a thread of its own: it signs whoever `person` says, and checks what it is asked.

with OidcServer(clock) as provider:
    provider.person["email"] = "li@base.example"
    back = provider.consent(url)            # what a person's browser does there: the address that it is sent back to
    provider.claims["aud"] = "another"      # what the next token says instead
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from pilotbase.ports import Clock

__all__ = ["CLIENT", "SECRET", "OidcServer"]

CLIENT, SECRET = "pilotbase", "a-secret-of-the-client"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class OidcServer:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.person: dict[str, Any] = {"sub": "person-1", "email": "li@base.example", "email_verified": True, "name": "Li"}
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.head: dict[str, Any] = {"kid": "k1"}
        self.algorithm, self.key = "RS256", _KEY
        self.refused: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forge(self) -> None:
        """Sign by a key that nobody published."""
        self.key = _OTHER

    def consent(self, url: str, **words: str) -> str:
        """A person agrees: the address that the browser is sent back to. `words` stand in for what the answer says."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.issuer}/authorize?") and asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT and asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.issuer, **words})}"

    def documents(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_KEY.public_key()))
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                **self.metadata,
            },
            "/keys": {"keys": [{**public, "kid": "k1", "use": "sig"}]},
        }

    def token(self, form: dict[str, str]) -> dict[str, Any] | None:
        asked = self._codes.pop(form.get("code", ""), None)
        challenge = (
            base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        )
        fine = asked is not None and challenge == asked["code_challenge"] and form["redirect_uri"] == asked["redirect_uri"]
        if asked is None or not fine or (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            self.refused.append("token")
            return None
        now = int(self.clock.now().timestamp())
        told = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.person,
            **self.claims,
        }
        claims = {name: value for name, value in told.items() if value is not None}
        key: Any = "shared secret of more than thirty-two bytes" if self.algorithm == "HS256" else self.key
        signed = jwt.encode(claims, None if self.algorithm == "none" else key, algorithm=self.algorithm, headers=self.head)
        return {"id_token": signed, "access_token": "never-used", "token_type": "Bearer"}


def _handler(provider: OidcServer) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(provider.documents().get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._answer(provider.token(form) if self.path == "/token" else None, 400)

        def _answer(self, document: object, otherwise: int = 404) -> None:
            data = json.dumps(document if document is not None else {"error": "invalid"}).encode()
            self.send_response(200 if document is not None else otherwise)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *told: object) -> None:
            pass

    return Handler
