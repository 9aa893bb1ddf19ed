"""The demonstration's gateway: the hotline served, asked by made-up citizens, and its next router released in small steps.

The first release comes back by itself after a silent update; the second goes all the way. Its times are those of a demonstration.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson

from pilotbase.context import Context
from pilotbase.demo.contents import MARK
from pilotbase.demo.examples import free_port
from pilotbase.demo.processes import running, wait_for
from pilotbase.demo.trials import Tried
from pilotbase.errors import UserError
from pilotbase.flows.incident import resolve_incident
from pilotbase.flows.incident_list import Asked, list_asked
from pilotbase.flows.keys import KeyWish, create_key
from pilotbase.flows.release_start import Start, start_release
from pilotbase.flows.release_words import last_release, promote_release
from pilotbase.flows.route_add import Flags, Wish, add_route
from pilotbase.gateway.secret_key import load_pepper

__all__ = ["ROUTE", "release_twice"]

ROUTE = "hotline"
WHO = "demonstration"
LONGEST = 120.0
_NOT_FAILED: Mapping[str, str] = {"climb": "not-failed"}
PLAN: Mapping[str, Any] = {
    "bearer": f"王芳 Wang Fang ({MARK})",
    "rungs": [
        {"rung": "shadow", "share": "50 %", "requests": 20, "time": "2s", **_NOT_FAILED},
        {"rung": "canary", "share": "25 %", "requests": 100, "time": "8s", **_NOT_FAILED},
        {"rung": "full", "requests": 120, "time": "4s", **_NOT_FAILED},
    ],
    "exposure": {"people": 600, "requests": 5000, "spend": "20 CNY", "time": "1h"},
    "due-diligence": [
        {"item": "坐席知道派错的工单如何退回（演示）", "by": "王芳", "on": "2026-11-05", "reference": "minutes 12"},
        {"item": "区数据管理员已看过抽样内容与保存期限（演示）", "by": "陈静", "on": "2026-11-06"},
    ],
    "evidence": {"block": "250ms", "late": "5s", "within": "30s", "keep": "1h"},
    "budget": {"failures": "2 %", "over": "30d"},
    "drift": None,
    "shadow": {"spend": "1 CNY", "concurrency": 8},
}


def release_twice(
    context: Context, copied: Path, port: int, tried: Tried, environment: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Serve router-1; release router-2, which is updated in silence; mend it, and release it to the end.

    `copied` is the hotline's folder, whose server listens at `port`; the gateway runs in `environment`. UserError where a part
    of it takes longer than two minutes.
    """
    add_route(context, _route(port), who=WHO)
    _, token = create_key(context, load_pepper(context.home, None), KeyWish(name="hotline", routes=[ROUTE]), who=WHO)
    key, plan = copied / "key.txt", copied / "demo-plan.json"
    key.touch(0o600)
    key.write_text(token, "utf-8")
    plan.write_bytes(orjson.dumps(PLAN, option=orjson.OPT_INDENT_2))
    with _serving({**environment, "PILOTBASE_HOME": str(context.home)}, copied, key):
        say("released: router-2, which is updated in silence on its way")
        start_release(context, _start(tried, plan), who=WHO)
        _until(context, "the canary", lambda state, rung: rung >= 1 or state == "full")
        _update(copied, port, "--regress")
        _until(context, "the way back", lambda state, _: state == "rolled-back")
        for one in list_asked(context, Asked(state="contained")).incidents:
            resolve_incident(context, one.id, who=WHO, cause="router-2 was updated under the same name and version")
        _update(copied, port, "--mend")
        say("it came back by itself; mended, it is released again")
        start_release(context, _start(tried, plan), who=WHO)
        _until(context, "everybody", lambda state, _: state == "full")
        promote_release(context, ROUTE, why=f"it stands on full ({MARK})", who=WHO, anyway=True)


def _route(port: int) -> Wish:
    price = Flags(model="router-1", price_per_call="0.001 CNY")
    return Wish(
        name=ROUTE, upstream=f"http://127.0.0.1:{port}/v1", flags=price, policy="allow", by=WHO, reason="as before any trial"
    )


def _start(tried: Tried, plan: Path) -> Start:
    return Start(route=ROUTE, dossier=tried.dossier, candidate="router-2", plan=plan)


@contextmanager
def _serving(environment: Mapping[str, str], folder: Path, key: Path) -> Iterator[None]:
    """A gateway, and citizens who ask it, in processes of their own for as long as the block lasts."""
    port = free_port()
    with ExitStack() as stack:
        gateway = stack.enter_context(
            running(["-m", "pilotbase", "serve", "--port", str(port)], folder, "serve.log", environment)
        )
        wait_for(f"http://127.0.0.1:{port}/readyz", gateway, folder / "serve.log")
        citizens = ["traffic.py", "--key", str(key), "--gateway", f"http://127.0.0.1:{port}", "--rate", "25"]
        stack.enter_context(running(citizens, folder, "traffic.log", environment))
        yield


def _until(context: Context, what: str, reached: Callable[[str, int], bool]) -> None:
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        found = last_release(context, ROUTE)
        if reached(str(found.state), found.rung):
            return
        if found.over:
            break
        time.sleep(0.3)
    raise UserError(f"the release did not come to {what}: it is {found.state}", hint="see: pilotbase release status hotline")


def _update(folder: Path, port: int, word: str) -> None:
    done = subprocess.run(
        [sys.executable, "server.py", word, "--port", str(port)],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode:
        raise UserError(f"the example's server was not updated: {done.stderr.strip()[-300:]}", where=str(folder))
