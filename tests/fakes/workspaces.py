"""Uploaded pilots in a home: small ones that are asked in a moment, or slowly, and jobs on them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from pilotbase.compute import jobs
from pilotbase.context import Context
from pilotbase.domain.job import Job
from pilotbase.flows.home_name import home_name
from pilotbase.pilots import workspaces
from pilotbase.pilots.workspaces import Keeper, Workspace

__all__ = ["SLOW", "job_on", "kept", "pilot_files"]

SLOW = """
import os
import time


def answer(case):
    time.sleep(0.05)
    return "yes" if case["x"] % 2 else "no"
"""


def pilot_files(
    count: int = 40,
    *,
    target: Any = None,
    code: str | None = None,
    limits: Any = None,
    require: str = ">= 0.6",
    name: str = "small",
    **more: Any,
) -> dict[str, bytes]:
    """pilot.yaml (JSON is YAML), test.csv and answers.csv; with `code` also models.py, whose `answer` is asked."""
    rows = "".join(f"c{x},{x},{'yes' if x % 2 else 'no'}\n" for x in range(count))
    answers = "".join(f"c{x},{'yes' if x % 2 else 'no'}\n" for x in range(count))
    asked = target or ({"python": "models:answer"} if code is not None else {"recorded": "answers.csv"})
    document = {
        "pilot": name,
        "scenario": {
            "area": "industry", "field": "tests", "owner": "nobody", "need": "Tell odd from even.", "risk": "medium",
            "authority": "user-only",
        },
        "data": {"test": {"path": "test.csv", "id": "id", "inputs": ["x"], "target": "label", "positive": "yes"}},
        "candidates": [{"id": "good", "target": asked, **more}],
        "gates": [{"gate": "capability", "checks": [{"metric": "accuracy", "require": require}]}],
        **({"limits": limits} if limits else {}),
    }  # fmt: skip
    files = {
        "pilot.yaml": orjson.dumps(document, option=orjson.OPT_INDENT_2),
        "test.csv": b"id,x,label\n" + rows.encode(),
        "answers.csv": b"id,answer\n" + answers.encode(),
    }
    return files | ({"models.py": code.encode()} if code is not None else {})


def kept(context: Context, files: Mapping[str, bytes], *, who: str = "member:li") -> Workspace:
    """A workspace of these files."""
    by = Keeper(disk=context.disk, home=context.home, of=home_name(context), who=who, now=context.clock.now())
    return workspaces.create(context.database, by, files, name="small", organisation="base")


def job_on(context: Context, workspace: Workspace, kind: Any = "run", *, run: str = "") -> Job:
    """A job on its newest version."""
    version = workspaces.get_version(context.database, workspace.id, workspace.version)
    return jobs.create(
        context.database, kind, home=home_name(context), who="member:li", now=datetime.now(UTC), workspace=workspace.id,
        digest=version.digest, run=run,
    )  # fmt: skip
