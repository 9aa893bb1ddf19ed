"""Whom the candidate arm answers in each state of a release: a pure decision, written into the route for the workers."""

from dataclasses import replace

from pilotbase.domain.release import Plan, State
from pilotbase.domain.traffic import Arm

__all__ = ["DRIFT_SAMPLE", "arm_in"]

DRIFT_SAMPLE = 0.2
"""The share of answers that are kept where only the comparison with the pilot's own inputs and outputs needs them."""


def arm_in(base: Arm, plan: Plan, state: State, rung: int, *, sample: float, sample_stable: float) -> Arm | None:
    """The arm as the workers are to see it; None where there is none any more.

    `base` says who answers and who pays for shadows. Held, the arm is there and answers nobody: so that what it knew stays
    attributed, and going on takes a person.
    """
    if state in ("rolled-back", "ended"):
        return None
    none = replace(base, shadow=0.0, share=0.0, people=(), notice="", sample=0.0, sample_stable=0.0)
    if state == "held":
        return none
    kept = max(sample, DRIFT_SAMPLE if plan.drift is not None else 0.0)
    watched = replace(none, sample=kept, sample_stable=sample_stable)
    if state == "full":
        return replace(watched, share=1.0)
    step = plan.rungs[rung]
    if step.rung == "shadow":
        return replace(watched, shadow=step.part)
    so_far = [one for one in plan.rungs[: rung + 1] if one.rung == "bounded"]
    people = tuple(dict.fromkeys(user for one in so_far for user in one.users))
    notice = next((one.notice for one in reversed(so_far) if one.notice), "")
    return replace(watched, share=step.part if step.rung == "canary" else 0.0, people=people, notice=notice)
