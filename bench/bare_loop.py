"""The floor: a bare aiohttp loop that asks every case, applies the check and counts. It records nothing.

python bench/bare_loop.py URL CASES.csv
"""

import asyncio
import csv
import re
import sys
from collections.abc import Iterator

import aiohttp
import orjson
from endpoint import QUESTION

try:
    import uvloop
except ImportError:  # Windows
    uvloop = None

CONNECTIONS = 32


async def ask(session: aiohttp.ClientSession, url: str, rows: Iterator[dict[str, str]]) -> int:
    """Answers with a yes, of the rows that this worker took."""
    hits = 0
    for row in rows:
        messages = [{"role": "user", "content": QUESTION.format(**row)}]
        body = orjson.dumps({"model": "bench", "messages": messages, "temperature": 0, "max_tokens": 16})
        async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as reply:
            document = orjson.loads(await reply.read())
        hits += bool(re.search("(?i)yes", document["choices"][0]["message"]["content"]))
    return hits


async def run(url: str, path: str) -> None:
    with open(path, newline="") as file:
        rows = csv.DictReader(file)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
            hits = await asyncio.gather(*(ask(session, f"{url}/chat/completions", rows) for _ in range(CONNECTIONS)))
    print(sum(hits))


if __name__ == "__main__":
    (uvloop.run if uvloop is not None else asyncio.run)(run(sys.argv[1], sys.argv[2]))
