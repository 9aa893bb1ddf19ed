"""One text as it grows, under all guards of one phase: what is settled in it, and what it reads like when masked.

A place of the text is settled once no longer text can change what the guards say of everything that begins before it. What the
guards say is therefore the same however the text came in pieces, and the same as of the whole text at once. Findings that overlap
are masked as one, by the mask of the first; the next one that only touches it has its own.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from pilotbase.ports import Finding, Guard, Phase, RemoteGuard

__all__ = ["Action", "Blocked", "Found", "Growing", "Panel", "Placed", "Remote", "Watch", "next_cut"]

Action = Literal["block", "mask", "flag"]
UNANSWERED = "unanswered"
"""The rule that is named where a model guard gave no judgement in time."""
MOST_ANSWERS = 64
_SENTENCE_ENDS = frozenset("。！？!?；;\n")


class Blocked(Exception):
    """A guard that blocks has found something. Nothing of it has gone out."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(f"blocked by {finding.guard}/{finding.rule}")
        self.finding = finding


class Growing(Protocol):
    """What a local guard may offer beside `ports.Guard`, so that a stream is held back for less.

    Both are asked about `text`, behind which more may come and before which `before` characters stood that have left.
    """

    def inspect_part(self, text: str, phase: Phase, before: int) -> Sequence[Finding]:
        """All findings in `text`, places counted from its own start."""
        ...

    def settled(self, text: str, phase: Phase, before: int) -> int:
        """The place before which every finding begins for good, whatever follows. At least `len(text) - 2 * reach`."""
        ...


@dataclass(frozen=True, slots=True)
class Placed:
    """A local guard on a route. `growing` is the guard itself where it offers that; `total`: it counts a request as a whole."""

    guard: Guard
    action: Action
    growing: Growing | None = None
    total: bool = False

    def inspect(self, text: str, phase: Phase, before: int) -> Sequence[Finding]:
        return self.guard.inspect(text, phase) if self.growing is None else self.growing.inspect_part(text, phase, before)

    def settled(self, text: str, phase: Phase, before: int) -> int:
        # A finding ends less than `reach` after it began, and is open until `reach` more characters have come.
        surely = max(0, len(text) - 2 * self.guard.reach)
        return surely if self.growing is None else max(surely, self.growing.settled(text, phase, before))


@dataclass(frozen=True, slots=True)
class Remote:
    """A model guard on a route. Output is judged in windows of at most `window` characters, or as a whole where that is 0."""

    guard: RemoteGuard
    action: Action
    window: int = 0


@dataclass(frozen=True, slots=True)
class Panel:
    """The guards of one phase, in the order of the route. False where there is none.

    `context` is how much settled text the guards still need to see; `holds`: some guard may stop or change a text.
    """

    phase: Phase
    local: tuple[Placed, ...] = ()
    remote: tuple[Remote, ...] = ()
    context: int = 0
    holds: bool = False

    def __bool__(self) -> bool:
        return bool(self.local or self.remote)


@dataclass(slots=True)
class Found:
    """What the guards of one request or answer have said, beside blocking it, each thing once; and the models' latest answers.

    A stream of responses repeats each text up to four times when it ends: what was said of it counts once.
    """

    flags: dict[Finding, None] = field(default_factory=dict)
    masked: dict[Finding, None] = field(default_factory=dict)
    answers: dict[tuple[int, str], Sequence[Finding] | None] = field(default_factory=dict)

    def remember(self, place: int, text: str, answer: Sequence[Finding] | None) -> None:
        if len(self.answers) >= MOST_ANSWERS:
            self.answers.clear()
        self.answers[place, text] = answer


