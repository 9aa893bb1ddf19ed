"""The whole story, command by command: a pilot, a release, a silent update, the way back, an incident, and the next pilot.

    python examples/guarded-release/story.py            # about a minute; exit 0 only if the last pilot caught the case
    python examples/guarded-release/story.py --list     # the commands alone

It works in a copy of this folder, with a home of its own and free ports, and ends everything that it started, also at Ctrl-C.
The commands are those of docs/guarded-release.md, with its ports; here the free ones stand in for them.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODELS, GATEWAY = "127.0.0.1:8766", "127.0.0.1:8080"
LONGEST = 120.0
"""Seconds that a single step may take, on a machine that is busy with other things too."""
OFTEN = 0.5
CANARY = "canary 25 %"
EXPOSED = 0.25 + 0.1
"""The canary's share of citizens, and the clerks, who ask a tenth of all questions."""

SERVER = "python server.py --port 8766"
PILOT = "pilotbase run pilot.yaml"
DOSSIER = "pilotbase dossier last --out dossier"
ROUTE = "pilotbase route add hotline --upstream http://127.0.0.1:8766/v1 --upstream-model router-1 --price-per-call 0.001CNY"
KEY = "pilotbase key create hotline --routes hotline > key.txt"
SERVE = "pilotbase serve --port 8080"
TRAFFIC = "python traffic.py --key key.txt --gateway http://127.0.0.1:8080"
START = "pilotbase release start hotline --dossier dossier --candidate router-2 --plan plan.yaml"
WATCH = "pilotbase watch hotline --once"
REGRESS = "python server.py --regress --port 8766"
STATUS = "pilotbase release status hotline"
INCIDENTS = "pilotbase incident ls"
SHOW = "pilotbase incident show INCIDENT"
REFUSED = "pilotbase incident close INCIDENT"
RESOLVE = 'pilotbase incident resolve INCIDENT --cause "router-2 was updated under the same name and version"'
CLOSE = "pilotbase incident close INCIDENT --pilot pilot.yaml --case case.json"
AGAIN = "pilotbase run pilot.yaml --fresh"
COMMANDS = (
    SERVER, ROUTE, KEY, SERVE, PILOT, DOSSIER, TRAFFIC, START, WATCH, REGRESS, STATUS,
    INCIDENTS, SHOW, RESOLVE, REFUSED, CLOSE, AGAIN,
)  # fmt: skip


Seconds = list[dict[str, int]]
"""What the citizens counted, second by second."""


class Wrong(Exception):
    """The story did not go as it should."""


