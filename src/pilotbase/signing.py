"""Ed25519 keys (RFC 8032): one private key a home, public keys as one line of text to hand to others."""

import base64
import binascii
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pilotbase.errors import UserError
from pilotbase.private_file import put_in_place

__all__ = ["Key", "PublicKey", "decode_base64", "fingerprint", "public_keys"]

WORD = "pilotbase-ed25519"
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")

_LARGEST = 16_384
_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,98}[^\s\x00-\x1f\x7f])?")


def fingerprint(public: bytes) -> str:
    """`SHA256:` and the unpadded base64 of the SHA-256 of a raw public key, as OpenSSH writes it. Also the DSSE key id."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A raw public key of 32 bytes; `name` says in words whose it is, and proves nothing."""

    raw: bytes
    name: str = "unnamed"

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise UserError(f"an Ed25519 public key has 32 bytes, and this one {len(self.raw)}", hint="export it again")
        if not _NAME.fullmatch(self.name):
            message = f"a key's name is 1 to 100 printable characters on one line, found {self.name[:100]!r}"
            raise UserError(message, hint="choose another name")

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.raw)

    def text(self) -> str:
        """The key as one line: `pilotbase-ed25519 BASE64 NAME`, without a line end."""
        return f"{WORD} {base64.b64encode(self.raw).decode()} {self.name}"

    def holds(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature` is this key's over `data`. Never raises for any bytes."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True

    @classmethod
    def parse(cls, line: str, *, where: str | None = None) -> Self:
        """The key that `text` wrote. UserError, with `where`, for anything else."""
        parts = line.strip().split(" ", 2)
        hint = f"a public key is one line, `{WORD} BASE64 NAME`, as `pilotbase key export` prints it"
        if len(parts) < 2 or parts[0] != WORD:
            raise UserError(f"not a public key of pilotbase: {line.strip()[:60]!r}", where=where, hint=hint)
        raw = decode_base64(parts[1], limit=64)
        if raw is None or len(raw) != 32:
            raise UserError("the public key is cut off or garbled: its base64 is not that of 32 bytes", where=where, hint=hint)
        name = parts[2].strip() if len(parts) == 3 else "unnamed"
        if not _NAME.fullmatch(name):
            raise UserError("the key's name is not 1 to 100 printable characters", where=where, hint=hint)
        return cls(raw=raw, name=name)


class Key:
    """A private key that never leaves its file and this object; satisfies `ports.Signer`."""

    __slots__ = ("_private", "key_id", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.key_id = fingerprint(self.public)

    @classmethod
    def generate(cls) -> Self:
        """A new key, kept nowhere."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load_or_create(cls, home: Path) -> Self:
        """The key in `home/keys/signing.pem`, made on the first call (file 0600, folder 0700).

        Of several processes that make it at once, one wins and all use its key. UserError where others than the owner may
        read it, where the file holds anything else, and where it cannot be written.
        """
        folder, path = home / "keys", home / "keys" / "signing.pem"
        with _explained("make", folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _refuse_wide(folder.stat().st_mode, folder, "700")
        if not path.exists() and not path.is_symlink():
            with _explained("write", path):
                put_in_place(path, cls.generate()._pem())
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in a PKCS8 PEM file. UserError as `load_or_create`."""
        with _explained("read", path):
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
            with os.fdopen(descriptor, "rb") as file:
                _refuse_wide(os.fstat(descriptor).st_mode, path, "600")
                data = file.read(_LARGEST)
        hint = "restore the key from a backup, or move the file away: a new key, unknown to others, is then made"
        try:
            private = serialization.load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise UserError("this is not an unencrypted private key in PEM (PKCS8)", where=str(path), hint=hint) from None
        if not isinstance(private, Ed25519PrivateKey):
            raise UserError("the private key is of another kind than Ed25519", where=str(path), hint=hint)
        return cls(private)

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of a signature."""
        return self._private.sign(data)

    def public_key(self, name: str = "unnamed") -> PublicKey:
        """The half to hand to others, with a name to know it by."""
        return PublicKey(raw=self.public, name=name)

    def public_text(self, name: str = "unnamed") -> str:
        """One line to hand to others."""
        return self.public_key(name).text()

    def _pem(self) -> bytes:
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def public_keys(text: str, *, where: str | None = None) -> Iterator[PublicKey]:
    """The keys of a trust file: one a line, as `PublicKey.text` writes them, but for blank lines and those from `#` on."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield PublicKey.parse(line, where=f"{where or 'trust file'}:{number}")


def decode_base64(text: object, *, limit: int) -> bytes | None:
    """Bytes from base64 (standard, padded) in its one canonical spelling; None for anything else or over `limit` long."""
    if not isinstance(text, str) or len(text) > limit:
        return None
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
    # The last character may carry spare bits that decoding drops: then two texts would stand for one signature.
    return data if base64.b64encode(data).decode() == text else None


def _refuse_wide(mode: int, path: Path, wanted: str) -> None:
    # Windows keeps no such bits: there the folder's own access list protects the key.
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise UserError(
            f"others than the owner may use the signing key: permissions are {stat.S_IMODE(mode):03o}, and must be {wanted}",
            where=str(path),
            hint=f"run `chmod {wanted} {path}`; if others could have read the key, revoke it and make a new one",
        )


@contextmanager
def _explained(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise UserError(
            f"could not {action} the signing key's place: {reason}",
            where=str(path),
            hint="check that this user may write to the home, that the disk is not full, and that no link or file is in the way",
        ) from error
