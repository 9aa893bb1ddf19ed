"""`/api/v1/cases`. Files are attached in the console. An admin key reads every case and, being no party, takes no step."""

from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Response

from pilotbase.api.access import Admit, Caller, needs
from pilotbase.api.etags import Matched, tag
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.replays import Once, once
from pilotbase.api.shapes.cases import CaseLine, CaseOut, CaseWanted, StepWanted
from pilotbase.catalog import cases
from pilotbase.catalog.cases import Stored
from pilotbase.context import Context
from pilotbase.domain.account import Member
from pilotbase.domain.admission import Admission, State, open_steps
from pilotbase.domain.admission_steps import Facts
from pilotbase.domain.trial_risk import Register
from pilotbase.errors import UserError
from pilotbase.flows.case_access import narrowed, reads, seen
from pilotbase.flows.case_export import export_case
from pilotbase.flows.case_steps import open_case, take_step
from pilotbase.store.audit import stamp

__all__ = ["paths"]


def paths(context: Context, admit: Admit) -> APIRouter:
    """Applications on their way into a scenario."""
    router = APIRouter(tags=["cases"])
    _reads(router, context, admit)
    _changes(router, context, admit)
    return router


def _reads(router: APIRouter, context: Context, admit: Admit) -> None:
    database = context.database

    @router.get("/cases", summary="Cases of one's organisation; for the base all", openapi_extra=needs("cases.read"))
    def listed(
        paging: Paged, caller: Annotated[Caller, Depends(admit)], state: Annotated[State | None, Query()] = None
    ) -> Listed[CaseLine]:
        own = narrowed(caller.member) if caller.member is not None else None
        page = {"state": state, "before": paging.before or None, "limit": paging.limit + 1}
        found = (
            cases.list_cases(database, **page) if own is None else cases.list_concerned(database, own, **page)  # type: ignore[arg-type]
        )
        return paging.page(found, lambda one: (one.id,), _line)

    @router.get("/cases/{case}", summary="One case, for its parties and the base", openapi_extra=needs("cases.read"))
    def show(case: str, response: Response, caller: Annotated[Caller, Depends(admit)]) -> CaseOut:
        found = _found(context, caller, case)
        tag(response, found.admission.version)
        return _told(caller, found)

    @router.get("/cases/{case}/record", summary="Its signed record, to be checked offline", openapi_extra=needs("cases.read"))
    def record(case: str, caller: Annotated[Caller, Depends(admit)]) -> dict[str, Any]:
        return export_case(context, _found(context, caller, case).admission.id)


def _changes(router: APIRouter, context: Context, admit: Admit) -> None:
    repeatable = once(context, admit)

    @router.post("/cases", status_code=201, summary="Open one, as a draft", openapi_extra=needs("cases.write"))
    def add(wanted: CaseWanted, caller: Annotated[Caller, Depends(admit)], repeated: Annotated[Once, repeatable]) -> CaseOut:
        def work() -> CaseOut:
            made = open_case(context, _party(caller), need=wanted.need, capability=wanted.capability, who=caller.who)
            return _told(caller, made)

        return repeated(work, status=201)

    @router.post("/cases/{case}/steps/{step}", summary="Take a step", openapi_extra=needs("cases.write"))
    def take(
        case: str,
        step: str,
        wanted: StepWanted,
        caller: Annotated[Caller, Depends(admit)],
        repeated: Annotated[Once, repeatable],
        expected: Matched,
    ) -> CaseOut:
        def work() -> CaseOut:
            found = _found(context, caller, case)
            expected.check(found.admission.version)
            done = take_step(
                context, _party(caller), case, step, _facts(wanted),  # type: ignore[arg-type]
                version=found.admission.version, dossier=wanted.dossier, who=caller.who,
            )  # fmt: skip
            return _told(caller, done)

        return repeated(work)


def _found(context: Context, caller: Caller, case: str) -> Stored:
    """A case that the caller reads whole."""
    if caller.member is None:
        return cases.require(context.database, case)
    found = seen(context, caller.member, case)
    if not reads(caller.member, found.admission):
        raise UserError(f"there is no case `{case[:80]}`", hint="take one from the list of cases", status=404)
    return found


def _party(caller: Caller) -> Member:
    if caller.member is None:
        raise UserError("an admin key is no party to a case", hint="use the token of a member of a party", status=403)
    return caller.member


def _facts(wanted: StepWanted) -> Facts:
    words = ("text", "contact", "criteria", "candidate", "rounds", "access", "day", "run", "incident")
    register = Register(**asdict(wanted.register)) if wanted.register is not None else None
    return Facts(**{word: getattr(wanted, word) for word in words}, register=register)


def _told(caller: Caller, stored: Stored) -> CaseOut:
    one = stored.admission
    steps = list(open_steps(caller.member, one)) if caller.member is not None and caller.may("cases.write") else []
    return CaseOut(about=_line(one), steps=[str(step) for step in steps], document=orjson.loads(orjson.dumps(asdict(one))))


def _line(one: Admission) -> CaseLine:
    return CaseLine(
        id=one.id,
        state=one.state,
        need=one.need,
        capability=one.capability,
        vendor=one.vendor,
        owner=one.owner,
        round=one.round,
        rounds=one.rounds,
        waits=list(one.waits),
        due=one.due.isoformat() if one.due is not None else None,
        created=stamp(one.created),
        version=one.version,
    )
