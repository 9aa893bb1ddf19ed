"""The pages, their console blocks, and the parts of them that are written from the code.

A line that begins with `$ ` in a `console` block is a command; the lines after it are what it prints. `...` alone on a line
stands for any lines, inside a line for any text. Rewrite the generated parts with `python tests/docs/pages.py`.
"""

import functools
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotbase.checks import labels, service, texts
from pilotbase.checks.metrics import METRICS, Kind, Metric
from pilotbase.checks.transforms import TRANSFORMS
from pilotbase.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAIRS = (
    (ROOT / "README.md", ROOT / "README.zh.md"),
    (ROOT / "docs/guide.md", ROOT / "docs/zh/guide.md"),
    (ROOT / "docs/verdicts.md", ROOT / "docs/zh/verdicts.md"),
)
EXEMPT = ("scripts/demo", "scripts/test")
WIDTH = 100
SUBCOMMANDS = (
    "disclose open", "disclose check", "key show", "key export", "key trust", "key create", "key ls", "key rotate", "key revoke",
    "pack ls", "pack publish", "route add", "route ls", "route show", "route rm", "route policy", "usage reconcile",
    "release start", "release ls", "release status", "release pause", "release resume", "release promote", "release rollback",
    "release label", "incident ls", "incident show", "incident open", "incident contain", "incident resolve", "incident close",
    "incident export", "case ls", "case show", "case export", "case verify", "admin token", "admin token create",
)  # fmt: skip
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# (\S+/\S+\.(?:py|yaml))\n")


