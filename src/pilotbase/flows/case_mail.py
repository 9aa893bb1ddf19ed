"""Letters to the members whom a step of a case concerns, in each one's language; queued with the step, sent by the courier.

A member is reached where the login is an e-mail address. The letter says what happened and who has to do something next. It holds
no comment, no file, no figure of a dossier and nothing of held-out data: these are read in the case, by those who may.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from pilotbase.accounts import members
from pilotbase.catalog.cases import By, Stored
from pilotbase.context import Context
from pilotbase.domain.account import Member
from pilotbase.domain.admission import Admission, StepName, open_steps
from pilotbase.domain.alert import clean_line
from pilotbase.flows.case_words import DONE, PARTY, STATE
from pilotbase.release.deliveries import queue_letter
from pilotbase.release.mail import Letter

__all__ = ["tell_parties"]

SILENT: frozenset[str] = frozenset(("register", "run", "due", "file"))
"""Steps of which nobody is told by mail: they ask nothing of anybody at once."""


def tell_parties(context: Context, stored: Stored, step: StepName, by: By, now: datetime) -> int:
    """Queue the letters of a step, in the caller's transaction; how many. None where no mail server is set."""
    if context.mail is None or step in SILENT:
        return 0
    case, sent = stored.admission, 0
    for member in _concerned(context, case, by):
        letter = Letter(
            id=f"{case.id}-{stored.records}-{member.id}",
            subject=_said(member.language, *_subject(case, step)),
            text=_said(member.language, *_text(context, case, step), between="\n\n----\n\n"),
        )
        queue_letter(context.database, replace(context.mail, email=(member.login,)), letter, now)
        sent += 1
    return sent


def _concerned(context: Context, case: Admission, by: By) -> Iterator[Member]:
    """Who can do something in this case, but for whoever just did: members of its parties by their role, and of the base only
    those whom it waits for.
    """
    taker = by.who.partition("/")[0]  # a token is its member
    for member in members.list_members(context.database):
        reached = "@" in member.login and member.disabled is None and f"member:{member.login}" != taker
        if reached and _party_of(member, case):
            yield member


def _party_of(member: Member, case: Admission) -> bool:
    roles, own = member.roles, member.organisation
    if ("vendor" in roles and own == case.vendor) or ("owner" in roles and own == case.owner and case.state != "draft"):
        return True
    moves = set(open_steps(member, case)) - {"comment", "file", "due", "miss", "settle", "register", "retire", "revise"}
    return "base" in case.waits and bool(moves)


def _said(language: str, english: str, chinese: str, *, between: str = " / ") -> str:
    return {"en": english, "zh": chinese}.get(language, f"{chinese}{between}{english}")


def _subject(case: Admission, step: StepName) -> tuple[str, str]:
    title = clean_line(f"{case.capability_title} – {case.need_title}", 100)
    return f"[pilotbase] {title}: {DONE[step].en}", f"[pilotbase] {title}：{DONE[step].zh}"


def _text(context: Context, case: Admission, step: StepName) -> tuple[str, str]:
    where = f"{(context.public_url or '').rstrip('/')}/console/cases/{case.id}"
    waits = [PARTY[one] for one in case.waits]
    english = [
        f"Case {case.id}: {clean_line(case.capability_title)} for {clean_line(case.need_title)}",
        f"What happened: {DONE[step].en}",
        f"It is now: {STATE[case.state].en}" + (f" (round {case.round} of {case.rounds})" if case.round else ""),
        f"Next: {', '.join(one.text('en') for one in waits)}" if waits else "Nobody has to do anything now.",
        *([f"Due: {case.due.isoformat()}"] if case.due is not None else []),
        where,
    ]
    chinese = [
        f"中试项目 {case.id}：{clean_line(case.capability_title)} → {clean_line(case.need_title)}",
        f"进展：{DONE[step].zh}",
        f"当前状态：{STATE[case.state].zh}" + (f"（第 {case.round} 轮，共 {case.rounds} 轮）" if case.round else ""),
        f"下一步由{'、'.join(one.text('zh') for one in waits)}处理" if waits else "目前无需任何一方处理。",
        *([f"期限：{case.due.isoformat()}"] if case.due is not None else []),
        where,
    ]
    return "\n".join(english), "\n".join(chinese)
