"""A request of a route under release: which arm answers it, and what its caller is told of that."""

import time
from urllib.parse import quote

from pilotbase.domain.traffic import Arm
from pilotbase.gateway.answers import Header, Refused
from pilotbase.gateway.arms import CANDIDATE, STABLE, caller_of, falls_on, is_named
from pilotbase.gateway.breaker import Breaker
from pilotbase.gateway.endpoints import Kind
from pilotbase.gateway.entry import drawn
from pilotbase.gateway.exchange import Exchange
from pilotbase.gateway.outcomes import failed
from pilotbase.gateway.plane import Plane
from pilotbase.gateway.sending import maker
from pilotbase.gateway.view import Served

__all__ = ["LARGEST", "can_answer", "held_back", "keep_sample", "note_health", "pick_arm", "sampled"]

LARGEST = 256 * 1024
"""Bytes of a request and its answer together beyond which they are not kept to be scored."""
_SPOKEN = frozenset(("chat", "completions", "responses"))
_WITH_PREAMBLE = frozenset(("chat", "responses"))


async def pick_arm(plane: Plane, x: Exchange) -> None:
    """Set who answers. The stable arm does where the candidate is not being watched, is not ready, or fails in this worker.

    What an arm has said before, only that arm can go on from: Refused (409) where that is the candidate and it may answer nobody.
    """
    served = x.served
    arm, candidate = served.route.arm, served.candidate
    if arm is None:
        return
    x.release, x.arm = arm.release, STABLE
    x.caller = caller = caller_of(x.key, dict(x.scope["headers"]), x.shape.document, x.id, plane.pepper)
    held = await maker(plane, x)
    theirs = held is not None and held[0] == arm.release
    if held is not None:
        x.pinned = held[1]
    exposed = arm.share > 0.0 or bool(arm.people)
    if candidate is None or not exposed or not plane.watched():
        if theirs:
            raise held_back()
        return
    named = is_named(arm, x.key, caller.user)
    if held is not None:
        wanted = theirs
    else:
        wanted = (named or falls_on(arm, caller.sticky, plane.pepper)) and can_answer(candidate, x.endpoint.kind)
    if not wanted:
        return
    if not _take(plane, x, candidate):
        _unserved(plane, arm)
        return
    x.served, x.arm = candidate, CANDIDATE
    x.extra.append((b"x-pilotbase-release", f"{arm.release}; arm=candidate".encode()))
    if named:
        x.extra += _asked_of_named(arm)


def _unserved(plane: Plane, arm: Arm) -> None:
    """Count a request that the candidate did not serve; too many in a row are told, since no more of them become evidence."""
    count = plane.unserved[arm.release] = plane.unserved.get(arm.release, 0) + 1
    if count % arm.trip == 0:
        plane.tell("tripped", [arm.release, count])


def _take(plane: Plane, x: Exchange, candidate: Served) -> bool:
    """Whether the candidate is well enough to be asked, as far as this worker knows."""
    if x.pinned is None and not plane.pool.up(candidate.key):
        return False
    x.ticket = plane.breakers.setdefault(x.release, Breaker()).take(time.monotonic())
    return x.pinned is not None or x.ticket != 0


def can_answer(candidate: Served, kind: Kind) -> bool:
    """Whether a candidate is of a kind that answers such requests at all: its caller is not to pay for it where it is not."""
    kinds = {upstream.kind for upstream in candidate.route.upstreams}
    if kind == "infer":
        return kinds <= {"v2", "target"}
    if "v2" in kinds or ("target" in kinds and kind not in _SPOKEN):
        return False
    return kind in _WITH_PREAMBLE or not any(upstream.preamble for upstream in candidate.route.upstreams)


def held_back() -> Refused:
    """What the candidate of a release holds, while it may answer nobody."""
    message = "this goes on from an answer of a version that is not served now; begin anew"
    return Refused(status=409, code="upstream_gone", message=message, param="previous_response_id", retry=False)


def _asked_of_named(arm: Arm) -> list[Header]:
    """That this is a trial, and where to say how it went. Header values are ASCII: the notice is percent-encoded UTF-8."""
    told = [(b"x-pilotbase-feedback", b"/v1/feedback")]
    if arm.notice:
        told.append((b"x-pilotbase-notice", quote(arm.notice, safe=" ,.:;!?()/-").encode()))
    return told


def note_health(plane: Plane, x: Exchange) -> None:
    """Let this worker's own breaker know how the candidate did, so that it goes back to the stable arm by itself."""
    if not x.ticket:
        return
    ticket, x.ticket = x.ticket, 0
    breaker = plane.breakers.get(x.release)
    if breaker is None:  # the release is over
        return
    bad = failed(x.outcome, x.status)
    if bad is None:
        breaker.dropped(ticket)
    elif bad:
        breaker.failed(ticket, time.monotonic())
        if x.served.route.arm is not None:
            _unserved(plane, x.served.route.arm)
    else:
        breaker.succeeded(ticket, time.monotonic())
        plane.unserved.pop(x.release, None)


def sampled(arm: Arm, name: str, request: str, copy_of: str) -> bool:
    """Whether a request that the arm `name` answered is kept to be scored, by its id alone; a shadow goes with its original."""
    return drawn(f"sample {copy_of or request}", arm.sample_stable if name == STABLE else arm.sample)


def keep_sample(plane: Plane, x: Exchange, answer: bytes, *, streamed: bool = False) -> None:
    """Have a request that was answered, and its answer, handed to the keeper to be scored, if they are in the sample.

    Where both together are too large, or the request is a form with files, they go without their bodies.
    """
    arm = x.served.route.arm
    if arm is None or not x.arm or failed(x.outcome, x.status) is not False or not sampled(arm, x.arm, x.id, x.copy_of):
        return
    small = len(x.body) + len(answer) <= LARGEST and x.shape.form is None
    document = {
        "request": x.id,
        "release": x.release,
        "arm": x.arm,
        "at": x.started,
        "endpoint": x.endpoint.kind,
        "streamed": streamed,
        "asked": x.body.decode("utf-8", "replace") if small else None,
        "answered": answer.decode("utf-8", "replace") if small else None,
    }
    plane.samples.append(document)
