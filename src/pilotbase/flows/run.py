"""`pilotbase run`: declared pilot in, verdict out; goes on with a cut run where nothing changed."""

import asyncio
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from pilotbase import plugins
from pilotbase.context import Context
from pilotbase.domain.verdict import RunResult
from pilotbase.errors import Interrupted, UserError
from pilotbase.flows.asking import ask_all
from pilotbase.flows.conclude import conclude_run
from pilotbase.flows.evidence import write_cases
from pilotbase.flows.judging import check_judges
from pilotbase.flows.prepare import Elsewhere, Prepared, plan, prepare, scenario_key
from pilotbase.pilots.limits import Budget
from pilotbase.pilots.progress import Progress
from pilotbase.pilots.records import (
    RunRecord,
    create_run,
    find_criteria,
    finish_run,
    get_run,
    record_criteria,
    set_account,
    set_state,
    unfinished_run,
)
from pilotbase.spec.load import Loaded
from pilotbase.store.lock import RunLock

__all__ = ["RunOptions", "run_pilot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run: `only` and `limit` make a run partial; `resume` names one to go on with; `fresh` begins a new one."""

    only: tuple[str, ...] = ()
    limit: int | None = None
    resume: str | None = None
    fresh: bool = False
    early_stop: bool = True
    executor: str = "local"

    @property
    def partial(self) -> str:
        """Why a run with these options is partial, or ""."""
        words = [f"--only {', '.join(self.only)}"] * bool(self.only) + [f"--limit {self.limit}"] * (self.limit is not None)
        return " and ".join(words)

    def arguments(self) -> list[str]:
        """The flags that say the same on the command line, for a run that goes on."""
        words = [w for name in self.only for w in ("--only", name)]
        words += ["--limit", str(self.limit)] if self.limit is not None else []
        return [*words, *(["--no-early-stop"] if not self.early_stop else [])]


def run_pilot(
    context: Context, loaded: Loaded, options: RunOptions, progress: Progress, elsewhere: Elsewhere | None = None
) -> RunResult:
    """Run a pilot to its verdict. Raises UserError (2: the input; 4: no candidate could be reached) and Interrupted."""
    prepared = prepare(context, loaded, context.scratch(), early_stop=options.early_stop, elsewhere=elsewhere)
    try:
        _check_options(prepared, options)
        plugins.load("executors", options.executor)
        check_judges(prepared)
        for repair in prepared.cases.repairs:
            progress.note(f"{prepared.cases.path.name}: {repair}")
        record = _resume(context, prepared, options, progress) or _begin(context, prepared, options)
        context.disk.make_folder(context.run_folder(record.run))
        with (
            RunLock(context.run_folder(record.run) / "run.lock", context.disk),
            _interruptible(context, record, prepared, options),
        ):
            write_cases(context, record.run, prepared.columns)
            set_state(context.database, record.run, "asking", context.stamp())
            account = _ask(context, record, prepared, options, progress)
            set_account(context.database, record.run, account, context.stamp())
            progress.note("reading the evidence back and concluding")
            result, document = conclude_run(context, get_run(context.database, record.run))
            finish_run(context.database, record.run, document, context.stamp())
        return result
    finally:
        prepared.cases.close()


@contextmanager
def _interruptible(context: Context, record: RunRecord, prepared: Prepared, options: RunOptions) -> Iterator[None]:
    """Ctrl-C anywhere in a run marks it and says how to go on."""
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        set_state(context.database, record.run, "interrupted", context.stamp())
        again = shlex.join(["pilotbase", "run", str(prepared.loaded.path), *options.arguments()])
        raise Interrupted(f"run {record.run} was interrupted; what was recorded is kept. Go on with: {again}") from None


def _check_options(prepared: Prepared, options: RunOptions) -> None:
    if options.fresh and options.resume:
        raise UserError(f"--fresh starts a new run, and --resume {options.resume} goes on with one", hint="keep one of them")
    known = {c.id for c in prepared.pilot.candidates}
    for name in options.only:
        if name not in known:
            raise UserError(f"--only {name}: the pilot has no such candidate", hint=f"one of: {', '.join(sorted(known))}")
    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit {options.limit} tries nothing", hint="use at least 1")


def _begin(context: Context, prepared: Prepared, options: RunOptions) -> RunRecord:
    pilot, cases = prepared.pilot, prepared.cases
    now = context.stamp()
    recorded = record_criteria(context.database, prepared.criteria_digest, prepared.criteria, now)
    return create_run(
        context.database,
        pilot=pilot.pilot,
        spec_digest=prepared.loaded.digest,
        criteria_digest=prepared.criteria_digest,
        data_digest=cases.digest,
        scenario=scenario_key(pilot),
        now=now,
        options={
            "document": prepared.loaded.document,
            "folder": str(prepared.loaded.folder.absolute()),
            "spec": str(prepared.loaded.path.absolute()),
            "packs": dict(prepared.loaded.packs),
            "early_stop": options.early_stop,
            "only": list(options.only),
            "limit": options.limit,
            "partial": options.partial,
            "candidates": prepared.identities(),
            "criteria_recorded": recorded,
            "labels": {path: [row.label for row in rows] for path, rows in prepared.labels.items()},
            "data": {
                "digest": cases.digest,
                "order": cases.order,
                "count": cases.count,
                "name": cases.path.name,
                "path": str(cases.path.absolute()),
                "repairs": list(cases.repairs),
            },
        },
    )


def _resume(context: Context, prepared: Prepared, options: RunOptions, progress: Progress) -> RunRecord | None:
    """The unfinished run to go on with, if there is one and nothing changed; exit 2 where something did."""
    if options.fresh:
        return None
    found = (
        get_run(context.database, options.resume) if options.resume else unfinished_run(context.database, prepared.pilot.pilot)
    )
    if found is None:
        return None
    if found.state == "finished":
        raise UserError(
            f"run {found.run} is finished", hint=f"see it with `pilotbase show {found.run}`, or leave --resume out for a new run"
        )
    changed = list(_changes(context, found, prepared, options))
    if changed:
        raise UserError(
            f"run {found.run} is unfinished, and since it began these changed: {'; '.join(changed)}",
            hint="undo the change to go on with it, or start over with --fresh (the unfinished run is kept, its round is spent)",
        )
    progress.note(f"going on with the unfinished run {found.run}")
    return found


def _changes(context: Context, found: RunRecord, prepared: Prepared, options: RunOptions) -> Iterator[str]:
    if found.pilot != prepared.pilot.pilot:
        yield f"it is of pilot `{found.pilot}`, and this one is `{prepared.pilot.pilot}`"
    if found.data_digest != prepared.cases.digest:
        yield f"the data ({prepared.cases.path.name})"
    if found.criteria_digest != prepared.criteria_digest:
        yield from _changed_criteria(find_criteria(context.database, found.criteria_digest), prepared)
    for name, before in found.fingerprints.items():
        now = prepared.fingerprints.get(name)
        if now is not None and now.digest != before:
            parts = next(c["parts"] for c in found.options["candidates"] if c["id"] == name)
            moved = sorted(k for k in {*parts, *now.parts} if parts.get(k) != now.parts.get(k))
            yield f"candidate `{name}` ({', '.join(moved[:5]) or 'its fingerprint'})"
    if list(options.only) != found.options["only"]:
        yield "--only"
    if options.limit != found.options["limit"]:
        yield "--limit"


def _changed_criteria(before: Mapping[str, Any], prepared: Prepared) -> Iterator[str]:
    """Which parts of the criteria are others now; the data is told by itself."""
    now = orjson.loads(prepared.criteria)
    told = {
        "pilot": f"the spec ({prepared.loaded.path.name})",
        "packs": f"a pack that {prepared.loaded.path.name} uses",
        "methods": "the methods of this version of pilotbase",
        "early_stop": "--no-early-stop",
    }
    for part, words in told.items():
        if before.get(part) != now.get(part):
            yield words
    for path in sorted({*before.get("labels", {}), *now["labels"]}):
        if before.get("labels", {}).get(path) != now["labels"].get(path):
            yield f"the labels ({path})"


def _ask(context: Context, record: RunRecord, prepared: Prepared, options: RunOptions, progress: Progress) -> dict[str, Any]:
    """The asking, in an event loop of its own."""
    _, planned, variants = plan(prepared.pilot, record.round, early_stop=record.options["early_stop"])
    budget = Budget(prepared.pilot.limits)
    executor = plugins.load("executors", options.executor)()
    work = ask_all(
        context,
        record,
        prepared,
        planned=planned,
        variants=variants,
        executor=executor,
        limit=options.limit,
        only=options.only,
        budget=budget,
        progress=progress,
    )
    with _runner() as runner:
        return runner.run(work)


@contextmanager
def _runner() -> Iterator[asyncio.Runner]:
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner
