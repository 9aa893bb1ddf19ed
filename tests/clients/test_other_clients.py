"""Clients that are not of our test environment, through the gateway: LangChain, LlamaIndex, and OpenAI's own for Node.

Each runs its script with packages of its own, in a folder that git ignores and that is made the first time. With `--full` only.
"""

import asyncio
import base64
import json
import os
import shutil
import struct
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from tests.fakes.gateway import Serving
from tests.fakes.upstream_server import Exchange, UpstreamServer, answers, piece, sends, streams, usage_only, whole

from pilotbase.domain.price import Price

HERE = Path(__file__).parent
ENVS = HERE.parents[1] / "bench" / ".envs" / "clients"
INSTALL_SECONDS, RUN_SECONDS = 600, 120
CALL = {"name": "weather", "arguments": '{"city": "北京"}'}
VECTOR = [0.5, -0.25, 1.0]
SEEN = {
    "chat": "yes",
    "counted": [11, 3],
    "stream": "yes",
    "tool": ["weather", {"city": "北京"}],
    "embedding": VECTOR,
    "error": "model_not_found",
    "left": "first",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client: the folder of its packages, what has to be on the machine, what installs them, and how its script is run."""

    name: str
    folder: str
    needs: str
    install: Sequence[Sequence[str]]
    command: Sequence[str]
    script: str


PACKAGES = ("langchain-openai", "llama-index-llms-openai-like", "llama-index-embeddings-openai-like")


def in_python(name: str) -> Client:
    """A client for Python, in a virtual environment that these clients share."""
    install = ([sys.executable, "-m", "venv", "python"], ["python/bin/pip", "install", "-q", *PACKAGES])
    return Client(
        name=name,
        folder="python",
        needs=sys.executable,
        install=install,
        command=["python/bin/python"],
        script=f"{name}_client.py",
    )


CLIENTS = (
    in_python("langchain"),
    in_python("llamaindex"),
    Client(
        name="node",
        folder="node",
        needs="npm",
        install=(["npm", "install", "--no-audit", "--no-fund", "--prefix", "node", "openai"],),
        command=["node"],
        script="node_client.mjs",
    ),
)


def prepare(client: Client) -> Path:
    """Its script, beside its packages, which are installed the first time. Skips, and says so, where they cannot be had."""
    folder = ENVS / client.folder
    mark = folder / "ready"
    if not mark.exists():
        if shutil.which(client.needs) is None:
            leave_out(f"{client.name}: {client.needs} is not on this machine")
        folder.mkdir(parents=True, exist_ok=True)
        for command in client.install:
            done = subprocess.run(command, cwd=ENVS, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
            if done.returncode:
                leave_out(f"{client.name}: `{' '.join(command)}` failed: {done.stderr.strip()[-300:]}")
        mark.touch()
    # A module of Node looks for its packages beside itself.
    return Path(shutil.copy(HERE / client.script, folder / client.script))


def leave_out(why: str) -> None:
    warnings.warn(f"LEFT OUT: the test of {why}", stacklevel=2)
    pytest.skip(why)


async def upstream(exchange: Exchange) -> None:
    """Answer by what is asked: a tool call where there are tools, a stream without end for `slow`, vectors in base64."""
    received = exchange.received
    asked = received.document
    if received.path.endswith("/embeddings"):
        await sends(orjson.dumps(embeddings(asked)))(exchange)
    elif asked["messages"][-1]["content"] == "slow":

        async def pace(number: int) -> None:
            if number == 1:
                await received.gone()

        await streams([piece("first"), piece("second")], pace=pace)(exchange)
    elif asked.get("tools") and asked.get("stream"):
        call = {"index": 0, "id": "call_1", "type": "function", "function": {**CALL, "arguments": ""}}
        letters = [{"index": 0, "function": {"arguments": letter}} for letter in CALL["arguments"]]
        first = piece(None, role="assistant", content=None, tool_calls=[call])
        parts = [first, *(piece(None, tool_calls=[letter]) for letter in letters)]
        await streams([*parts, piece(None, finish="tool_calls"), usage_only()])(exchange)
    elif asked.get("tools"):
        reply = whole("/chat/completions")
        calls = [{"id": "call_1", "type": "function", "function": CALL}]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        reply["choices"] = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
        await sends(orjson.dumps(reply))(exchange)
    else:
        await answers("yes")(exchange)


def embeddings(asked: dict[str, object]) -> dict[str, object]:
    """`VECTOR` for each input, in the encoding that was asked for."""
    told = asked["input"]
    count = len(told) if isinstance(told, list) else 1
    packed = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    vector = packed if asked.get("encoding_format") == "base64" else VECTOR
    data = [{"object": "embedding", "index": i, "embedding": vector} for i in range(count)]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 5, "total_tokens": 5}}


async def run(client: Client, script: Path, url: str, key: str) -> dict[str, object]:
    """What the client printed."""
    environment = {
        "PATH": os.pathsep.join(os.get_exec_path()),
        "HOME": str(script.parent),
    }
    process = await asyncio.create_subprocess_exec(
        *client.command,
        str(script),
        url,
        key,
        cwd=ENVS,
        env={**environment, "LANG": "C.UTF-8", "NO_PROXY": "*"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), RUN_SECONDS)
    assert process.returncode == 0, err.decode()[-3000:]
    found = json.loads(out.decode().strip().splitlines()[-1])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_another_client_chats_streams_calls_tools_embeds_fails_and_leaves(client: Client, tmp_path: Path, full: bool) -> None:
    if not full:
        pytest.skip("installs packages of its own: with --full")
    script = prepare(client)

    async def story() -> None:
        async with UpstreamServer(upstream) as server, Serving(tmp_path) as gateway:
            price = Price(per_million_input_tokens="2 CNY", per_million_output_tokens="6 CNY")
            gateway.route("m", server.url, price=price, upstream={"on_disconnect": "abort"})
            key = gateway.key(budget="100 CNY")
            assert await run(client, script, f"{gateway.url}/v1", key) == SEEN
            await gateway.settled()
            rows = gateway.rows()
            assert {row["state"] for row in rows} == {"settled"}
            assert sorted(row["outcome"] for row in rows) == ["answered"] * 4 + ["gone"]
            assert sum(row["tokens_in"] for row in rows if row["outcome"] == "answered") == 3 * 11 + 5
            assert gateway.reconcile().balanced

    asyncio.run(story())
