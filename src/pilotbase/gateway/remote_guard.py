"""A model that judges texts over HTTP: asked with `{text, phase}`, it answers `{findings: [...]}` or `{flagged: true}`."""

import asyncio
import json
import re
from typing import Any

import aiohttp

from pilotbase.ports import Finding, Phase

__all__ = ["HttpGuard", "read_judgement"]

LARGEST_ANSWER = 1 << 20
MOST_FINDINGS = 10_000
CONNECTIONS = 64
_RULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


class HttpGuard:
    """A `ports.RemoteGuard`. `timeout` in seconds covers a whole judgement, the wait for a connection included.

    `window`: see `watch.Remote`. Redirects are not followed: the text goes where the route says and nowhere else.
    """

    def __init__(self, *, name: str, url: str, key: str | None, timeout: float, fail_open: bool, window: int) -> None:
        self.name = name
        self.fail_open = fail_open
        self.window = window
        self._url = url
        self._headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def judge(self, text: str, phase: Phase) -> list[Finding] | None:
        """See `ports.RemoteGuard`. An answer with another status than 200, or of another shape, is no judgement."""
        body = json.dumps({"text": text, "phase": phase}).encode()
        try:
            async with asyncio.timeout(self._timeout):
                session = self._session or self._open()
                async with session.post(self._url, data=body, headers=self._headers, allow_redirects=False) as answer:
                    if answer.status != 200:
                        return None
                    said = await _read(answer)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        return None if said is None else read_judgement(self.name, said, len(text))

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS), timeout=aiohttp.ClientTimeout(total=None), trust_env=False
        )
        return self._session


async def _read(answer: aiohttp.ClientResponse) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > LARGEST_ANSWER:
            return None
        parts.append(chunk)
    return b"".join(parts)


def read_judgement(guard: str, body: bytes, length: int) -> list[Finding] | None:
    """The findings in a judgement of a text of `length` characters; None where it has no known shape.

    A finding without places means the whole text. A rule that is no plain word is called `model`: it may repeat what was found.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    findings = said.get("findings")
    if isinstance(findings, list) and len(findings) <= MOST_FINDINGS and all(isinstance(one, dict) for one in findings):
        read = [_finding(guard, one, length) for one in findings]
        if read or said.get("flagged") is not True:
            return sorted(read, key=lambda one: (one.start, -one.end))
    elif findings is not None:
        return None
    if isinstance(said.get("flagged"), bool):
        return [_finding(guard, {"rule": said.get("rule")}, length)] if said["flagged"] else []
    return None


def _finding(guard: str, said: dict[str, Any], length: int) -> Finding:
    rule, start, end = said.get("rule"), said.get("start"), said.get("end")
    placed = type(start) is int and type(end) is int and 0 <= start < end <= length
    return Finding(
        guard=guard,
        rule=rule if isinstance(rule, str) and _RULE.fullmatch(rule) else "model",
        start=start if placed and start is not None else 0,
        end=end if placed and end is not None else length,
    )
