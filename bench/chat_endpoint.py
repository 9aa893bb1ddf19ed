"""An OpenAI-compatible chat endpoint that answers at once: raw asyncio, no framework, for benchmarks and nothing else.

    python bench/chat_endpoint.py [--port 0] [--latency-ms 0] [--cap N] [--port-file F]

It prints its port on the first line. A request over the cap is answered 429. `GET /stats` tells {requests, refused, most}.
"""

import argparse
import asyncio
import json
from pathlib import Path

try:
    import uvloop
except ImportError:  # Windows
    uvloop = None


def document(status: str, body: bytes) -> bytes:
    """A whole response."""
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def completion(text: str) -> bytes:
    """A chat completion."""
    message = {"role": "assistant", "content": text}
    body = {
        "id": "bench",
        "object": "chat.completion",
        "created": 0,
        "model": "bench",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 80, "completion_tokens": 2, "total_tokens": 82},
    }
    return document("200 OK", json.dumps(body).encode())


def stream(words: list[str]) -> bytes:
    """The same as an event stream, closed by a zero chunk."""
    parts = []
    for i, word in enumerate(words):
        delta = {"role": "assistant", "content": word} if i == 0 else {"content": word}
        parts.append({"id": "bench", "model": "bench", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    parts.append({"id": "bench", "model": "bench", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    parts.append(
        {"id": "bench", "model": "bench", "choices": [], "usage": {"prompt_tokens": 80, "completion_tokens": len(words)}}
    )
    events = "".join(f"data: {json.dumps(p)}\n\n" for p in parts) + "data: [DONE]\n\n"
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return f"{head}{len(events):x}\r\n{events}\r\n0\r\n\r\n".encode()


WHOLE = completion("yes.")
STREAM = stream(["y", "es", "."])
REFUSED = document("429 Too Many Requests", b'{"error":{"message":"over the cap"}}')
MISSING = document("404 Not Found", b'{"error":{"message":"no such path"}}')
MODELS = document("200 OK", b'{"object":"list","data":[{"id":"bench","object":"model"}]}')


class Counts:
    """What the endpoint has seen."""

    def __init__(self, latency: float, cap: int) -> None:
        self.latency = latency
        self.cap = cap
        self.requests = 0
        self.refused = 0
        self.under_way = 0
        self.most = 0

    def stats(self) -> bytes:
        counted = {"requests": self.requests, "refused": self.refused, "most": self.most}
        return document("200 OK", json.dumps(counted).encode())


class Connection(asyncio.Protocol):
    """One client: requests are read whole and answered in order."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end]
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        counts = self.counts
        if head.startswith(b"GET /stats"):
            self.send(counts.stats())
        elif head.startswith(b"GET /v1/models"):
            self.send(MODELS)
        elif not head.startswith(b"POST /v1/chat/completions"):
            self.send(MISSING)
        else:
            counts.requests += 1
            if counts.cap and counts.under_way >= counts.cap:
                counts.refused += 1
                self.send(REFUSED)
                return
            reply = STREAM if b'"stream":true' in body or b'"stream": true' in body else WHOLE
            if not counts.latency:
                counts.most = max(counts.most, 1)
                self.send(reply)
                return
            counts.under_way += 1
            counts.most = max(counts.most, counts.under_way)
            asyncio.get_running_loop().call_later(counts.latency, self.later, reply)

    def later(self, reply: bytes) -> None:
        self.counts.under_way -= 1
        self.send(reply)

    def send(self, reply: bytes) -> None:
        if self.transport is not None:
            self.transport.write(reply)


async def serve(port: int, counts: Counts, port_file: Path | None) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counts), "127.0.0.1", port, backlog=4096)
    chosen = server.sockets[0].getsockname()[1]
    print(chosen, flush=True)
    if port_file is not None:
        port_file.write_text(f"{chosen}\n")
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="An instant OpenAI-compatible chat endpoint for benchmarks.")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="how long each answer takes")
    parser.add_argument("--cap", type=int, default=0, help="calls under way that are admitted; over it 429 (0: no cap)")
    parser.add_argument("--port-file", type=Path, help="a file to write the port to")
    given = parser.parse_args()
    run = uvloop.run if uvloop is not None else asyncio.run
    run(serve(given.port, Counts(given.latency_ms / 1000, given.cap), given.port_file))


if __name__ == "__main__":
    main()
