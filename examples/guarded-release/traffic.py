"""Citizens who ask the gateway, and say how it went. Standard library only.

    python examples/guarded-release/traffic.py --key key.txt [--gateway http://127.0.0.1:8080] [--rate 25] [--seconds N]

Each second has a line of its own, by the clock of the one who asks: how many asked, how many the candidate answered, how many got
nothing usable (an error, or an answer that is no department), and how many were sent to a wrong department. Three in ten say
whether the answer was right (`POST /v1/feedback`). It ends after `--seconds`, or at Ctrl-C, with a sum.
"""

import argparse
import http.client
import json
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from hotline import DEPARTMENTS, Request, calls

ROUTE = "hotline"
CLERKS = ("clerk-1", "clerk-2")
CITIZENS = 400
ASKERS = 8
TELL = 0.3
"""Share of answers that somebody says a word about."""
COUNTED = ("asked", "candidate", "unusable", "wrong")


class Traffic:
    """What was asked and answered so far. `stop` ends it."""

    def __init__(self, gateway: str, key: str, rate: float, seed: int) -> None:
        self.place = urlsplit(gateway).netloc
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.rate = rate
        self.stop = threading.Event()
        self.seconds: dict[int, Counter[str]] = {}
        self._lock = threading.Lock()
        self._draw = random.Random(seed)
        self._calls = calls(seed)
        self._due = time.monotonic()
        self._began = self._due

    def ask(self) -> None:
        """Ask one question after another, on a connection that is kept, until told to stop."""
        line = http.client.HTTPConnection(self.place, timeout=20)
        while not self.stop.is_set():
            due, user, request, tells = self._next()
            if self.stop.wait(max(0.0, due - time.monotonic())):
                break
            try:
                self._note(*self._one(line, user, request, tells))
            except (OSError, http.client.HTTPException, ValueError):
                line.close()
                self._note("asked", "unusable")
        line.close()

    def _next(self) -> tuple[float, str, Request, bool]:
        with self._lock:
            # Whoever comes late asks at once, and the others are not made to catch up.
            self._due = max(self._due + 1 / self.rate, time.monotonic() - 1.0)
            draw = self._draw
            user = draw.choice(CLERKS) if draw.random() < 0.1 else f"citizen-{draw.randrange(CITIZENS)}"
            return self._due, user, next(self._calls), draw.random() < TELL

    def _one(self, line: http.client.HTTPConnection, user: str, request: Request, tells: bool) -> list[str]:
        """What is to be counted of one question."""
        body = json.dumps({"model": ROUTE, "messages": [{"role": "user", "content": request.text}]})
        line.request("POST", "/v1/chat/completions", body.encode(), {**self.headers, "X-Pilotbase-User": user})
        answer = line.getresponse()
        document = json.loads(answer.read())
        found = ["asked"]
        if "arm=candidate" in answer.headers.get("x-pilotbase-release", ""):
            found.append("candidate")
        said = document["choices"][0]["message"]["content"] if answer.status == http.client.OK else None
        if said not in DEPARTMENTS:
            found.append("unusable")
        elif said != request.department:
            found.append("wrong")
        name = answer.headers.get("x-request-id")
        if tells and said is not None and name:
            line.request(
                "POST", "/v1/feedback", json.dumps({"request": name, "good": said == request.department}).encode(), self.headers
            )
            line.getresponse().read()
        return found

    def _note(self, *words: str) -> None:
        second = int(time.monotonic() - self._began)
        with self._lock:
            self.seconds.setdefault(second, Counter()).update(words)

    def tell(self) -> None:
        """Print a line for each second that is over, until told to stop."""
        told = 0
        while not self.stop.wait(max(0.05, self._began + told + 1 - time.monotonic())):
            with self._lock:
                counted = Counter(self.seconds.get(told, {}))
            print(f"{told:4} s  " + "  ".join(f"{word} {counted[word]:3}" for word in COUNTED), flush=True)
            told += 1

    def total(self) -> Counter[str]:
        """All of it."""
        return sum(self.seconds.values(), Counter())


def main() -> int:
    parser = argparse.ArgumentParser(description="Citizens who ask the gateway, and say how it went.")
    parser.add_argument("--gateway", default="http://127.0.0.1:8080", metavar="URL", help="(default: http://127.0.0.1:8080)")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="a file that holds an access key")
    parser.add_argument("--rate", type=float, default=25.0, metavar="N", help="questions a second (default: 25)")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so long (default: at Ctrl-C)")
    parser.add_argument("--seed", type=int, default=7, metavar="N", help="who asks what (default: 7)")
    given = parser.parse_args()
    try:
        key = given.key.read_text("utf-8").strip()
    except OSError as error:
        print(f"the key cannot be read from {given.key}: {error.strerror}", file=sys.stderr)
        return 2
    traffic = Traffic(given.gateway, key, given.rate, given.seed)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: traffic.stop.set())
    threads = [threading.Thread(target=work, daemon=True) for work in (*[traffic.ask] * ASKERS, traffic.tell)]
    for thread in threads:
        thread.start()
    traffic.stop.wait(given.seconds)
    traffic.stop.set()
    for thread in threads:
        thread.join(timeout=25)
    total = traffic.total()
    print("in all  " + "  ".join(f"{word} {total[word]}" for word in COUNTED), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
