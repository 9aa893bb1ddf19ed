"""The upstream of the gateway bench: `chat_endpoint.py` with answers as long as real ones, in several processes on one port.

    python bench/gateway_endpoint.py [--port 0] [--processes 1]

A whole answer has about 900 bytes. A streamed one has 66 chunks: 64 of one word, one that ends it, one with the usage; each
event is a chunk of the HTTP body, and all are written at once. It prints its port on the first line.
"""

import argparse
import asyncio
import json
import os
import socket
import sys

import chat_endpoint

WORDS = 64
TOKENS_IN = 40


def whole() -> bytes:
    """A chat completion with an answer of `WORDS` words."""
    message = {"role": "assistant", "content": " ".join(["plausible"] * WORDS), "refusal": None}
    body = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": TOKENS_IN, "completion_tokens": WORDS, "total_tokens": TOKENS_IN + WORDS},
    }
    return chat_endpoint.document("200 OK", json.dumps(body).encode())


def stream() -> bytes:
    """The same as an event stream."""
    common = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "bench"}
    deltas = [{"content": "plausible "} for _ in range(WORDS)]
    deltas[0] = {"role": "assistant", **deltas[0]}
    parts = [{**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    parts.append({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": TOKENS_IN, "completion_tokens": WORDS, "total_tokens": TOKENS_IN + WORDS}
    parts.append({**common, "choices": [], "usage": usage})
    events = [f"data: {json.dumps(part)}\n\n" for part in parts]
    chunks = "".join(f"{len(event):x}\r\n{event}\r\n" for event in [*events, "data: [DONE]\n\n"])
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return f"{head}{chunks}0\r\n\r\n".encode()


WHOLE, STREAM = whole(), stream()


class Connection(chat_endpoint.Connection):
    """One client."""

    def answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"POST /v1/chat/completions"):
            self.send(STREAM if b'"stream":true' in body or b'"stream": true' in body else WHOLE)
        else:
            super().answer(head, body)


async def serve(listening: socket.socket) -> None:
    counts = chat_endpoint.Counts(0, 0)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(counts), sock=listening, backlog=4096)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--processes", type=int, default=1, help="they share the listening socket")
    given = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", given.port), backlog=4096)
    print(listening.getsockname()[1], flush=True)
    for _ in range(given.processes - 1):
        if os.fork() == 0:
            break
    sys.stdout.flush()
    run = asyncio.run if chat_endpoint.uvloop is None else chat_endpoint.uvloop.run
    run(serve(listening))


if __name__ == "__main__":
    main()