class Watch:
    """One text. Places count from its first character; `before` is how much of the request came before it."""

    __slots__ = ("_base", "_before", "_covered", "_cuts", "_found", "_judged", "_panel", "_pending", "_text", "done")

    def __init__(self, panel: Panel, found: Found, before: int = 0) -> None:
        self._panel = panel
        self._found = found
        self._before = before
        self._text = ""
        self._base = 0
        self._covered = 0  # the end of what the last mask stands for
        self._cuts: deque[tuple[int, int, str]] = deque()
        self._judged = [0] * len(panel.remote)
        self._pending: list[tuple[int, int, int, Finding, Action]] = []
        self.done = 0

    @property
    def end(self) -> int:
        """How long the text is so far."""
        return self._base + len(self._text)

    def add(self, text: str) -> None:
        self._text += text

    async def settle(self, *, final: bool = False) -> None:
        """Let the guards look as far as is settled by now: `done` is then the place before which all is decided.

        Raises Blocked, before `done` moves.
        """
        panel, text, base = self._panel, self._text, self._base
        limit = base + len(text)
        if not final:
            for placed in panel.local:
                limit = min(limit, base + placed.settled(text, panel.phase, self._offset(placed)))
        for place, remote in enumerate(panel.remote):
            await self._judge(place, remote, final)
            limit = min(limit, self._judged[place])
        if limit <= self.done:
            return
        self._apply(self._findings(limit))
        self.done = limit
        self._trim()

    def render(self, start: int, end: int, text: str) -> str:
        """`text`, which stands at `start <= i < end <= done`, masked. Asked in order of `start`."""
        cuts = self._cuts
        while cuts and cuts[0][1] <= start:
            cuts.popleft()
        if not cuts or cuts[0][0] >= end:
            return text
        parts: list[str] = []
        here = start
        for first, last, mask in cuts:
            if first >= end:
                break
            parts.append(text[here - start : max(first, here) - start])
            if first >= start:
                parts.append(mask)
            here = min(last, end)
        parts.append(text[here - start :])
        return "".join(parts)

    def _offset(self, placed: Placed) -> int:
        return self._base + self._before if placed.total else self._base

    def _findings(self, limit: int) -> list[tuple[int, int, int, Finding, Action]]:
        panel, text, base, done = self._panel, self._text, self._base, self.done
        found = [one for one in self._pending if one[0] < limit]
        if found:
            self._pending = [one for one in self._pending if one[0] >= limit]
        for order, placed in enumerate(panel.local):
            for one in placed.inspect(text, panel.phase, self._offset(placed)):
                start = base + one.start
                if done <= start < limit:
                    found.append((start, -(base + one.end), order, one, placed.action))
        found.sort(key=lambda one: one[:3])
        return found

    def _apply(self, found: list[tuple[int, int, int, Finding, Action]]) -> None:
        for start, minus_end, _, one, action in found:
            end = -minus_end
            one = replace(one, start=start, end=end)
            if action == "block":
                raise Blocked(one)
            if action == "flag":
                self._found.flags[one] = None
                continue
            self._found.masked[one] = None
            if start >= self._covered:
                self._cuts.append((start, end, one.mask))
                self._covered = end
            elif end > self._covered:
                self._cuts.append((self._covered, end, ""))
                self._covered = end

    async def _judge(self, place: int, remote: Remote, final: bool) -> None:
        """Ask a model about every window that is whole by now."""
        window = remote.window if self._panel.phase == "output" else 0
        order = len(self._panel.local) + place
        while True:
            start = self._judged[place] - self._base
            cut = next_cut(self._text, start, window, final)
            if cut is None:
                return
            part = self._text[start:cut]
            if (place, part) in self._found.answers:
                answer = self._found.answers[place, part]
            else:
                answer = await remote.guard.judge(part, self._panel.phase)
                self._found.remember(place, part, answer)
            first = self._base + start
            if answer is None:
                silent = Finding(guard=remote.guard.name, rule=UNANSWERED, start=first, end=first + len(part))
                if remote.action != "flag" and not remote.guard.fail_open:
                    raise Blocked(silent)
                self._found.flags[silent] = None
            for one in answer or ():
                # Places that make no sense mean the window: a model's slip lets nothing pass.
                sound = 0 <= one.start < one.end <= len(part)
                begins, ends = (first + one.start, first + one.end) if sound else (first, first + len(part))
                self._pending.append((begins, -ends, order, one, remote.action))
            self._judged[place] = self._base + cut

    def _trim(self) -> None:
        keep = min([self.done - self._panel.context, *self._judged])
        if keep > self._base:
            self._text = self._text[keep - self._base :]
            self._base = keep


def next_cut(text: str, start: int, window: int, final: bool) -> int | None:
    """Where the window ends that begins at `start`; None while that is open.

    It ends behind the first end of a sentence in its second half (`。！？!?；;`, a line end, a space after a full stop), or where
    it is `window` characters long; without a `window`, at the end of the text. Nothing that follows moves it.
    """
    if start >= len(text):
        return None
    if window:
        for place in range(start + window // 2, min(start + window, len(text))):
            if text[place] in _SENTENCE_ENDS or (text[place].isspace() and text[place - 1] == "."):
                return place + 1
        if len(text) >= start + window:
            return start + window
    return len(text) if final else None
