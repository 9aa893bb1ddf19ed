"""`target:` of a candidate: one way to reach it, and that way's own options."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from pilotbase import plugins
from pilotbase.domain.pilot import TargetSpec
from pilotbase.domain.problem import Path, Problem, nearest
from pilotbase.errors import UserError
from pilotbase.ports import TargetKind
from pilotbase.spec.kinds import described, found, hints, words
from pilotbase.spec.parts import Finding, Parsed, parse
from pilotbase.spec.place import show

__all__ = ["Kinds", "installed", "main_word", "read_target"]

Kinds = Callable[[str], TargetKind]
Raw = Callable[[Path], str | None]


def installed(name: str) -> TargetKind:
    """The kind registered under a name. UserError where its library is missing."""
    kind: TargetKind = plugins.load("targets", name)
    return kind


def main_word(kind: TargetKind) -> str:
    """The option that `{kind: VALUE}` gives: the first one."""
    return words(kind.options)[0]


def read_target(data: Any, kinds: Kinds, known: Sequence[str], raw: Raw) -> tuple[TargetSpec | None, list[Finding]]:
    """Read `{KIND: {OPTIONS}}`, or `{KIND: VALUE, OPTION: VALUE}` where VALUE is the kind's first option.

    None where it does not parse. Paths of the findings start below `target`.
    """
    choice = f"allowed: one of {', '.join(known) or 'none installed'}, as in {{{known[0] if known else 'KIND'}: ...}}"
    if not isinstance(data, dict):
        return None, [Finding(Problem((), f"found {found(data)}", choice))]
    named = [word for word in data if word in known]
    if len(named) > 1:
        several = Problem((named[1],), f"{' and '.join(f'`{n}`' for n in named)} are several targets", "keep one")
        return None, [Finding(several, key=True)]
    if not named:
        return None, [_nameless(data, known, choice)]
    name = named[0]
    try:
        kind = kinds(name)
    except UserError as error:
        return None, [Finding(Problem((name,), error.message, error.hint), key=True)]
    return _options(name, kind, data, raw)


def _nameless(data: dict[str, Any], known: Sequence[str], choice: str) -> Finding:
    if not data:
        return Finding(Problem((), "the target is empty", choice))
    word, near = next(((w, n) for w in data if (n := nearest(w, known))), (next(iter(data)), None))
    hint = f"{choice}; did you mean `{near}`?" if near else choice
    return Finding(Problem((word,), f"`{show(word)}` is no way to reach a candidate", hint), key=True)


def _options(name: str, kind: TargetKind, data: dict[str, Any], raw: Raw) -> tuple[TargetSpec | None, list[Finding]]:
    main = main_word(kind)
    findings: list[Finding] = []
    beside = {word: value for word, value in data.items() if word != name}
    if isinstance(data[name], dict):
        options = data[name]
        for word in beside:
            stray = Problem((word,), f"`{show(word)}` stands beside `{name}`", f"put it under `{name}`")
            findings.append(Finding(stray, key=True))
    elif main in beside:
        twice = Problem((main,), f"`{main}` is given twice: `{name}: ...` gives it already", "keep one")
        return None, [Finding(twice, key=True)]
    elif data[name] is None and dataclasses.fields(kind.options):
        allowed = f"allowed: {described(hints(kind.options)[main])}, or {described(kind.options)}"
        return None, [Finding(Problem((name,), "found nothing", allowed))]
    else:
        options = {main: data[name], **beside}

    def out(path: Path) -> Path:
        """Where an option's path stands in the file."""
        if options is data[name]:
            return (name, *path)
        return (name, *path[1:]) if path[:1] == (main,) else path

    parsed: Parsed[Any] = parse(kind.options, options, lambda path: raw(out(path)))
    findings += [Finding(dataclasses.replace(f.problem, path=out(f.problem.path)), f.key) for f in parsed.findings]
    if parsed.value is not None and hasattr(parsed.value, "problems"):
        for problem in parsed.value.problems():
            if not any(problem.path[:n] in parsed.mended for n in range(1, len(problem.path) + 1)):
                findings.append(Finding(dataclasses.replace(problem, path=out(problem.path))))
    return TargetSpec(kind=name, options=parsed.value) if parsed.value is not None and not findings else None, findings
