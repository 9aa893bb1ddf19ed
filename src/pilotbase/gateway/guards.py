"""The guards of a route on requests and on answers that come whole; `holdback` has them on streams."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pilotbase.domain.traffic import GuardUse
from pilotbase.errors import UserError
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.endpoints import ENDPOINTS, Kind
from pilotbase.gateway.holdback import Holdback
from pilotbase.gateway.lenient import write
from pilotbase.gateway.texts import TOKEN_NUMBERS, Path, Piece, answer_pieces, replace, request_pieces, takes_numbers
from pilotbase.gateway.watch import Blocked, Found, Growing, Panel, Placed, Remote, Watch
from pilotbase.ports import Finding, Guard, Phase, RemoteGuard

__all__ = ["Guarding", "Outcome", "refusal"]

_FORMS = frozenset(endpoint.kind for endpoint in ENDPOINTS.values() if endpoint.body == "multipart")
_MARGIN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the guards said of one document. Findings hold places and rules, never what was found.

    `blocked`: it may not go on. `changed`: the bytes to go on in its stead, where something was masked. `flags` and `masked` are
    for the record.
    """

    blocked: Finding | None = None
    changed: bytes | None = None
    flags: Sequence[Finding] = ()
    masked: Sequence[Finding] = ()


_CLEAR = Outcome()


@dataclass(frozen=True, slots=True)
class Guarding:
    """All guards of one route. `input` and `output` are false where none looks there: nothing then needs to be parsed."""

    input: Panel = field(default_factory=lambda: Panel("input"))
    output: Panel = field(default_factory=lambda: Panel("output"))

    @classmethod
    def empty(cls) -> "Guarding":
        """No guards."""
        return cls()

    @classmethod
    def build(cls, uses: Sequence[tuple[GuardUse, Guard | RemoteGuard]]) -> "Guarding":
        """The guards of a route in its order. UserError where one is to mask that finds no places."""
        for use, guard in uses:
            if use.action == "mask" and not getattr(guard, "masks", True):
                message = f"the guard `{use.guard}` finds no place in a text that could be masked"
                raise UserError(message, where="guards", hint="write `action: block` or `action: flag`")
        return cls(_panel("input", uses), _panel("output", uses))

    async def check_input(self, kind: Kind, document: Any) -> Outcome:
        """Look at a request. `document` is its parsed body (the text fields, of a form) and is not changed."""
        if not self.input:
            return _CLEAR
        if takes_numbers(kind, document):
            return Outcome(blocked=Finding(guard="input", rule=TOKEN_NUMBERS, start=0, end=0))
        outcome = await _check(self.input, request_pieces(kind, document), document)
        if outcome.changed is not None and kind in _FORMS:
            # A form's parts cannot be written anew from its fields.
            return Outcome(blocked=outcome.masked[0], flags=outcome.flags, masked=outcome.masked)
        return outcome

    async def check_output(self, kind: Kind, document: Any) -> Outcome:
        """Look at a whole answer: its parsed JSON, or a string (a transcript that came as text)."""
        if not self.output:
            return _CLEAR
        return await _check(self.output, answer_pieces(kind, document), document)

    def stream(self, kind: Kind) -> Holdback:
        """The guards on one streamed answer."""
        return Holdback(self.output, kind)

    def refusal(self, finding: Finding, phase: Phase) -> Refused:
        """See `refusal`."""
        return refusal(finding, phase)

    async def aclose(self) -> None:
        """Close the connections of model guards."""
        for guard in {id(remote.guard): remote.guard for panel in (self.input, self.output) for remote in panel.remote}.values():
            await guard.aclose()


def refusal(finding: Finding, phase: Phase) -> Refused:
    """The answer to a caller whose request, or whose answer, a guard blocked: the guard and its rule, nothing of the text."""
    if finding.rule == TOKEN_NUMBERS:
        message = (
            "This route looks at what it is asked, and cannot read numbers of tokens: send the text itself "
            "(in LangChain: check_embedding_ctx_length=False). 本路由须检查输入，请发送文本而非词元编号。"
        )
        return Refused(status=400, code="content_filter", message=message, param="input", retry=False)
    what, chinese = ("request", "请求") if phase == "input" else ("answer", "回答")
    rule = f"{finding.guard}/{finding.rule}"
    message = f"The {what} was stopped by a content guard of this route ({rule}). {chinese}因触发内容护栏而被拦截（{rule}）。"
    return Refused(status=400, code="content_filter", message=message, retry=False)


def _panel(phase: Phase, uses: Sequence[tuple[GuardUse, Guard | RemoteGuard]]) -> Panel:
    local: list[Placed] = []
    remote: list[Remote] = []
    for use, guard in uses:
        if use.on not in (phase, "both"):
            continue
        if hasattr(guard, "judge"):
            remote.append(Remote(cast(RemoteGuard, guard), use.action, getattr(guard, "window", 0)))
            continue
        growing = cast(Growing, guard) if hasattr(guard, "inspect_part") and hasattr(guard, "settled") else None
        total = phase == "input" and bool(getattr(guard, "total", False))
        local.append(Placed(guard, use.action, growing, total))
    # A finding may rest on what stands a reach before it, and be left out for one that begins a reach earlier still.
    context = 2 * max((placed.guard.reach for placed in local), default=0) + _MARGIN
    holds = any(action != "flag" for action in (*(one.action for one in local), *(one.action for one in remote)))
    return Panel(phase, tuple(local), tuple(remote), context, holds)


async def _check(panel: Panel, pieces: Sequence[Piece], document: Any) -> Outcome:
    if not pieces:
        return _CLEAR
    found = Found()
    lanes: dict[Path, list[Piece]] = {}
    for piece in pieces:
        lanes.setdefault(piece.lane, []).append(piece)
    changes: list[tuple[Path, str]] = []
    before = 0
    try:
        for lane in lanes.values():
            watch = Watch(panel, found, before)
            for piece in lane:
                watch.add(piece.text)
            before += watch.end
            await watch.settle(final=True)
            start = 0
            for piece in lane:
                end = start + len(piece.text)
                text = watch.render(start, end, piece.text)
                if text != piece.text:
                    changes.append((piece.path, text))
                start = end
    except Blocked as blocked:
        return Outcome(blocked=blocked.finding, flags=tuple(found.flags), masked=tuple(found.masked))
    changed = None
    if changes:
        fresh = copy.deepcopy(document)
        for path, text in changes:
            fresh = replace(fresh, path, text)
        changed = _written(fresh)
    return (
        Outcome(changed=changed, flags=tuple(found.flags), masked=tuple(found.masked)) if found.flags or found.masked else _CLEAR
    )


def _written(document: Any) -> bytes:
    if isinstance(document, str):
        return document.encode("utf-8", "replace")
    return write(document)
