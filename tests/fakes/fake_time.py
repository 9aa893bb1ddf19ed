"""Time that passes only when somebody waits."""

import asyncio


class FakeTime:
    """`clock` and `sleep` that belong together; `waits` are the sleeps so far, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
