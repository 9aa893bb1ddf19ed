"""The demonstration's cases: each brought along the usual way by the members who may take its steps, as far as it is to go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pilotbase.catalog import cases as store
from pilotbase.context import Context
from pilotbase.demo.contents import MARK, contents
from pilotbase.demo.entries import Listed
from pilotbase.demo.past import PastClock
from pilotbase.domain.account import Member
from pilotbase.domain.admission import StepName
from pilotbase.domain.admission_steps import Facts
from pilotbase.domain.trial_risk import Register
from pilotbase.flows.case_steps import open_case, take_step

__all__ = ["Planned", "conclude_cases", "open_cases", "planned"]

BEFORE: Sequence[tuple[StepName, str]] = (
    ("submit", "vendor"), ("screen", "engineer"), ("match", "engineer"), ("agree", "owner"), ("agree", "vendor"),
    ("countersign", "reviewer"), ("register", "engineer"), ("admit", "operator"), ("provision", "engineer"),
    ("begin", "engineer"),
)  # fmt: skip
"""Up to the first call."""
AFTER: Sequence[tuple[StepName, str]] = (("run", "engineer"), ("review", "engineer"))
DECIDED: Mapping[str, Sequence[tuple[StepName, str]]] = {
    "publish": (("pass", "reviewer"), ("publish", "operator")),
    "promote": (("pass", "reviewer"), ("publish", "operator")),
    "fail": (("fail", "reviewer"),),
}
EACH = 0.35
"""Days between two steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A case that is to be. `pilot` names the example that it is tried by, if any; `last` is its last step."""

    key: str
    need: str
    capability: str
    pilot: str
    candidate: str
    last: str
    access: str
    given: str
    reason: str = ""
    due: str = ""


def planned() -> Sequence[Planned]:
    """All of them."""
    return [Planned(**one) for one in contents()["cases"]]


def open_cases(
    context: Context, one: Planned, listed: Listed, people: Mapping[str, Member], criteria: str, clock: PastClock
) -> str:
    """Open a case and take it as far as it goes without a call; its id. `people` are the members by role who take its steps."""
    made = open_case(context, people["vendor"], need=listed.needs[one.need], capability=listed.capabilities[one.capability])
    case = made.admission.id
    for name, role in BEFORE if one.last else ():
        if name == "match" and one.last == "withdraw":
            break
        take_step(context, people[role], case, name, _facts(context, one, name, criteria))
        clock.move(EACH)
        if name == one.last:
            break
    if one.last == "withdraw":
        take_step(context, people["vendor"], case, "withdraw", Facts(text=one.reason))
    if one.due:
        day = (clock.now() + timedelta(days=2)).date()
        take_step(context, people["engineer"], case, "due", Facts(text=one.due, day=day))
    return case


def conclude_cases(context: Context, one: Planned, case: str, people: Mapping[str, Member], run: str) -> None:
    """Put the run's dossier to review, and decide as the case is to be decided: by its verdict, which nobody can talk away."""
    for name, role in (*AFTER, *DECIDED.get(one.last, ())):
        told = Facts(run=run) if name == "run" else Facts(text=one.reason)
        given: dict[str, Any] = {"dossier": run} if name == "review" else {}
        take_step(context, people[role], case, name, told, **given)
    if store.require(context.database, case).admission.state == "review":
        text = f"证据尚不足以判定，建议补充样本后再下结论。More cases are needed to decide. （{MARK}）"
        take_step(context, people["reviewer"], case, "comment", Facts(text=text))


def _facts(context: Context, one: Planned, name: StepName, criteria: str) -> Facts:
    today = context.clock.now().date()
    if name == "submit":
        return Facts(contact=f"{MARK}, 400-000-0000")
    if name == "screen":
        return Facts(text=f"材料齐全，应用可在指定环境运行。The papers are complete. （{MARK}）")
    if name == "match":
        return Facts(criteria=criteria, candidate=one.candidate, rounds=3)
    if name == "register":
        looked = f"知情同意、退回流程与值守人已核对（{MARK}）"
        register = Register(people=200, requests=5000, money="20000 CNY", bearer=f"场景方（{MARK}）", diligence=looked)
        return Facts(register=register)
    if name == "provision":
        return Facts(access=one.access, day=today, text=one.given)
    return Facts()
