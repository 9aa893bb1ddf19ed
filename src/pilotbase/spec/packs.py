"""Gate packs: published, versioned, hashed sets of gates, `use: NAME@VERSION`.

A pack is one file `NAME@VERSION.yaml` in `packs/` beside the pilot, or shipped with pilotbase. Its digest is taken over its
content as written (aliases expanded, comments and layout apart), without defaults, so that a later release with more words
leaves it the same.
`NAME@VERSION.lock` beside it holds the digest of its publication and makes it immutable.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pilotbase.domain.canonical import digest
from pilotbase.domain.gate import Gate
from pilotbase.domain.problem import CONFIG, Problem, nearest
from pilotbase.domain.scenario import Titles
from pilotbase.errors import UserError
from pilotbase.spec.parts import parse
from pilotbase.spec.place import Fault, refuse
from pilotbase.spec.yaml import MOST_BYTES, Document, read

__all__ = ["Found", "Pack", "known", "publish", "read_pack", "where"]

SHIPPED = Path(__file__).with_name("packs_shipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A set of gates under a name and a version, to be used by many pilots."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    pack: str
    version: str
    gates: tuple[Gate, ...]
    title: str | Titles | None = None
    status: Literal["draft", "published"] = "draft"

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the pack, whichever pilot uses it."""
        if not self.gates:
            yield Problem(("gates",), "the pack has no gates")
        for g, gate in enumerate(self.gates):
            yield from (p.under("gates", g) for p in gate.problems())


@dataclass(frozen=True, slots=True)
class Found:
    """A pack that was read: its file with positions, its content's digest, and its problems.

    `pack` is None where it cannot be used.
    """

    document: Document
    digest: str
    pack: Pack | None
    faults: tuple[Fault, ...]


def known(folder: Path) -> tuple[str, ...]:
    """The packs that a pilot in `folder` can use."""
    places = (folder / "packs", SHIPPED)
    return tuple(sorted({file.stem for place in places if place.is_dir() for file in place.glob("*@*.yaml")}))


def where(use: str, folder: Path) -> Path | Problem:
    """The file of a pack: beside the pilot first, then shipped; or why there is none."""
    for place in (folder / "packs", SHIPPED):
        if (place / f"{use}.yaml").is_file():
            return place / f"{use}.yaml"
    there = known(folder)
    near = nearest(use, there)
    hint = f"known: {', '.join(there)}" + (f"; did you mean `{near}`?" if near else "")
    return Problem(("use",), f"there is no pack `{use}`", f"put it at packs/{use}.yaml beside the pilot; {hint}")


def read_pack(path: Path) -> Found:
    """Read and check one pack's file. Raises UserError where the file cannot be opened; what it says comes back as faults."""
    document = read(_bytes(path), str(path))
    if not document.whole or not isinstance(document.data, dict):
        not_a_pack = document.fault(Problem((), "a pack is a mapping", "start with `pack: NAME`"))
        return Found(document, "", None, (*document.faults, *([not_a_pack] if document.whole else [])))
    parsed = parse(Pack, document.data, document.raw.get)
    faults = [*document.faults]
    faults += [document.fault(f.problem, key=f.key) for f in parsed.findings if f.problem.path not in document.lost]
    content = digest(document.data)
    if parsed.value is not None:
        mended = parsed.mended | document.lost
        problems = [*parsed.value.problems(), *_identity(parsed.value, path, content)]
        faults += [document.fault(p) for p in problems if not any(p.path[:n] in mended for n in range(1, len(p.path) + 1))]
    return Found(document, content, parsed.value if not faults else None, tuple(faults))


def publish(path: Path) -> str:
    """Record the digest of a pack beside it, after which the pack may not change; the digest.

    Publishing the same content again changes nothing. Raises InvalidInput where the pack has problems or was published with
    other content, UserError where it is still a draft.
    """
    found = read_pack(path)
    if found.faults or found.pack is None:
        raise refuse(found.faults)
    lock = path.with_suffix(".lock")
    if lock.exists():
        return found.digest
    if found.pack.status != "published":
        raise UserError("the pack is a draft", where=str(path), hint="set `status: published` in it, then publish it")
    try:
        with lock.open("x", encoding="ascii") as file:
            file.write(found.digest + "\n")
    except OSError as error:
        raise UserError(f"the lock cannot be written: {error.strerror}", where=str(lock)) from None
    return found.digest


def _identity(pack: Pack, path: Path, content: str) -> Iterator[Problem]:
    name, _, version = path.stem.partition("@")
    if pack.pack != name:
        yield Problem(("pack",), f"the file is named for the pack `{name}`, and says `{pack.pack}`", "make them the same")
    if pack.version != version:
        yield Problem(("version",), f"the file is named for version `{version}`, and says `{pack.version}`", "make them the same")
    lock = path.with_suffix(".lock")
    if lock.is_file():
        recorded = _bytes(lock).decode("ascii", "replace").strip()
        if recorded != content:
            changed = f"the pack was published as {recorded} and is now {content}"
            yield Problem((), changed, "put it back, or give the change a new version")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"the file cannot be read: {error.strerror}", where=str(path)) from None
