"""Load on one server: with wrk where it is installed and the server is quick, else with our own client."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Load", "bodies", "drive"]

CLIENT = Path(__file__).with_name("gateway_client.py")
PATIENCE = "120s"
SYSTEM = "You are a helpful assistant that answers in few words, and says so where it does not know."
QUESTION = "Is the sky blue on a clear day? Tell in one sentence how certain you are of it, and on what grounds."

SCRIPT = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %(key)s"
local file = io.open("%(body)s", "rb")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\nRESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), e.status + e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of a load: requests answered within `seconds`; latencies in milliseconds; `failed` of all kinds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    failed: int


def bodies(folder: Path) -> dict[str, Path]:
    """The two requests, about 300 bytes each, as files: `whole` and `stream`."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    found = {}
    for name, more in (("whole", {}), ("stream", {"stream": True})):
        found[name] = folder / f"{name}.json"
        document = {"model": "bench", "messages": messages, "temperature": 0, "max_tokens": 128, **more}
        found[name].write_text(json.dumps(document, separators=(",", ":")))
    return found


def drive(folder: Path, port: int, key: str, body: Path, *, connections: int, seconds: float, slow: bool) -> Load:
    """Load a server on this machine for so long. RuntimeError where the generator fails."""
    wrk = shutil.which("wrk")
    if wrk is None or slow:
        command = [sys.executable, str(CLIENT), str(port), str(body), key]
        told = _run([*command, "--connections", str(connections), "--seconds", str(seconds)])
        return Load(**json.loads(told))
    script = folder / f"{body.stem}-{port}.lua"
    script.write_text(SCRIPT % {"key": key, "body": body})
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    told = _run([wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", PATIENCE, "-s", str(script), url])
    numbers = [int(word) for word in told.rpartition("RESULT ")[2].split()]
    requests, duration, p50, p99, failed = numbers
    return Load(requests=requests, seconds=duration / 1e6, p50=p50 / 1000, p99=p99 / 1000, failed=failed)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {command[0]}\n{done.stderr[-2000:]}")
    return done.stdout
