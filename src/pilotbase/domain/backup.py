"""What a backup says of itself: its manifest, which names every member with its size and digest."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pilotbase.errors import UserError

__all__ = ["FORMAT", "PRIVATE", "UNKEPT", "Manifest", "Member", "is_private", "read_manifest"]

FORMAT: Final = 1
PRIVATE: Final = ("keys/", "runs/*/secret")
"""What only `--with-keys` encloses: the signing key, the pepper, and the secrets from which the salts of dossiers come."""
UNKEPT: Final = frozenset(("sessions", "login_failures", "run_sights"))
"""Tables that no backup holds: after a restore everybody signs in anew, and what was kept to be quick is made again."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SECRET = re.compile(r"keys/.*|runs/[^/]+/secret", re.DOTALL)
_LONGEST = 1000


def is_private(name: str) -> bool:
    """Whether a file of the home, named by its path in it, is one of `PRIVATE`.

    >>> is_private("keys/pepper"), is_private("runs/first-1/secret"), is_private("runs/first-1/cases.parquet")
    (True, True, False)
    """
    return _SECRET.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of the archive: `size` in bytes and `sha256` (hexadecimal) of it as it lies there.

    `name` is `home/` and the path of a file in the home, or `tables/NAME.jsonl.gz`. `private`: readable by its owner alone.
    `rows` and `unpacked` (bytes) are a table's, and None for files.
    """

    name: str
    size: int
    sha256: str
    private: bool = True
    rows: int | None = None
    unpacked: int | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        if min(self.size, self.rows or 0, self.unpacked or 0) < 0 or not _DIGEST.fullmatch(self.sha256):
            raise _bad(f"the entry of {self.name!r} has an impossible size or digest")
        if (self.table is None) != (self.rows is None) or (self.rows is None) != (self.unpacked is None):
            raise _bad(f"the entry of {self.name!r} is neither that of a table nor that of a file")

    @property
    def table(self) -> str | None:
        """The name of the table that it holds."""
        if not self.name.startswith("tables/"):
            return None
        name = self.name.removeprefix("tables/").removesuffix(".jsonl.gz")
        if f"tables/{name}.jsonl.gz" != self.name or not _TABLE.fullmatch(name):
            raise _bad(f"{self.name[:80]!r} is no table")
        return name

    @property
    def path(self) -> str:
        """The path in the home of a member that is a file."""
        return self.name.removeprefix("home/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`program` is the version that wrote it, `schema` the number of migrations of its database, `created` ISO 8601 in UTC.

    `link` is the newest link of the audit log in it as text, None where the log has no chain. `keys`: whether it holds what is
    private. `troubles` are sentences on what was found damaged or missing while it was made.
    """

    program: str
    schema: int
    created: str
    database: str
    keys: bool
    link: str | None
    members: tuple[Member, ...]
    troubles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [one.name for one in self.members]
        if len(set(names)) != len(names):
            raise _bad("it names a member twice")
        if self.schema < 1:
            raise _bad(f"its schema is {self.schema}")

    @property
    def rows(self) -> Mapping[str, int]:
        """How many rows each table has, in the order in which tables are filled."""
        return {one.table: one.rows or 0 for one in self.members if one.table is not None}

    @property
    def files(self) -> tuple[Member, ...]:
        """The members that are files of the home."""
        return tuple(one for one in self.members if one.table is None)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"format": FORMAT, **asdict(self)}


def read_manifest(document: Any) -> Manifest:
    """From JSON. UserError for anything else than what `document` made."""
    if not isinstance(document, dict) or "format" not in document:
        raise _bad("it is none of pilotbase")
    if document["format"] != FORMAT:
        message = f"the backup has format {str(document['format'])[:20]}, and this version reads {FORMAT}"
        raise UserError(message, hint="restore it with the version that made it, or a newer one")
    try:
        members = tuple(Member(**{**one}) for one in document["members"])
        found = Manifest(
            **{name: document[name] for name in Manifest.__slots__ if name not in ("members", "troubles")},
            members=members,
            troubles=tuple(map(str, document["troubles"])),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _bad(f"it is not complete, or holds what does not belong ({type(error).__name__})") from None
    kinds = (found.program, str), (found.schema, int), (found.created, str), (found.keys, bool), (found.database, str)
    if not all(isinstance(value, kind) for value, kind in kinds) or not isinstance(found.link, str | None):
        raise _bad("a value in it is of another kind")
    return found


def _check_name(name: Any) -> None:
    """A path in the archive that cannot lead out of the folder that it is unpacked to."""
    parts = name.split("/") if isinstance(name, str) else []
    good = len(parts) >= 2 and parts[0] in ("home", "tables") and len(name) <= _LONGEST
    if not good or any(part in ("", ".", "..") or len(part.encode("utf-8", "surrogatepass")) > 255 for part in parts):
        raise _bad(f"{str(name)[:80]!r} is no path of a member")
    if any(c < " " or c in "\\\x7f" for c in name):
        raise _bad(f"{name[:80]!r} holds characters that no path of a member has")


def _bad(why: str) -> UserError:
    return UserError(
        f"the manifest of this backup cannot be used: {why}", hint="take another backup; this one is damaged, or none of ours"
    )
