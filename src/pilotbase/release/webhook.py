"""Webhooks, signed so that a receiver knows who sent them: the Standard Webhooks specification, version 1.0.0, symmetric keys.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from pilotbase.domain.alert import Channel, Outcome
from pilotbase.errors import UserError
from pilotbase.ports import Clock, Secrets

__all__ = ["TOLERANCE", "Webhooks", "read_keys", "read_pause", "sign", "verify"]

TOLERANCE = 300.0
CONNECTIONS = 16
_PREFIX = "whsec_"


class Webhooks:
    """Posts messages. The key is looked up for each; the time limit is the caller's.

    Redirects are not followed, no proxy of the environment is used, and what a server answers is not read beyond its status and
    `Retry-After`: a message goes where the plan says and nowhere else.
    """

    def __init__(self, secrets: Secrets, clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def send(self, channel: Channel, name: str, message: Mapping[str, Any]) -> Outcome:
        """Deliver one message under the id `name`. 2xx is success, 410 the end; everything else is a failure."""
        variable = channel.key_env or ""
        key = self._secrets(variable)
        if not key:
            return Outcome(result="failed", said=f"the variable {variable} is not set")
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            headers = sign(key, name, body, self._clock.now())
        except UserError as error:
            return Outcome(result="failed", said=f"{variable}: {error.message}")
        headers |= {"content-type": "application/json; charset=utf-8", "user-agent": "pilotbase"}
        try:
            session = self._session or self._open()
            async with session.post(channel.webhook or "", data=body, headers=headers, allow_redirects=False) as answer:
                return read_answer(answer.status, answer.headers.get("retry-after"), self._clock.now())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(result="failed", said=_told(error))

    async def aclose(self) -> None:
        """End the connections. Safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        # Each message has its own connection: a receiver that fell asleep must not be found out about at the next alert.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self._session


def read_answer(status: int, retry_after: str | None, now: datetime) -> Outcome:
    """What a status means for a message. `Retry-After` counts with 429 and 503, as RFC 6585 and RFC 9110 have it."""
    if 200 <= status < 300:
        return Outcome(result="delivered", said=f"answered {status}")
    if status == 410:
        return Outcome(result="gone", said="answered 410: the receiver wants no more")
    if 300 <= status < 400:
        return Outcome(result="failed", said=f"answered {status}: redirects are not followed; declare the new address")
    after = read_pause(retry_after, now) if status in (429, 503) else None
    return Outcome(result="failed", said=f"answered {status}", after=after)


def read_pause(value: str | None, now: datetime) -> float | None:
    """Seconds (>= 0) that a `Retry-After` header asks for: a number, or an HTTP date set against `now`. None without one.

    RFC 9110, section 10.2.3.
    """
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def sign(key: str, name: str, body: bytes, now: datetime) -> dict[str, str]:
    """The three headers of a message: HMAC-SHA256 over `name.timestamp.body`, in base64, one for each key.

    `key` is one `whsec_...` or several with spaces between, while a receiver changes over. UserError where it is none.
    """
    moment = str(int(now.timestamp()))
    marks = [f"v1,{base64.b64encode(_mac(one, name, moment, body)).decode()}" for one in read_keys(key)]
    return {"webhook-id": name, "webhook-timestamp": moment, "webhook-signature": " ".join(marks)}


def verify(key: str, headers: Mapping[str, str], body: bytes, now: datetime, *, tolerance: float = TOLERANCE) -> bool:
    """Whether a received message was signed with one of the keys, at most `tolerance` seconds ago or ahead.

    `body` is the bytes as they came; the names of headers in any case. UserError where `key` is no key.
    """
    found = {name.lower(): value for name, value in headers.items()}
    keys = read_keys(key)
    name, moment = found.get("webhook-id", ""), found.get("webhook-timestamp", "")
    if not name or not re.fullmatch(r"[0-9]{1,12}", moment) or abs(now.timestamp() - int(moment)) > tolerance:
        return False
    wanted = [_mac(one, name, moment, body) for one in keys]
    good = False
    for mark in found.get("webhook-signature", "").split():
        version, _, text = mark.partition(",")
        try:
            given = base64.b64decode(text, validate=True) if version == "v1" else b""
        except (binascii.Error, ValueError):
            continue
        for mac in wanted:
            good |= hmac.compare_digest(mac, given)
    return good


def read_keys(text: str) -> list[bytes]:
    """The keys in `whsec_BASE64 ...`, each of 24 to 64 bytes. UserError, which repeats nothing of them, for anything else."""
    keys = []
    for word in text.split():
        try:
            key = base64.b64decode(word.removeprefix(_PREFIX), validate=True) if word.startswith(_PREFIX) else b""
        except (binascii.Error, ValueError):
            key = b""
        if not 24 <= len(key) <= 64:
            raise _no_key()
        keys.append(key)
    if not keys:
        raise _no_key()
    return keys


def _no_key() -> UserError:
    hint = "make one: python -c 'import base64, secrets; print(\"whsec_\" + base64.b64encode(secrets.token_bytes(32)).decode())'"
    return UserError("this is no webhook key: `whsec_` and 24 to 64 bytes in base64", hint=hint)


def _mac(key: bytes, name: str, moment: str, body: bytes) -> bytes:
    return hmac.new(key, b".".join((name.encode(), moment.encode(), body)), hashlib.sha256).digest()


def _told(error: Exception) -> str:
    """An error in words that hold no address: the path of a webhook may be confidential."""
    if isinstance(error, aiohttp.InvalidURL):
        return "the address is not usable"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "the server's certificate was not accepted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the server's name is not known"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection could be made"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection without an answer"
    return f"the connection failed ({type(error).__name__})"
