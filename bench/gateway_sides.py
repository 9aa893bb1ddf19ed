"""What the gateway bench measures: our gateway, LiteLLM's proxy, nginx, and the upstream itself; one worker each."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway_process import children, tree
from measure import bench_environment

__all__ = ["SIDES", "Side", "prepare_litellm", "reconciled", "upstream"]

ENDPOINT = Path(__file__).with_name("gateway_endpoint.py")
LITELLM = ("litellm[proxy]", "opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp")
LITELLM_KEY = "sk-bench-0123456789abcdefghij"
READY_SECONDS = 300.0

# One model, priced, so that its cost calculation finds what it looks for; no database, no log of spending.
LITELLM_CONFIG = """\
model_list:
  - model_name: bench
    litellm_params:
      {{model: openai/bench, api_base: "{url}", api_key: none, input_cost_per_token: 0.000002, output_cost_per_token: 0.000006}}
litellm_settings: {{telemetry: false, set_verbose: false}}
general_settings: {{master_key: {key}, disable_spend_logs: true}}
"""

NGINX_CONFIG = """\
daemon off; master_process on; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 100000000;
  upstream endpoint {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://endpoint; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A running server. `serving` and `keeping` are the processes that answer, and those beside them. `slow`: see README."""

    name: str
    port: int
    key: str
    warm: float
    slow: bool
    pid: int

    def serving(self) -> list[int]:
        """The processes that answer requests."""
        if not self.pid:
            return []
        return [pid for child in children(self.pid) for pid in tree(child)] if self.name == "pilotbase" else tree(self.pid)

    def keeping(self) -> list[int]:
        """The processes beside them: our keeper."""
        return [self.pid] if self.name == "pilotbase" else []


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def running(command: list[str], *, environment: Mapping[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block; what it prints goes to a file in `folder`."""
    with (
        (folder / "output.log").open("wb") as log,
        subprocess.Popen(command, env=dict(environment), cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_ready(process: subprocess.Popen[bytes], url: str, folder: Path) -> None:
    """Wait until `url` answers 200. RuntimeError, with what the process printed, where it does not."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} does not serve:\n{(folder / 'output.log').read_text(errors='replace')[-3000:]}")


@contextmanager
def upstream(folder: Path, processes: int) -> Iterator[int]:
    """The upstream beside the bench; its port."""
    port = free_port()
    command = [sys.executable, str(ENDPOINT), "--port", str(port), "--processes", str(processes)]
    with running(command, environment=bench_environment(folder), folder=folder) as process:
        try:
            wait_ready(process, f"http://127.0.0.1:{port}/stats", folder)
            yield port
        finally:
            for pid in children(process.pid):
                os.kill(pid, 15)


@contextmanager
def direct(folder: Path, port: int, envs: Path) -> Iterator[Side]:
    """The upstream without anything before it: the floor of latency."""
    del folder, envs
    yield Side(name="direct", port=port, key="none", warm=1.0, slow=False, pid=0)


@contextmanager
def ours(folder: Path, upstream_port: int, envs: Path) -> Iterator[Side]:
    """`pilotbase serve` with a key, a budget and a price; every request is admitted, reserved, metered and settled."""
    del envs
    port = free_port()
    environment = bench_environment(folder / "home")

    def pilotbase(*words: str) -> str:
        command = [sys.executable, "-m", "pilotbase", *words]
        return subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True).stdout

    prices = ["--price-input", "2CNY", "--price-output", "6CNY"]
    allowed = ["--policy", "allow", "--by", "bench", "--reason", "measuring"]
    pilotbase("route", "add", "bench", "--upstream", f"http://127.0.0.1:{upstream_port}/v1", *prices, *allowed)
    created = json.loads(pilotbase("key", "create", "bench", "--budget", "1000000CNY", "--json"))
    command = [sys.executable, "-m", "pilotbase", "serve", "--port", str(port)]
    with running(command, environment=environment, folder=folder) as process:
        wait_ready(process, f"http://127.0.0.1:{port}/readyz", folder)
        yield Side(name="pilotbase", port=port, key=_token(created), warm=3.0, slow=False, pid=process.pid)


def _token(document: Mapping[str, object]) -> str:
    return next(value for value in document.values() if isinstance(value, str) and value.startswith("pb_"))


@contextmanager
def litellm(folder: Path, upstream_port: int, envs: Path) -> Iterator[Side]:
    """LiteLLM's proxy at its best: no database, no logs, with `opentelemetry` beside it (else it retries an import each time)."""
    programs, _ = prepare_litellm(envs)
    port = free_port()
    config = folder / "config.yaml"
    config.write_text(LITELLM_CONFIG.format(url=f"http://127.0.0.1:{upstream_port}/v1", key=LITELLM_KEY))
    environment = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
    }
    command = [
        str(programs / "litellm"),
        "--config",
        str(config),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--num_workers",
        "1",
    ]
    with running(command, environment=environment, folder=folder) as process:
        wait_ready(process, f"http://127.0.0.1:{port}/health/liveliness", folder)
        yield Side(name="litellm", port=port, key=LITELLM_KEY, warm=20.0, slow=True, pid=process.pid)


def prepare_litellm(envs: Path) -> tuple[Path, str]:
    """Its folder of programs and its version; installed the first time."""
    folder = envs / "litellm"
    programs = folder / "bin"
    if not (folder / "ready").exists():
        print(f"installing litellm into {folder} (once; some minutes)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(programs / "pip"), "install", "-q", *LITELLM], check=True)
        compiling = [str(programs / "python"), "-m", "compileall", "-q", str(folder / "lib")]
        subprocess.run(compiling, stdout=subprocess.DEVNULL, check=False)
        (folder / "ready").touch()
    script = "import importlib.metadata as m; print(m.version('litellm'))"
    found = subprocess.run([str(programs / "python"), "-c", script], check=True, capture_output=True, text=True)
    return programs, found.stdout.strip()


@contextmanager
def nginx(folder: Path, upstream_port: int, envs: Path) -> Iterator[Side]:
    """`proxy_pass` with connections kept open on both sides: the floor of what a proxy costs."""
    del envs
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        raise RuntimeError("nginx is not on this machine: install it (Debian: nginx-light), or leave it out with --peer")
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX_CONFIG.format(folder=folder, upstream=upstream_port, port=port))
    command = [program, "-c", str(config), "-p", str(folder)]
    with running(command, environment={"PATH": os.defpath}, folder=folder) as process:
        wait_ready(process, f"http://127.0.0.1:{port}/stats", folder)
        yield Side(name="nginx", port=port, key="none", warm=1.0, slow=False, pid=process.pid)


def reconciled(home: Path) -> str:
    """The last line that `pilotbase usage reconcile` says of a home."""
    command = [sys.executable, "-m", "pilotbase", "usage", "reconcile"]
    done = subprocess.run(command, env=bench_environment(home), capture_output=True, text=True, check=False)
    return (done.stdout.strip() or done.stderr.strip()).splitlines()[-1]


SIDES: Mapping[str, Callable[[Path, int, Path], object]] = {
    "direct": direct,
    "nginx": nginx,
    "pilotbase": ours,
    "litellm": litellm,
}
