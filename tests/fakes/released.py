"""A gateway with one route under release: a stable upstream, a candidate, a purse for shadows, and a customer's key.

async with Released(tmp_path, stable=answers("old"), candidate=answers("new")) as one:
    await one.put(share=0.25)                 # the arm as the release would set it, watched
    answer = await one.ask("hello")           # a chat of the customer
    await one.gateway.settled()
    one.rows("shadow")                        # rows of one arm
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes.gateway import Answered
from tests.fakes.gateway_each import Each
from tests.fakes.upstream_server import Behaviour, UpstreamServer, answers

from pilotbase.domain.price import Price
from pilotbase.domain.traffic import Arm, Route, Tie, Upstream

__all__ = ["PRICE", "Released", "text_of"]

PRICE = Price(per_call="0.001 CNY", per_million_input_tokens="2 CNY", per_million_output_tokens="6 CNY")


def text_of(answer: Answered) -> str:
    """What a chat answer says."""
    return str(answer.json["choices"][0]["message"]["content"])


@dataclass
class Released:
    """See the module. `target` is the document of a candidate of kind target, in place of an address.

    There is no release in the database, only its arm: who watches is said by `put` and by `gateway.watch` alone.
    """

    home: Path
    stable: Behaviour = field(default_factory=lambda: answers("old"))
    candidate: Behaviour = field(default_factory=lambda: answers("new"))
    workers: int = 1
    target: dict[str, Any] | None = None
    timeout: str = "120s"

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self.old = await self._stack.enter_async_context(UpstreamServer(self.stable))
        self.new = await self._stack.enter_async_context(UpstreamServer(self.candidate))
        self.gateway = await self._stack.enter_async_context(Each(self.home, workers=self.workers, vouching=False))
        self.route = self.gateway.put(
            Route(name="m", upstreams=(Upstream(url=self.old.url),), price=PRICE, tie=Tie(policy="allow"), max_output=16)
        )
        self.token = self.gateway.key("customer", budget="100 CNY")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def arm(self, **fields: Any) -> Arm:
        """The candidate arm; both arms call their upstream `main`, as most do."""
        if self.target is not None:
            upstream = Upstream(kind="target", target=self.target)
        else:
            upstream = Upstream(url=self.new.url, timeouts=type(Upstream().timeouts)(first_byte=self.timeout))
        return Arm(**{"release": "r1", "upstreams": (upstream,), "tie": Tie(policy="allow"), "price": PRICE, **fields})

    async def put(self, watched: float = 600.0, **fields: Any) -> None:
        """Set the arm; where it shadows and no purse is named, one of 100 CNY pays."""
        if fields.get("shadow") and "purse" not in fields:
            fields["purse"] = self.purse("100 CNY")
        self.gateway.release(self.route, self.arm(**fields))
        await self.gateway.watch(watched)

    def purse(self, budget: str) -> str:
        """The id of a new key that pays for shadows."""
        return self.gateway.find_key(self.gateway.key("purse", budget=budget)).id

    async def ask(
        self, text: str = "hello", *, key: str | None = None, headers: dict[str, str] | None = None, **more: Any
    ) -> Answered:
        """One chat of the customer."""
        turns = [{"role": "user", "content": text}]
        body = {"model": "m", "messages": turns, **more}
        return await self.gateway.post("/v1/chat/completions", key or self.token, body, **(headers or {}))

    def rows(self, arm: str) -> list[dict[str, Any]]:
        """The ledger's rows of one arm."""
        return [row for row in self.gateway.rows() if row["arm"] == arm]

    def samples(self) -> dict[str, dict[str, Any]]:
        """What was sampled, by request."""
        return {row["request"]: dict(row) for row in self.gateway.context.database.rows("SELECT * FROM samples")}
