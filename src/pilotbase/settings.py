"""What the environment decides, read once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast, get_args

from pilotbase.domain.alert import Channel
from pilotbase.domain.bounds import Bounds, CodePolicy
from pilotbase.errors import UserError

__all__ = ["Settings", "read_settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`home` holds all state, but for what `database` names: the address of a PostgreSQL database (None: SQLite in the home).
    `public_url` is how browsers reach the base from outside, as `https://base.example`; None where that is as it listens.
    `bounds` are those of pilots that members upload.

    `oidc_issuer` is an OpenID provider through which members may sign in, `oidc_client` this base's id there, and `oidc_name`
    what its button says; the secret is PILOTBASE_OIDC_SECRET.

    `mail` is the server through which members are written to, and the sender's address; None: no letters are sent.

    `embeddings` is the root of an API that turns texts into vectors, `embeddings_model` the model; its key is the secret
    PILOTBASE_EMBEDDINGS_KEY.

    `environment` is where secrets are looked up by name. It is never shown, nor is the address, which holds a password.
    """

    home: Path
    environment: Mapping[str, str] = field(repr=False)
    database: str | None = field(default=None, repr=False)
    public_url: str | None = None
    bounds: Bounds = field(default_factory=Bounds)
    oidc_issuer: str | None = None
    oidc_client: str | None = None
    oidc_name: str = ""
    mail: Channel | None = None
    embeddings: str | None = None
    embeddings_model: str | None = None

    def secret(self, name: str) -> str | None:
        """A secret by the name of its variable: one that a pilot or a route names, or PILOTBASE_PEPPER, which gateways share."""
        return self.environment.get(name) or None


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read PILOTBASE_HOME (default `.pilotbase` here), PILOTBASE_DATABASE (default: SQLite in the home), PILOTBASE_PUBLIC_URL,
    PILOTBASE_OIDC_ISSUER, PILOTBASE_OIDC_CLIENT, PILOTBASE_OIDC_NAME,
    PILOTBASE_EMBEDDINGS, PILOTBASE_EMBEDDINGS_MODEL,
    and PILOTBASE_MAIL with its companions. UserError where these describe no mail server.

    For uploaded pilots PILOTBASE_ALLOW_HOSTS and PILOTBASE_ALLOW_VARIABLES, separated by commas (default: none), and
    PILOTBASE_UPLOADED_CODE (default: off). UserError where one of them cannot be read.
    """
    found = dict(os.environ if environment is None else environment)
    return Settings(
        home=Path(found.get("PILOTBASE_HOME") or ".pilotbase").absolute(),
        environment=found,
        database=found.get("PILOTBASE_DATABASE") or None,
        public_url=found.get("PILOTBASE_PUBLIC_URL") or None,
        oidc_issuer=found.get("PILOTBASE_OIDC_ISSUER") or None,
        oidc_client=found.get("PILOTBASE_OIDC_CLIENT") or None,
        oidc_name=found.get("PILOTBASE_OIDC_NAME") or "",
        mail=_mail(found),
        embeddings=found.get("PILOTBASE_EMBEDDINGS") or None,
        embeddings_model=found.get("PILOTBASE_EMBEDDINGS_MODEL") or None,
        bounds=Bounds(
            hosts=tuple(host.lower() for host in _listed(found.get("PILOTBASE_ALLOW_HOSTS"))),
            variables=_listed(found.get("PILOTBASE_ALLOW_VARIABLES")),
            code=_policy(found.get("PILOTBASE_UPLOADED_CODE") or "off"),
        ),
    )


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _policy(text: str) -> CodePolicy:
    if text not in get_args(CodePolicy):
        hint = f"one of {', '.join(get_args(CodePolicy))}"
        raise UserError(f"`{text[:60]}` is no way to treat uploaded code", where="PILOTBASE_UPLOADED_CODE", hint=hint)
    return cast(CodePolicy, text)


def _mail(found: Mapping[str, str]) -> Channel | None:
    """The channel without addresses; its name and password stay in their variables until a letter is sent."""
    server = found.get("PILOTBASE_MAIL")
    if not server:
        return None
    logs_in = bool(found.get("PILOTBASE_MAIL_USER") or found.get("PILOTBASE_MAIL_PASSWORD"))
    channel = Channel(
        email=("somebody@example.org",),
        smtp=server,
        from_=found.get("PILOTBASE_MAIL_FROM"),
        user_env="PILOTBASE_MAIL_USER" if logs_in else None,
        password_env="PILOTBASE_MAIL_PASSWORD" if logs_in else None,
        tls=found.get("PILOTBASE_MAIL_TLS") or "starttls",  # type: ignore[arg-type]
    )
    if channel.tls not in ("starttls", "tls", "none"):
        raise UserError("it is none of starttls, tls and none", where="PILOTBASE_MAIL_TLS", hint="leave it out for starttls")
    for problem in channel.problems():
        raise UserError(f"{'.'.join(map(str, problem.path))}: {problem.message}", where="PILOTBASE_MAIL", hint=problem.hint)
    return replace(channel, email=())
