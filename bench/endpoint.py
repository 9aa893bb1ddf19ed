"""The instant endpoint as a process beside a bench, and chat pilots that ask it."""

import csv
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Endpoint", "chat_pilot", "question", "serving", "write_cases"]

SCRIPT = Path(__file__).with_name("chat_endpoint.py")

# About 330 characters once its places are filled in: a single turn as a gate asks it.
QUESTION = (
    "You are helping a service desk. Read the report below and say whether it is about a fault that stops people from "
    "working. Answer with the one word yes or no, and nothing else.\n\n"
    "Report {number}: the device in room {room} was seen to restart twice this morning, the light on its front stayed on, "
    "and the colleague who uses it asks for it to be looked at."
)

PILOT = """\
pilot: bench-chat
title: {{en: Chat path, zh: 对话路径}}
scenario: {{area: industry, field: bench, owner: bench, need: Measure the chat path., risk: low, authority: user-only}}
seed: 7
data:
  test: {{path: cases.csv, id: id, inputs: [number, room]}}
candidates:
  - id: chat
    target:
      openai:
        {{url: "{url}", model: bench, concurrency: {concurrency}, retries: {retries}, params: {{temperature: 0, max_tokens: 16}}}}
    prompt: {prompt}
gates:
  - gate: capability
    checks:
      - {{metric: regex, pattern: "(?i)yes", require: ">= 0.90"}}
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running endpoint. `url` is its API's root."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> Mapping[str, int]:
        """{requests, refused, most} so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats", timeout=10) as reply:
            return json.load(reply)


@contextmanager
def serving(*, latency_ms: float = 0, cap: int = 0) -> Iterator[Endpoint]:
    """An endpoint of one's own, ended afterwards."""
    command = [sys.executable, str(SCRIPT), "--latency-ms", str(latency_ms), "--cap", str(cap)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Endpoint(int(process.stdout.readline()), process.pid)
        finally:
            process.terminate()


def question(number: int) -> str:
    """The prompt of one case."""
    return QUESTION.format(number=number, room=number % 97)


def write_cases(folder: Path, count: int) -> Path:
    """cases.csv: id, number, room."""
    path = folder / "cases.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("id", "number", "room"))
        rows.writerows((f"c{i}", i, i % 97) for i in range(count))
    return path


def chat_pilot(folder: Path, url: str, count: int, *, concurrency: int = 32, retries: int = 4) -> Path:
    """A pilot of one candidate and one check over `count` cases, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_cases(folder, count)
    path = folder / "pilot.yaml"
    path.write_text(
        PILOT.format(url=url, concurrency=concurrency, retries=retries, prompt=json.dumps(QUESTION)), encoding="utf-8"
    )
    return path
