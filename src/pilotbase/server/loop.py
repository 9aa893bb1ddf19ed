"""The event loop that servers run on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

__all__ = ["run_loop"]


def run_loop(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run to the end on uvloop; the result."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())
