"""The executor of one machine: as many coroutines as the target allows, pulling from one iterator."""

from collections.abc import Iterable, Iterator, Sequence

from pilotbase.domain.evidence import Ask
from pilotbase.ports import Record, Target
from pilotbase.together import run_together

__all__ = ["LocalExecutor"]


class LocalExecutor:
    """Implements ports.Executor in the running event loop. No queue and no task per item: those cost more than a quick call."""

    async def run(self, target: Target, items: Iterable[Sequence[Ask]], record: Record) -> None:
        """See ports.Executor. On an error the calls under way are cancelled and awaited before it propagates."""
        pulled = iter(items)
        await run_together(_work(target, pulled, record) for _ in range(max(1, target.concurrency)))


async def _work(target: Target, pulled: Iterator[Sequence[Ask]], record: Record) -> None:
    for asks in pulled:
        replies = await target.invoke(asks)
        if len(replies) != len(asks):
            raise RuntimeError(f"{type(target).__name__} gave {len(replies)} replies to {len(asks)} asks")
        record(asks, replies)
