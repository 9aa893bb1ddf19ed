"""Digests of what a candidate is made of: files, the code beside a pilot, the installed packages."""

import hashlib
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import distributions
from pathlib import Path

import orjson

from pilotbase.errors import UserError
from pilotbase.ports import Fingerprint

__all__ = ["code_files", "combine", "digest_file", "digest_files", "environment"]

_SKIPPED = {"__pycache__", "node_modules", "site-packages"}


def digest_file(path: Path) -> str:
    """`sha256:...` of a file's bytes. UserError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        message = f"`{path.name}`, which the candidate is made of, cannot be read: {error.strerror}"
        raise UserError(message, where=str(path), hint="mend the path in the pilot file, or put the file there", code=4) from None


def digest_files(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """Digest of each file, and of each file in each folder, by its path as seen from `root`. UserError where one is missing."""
    found: dict[str, str] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
            found.update({_shown(p, root): digest_file(p) for p in inside})
        else:
            found[_shown(path, root)] = digest_file(path)
    return found


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def code_files(module: str, folder: Path) -> tuple[Path, list[Path]]:
    """(root, files) of the Python source that `module` may be made of, found without importing anything.

    A module beside the pilot brings every .py there and every package there, because it may import them; one that is
    installed brings its own package. UserError (code 4) where there is no such module.
    """
    top = module.partition(".")[0]
    if (folder / f"{top}.py").is_file() or (folder / top).is_dir():
        files = set(folder.glob("*.py"))
        for inside in folder.iterdir():
            if inside.is_dir() and (inside.name == top or (inside / "__init__.py").is_file()):
                files.update(_python(inside))
        return folder, sorted(files)
    spec = PathFinder.find_spec(top, [p for p in sys.path if p])
    if spec is None:
        raise UserError(
            f"there is no module `{top}`",
            where=str(folder),
            hint=f"put `{top}.py` beside the pilot file, or install the package; the form is `module:callable`",
            code=4,
        )
    if spec.submodule_search_locations:
        root = Path(next(iter(spec.submodule_search_locations)))
        return root.parent, sorted(_python(root))
    return (Path(spec.origin).parent, [Path(spec.origin)]) if spec.origin and Path(spec.origin).is_file() else (folder, [])


def _python(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir():
            if path.name not in _SKIPPED and not path.name.startswith("."):
                yield from _python(path)
        elif path.suffix == ".py":
            yield path


@cache
def environment() -> Mapping[str, str]:
    """`python`: implementation and version; `packages`: digest of the sorted `name==version` of all installed but pilotbase."""
    lines = set()
    for found in distributions():
        about = found.metadata
        name = str(about["Name"] or "").lower().replace("_", "-")
        if name and name != "pilotbase":
            lines.add(f"{name}=={about['Version']}")
    digest = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    return {"python": f"{platform.python_implementation()} {platform.python_version()}", "packages": f"sha256:{digest}"}


def combine(kind: str, parts: Mapping[str, str], *, self_declared: bool = False) -> Fingerprint:
    """A fingerprint over named parts; a change can be named by comparing the parts of two."""
    body = orjson.dumps([kind, dict(parts)], option=orjson.OPT_SORT_KEYS)
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    return Fingerprint(digest=digest, kind=kind, self_declared=self_declared, parts=dict(parts))
