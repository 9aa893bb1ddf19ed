"""How a gateway is run: the words of `pilotbase serve`, checked once and handed to every worker."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pilotbase.domain.problem import Problem

__all__ = ["ServeOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """`drain` is how many seconds requests under way have to end; `durability` what a reservation survives (a settlement always
    survives the machine); `body` the most bytes of a request; `bodies` the share of requests whose bodies are kept, redacted;
    `keep` how many days logs stay; `otlp` the address that spans are sent to;
    `jobs` how many runs that were started in the browser are under way at a time (0: none).
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    drain: float = 30.0
    durability: Literal["process", "machine"] = "process"
    body: int = 32 * 1024 * 1024
    bodies: float = 0.0
    keep: int = 183
    keep_bodies: int = 30
    log: Literal["file", "stderr", "off"] = "file"
    otlp: str | None = None
    slow: float = 60.0
    drains: int = 256
    jobs: int = 1

    def problems(self) -> Iterator[Problem]:
        ranges: tuple[tuple[str, float, float, float], ...] = (
            ("port", self.port, 0, 65535),
            ("workers", self.workers, 1, 256),
            ("jobs", self.jobs, 0, 64),
            ("drain", self.drain, 1, 3600),
            ("max-body", self.body, 1024, 2**31),
            ("sample-bodies", self.bodies, 0, 1),
            ("keep", self.keep, 1, 36500),
            ("keep-bodies", self.keep_bodies, 1, 36500),
        )
        for word, value, low, high in ranges:
            if not low <= value <= high:
                yield Problem((word,), f"{value:g} is out of range", f"use {low:g} to {high:g}")

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)
