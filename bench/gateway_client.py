"""A load generator on asyncio: so many connections, each sending its next request when the last was answered.

    python bench/gateway_client.py PORT BODY_FILE KEY [--connections 32] [--seconds 5]

No request is begun after the time is over, and all that were begun are waited for, so that no work is left uncounted: for slow
servers that is the right measure. It prints one JSON document: {requests, seconds, p50, p99, failed}, latencies in milliseconds.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path

try:
    import uvloop
except ImportError:  # Windows
    uvloop = None

LAST_CHUNK = b"0\r\n\r\n"


class Client(asyncio.Protocol):
    """One connection. `ended` is set when it will send no more."""

    def __init__(self, request: bytes, until: float, times: list[float]) -> None:
        self.request = request
        self.until = until
        self.times = times
        self.failed = 0
        self.ended = asyncio.Event()
        self.buffer = bytearray()
        self.begun = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.ask()

    def ask(self) -> None:
        """Send the next request, or end."""
        assert self.transport is not None
        self.begun = time.perf_counter()
        if self.begun >= self.until:
            self.ended.set()
            self.transport.close()
            return
        self.buffer.clear()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.whole():
            return
        self.times.append(time.perf_counter() - self.begun)
        if not self.buffer.startswith(b"HTTP/1.1 200"):
            self.failed += 1
        self.ask()

    def whole(self) -> bool:
        """Whether the answer has come to its end (RFC 9112, section 6: by its length, or by its last chunk)."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self.buffer[:end]).lower()
        at = head.find(b"content-length:")
        if at < 0:
            return self.buffer.endswith(LAST_CHUNK)
        return len(self.buffer) >= end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.is_set():
            self.failed += 1
            self.ended.set()


async def drive(port: int, request: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Load a server; what came of it."""
    times: list[float] = []
    begun = time.perf_counter()
    loop = asyncio.get_running_loop()
    clients = [Client(request, begun + seconds, times) for _ in range(connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
    await asyncio.gather(*(client.ended.wait() for client in clients))
    taken = time.perf_counter() - begun
    ordered = sorted(times) or [0.0]
    at = [1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99)]
    failed = sum(client.failed for client in clients)
    return {"requests": len(times), "seconds": taken, "p50": at[0], "p99": at[1], "failed": failed}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("body", type=Path)
    parser.add_argument("key")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    body = given.body.read_bytes()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    request = f"{head}Authorization: Bearer {given.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    run = asyncio.run if uvloop is None else uvloop.run
    print(json.dumps(run(drive(given.port, request, given.connections, given.seconds))))


if __name__ == "__main__":
    main()
