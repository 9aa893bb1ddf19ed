"""DSSE version 1: signatures over a payload and its type (github.com/secure-systems-lab/dsse, protocol.md, envelope.md).

A strict profile: canonical JSON only, Ed25519 only, no field but `keyid`, `sig` and `public_key`. The last is an addition
that DSSE allows: the raw public key in base64, so that an envelope of an unknown signer can be checked offline; `keyid`
must be its fingerprint.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pilotbase.domain.canonical import canonical
from pilotbase.errors import UserError
from pilotbase.ports import Signer
from pilotbase.signing import FINGERPRINT, PublicKey, decode_base64

__all__ = ["Envelope", "KeyedSigner", "Signed", "add_signature", "build", "pae", "parse", "strict_json", "verify"]

MOST_SIGNATURES = 64
LARGEST = 64 << 20
DEEPEST = 100


class KeyedSigner(Signer, Protocol):
    """A signer that shows its raw public key of 32 bytes; `key_id` is its fingerprint."""

    public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature as it stands in an envelope, of right shape, not yet checked."""

    key_id: str
    public: bytes
    signature: bytes

    def entry(self) -> dict[str, str]:
        return {"keyid": self.key_id, "public_key": _base64(self.public), "sig": _base64(self.signature)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A payload, its type, and 1 to 64 signatures of different keys, in the order in which they were added."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]

    def document(self) -> dict[str, Any]:
        """The envelope as JSON-like data."""
        return {
            "payload": _base64(self.payload),
            "payloadType": self.payload_type,
            "signatures": [signature.entry() for signature in self.signatures],
        }

    def bytes(self) -> bytes:
        """The envelope as canonical JSON."""
        return canonical(self.document())


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What became of one signature: whether it holds, and in words why not."""

    key_id: str
    holds: bool
    problem: str = ""


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed (protocol.md, "Signature Definition").

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def build(payload: bytes, payload_type: str, signer: KeyedSigner) -> Envelope:
    """An envelope with one signature."""
    return Envelope(payload=payload, payload_type=payload_type, signatures=(_sign(payload, payload_type, signer),))


def add_signature(envelope: Envelope, signer: KeyedSigner) -> Envelope:
    """The envelope with one more signature after the others. UserError where this key signed it before."""
    if any(known.key_id == signer.key_id for known in envelope.signatures):
        raise UserError(f"the key {signer.key_id} signed this before", hint="nothing is left to do")
    if len(envelope.signatures) >= MOST_SIGNATURES:
        raise UserError(f"there are {MOST_SIGNATURES} signatures already, and more are not allowed")
    signature = _sign(envelope.payload, envelope.payload_type, signer)
    return replace(envelope, signatures=(*envelope.signatures, signature))


def verify(envelope: Envelope, keys: Mapping[str, PublicKey] | None = None) -> tuple[Signed, ...]:
    """Check every signature, in order. With `keys` (by fingerprint) a signature by any other key does not hold.

    That one holds says only that the owner of the key signed these bytes; whether to trust the key is another question.
    """
    data = pae(envelope.payload_type, envelope.payload)
    return tuple(_check(signature, data, keys) for signature in envelope.signatures)


def parse(data: bytes, *, where: str | None = None) -> Envelope:
    """An envelope from its bytes. UserError, with `where`, for anything but the canonical bytes of a well-formed one."""
    return read(strict_json(data, where=where, largest=LARGEST), where=where)


def read(document: object, *, where: str | None = None) -> Envelope:
    """An envelope from JSON-like data. UserError, with `where`, where a field is missing, unknown, of another type or garbled."""
    if not isinstance(document, dict) or set(document) != {"payload", "payloadType", "signatures"}:
        raise _garbled("an envelope has exactly the fields payload, payloadType and signatures", where)
    payload = decode_base64(document["payload"], limit=LARGEST)
    if payload is None:
        raise _garbled("the payload is not base64", where)
    kind = document["payloadType"]
    if not isinstance(kind, str) or not 0 < len(kind) <= 200:
        raise _garbled("payloadType is not a text of 1 to 200 characters", where)
    entries = document["signatures"]
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST_SIGNATURES:
        raise _garbled(f"signatures is not a list of 1 to {MOST_SIGNATURES} entries", where)
    return Envelope(payload=payload, payload_type=kind, signatures=_signatures(entries, where))


def strict_json(data: bytes, *, where: str | None = None, largest: int = LARGEST) -> Any:
    """Data from canonical JSON (`domain.canonical`), where one meaning has one spelling. UserError for any other bytes.

    So repeated keys, NaN, infinities, numbers out of range, lone surrogates, other spacing, nesting over 100 deep and
    more than `largest` bytes are refused.
    """
    if len(data) > largest:
        raise UserError(f"too large: {len(data)} bytes, and at most {largest} are read", where=where)
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_refuse)
        same = _flat(document) and canonical(document) == data
    except (ValueError, TypeError, RecursionError):
        raise _garbled("not readable as JSON", where) from None
    if not same:
        raise _garbled("not in canonical form, so it was not written by pilotbase or was changed since", where)
    return document


def _sign(payload: bytes, payload_type: str, signer: KeyedSigner) -> Signature:
    return Signature(key_id=signer.key_id, public=signer.public, signature=signer.sign(pae(payload_type, payload)))


def _check(signature: Signature, data: bytes, keys: Mapping[str, PublicKey] | None) -> Signed:
    if keys is not None and signature.key_id not in keys:
        return Signed(key_id=signature.key_id, holds=False, problem="the key is not among those known here")
    if not PublicKey(raw=signature.public).holds(signature.signature, data):
        return Signed(key_id=signature.key_id, holds=False, problem="the signature does not fit the payload")
    return Signed(key_id=signature.key_id, holds=True)


def _signatures(entries: Sequence[object], where: str | None) -> tuple[Signature, ...]:
    found: dict[str, Signature] = {}
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or set(entry) != {"keyid", "public_key", "sig"}:
            raise _garbled(f"signature {number} has other fields than keyid, public_key and sig", where)
        key_id = entry["keyid"]
        public, signature = decode_base64(entry["public_key"], limit=64), decode_base64(entry["sig"], limit=128)
        if not isinstance(key_id, str) or not FINGERPRINT.fullmatch(key_id):
            raise _garbled(f"signature {number}: keyid is not a fingerprint (SHA256: and 43 characters)", where)
        if public is None or len(public) != 32 or signature is None or len(signature) != 64:
            raise _garbled(f"signature {number}: the key is not base64 of 32 bytes, or the signature not of 64", where)
        if PublicKey(raw=public).fingerprint != key_id:
            raise _garbled(f"signature {number}: keyid is not the fingerprint of the key that is given", where)
        if key_id in found:
            raise _garbled(f"signature {number}: the key {key_id} signs twice", where)
        found[key_id] = Signature(key_id=key_id, public=public, signature=signature)
    return tuple(found.values())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _flat(document: object) -> bool:
    """Whether nothing is nested deeper than DEEPEST, so that whoever walks the data by recursion may."""
    level = [document]
    for _ in range(DEEPEST):
        level = [
            value
            for node in level
            for value in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
            if isinstance(value, (dict, list))
        ]
        if not level:
            return True
    return False


def _refuse(text: str) -> Any:
    raise ValueError(text)


def _garbled(message: str, where: str | None) -> UserError:
    return UserError(message, where=where, hint="get the file again from whoever made it")
