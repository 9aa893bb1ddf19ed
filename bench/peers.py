"""The peers of the chat bench: each in a virtual environment of its own, doing the same task with its own means.

Settings follow each peer's documentation for speed: no live display, no real-time log, no cache, 32 connections.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from endpoint import question

__all__ = ["PEERS", "Peer", "peer_command", "peer_environment", "prepare_peer"]

CONNECTIONS = 32

INSPECT_TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import json_dataset
from inspect_ai.scorer import includes
from inspect_ai.solver import generate


@task
def bench():
    return Task(dataset=json_dataset("cases.jsonl"), solver=generate(), scorer=includes())
"""

LM_EVAL_TASK = """\
task: bench
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
test_split: test
output_type: generate_until
doc_to_text: "{{input}}"
doc_to_target: "{{target}}"
generation_kwargs: {until: [], do_sample: false, temperature: 0, max_gen_toks: 16}
filter_list:
  - name: word
    filter:
      - {function: regex, regex_pattern: "(?i)(yes)"}
      - {function: take_first}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
metadata: {version: 1}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A package to install, and where it leaves its log in the working folder."""

    name: str
    requirements: tuple[str, ...]
    package: str
    log: str


PEERS = {
    "inspect": Peer(name="inspect-ai", requirements=("inspect-ai", "openai"), package="inspect-ai", log="logs"),
    "lm-eval": Peer(name="lm-eval", requirements=("lm_eval[api]",), package="lm_eval", log="out"),
}


def prepare_peer(name: str, envs: Path) -> tuple[Path, str]:
    """Its folder of programs and its version; installed, and compiled to bytecode, the first time."""
    folder = envs / name
    programs = folder / "bin"
    mark = folder / "ready"
    if not mark.exists():
        print(f"installing {name} into {folder} (once; some minutes)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(programs / "pip"), "install", "-q", *PEERS[name].requirements], check=True)
        # Every peer is measured with its bytecode ready, as a second run of it would find it.
        subprocess.run(
            [str(programs / "python"), "-m", "compileall", "-q", str(folder / "lib")], stdout=subprocess.DEVNULL, check=False
        )
        mark.touch()
    script = f"import importlib.metadata as m; print(m.version({PEERS[name].package!r}))"
    found = subprocess.run([str(programs / "python"), "-c", script], check=True, capture_output=True, text=True)
    return programs, found.stdout.strip()


def peer_command(name: str, programs: Path, folder: Path, url: str, count: int) -> list[str]:
    """Write the peer's task over `count` cases into `folder`; the command that runs it there."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = folder / "cases.jsonl"
    with cases.open("w") as file:
        file.writelines(json.dumps({"id": i, "input": question(i), "target": "yes"}) + "\n" for i in range(count))
    if name == "inspect":
        (folder / "task.py").write_text(INSPECT_TASK)
        settings = ["--display", "none", "--no-log-realtime", "--log-format", "eval", "--log-dir", "logs"]
        limits = [
            "--max-connections",
            str(CONNECTIONS),
            "--max-samples",
            str(CONNECTIONS),
            "--temperature",
            "0",
            "--max-tokens",
            "16",
        ]
        return [str(programs / "inspect"), "eval", "task.py", "--model", "openai-api/bench/bench", *settings, *limits]
    (folder / "bench.yaml").write_text(LM_EVAL_TASK % cases)
    model = f"model=bench,base_url={url}/chat/completions,num_concurrent={CONNECTIONS},max_retries=3"
    model += ",tokenized_requests=False,tokenizer_backend=None"
    arguments = ["--model", "local-chat-completions", "--model_args", model, "--tasks", "bench", "--include_path", str(folder)]
    return [str(programs / "lm_eval"), *arguments, "--apply_chat_template", "--log_samples", "--output_path", "out"]


def peer_environment(programs: Path, folder: Path, url: str) -> dict[str, str]:
    """What a peer runs under: offline, and its caches in its own folder."""
    return {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "BENCH_API_KEY": "none",
        "BENCH_BASE_URL": url,
        "OPENAI_API_KEY": "none",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "INSPECT_DISABLE_MODEL_INFO": "1",
    }