def pages() -> list[Path]:
    """Every page of this project's documentation."""
    return [ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name(page: Path) -> str:
    """A page as seen from the root."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [body for found, body in _BLOCK.findall(page.read_text("utf-8")) if found == language]


@dataclass(frozen=True, slots=True)
class Action:
    """A command, or a file to write (then `command` is its path and `body` what it holds)."""

    command: str
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """An action, and what the page says that it prints (empty: nothing is said)."""

    action: Action
    expected: str = ""


def steps(page: Path) -> list[Step]:
    """The commands of a page in order, the two scripts apart, and the files that it shows under a first line `# FOLDER/NAME`."""
    found: list[Step] = []
    for language, body in _BLOCK.findall(page.read_text("utf-8")):
        if language in ("python", "yaml") and (named := _NAMED.match(body)):
            found.append(Step(Action(named[1], body)))
        if language != "console":
            continue
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            if not command.startswith(EXEMPT):
                found.append(Step(Action(command.strip()), expected.strip("\n")))
    return found


def _environment() -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PILOTBASE_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return inherited | {"PATH": path, "COLUMNS": str(WIDTH), "PYTHONUTF8": "1"}


@functools.cache
def _process() -> "subprocess.Popen[str]":
    """The one process that runs pilotbase's commands; it ends with this one, whose end closes its input."""
    command = [sys.executable, str(Path(__file__).with_name("shell.py"))]
    return subprocess.Popen(command, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


class Shell:
    """Runs commands in one folder: pilotbase's in the one process that stays, others by bash. `code` is the last exit code."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = 0

    def run(self, command: str) -> str:
        """What a command prints, on either stream."""
        words = _words(command)
        if words is None:
            done = subprocess.run(
                ["bash", "-c", f"(exit {self.code}); {command}"],
                cwd=self.folder,
                env=_environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
                check=False,
            )
            self.code = done.returncode
            return done.stdout
        shown = self.folder / ".printed"
        shown.unlink(missing_ok=True)
        process = _process()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({**words, "folder": str(self.folder), "errors": str(shown)}) + "\n")
        self.code = int(process.stdout.readline())
        return shown.read_text("utf-8")


def _words(command: str) -> dict[str, object] | None:
    """The variables, arguments and output file of a plain `[NAME=VALUE] pilotbase ... [> FILE]`; None where a shell is needed."""
    plain, _, file = command.partition(" > ")
    if re.search(r"[$`|<>&;*]", plain + file):
        return None
    words = shlex.split(plain)
    variables = dict(w.split("=", 1) for w in itertools.takewhile(lambda w: re.match(r"[A-Z_]+=", w), words))
    rest = words[len(variables) :]
    return {"variables": variables, "arguments": rest[1:], "output": file.strip()} if rest[:1] == ["pilotbase"] else None


@functools.cache
def session(actions: tuple[Action, ...]) -> tuple[str, ...]:
    """What each action prints, done one after the other in one new folder. Pages with the same actions share a session."""
    printed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(Path(folder))
        for action in actions:
            if action.body is None:
                printed.append(shell.run(action.command))
                continue
            place = Path(folder, action.command)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(action.body, "utf-8")
            printed.append("")
    return tuple(printed)


def agrees(expected: str, printed: str) -> bool:
    """Whether output is what a page says, `...` standing for anything, spaces at line ends apart."""
    if not expected:
        return True
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(piece) for piece in line.rstrip().split("...")) + r"\n"
    shown = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, shown) is not None


@functools.cache
def helps() -> dict[str, str]:
    """The real `--help` of pilotbase (""), of each command and of each command's own words, 100 columns wide."""
    wanted = ["", *COMMANDS, *SUBCOMMANDS]
    actions = tuple(Action(" ".join(["pilotbase", *command.split(), "--help"])) for command in wanted)
    return dict(zip(wanted, session(actions), strict=True))


_METHODS: dict[Kind, tuple[str, str]] = {
    "proportion": ("mixture martingale", "Clopper-Pearson"),
    "mean": ("betting", "betting, tuned to n"),
    "loss": ("—", "t with skewness correction"),
    "root-mean-square": ("—", "roots of the bounds of the mean square; with `bound`: betting, tuned to n"),
    "f1": ("—", "Clopper-Pearson through the Jaccard index"),
    "balanced": ("—", "MOVER on Clopper-Pearson limits"),
    "auroc": ("—", "DeLong variance, exact bounds on the effective sample"),
    "count": ("—", "census"),
    "members": ("—", "census"),
    "tail": ("—", "batch means, never narrower than Clopper-Pearson"),
    "throughput": ("—", "batch means"),
    "judged": ("—", "Rogan-Gladen, MOVER on Clopper-Pearson limits"),
}
_BOUNDED = ("with `bound`: betting", "t with skewness correction; with `bound`: betting, tuned to n")
_RULES = "[rules](verdicts.md#latency-and-throughput)"
_WORST: dict[Callable[..., object], str] = {
    labels.wrong: "0",
    labels.one: "1",
    labels.precise_failed: "a negative: 0; a positive: not in the denominator",
    labels.cell_failed: "a positive: false negative; a negative: false positive",
    labels.ranked_last: "ranked last",
    texts.worst: "0; 1 where the check says `<=`",
    service.cost: "its cost",
    service.tokens_in: "its tokens",
    service.tokens_out: "its tokens",
    service.tokens: "its tokens",
}
_NEEDS = {
    "target": "`data.test.target`",
    "positive": "`data.test.positive`",
    "number": "a numeric target",
    "load": "`load`",
    "price": "`price`",
    "incident": "`data.test.incident`",
    "judge": "`judge`",
    "repeat": "`repeat`",
    "pattern": "`pattern`",
    "choices": "`choices`",
    "expected": "`expect` or a target",
}


def failed(metric: Metric) -> str:
    """What a failed answer scores, in words."""
    if metric.worst is not None:
        return _WORST[metric.worst]
    if metric.kind == "tail":
        return "infinite"
    if metric.kind == "throughput":
        return "not counted, and limited by `errors`"
    return "INCONCLUSIVE, or the end of a declared `bound`"


def metric_table() -> str:
    """The table of metrics, a row each."""
    heads = ("metric", "name", "中文", "looks", "early look", "one look", "a failed answer scores", "needs", "source")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in METRICS.values():
        early, once = _BOUNDED if row.name == "mae" else _METHODS[row.kind]
        needs = ", ".join(_NEEDS[n] for n in _NEEDS if n in row.needs) or "—"
        source = row.source.replace("|", "\\|").replace("VERDICT.md section 6", _RULES) or "—"
        cells = (f"`{row.name}`", *row.title, row.looks, early, once, failed(row), needs, source)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def transform_table() -> str:
    """The table of transforms, a row each."""
    lines = ["| transform | changes | in words, at scale 0.1 | source |", "|---|---|---|---|"]
    for row in TRANSFORMS.values():
        lines.append(f"| `{row.name}` | {row.applies_to} columns | {row.describe(0.1, '')} | {row.source} |")
    return "\n".join(lines)


def help_blocks() -> Iterator[tuple[str, str]]:
    """(command, its block) of every help."""
    for command, text in helps().items():
        yield command, f"$ {' '.join(['pilotbase', *command.split(), '--help'])}\n{text.strip()}\n"


def generated(text: str, word: str) -> str | None:
    """What stands between `<!-- WORD -->` and `<!-- end -->`, or None."""
    found = re.search(rf"<!-- {re.escape(word)} -->\n(.*?)\n?<!-- end -->", text, re.DOTALL)
    return found[1] if found else None


def _put(page: Path, word: str, body: str) -> None:
    text = page.read_text("utf-8")
    pattern = re.compile(rf"(<!-- {re.escape(word)} -->\n).*?(<!-- end -->)", re.DOTALL)
    page.write_text(pattern.sub(lambda m: f"{m[1]}{body}\n{m[2]}", text), "utf-8")


def write() -> None:
    """Rewrite every generated part."""
    _put(ROOT / "docs/metrics.md", "metrics", metric_table())
    _put(ROOT / "docs/metrics.md", "transforms", transform_table())
    for command, block in help_blocks():
        _put(ROOT / "docs/commands.md", f"help {command}".strip(), f"```console\n{block}```")


if __name__ == "__main__":
    write()
