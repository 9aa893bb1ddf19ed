"""What a release does next: a pure decision, from what was seen to a move and its causes.

The same verdicts decide here as in a pilot (`domain.verdict.decide`). Going back needs one cause; going on needs all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pilotbase.domain.quantity import Money
from pilotbase.domain.release import Exposure, Move, Rung, State
from pilotbase.domain.verdict import CheckResult, roll_up

__all__ = ["Cause", "Exposed", "Facts", "Step", "decide_step", "limits_reached"]

Kind = Literal["failing-check", "worse", "burn", "missing-evidence", "breaker", "drift", "limit", "operator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a release moves: `told` in English and Chinese, `figures` the evidence, `check` the one that fired."""

    kind: Kind
    told: tuple[str, str]
    check: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """What was risked so far: people and requests that the candidate answered, what it cost with its shadows (nanos of
    `currency`), and seconds since the release began. `shadow_spent` says that the copies' own limit is used up.
    """

    people: int = 0
    requests: int = 0
    nanos: int = 0
    currency: str = ""
    seconds: float = 0.0
    shadow_spent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a release on its rung. `checks` are its live checks, each with whether it is mandatory; `requests` the
    candidate's results that count, `seconds` those under watch, `feedback` users' words. `alarms` and `missing` are reasons to
    go back that no check gives. `caught_up`: all evidence that there is has been read.
    """

    state: State
    rung: Rung
    checks: Sequence[tuple[CheckResult, bool]]
    requests: int
    seconds: float
    feedback: int
    exposed: Exposed
    limits: Exposure
    alarms: Sequence[Cause] = ()
    missing: Sequence[Cause] = ()
    caught_up: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A move with its causes, or none with what is waited for (English and Chinese)."""

    move: Move | None = None
    causes: Sequence[Cause] = ()
    waiting: Sequence[tuple[str, str]] = ()


def decide_step(facts: Facts) -> Step:
    """The next move. Back before hold before climb: what speaks against the candidate goes first."""
    if facts.state in ("rolled-back", "ended", "held"):
        return Step()
    against = [*_failing(facts), *facts.alarms, *facts.missing]
    if against:
        return Step(move="back", causes=against)
    reached = limits_reached(facts.limits, facts.exposed)
    if reached:
        return Step(move="hold", causes=reached)
    waiting = _waiting(facts)
    if facts.state != "climbing" or waiting:
        return Step(waiting=waiting)
    return Step(move="climb")


def _failing(facts: Facts) -> list[Cause]:
    found = []
    for check, mandatory in facts.checks:
        if mandatory and check.role == "decide" and check.verdict == "fail":
            figures = {
                "value": check.value, "low": check.low, "high": check.high, "n": check.n, "require": check.require,
                "method": check.method, "confidence": check.confidence,
            }  # fmt: skip
            english = "; ".join(r.text("en") for r in check.reasons) or "fail"
            chinese = "；".join(r.text("zh") for r in check.reasons) or "不通过"
            found.append(
                Cause(
                    kind="failing-check",
                    told=(f"{check.id} FAILS on live traffic: {english}", f"{check.id} 在真实流量上不通过：{chinese}"),
                    check=check.id,
                    figures=figures,
                )
            )
    return found


def limits_reached(limits: Exposure, exposed: Exposed) -> list[Cause]:
    """Which declared limits are used up."""
    found: list[Cause] = []

    def reached(word: str, zh: str, most: object, now: object) -> None:
        told = (f"the limit of {word} is reached: {now} of {most}", f"已达到{zh}上限：{now} / {most}")
        found.append(Cause(kind="limit", told=told, figures={"limit": word, "most": str(most), "now": str(now)}))

    if limits.people is not None and exposed.people >= limits.people:
        reached("people", "人数", limits.people, exposed.people)
    if limits.requests is not None and exposed.requests >= limits.requests:
        reached("requests", "请求数", limits.requests, exposed.requests)
    money = limits.money
    if money is not None and exposed.nanos >= money.nanos:
        reached("money", "费用", money, Money(exposed.nanos, exposed.currency or money.currency))
    if limits.seconds is not None and exposed.seconds >= limits.seconds:
        reached("time", "时间", f"{limits.seconds:g} s", f"{exposed.seconds:.0f} s")
    return found


def _waiting(facts: Facts) -> list[tuple[str, str]]:
    """What is missing before the next rung; nothing on the last one is waited for, since there is no next."""
    rung = facts.rung
    found: list[tuple[str, str]] = []
    if not facts.caught_up:
        found.append(("the evidence so far is being read", "正在读取已有证据"))
    if facts.requests < rung.requests:
        found.append((f"{facts.requests} of {rung.requests} results", f"已有 {facts.requests} 个结果，共需 {rung.requests} 个"))
    if facts.seconds < rung.seconds:
        found.append(
            (f"{facts.seconds:.0f} of {rung.seconds:g} s under watch", f"已观察 {facts.seconds:.0f} 秒，共需 {rung.seconds:g} 秒")
        )
    if facts.feedback < rung.feedback:
        found.append(
            (f"{facts.feedback} of {rung.feedback} users' words", f"已有 {facts.feedback} 条用户反馈，共需 {rung.feedback} 条")
        )
    if facts.exposed.shadow_spent and rung.rung == "shadow" and facts.requests < rung.requests:
        found.append(("the money for shadows is used up: raise it, or promote", "影子流量的费用已用完：请提高上限或人工晋级"))
    deciding = [c for c, mandatory in facts.checks if mandatory and c.role == "decide"]
    if rung.climb == "pass" and roll_up(c.verdict for c in deciding) != "pass":
        open_ = [c for c in deciding if c.verdict != "pass"]
        names = ", ".join(c.id for c in open_)
        found.append((f"no PASS yet: {names or 'no check'}", f"尚未通过：{names or '没有检验项'}"))
    return found
