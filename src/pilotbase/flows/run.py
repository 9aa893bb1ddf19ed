"""`pilotbase run`: declared pilot in, verdict out; goes on with a cut run where nothing changed."""

import asyncio
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pilotbase import plugins
from pilotbase.context import Context
from pilotbase.domain.verdict import RunResult
from pilotbase.errors import Interrupted, UserError
from pilotbase.flows.asking import ask_all
from pilotbase.flows.casebook import write_cases
from pilotbase.flows.conclude import conclude_run
from pilotbase.flows.criteria import plan, scenario_key
from pilotbase.flows.judging import check_judges
from pilotbase.flows.options import RunOptions
from pilotbase.flows.prepare import Elsewhere, Prepared, prepare
from pilotbase.flows.resume import resume_run
from pilotbase.pilots.limits import Budget
from pilotbase.pilots.progress import Progress
from pilotbase.pilots.records import (
    RunRecord,
    create_run,
    finish_run,
    get_run,
    record_criteria,
    set_account,
    set_state,
)
from pilotbase.spec.load import Loaded
from pilotbase.store.lock import RunLock

__all__ = ["run_pilot"]


def run_pilot(
    context: Context,
    loaded: Loaded,
    options: RunOptions,
    progress: Progress,
    elsewhere: Elsewhere | None = None,
    begun: Callable[[str], None] | None = None,
) -> RunResult:
    """Run a pilot to its verdict. Raises UserError (2: the input; 4: no candidate could be reached) and Interrupted.

    `begun` hears of a new run within the transaction that makes it: where it raises, there is none.
    """
    prepared = prepare(context, loaded, context.scratch(), early_stop=options.early_stop, elsewhere=elsewhere)
    try:
        _check_options(prepared, options)
        plugins.load("executors", options.executor)
        check_judges(prepared)
        for repair in prepared.cases.repairs:
            progress.note(f"{prepared.cases.path.name}: {repair}")
        record = resume_run(context, prepared, options, progress) or _begin(context, prepared, options, begun)
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


def _begin(context: Context, prepared: Prepared, options: RunOptions, begun: Callable[[str], None] | None) -> RunRecord:
    with context.database.transaction():
        record = _create(context, prepared, options)
        if begun is not None:
            begun(record.run)
    return record


def _create(context: Context, prepared: Prepared, options: RunOptions) -> RunRecord:
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
