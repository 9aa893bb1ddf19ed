"""Coroutines that stand and fall together."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

__all__ = ["run_together"]


async def run_together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all at once until all end. The first error cancels the others, which are awaited before it propagates as it is.

    (`asyncio.TaskGroup` would wrap it in a group, and callers tell errors apart by their class.)
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled():
            task.result()