@dataclass(slots=True)
class Story:
    """A copy of the folder in `folder`; what the story says in place of the default ports, and of `INCIDENT`."""

    folder: Path
    places: dict[str, str]
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        print(f"\n[{time.monotonic() - self.began:3.0f} s] {text}", flush=True)

    def here(self, text: str) -> str:
        """A text with what holds here in the place of the usual ports, and of `INCIDENT`."""
        return re.sub("|".join(self.places), lambda found: self.places[found[0]], text)

    def words(self, command: str) -> list[str]:
        """A command as this machine's processes take it, free ports in the place of the usual ones."""
        first, *rest = shlex.split(self.here(command))
        return [sys.executable, *(["-m", "pilotbase"] if first == "pilotbase" else ["-u"]), *rest]

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PILOTBASE_")}
        return {**kept, "PILOTBASE_HOME": str(self.folder / "home"), "COLUMNS": "120", "PYTHONUTF8": "1"}

    def run(self, command: str, *codes: int, quiet: bool = False) -> str:
        """Run a command to its end, and print what it says. Wrong where its exit code is none of `codes` (none given: 0)."""
        real, _, target = command.partition(" > ")
        if not quiet:
            print(f"$ {command.replace('INCIDENT', self.places.get('INCIDENT', 'INCIDENT'))}", flush=True)
        done = subprocess.run(
            self.words(real),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        if target:
            (self.folder / target).write_text(done.stdout, "utf-8")
        said = (done.stderr if target else done.stdout + done.stderr).strip()
        if not quiet and said:
            print(said, flush=True)
        if done.returncode not in (codes or (0,)):
            due = " or ".join(map(str, codes or (0,)))
            raise Wrong(f"`{command}` ended with {done.returncode}, where {due} was due{f': {said}' if quiet else ''}")
        return done.stdout + done.stderr

    def begin(self, command: str, log: str) -> "subprocess.Popen[bytes]":
        """Start a command that goes on, with what it says in a file."""
        print(f"$ {command} &", flush=True)
        with (self.folder / log).open("wb") as file:
            # A group of its own: Ctrl-C reaches this story alone, which then ends what it started, in order.
            one = subprocess.Popen(
                self.words(command),
                cwd=self.folder,
                env=self.environment(),
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.running.append(one)
        return one

    def until(self, what: str, found: Callable[[], Any], log: str = "") -> Any:
        """What `found` returns once it is true. Wrong where that takes too long, or where something that should run has ended."""
        end = time.monotonic() + LONGEST
        while time.monotonic() < end:
            value = found()
            if value:
                return value
            if any(one.poll() is not None for one in self.running):
                break
            time.sleep(OFTEN)
        told = (self.folder / log).read_text("utf-8", "replace")[-2000:] if log else ""
        raise Wrong(f"{what}: it did not come to that{f'; {log} says: {told}' if told else ''}")

    def reached(self, path: str) -> bool:
        """Whether an address answers."""
        try:
            with urllib.request.urlopen(f"http://{self.here(path)}", timeout=5):
                return True
        except OSError:
            return False

    def status(self) -> dict[str, Any]:
        """The release as `release status --json` tells it."""
        document: dict[str, Any] = json.loads(self.run(f"{STATUS} --json", quiet=True))
        return document

    def seconds(self) -> Seconds:
        """What the citizens counted, second by second."""
        lines = re.findall(r"^ *\d+ s  (.*)$", (self.folder / "traffic.log").read_text("utf-8"), re.MULTILINE)
        return [{word: int(number) for word, number in re.findall(r"(\w+) +(\d+)", line)} for line in lines]

    def end(self) -> None:
        """End all that was started, the last one first."""
        for one in reversed(self.running):
            if one.poll() is None:
                one.terminate()
            with suppress(subprocess.TimeoutExpired):
                one.wait(timeout=20)
            with suppress(ProcessLookupError):  # one that was ended while it began may have left a worker
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()
        self.running.clear()


def expect(right: bool, otherwise: str) -> None:
    if not right:
        raise Wrong(otherwise)


def serve(story: Story) -> None:
    """The gateway with what serves today."""
    story.say("Two routers behind one address. The gateway serves router-1, as before any pilot.")
    story.begin(SERVER, "server.log")
    story.until("the routers answer", lambda: story.reached(f"{MODELS}/v1/models"), "server.log")
    story.run(ROUTE)
    story.run(KEY)
    story.begin(SERVE, "serve.log")


def prove(story: Story) -> None:
    """A pilot with a PASS for router-2, sealed."""
    story.say("The pilot: is router-2 fit to follow router-1?")
    said = story.run(PILOT)
    expect("router-2: ✔ PASS" in said, "router-2 has no PASS")
    story.run(DOSSIER)


def release(story: Story) -> None:
    """Up to the canary that has a quarter of the citizens."""
    story.say("Citizens ask, and the release begins: shadow, two clerks, 5 %, 25 %, all.")
    story.until("the gateway is ready", lambda: story.reached(f"{GATEWAY}/readyz"), "serve.log")
    story.begin(TRAFFIC, "traffic.log")
    story.run(START)

    def climbed() -> bool:
        now = story.status()
        expect(now["state"] == "climbing", f"the release is {now['state']} before anything went wrong: {now['events'][-1:]}")
        at: str = now["rungs"][now["rung"]]
        print(f"      {at}", flush=True)
        return at == CANARY

    story.until(f"the release climbs to {CANARY}", climbed, "serve.log")
    story.run(WATCH)


def regress(story: Story) -> None:
    """A silent update, and the way back."""
    story.say("router-2 is updated where it runs. Nobody says so; its name and its version stay.")
    good = story.seconds()
    story.run(REGRESS)

    def back() -> dict[str, Any] | None:
        now = story.status()
        last = ", ".join(f"{word} {number}" for word, number in story.seconds()[-1].items())
        print(f"      {now['state']}; a second of citizens: {last}", flush=True)
        return now if now["state"] == "rolled-back" else None

    now = story.until("the release goes back", back, "serve.log")
    after = len(story.seconds()) + 1  # the second under way may have begun before the way back
    story.run(STATUS)
    causes = [cause for event in now["events"] for cause in event["detail"].get("causes", ())]
    expect([c["check"] for c in causes][:1] == ["shape/regex"], f"it went back for another reason: {causes}")
    story.until("citizens go on asking", lambda: len(story.seconds()) >= after + 2, "traffic.log")
    seconds = story.seconds()
    weigh(good, seconds[len(good) : after], seconds[after:])
    log = (story.folder / "serve.log").read_text("utf-8", "replace").splitlines()
    print("the gateway's log:", *(line for line in log if re.match(r"release |alert", line)), sep="\n  ", flush=True)


def weigh(good: Seconds, bad: Seconds, later: Seconds) -> None:
    """What citizens could not use: nothing before and after, and in between at most the share of those who were exposed."""
    shares = {"before the update": share(good), "until the way back": share(bad), "after it": share(later)}
    print("what citizens could not use: " + ", ".join(f"{part:.1%} {when}" for when, part in shares.items()), flush=True)
    expect(share(bad) > 0, "the update harmed nobody, so this shows nothing")
    expect(share(bad) <= EXPOSED, f"more than {EXPOSED:.0%} was harmed")
    expect(share(good) == share(later) == 0, "before the update, or after the way back, some got nothing usable")


def share(seconds: Seconds) -> float:
    """The part of all questions that got nothing usable."""
    asked = sum(one["asked"] for one in seconds)
    return sum(one["unusable"] for one in seconds) / asked if asked else 0.0


def learn(story: Story) -> None:
    """The incident, its regression case, and the next pilot."""
    story.say("The way back opened an incident. It cannot be closed without a case for the next pilot.")
    found = re.findall(r"inc-\S+", story.run(INCIDENTS))
    expect(len(found) == 1, f"{len(found)} incidents were opened, where one was due")
    story.places["INCIDENT"] = found[0]
    story.run(SHOW)
    story.run(RESOLVE)
    expect("regression case" in story.run(REFUSED, 1, 2), "the refusal does not say that a case is missing")
    story.run(CLOSE)
    story.say("The next pilot of the same file. Its other cases know no lift; the two new ones do.")
    failing = failed(story.run(AGAIN, 1), "router-2")
    expect(failing == ["regressions"], f"router-2 fails {failing or 'nothing'}, where it should fail `regressions` alone")


def failed(said: str, candidate: str) -> list[str]:
    """The metrics of the checks that a candidate FAILs, from what a run prints."""
    part = said.partition(f"{candidate}: ")[2].partition("\n\n")[0]
    return re.findall(r"^\S* +(\S+) +[<>]?= .*FAIL *$", part, re.MULTILINE)


@contextmanager
def prepared() -> Iterator[Story]:
    """A copy of this folder at free ports; it is gone afterwards, with all that was started."""
    with tempfile.TemporaryDirectory(prefix="guarded-release-") as temporary:
        folder = Path(temporary) / "guarded-release"
        shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("__pycache__", ".pilotbase", "home", "dossier", "key.txt"))
        models, gateway = free_ports(2)
        places = {"8766": str(models), "8080": str(gateway)}
        pilot = folder / "pilot.yaml"
        pilot.write_text(pilot.read_text("utf-8").replace("8766", str(models)), "utf-8")
        story = Story(folder, places)
        try:
            yield story
        finally:
            story.end()


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="A release that goes wrong, and comes back by itself.")
    parser.add_argument("--list", action="store_true", help="print the commands, and run none")
    if parser.parse_args().list:
        print("\n".join(COMMANDS))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with prepared() as story:
            for part in (serve, prove, release, regress, learn):
                part(story)
            story.say("The case that went wrong once is caught before anyone meets it again.")
    except Wrong as wrong:
        print(f"\nthe story went wrong: {wrong}", file=sys.stderr)
        return 1
    except subprocess.TimeoutExpired as late:
        print(f"\nthe story went wrong: {late.cmd[1:]} took longer than {LONGEST:g} s", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; everything that was started has ended", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
