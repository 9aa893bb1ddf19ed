"""A small retrieval assistant over pilotbase's own pages, behind an OpenAI-compatible address. There is no model in it.

    python examples/docs-assistant/server.py [--port 8765] [--port-file F]

A question is matched against the passages of `corpus/` by BM25 (Robertson and Zaragoza 2009, "The probabilistic relevance
framework"), over words in English and pairs of characters in Chinese; the answer quotes the best passage. The same question
always gets the same answer.
"""

import argparse
import asyncio
import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

MODEL = "docs-assistant"
ABOUT = "BM25 retrieval over pilotbase's own pages; quotes the best passage. No model weights."
UNKNOWN = {"en": "The pages say nothing about that.", "zh": "文档中没有相关内容。"}
K1, B = 1.2, 0.75
LONGEST_QUESTION = 20_000

_WORD = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*|[\u3400-\u9fff]+")
_HAN = re.compile(r"[\u3400-\u9fff]")
_SMALL = "a an and are as at be by do does for from how in is it of on or that the this to what when which who why with"
_STOP = frozenset(_SMALL.split(" "))


def terms(text: str) -> list[str]:
    """English words without stop words and with plurals folded; every pair of neighbouring Chinese characters."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        if _HAN.match(word):
            found += [word[i : i + 2] for i in range(len(word) - 1)] or [word]
        elif word not in _STOP:
            found.append(word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word)
    return found


@dataclass(frozen=True, slots=True)
class Passage:
    """One paragraph of a page; its heading counts towards the match and is not quoted."""

    page: str
    text: str
    counts: Counter[str]
    length: int


class Index:
    """Passages, ranked for a question."""

    def __init__(self, folder: Path) -> None:
        self.passages = [p for path in sorted(folder.glob("*.md")) for p in read_page(path)]
        spread = Counter(term for p in self.passages for term in p.counts)
        total = len(self.passages)
        self.weights = {term: math.log(1 + (total - n + 0.5) / (n + 0.5)) for term, n in spread.items()}
        self.mean = sum(p.length for p in self.passages) / total

    def best(self, question: str) -> Passage | None:
        """The passage that matches best, or None where no term of the question occurs anywhere."""
        asked = set(terms(question))
        score, place = max((self.score(asked, p), -i) for i, p in enumerate(self.passages))
        return self.passages[-place] if score > 0 else None

    def score(self, asked: set[str], passage: Passage) -> float:
        """Okapi BM25."""
        norm = K1 * (1 - B + B * passage.length / self.mean)
        hits = ((self.weights[t], passage.counts[t]) for t in asked if t in passage.counts)
        return sum(weight * count * (K1 + 1) / (count + norm) for weight, count in hits)


def read_page(path: Path) -> list[Passage]:
    """The paragraphs of a page, each with the headings above it."""
    title = section = ""
    found = []
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        text = " ".join(line.strip() for line in block.strip().splitlines())
        if text.startswith("# "):
            title = text[2:]
        elif text.startswith("## "):
            section = text[3:]
        elif text:
            counted = terms(f"{title} {section} {text}")
            found.append(Passage(path.stem, text, Counter(counted), len(counted)))
    return found


def answer(index: Index, question: str) -> str:
    """What the assistant says."""
    passage = index.best(question)
    return passage.text if passage else UNKNOWN["zh" if _HAN.search(question) else "en"]


def question_of(body: Any) -> str:
    """The last user message. ValueError where the body is no chat request."""
    if not isinstance(body, dict) or not isinstance(messages := body.get("messages"), list):
        raise ValueError("`messages` must be a list")
    said = [m.get("content") for m in messages if isinstance(m, dict) and m.get("role") == "user"]
    if not said or not isinstance(said[-1], str):
        raise ValueError("there is no user message with text")
    return said[-1][:LONGEST_QUESTION]


def error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=status)


async def complete(request: web.Request) -> web.StreamResponse:
    """POST /v1/chat/completions, whole or streamed."""
    try:
        body = await request.json()
        question = question_of(body)
    except (ValueError, UnicodeDecodeError) as fault:
        return error(400, str(fault))
    if body.get("model") not in (None, MODEL):
        return error(404, f"there is no model `{body['model']}` here; the one there is is `{MODEL}`")
    text = answer(request.app[INDEX], question)
    used = {"prompt_tokens": len(terms(question)), "completion_tokens": len(terms(text))}
    usage = {**used, "total_tokens": sum(used.values())}
    if body.get("stream"):
        return await stream(request, text, usage if (body.get("stream_options") or {}).get("include_usage") else None)
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return web.json_response(
        {"id": "c0", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice], "usage": usage}
    )


async def stream(request: web.Request, text: str, usage: dict[str, int] | None) -> web.StreamResponse:
    """The answer as server-sent events, some words at a time."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    parts: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
    parts += [{"delta": {"content": piece}, "finish_reason": None} for piece in re.findall(r".{1,24}", text, re.DOTALL)]
    parts.append({"delta": {}, "finish_reason": "stop"})
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, **part}]} for part in parts]
    if usage is not None:
        chunks.append({"choices": [], "usage": usage})
    for chunk in chunks:
        head = {"id": "c0", "object": "chat.completion.chunk", "created": 0, "model": MODEL}
        await response.write(f"data: {json.dumps(head | chunk, ensure_ascii=False)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def models(request: web.Request) -> web.Response:
    """GET /v1/models."""
    return web.json_response(
        {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "pilotbase", "description": ABOUT}]}
    )


INDEX = web.AppKey("index", Index)


def application(folder: Path) -> web.Application:
    """The server over the pages of a folder."""
    app = web.Application()
    app[INDEX] = Index(folder)
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/v1/models", models)
    return app


async def serve(port: int, port_file: Path | None) -> None:
    """Listen on 127.0.0.1 until stopped."""
    runner = web.AppRunner(application(Path(__file__).parent / "corpus"), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    chosen = runner.addresses[0][1]
    print(f"http://127.0.0.1:{chosen}/v1", flush=True)
    if port_file is not None:
        port_file.write_text(f"{chosen}\n", encoding="utf-8")
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A retrieval assistant behind an OpenAI-compatible address; no model weights.")
    parser.add_argument("--port", type=int, default=8765, help="0: any free port")
    parser.add_argument("--port-file", type=Path, help="a file to write the port to")
    given = parser.parse_args()
    try:
        asyncio.run(serve(given.port, given.port_file))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
