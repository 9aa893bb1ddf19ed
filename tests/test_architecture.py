"""What the import contracts in pyproject.toml cannot say: cycles between modules, places of imports, sizes, names."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pilotbase.cli.commands import COMMANDS

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "pilotbase"
LONGEST = 600
HEAVY = {"asyncio", "json", "numpy", "pg8000", "polars", "traceback", "uvloop"}
"""What may be imported inside a function, in the modules of `LATE` alone: libraries that most runs of that module never need."""
LATE = {"pilotbase.targets.python_worker", "pilotbase.flows.run", "pilotbase.store.postgres"}
LATE_OURS = {("pilotbase.server.ready", "pilotbase.flows.served")}
"""The one module of ours that is loaded late: it takes as long as all the rest of a worker, and few workers serve a target."""
VAGUE = re.compile(r"(^|_)(utils?|common|helpers?|misc)(_|$)|(Manager|Base|Impl|Helper|Utils?)$|^(Abstract|Base)[A-Z]")


def name_of(path: Path) -> str:
    """`.../pilotbase/spec/load.py` -> `pilotbase.spec.load`."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def trees() -> Mapping[str, tuple[Path, ast.Module]]:
    """Every module by name, parsed."""
    return {name_of(path): (path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(SOURCE.rglob("*.py"))}


def imported(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """The modules that a tree imports, each with its statement; `from package import module` is that module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"a relative import in line {node.lineno}: write the module's whole name"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield node, inner if inner in trees() else node.module


def cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """One cycle of a graph, as its nodes in order; empty where there is none."""
    done: set[str] = set()

    def visit(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return []
        for other in sorted(graph.get(node, ())):
            if found := visit(other, [*way, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := visit(node, []))), [])


def edges() -> dict[str, set[str]]:
    """What each module imports of ours. The root's `__init__`, which holds the version alone, is left out."""
    return {
        name: {other for _, other in imported(tree) if other in trees() and other not in {name, "pilotbase"}}
        for name, (_, tree) in trees().items()
    }


def test_the_search_for_cycles_finds_one() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert cycle(edges()) == []


def test_no_packages_import_one_another_in_a_circle() -> None:
    def unit(module: str) -> str:
        return ".".join(module.split(".")[:2])

    packages: dict[str, set[str]] = {}
    for module, others in edges().items():
        packages.setdefault(unit(module), set()).update(unit(other) for other in others if unit(other) != unit(module))
    assert cycle(packages) == []


def test_no_module_imports_the_init_of_its_own_package() -> None:
    found = [
        f"{path}:{statement.lineno}"
        for name, (path, tree) in trees().items()
        for statement, other in imported(tree)
        if path.name != "__init__.py" and other == name.rpartition(".")[0]
    ]
    assert found == []


def test_the_init_of_a_package_holds_a_docstring_and_the_root_its_version_too() -> None:
    for name, (path, tree) in trees().items():
        if path.name == "__init__.py":
            assert ast.get_docstring(tree), path
            rest = [ast.unparse(statement).split(" = ")[0] for statement in tree.body[1:]]
            assert rest in ([], ["__version__"] if name == "pilotbase" else []), f"{path} holds more than a docstring: {rest}"


def test_no_module_is_longer_than_600_lines() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, (path, _) in trees().items()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_only_the_settings_read_the_environment() -> None:
    reads = {"environ", "environb", "getenv", "getenvb", "putenv"}
    found = [
        f"{path}:{node.lineno}"
        for name, (path, tree) in trees().items()
        for node in ast.walk(tree)
        if name != "pilotbase.settings"
        and (
            (isinstance(node, ast.Attribute) and node.attr in reads)
            or (isinstance(node, ast.ImportFrom) and node.module == "os" and any(alias.name in reads for alias in node.names))
        )
    ]
    assert found == []


def _late(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    """Imports inside functions and classes."""
    for outer in ast.walk(tree):
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from imported(outer)


def test_imports_stand_at_the_top_except_for_heavy_libraries_in_the_module_that_owns_them() -> None:
    found = [
        f"{path}:{statement.lineno} imports {other}"
        for name, (path, tree) in trees().items()
        for statement, other in _late(tree)
        if (name not in LATE or other.partition(".")[0] not in HEAVY) and (name, other) not in LATE_OURS
    ]
    assert found == []


def test_only_the_command_line_and_the_plug_ins_load_modules_by_name() -> None:
    """The Python target does so too, in the candidate's own process: that is what it is for."""
    allowed = ("pilotbase.cli.", "pilotbase.plugins", "pilotbase.targets.python_worker")
    found = [
        f"{path}:{node.lineno}"
        for name, (path, tree) in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"importlib.import_module", "import_module", "__import__"}
        if not name.startswith(allowed)
    ]
    assert found == []


def test_no_name_is_vague() -> None:
    for name, (path, tree) in trees().items():
        assert not VAGUE.search(name.rpartition(".")[2]), f"{path}: a plain noun says more"
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                assert not VAGUE.search(node.name), f"{path}:{node.lineno}: class {node.name}"


def test_the_domain_needs_the_standard_library_only() -> None:
    ours = ("pilotbase.domain.", "pilotbase.stats.", "pilotbase.errors")
    for name, (path, tree) in trees().items():
        if name.startswith("pilotbase.domain"):
            for statement, other in imported(tree):
                root = other.partition(".")[0]
                assert root in sys.stdlib_module_names or other.startswith(ours), f"{path}:{statement.lineno} imports {other}"


def test_every_direct_dependency_is_imported_and_every_import_is_declared() -> None:
    """By the name that is imported; numpy, say, is no guest of polars but declared by itself."""
    renamed = {
        "ruamel.yaml": "ruamel",
        "prometheus-client": "prometheus_client",
        "pyahocorasick": "ahocorasick",
        "opentelemetry-sdk": "opentelemetry",
        "opentelemetry-exporter-otlp-proto-http": "opentelemetry",
        "fastapi": "fastapi",
        "pyjwt": "jwt",
        "argon2-cffi": "argon2",
    }
    unseen = {"scikit-learn", "python-multipart"}  # the examples' library; what Starlette reads forms with
    guests = {"starlette"}  # FastAPI is made of it
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(lines: list[str]) -> set[str]:
        return {re.split(r"[^A-Za-z0-9._-]", line)[0] for line in lines if not line.startswith("pilotbase[")}

    declared = names(project["dependencies"])
    extras = {name for lines in project["optional-dependencies"].values() for name in names(lines)} - unseen
    used = {other.partition(".")[0] for _, tree in trees().values() for _, other in imported(tree)} - guests
    imported_names = {renamed.get(name, name) for name in declared | extras}
    assert imported_names == used - set(sys.stdlib_module_names) - {"pilotbase"}
    assert len(declared) <= 15


def test_every_requirement_is_pinned_and_the_tests_use_the_versions_of_the_demo() -> None:
    pinned = {}
    for list_name in ("demo", "test"):
        lines = (ROOT / "requirements" / f"{list_name}.txt").read_text(encoding="utf-8").splitlines()
        pinned[list_name] = {line for line in lines if not line.startswith("#")}
        assert pinned[list_name] and all(re.fullmatch(r"[a-z0-9.-]+==[0-9][0-9a-z.]*", line) for line in pinned[list_name])
    assert pinned["demo"] <= pinned["test"]


GROUPS = sorted(
    group for group in entry_points().groups if group.startswith("pilotbase.")
)  # in one order: tests run in two processes
OURS = [point for group in GROUPS for point in sorted(entry_points(group=group), key=lambda p: p.name)]


@pytest.mark.parametrize("point", [p for p in OURS if p.value.startswith("pilotbase.")], ids=lambda p: f"{p.group}:{p.name}")
def test_an_entry_point_loads(point) -> None:
    assert point.load() is not None


def test_there_are_entry_points_for_targets_and_executors() -> None:
    assert {"pilotbase.targets", "pilotbase.executors"} <= {point.group for point in OURS}


def test_every_command_names_a_module_that_is_there() -> None:
    assert [name for name, (module, _) in COMMANDS.items() if module not in trees()] == []
