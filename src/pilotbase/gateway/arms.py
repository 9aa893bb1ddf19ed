"""Who of a route under release is answered by its candidate: a pure decision, the same in every worker and at every time."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotbase.domain.access import AccessKey
from pilotbase.domain.traffic import Arm

__all__ = ["CANDIDATE", "SHADOW", "STABLE", "Caller", "caller_of", "falls_on", "holder_of", "is_named", "kept_at"]

STABLE, CANDIDATE, SHADOW = "stable", "candidate", "shadow"
USER_HEADER = b"x-pilotbase-user"
CONVERSATION_HEADER = b"x-pilotbase-conversation"
_LONGEST = 256
_ENOUGH = 4096
"""Characters of what a conversation begins with that tell it from others: hashing more of a long one would hold up the rest."""
_DEEPEST = 4
_SPAN = 2.0**64


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is: `person` a keyed hash for counting people, `user` as the key's owner names them (may be empty), and
    `sticky`, which is the same for all requests that belong together.
    """

    person: str
    user: str
    sticky: bytes


def caller_of(key: AccessKey, headers: Mapping[bytes, bytes], document: Mapping[str, Any], request: str, salt: bytes) -> Caller:
    """Tell whose request it is.

    The user is the one whom the key's owner names: the header `x-pilotbase-user`, else the fields `safety_identifier` or `user`
    of OpenAI's requests. What belongs together: the requests of one user; where none is named those of one conversation (the
    header `x-pilotbase-conversation`, else the `conversation` that a response belongs to, else the first message of a user,
    which every later turn repeats); else each by itself.
    Without a user the person is the key: people behind one key are counted as one then.
    """
    user = _text(headers.get(USER_HEADER)) or _field(document, "safety_identifier") or _field(document, "user")
    person = hashlib.blake2b(_joined(key.id, user), digest_size=8, key=salt[:64], person=b"person").hexdigest()
    if user:
        return Caller(person, user, _joined(key.id, user))
    conversation = _text(headers.get(CONVERSATION_HEADER)) or _opening(document)
    return Caller(person, "", _joined(key.id, conversation or request))


def is_named(arm: Arm, key: AccessKey, user: str) -> bool:
    """Whether the plan names this caller as one who uses the candidate in a bounded trial.

    A key whose name has a `/` is known by its id alone: its name could be taken for another key's user.
    """
    if not arm.people:
        return False
    names = {key.id} if "/" in key.name else {key.id, key.name}
    if user:
        names |= {f"{name}/{user}" for name in names}
    return not names.isdisjoint(arm.people)


def falls_on(arm: Arm, sticky: bytes, salt: bytes) -> bool:
    """Whether the canary's share takes this caller. A share that grows keeps everyone it had.

    Source: a keyed hash (RFC 7693) of release and caller as a uniform number; `salt` keeps callers from choosing their arm.
    """
    if arm.share <= 0.0:
        return False
    digest = hashlib.blake2b(arm.release.encode() + b"\0" + sticky, digest_size=8, key=salt[:64], person=b"arm").digest()
    return int.from_bytes(digest, "big") < arm.share * _SPAN


def kept_at(arm: str, release: str, upstream: str) -> str:
    """The name under which a stored response remembers who made it: upstreams of both arms may be called the same."""
    return f"{release}~{upstream}" if arm == CANDIDATE else upstream


def holder_of(name: str) -> tuple[str, str]:
    """(release, upstream) of such a name; the release is empty where the stable arm made it. No upstream's name has a `~`."""
    release, _, upstream = name.rpartition("~")
    return release, upstream


def _opening(document: Mapping[str, Any]) -> str:
    """What a conversation begins with, as far as that tells it from others."""
    held = document.get("conversation")
    if isinstance(held, dict):
        held = held.get("id")
    if isinstance(held, str) and held:
        return f"conversation {held[:_LONGEST]}"
    turns = document.get("messages")
    if turns is None:
        turns = document.get("input")
    if isinstance(turns, list):
        first = next((turn for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"), None)
        turns = first.get("content") if first is not None else None
    words: list[str] = []
    _gather(turns, words, _ENOUGH, _DEEPEST)
    if not words:
        return ""
    return hashlib.blake2b("\0".join(words).encode("utf-8", "replace"), digest_size=16).hexdigest()


def _gather(value: Any, words: list[str], room: int, depth: int) -> int:
    """Add the texts in a message's content, in their order, while there is room; the room that is left."""
    if isinstance(value, str):
        if value and room > 0:
            words.append(value[:room])
        return room - len(value)
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return room
    for one in value:
        if room <= 0 or depth <= 0:
            break
        room = _gather(one, words, room - 1, depth - 1)
    return room


def _field(document: Mapping[str, Any], name: str) -> str:
    found = document.get(name)
    return found[:_LONGEST] if isinstance(found, str) else ""


def _text(value: bytes | None) -> str:
    return value[:_LONGEST].decode("utf-8", "replace").strip() if value is not None else ""


def _joined(*parts: str) -> bytes:
    return "\0".join(parts).encode("utf-8", "replace")
