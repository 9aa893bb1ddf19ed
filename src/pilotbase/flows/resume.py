"""Going on with a run that was cut, where nothing changed."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from pilotbase.context import Context
from pilotbase.errors import UserError
from pilotbase.flows.options import RunOptions
from pilotbase.flows.prepare import Prepared
from pilotbase.pilots.progress import Progress
from pilotbase.pilots.records import (
    RunRecord,
    find_criteria,
    get_run,
    unfinished_run,
)

__all__ = ["resume_run"]


def resume_run(context: Context, prepared: Prepared, options: RunOptions, progress: Progress) -> RunRecord | None:
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
