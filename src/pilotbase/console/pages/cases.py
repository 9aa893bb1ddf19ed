"""Admission cases: the list, a new one, and one case: its way, figures and papers, and the steps that the reader may take."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson

from pilotbase.catalog import cases, entries
from pilotbase.catalog.cases import Stored
from pilotbase.console.case_forms import FIELDS, facts, options, version
from pilotbase.console.case_view import in_short, rounds_told, stages, state_look
from pilotbase.console.page import Act, Answer, Page, Sent, Shown, To, Visit
from pilotbase.domain.account import may
from pilotbase.domain.admission import DISCLOSED, STATES, STEPS, Admission, State, StepName, open_steps
from pilotbase.domain.entry import Capability, Need
from pilotbase.errors import InvalidInput, UserError
from pilotbase.flows.case_access import acts, narrowed, reads, seen
from pilotbase.flows.case_export import export_case
from pilotbase.flows.case_files import LARGEST, Attached, attach, blobs_of
from pilotbase.flows.case_proof import attached_file
from pilotbase.flows.case_sight import case_sight, published_sight
from pilotbase.flows.case_steps import open_case, take_step
from pilotbase.flows.case_words import DONE, PARTY, STATE, STEP

__all__ = ["PAGES"]

T = TypeVar("T")
PATH = "/console/cases"
SHOWN, OFFERED = 50, 200
SHOWS = ("", "mine", "overdue", "published")
_BESIDE: frozenset[str] = frozenset(("comment", "file", "due", "miss", "settle", "register", "retire", "withdraw", "revise"))
"""Steps that stand apart on the page: what is next comes first."""
_GRAVE: frozenset[str] = frozenset(("withdraw", "retire", "fail"))


def _list(visit: Visit) -> Shown:
    asked = {word: visit.query.get(word, "") for word in ("state", "show")}
    asked = {"state": asked["state"] if asked["state"] in STATES else "", "show": asked["show"] if asked["show"] in SHOWS else ""}
    found = _asked(visit, asked["show"], asked["state"] or None, visit.query.get("before"))  # type: ignore[arg-type]
    wanted = {word: value for word, value in asked.items() if value}
    more = len(found) > SHOWN
    values = {
        "rows": [in_short(visit, one) for one in found[:SHOWN]],
        "asked": asked,
        "filtered": bool(wanted),
        "older": f"{PATH}?{urlencode({**wanted, 'before': found[SHOWN - 1].id})}" if more else "",
        "states": [(state, STATE[state].text(visit.language)) for state in STATES],
        "opens": "vendor" in visit.member.roles,
    }
    return Shown(template="cases.html.j2", values=values)


def _asked(visit: Visit, show: str, state: State | None, before: str | None) -> list[Admission]:
    database, own = visit.context.database, narrowed(visit.member)
    if show == "published":
        disclosed: State = state if state in DISCLOSED else "published"
        return cases.list_cases(database, state=disclosed, before=before, limit=SHOWN + 1)
    if show == "overdue":
        return cases.list_overdue(database, visit.context.clock.now().date(), organisation=own, limit=SHOWN)
    if show == "mine":
        where = cases.BASE if own is None else own
        return cases.list_concerned(database, where, "waits", state=state, before=before, limit=SHOWN + 1)
    if own is None:
        return cases.list_cases(database, state=state, before=before, limit=SHOWN + 1)
    return cases.list_concerned(database, own, state=state, before=before, limit=SHOWN + 1)


def _new(visit: Visit) -> Shown:
    database = visit.context.database
    needs = entries.list_entries(database, Need, state="published", limit=OFFERED)
    own = entries.list_entries(database, Capability, organisation=visit.member.organisation, limit=OFFERED)
    wished = entries.find(database, Need, visit.query.get("need", ""))
    if wished is not None and wished.state == "published" and wished not in needs:
        needs.append(wished)
    values = {
        "needs": [(one.id, one.title) for one in needs],
        "capabilities": [(one.id, one.title) for one in own if one.state != "withdrawn"],
        "wish": {word: visit.query.get(word, "") for word in ("need", "capability")},
        "opens": "vendor" in visit.member.roles,
    }
    return Shown(template="case_new.html.j2", values=values)


def _open(visit: Visit, form: Mapping[str, str]) -> To:
    made = _told_here(
        lambda: open_case(visit.context, visit.member, need=form.get("need", ""), capability=form.get("capability", ""))
    )
    return To(path=f"{PATH}/{made.admission.id}", note=visit.t("The draft is kept. Submit it when it is complete."))


def _show(visit: Visit) -> Answer:
    stored = seen(visit.context, visit.member, visit.place["admission"])
    case = stored.admission
    values: dict[str, Any] = {
        "one": case,
        "told": in_short(visit, case),
        "look": state_look(case.state),
        "stages": stages(visit, case),
    }
    if not reads(visit.member, case):
        return Shown(template="admission_published.html.j2", values={**values, "sight": published_sight(visit.context, stored)})
    if "file" in visit.query:
        file = attached_file(visit.context, case.id, visit.query["file"])
        return Sent(name=file["name"], media_type=file["media_type"], data=blobs_of(visit.context).get(file["digest"]))
    if "export" in visit.query:
        document = orjson.dumps(export_case(visit.context, case.id), option=orjson.OPT_INDENT_2)
        return Sent(name=f"{case.id}.json", media_type="application/json", data=document)
    return Shown(template="admission.html.j2", values={**values, **_all(visit, stored)})


def _all(visit: Visit, stored: Stored) -> dict[str, Any]:
    case, language = stored.admission, visit.language
    sight = case_sight(visit.context, stored)
    steps = [
        {"name": name, "title": STEP[name].text(language), "fields": FIELDS.get(name, ()), "grave": name in _GRAVE}
        for name in open_steps(visit.member, case)
    ]
    return {
        "sight": sight,
        "rounds": rounds_told(visit, sight.rounds),
        "next": [step for step in steps if step["name"] not in _BESIDE],
        "beside": [step for step in steps if step["name"] in _BESIDE and step["name"] not in ("comment", "file")],
        "writes": any(step["name"] == "comment" for step in steps),
        "options": options(visit, case, sight),
        "agreed": [(PARTY[party].text(language), party in case.agreed) for party in ("owner", "vendor")],
        "parties": {party: told.text(language) for party, told in PARTY.items()},
        "runs_seen": may(visit.member, "runs.read"),
        "incidents_seen": may(visit.member, "incidents.read"),
    }


def _act(name: StepName) -> Callable[[Visit, Mapping[str, str]], Answer]:
    def do(visit: Visit, form: Mapping[str, str]) -> To:
        case = visit.place["admission"]
        stored = seen(visit.context, visit.member, case)
        if not reads(visit.member, stored.admission):
            raise UserError(f"there is no case `{case[:80]}`", hint="take one from the list of cases", status=404)
        told, source, looked = facts(name, form), form.get("dossier", ""), version(form)
        file = _told_here(lambda: _file(visit, name, stored.admission))
        done = _told_here(
            lambda: take_step(visit.context, visit.member, case, name, told, version=looked, dossier=source, file=file)
        )
        note = visit.t("On record: %(what)s.") % {"what": DONE[name].text(visit.language)}
        return To(path=f"{PATH}/{done.admission.id}", note=note)

    return do


def _file(visit: Visit, name: StepName, case: Admission) -> Attached | None:
    """The file that came, kept only where the member may attach one."""
    one = visit.files.get("file") if name == "file" else None
    if one is None:
        return None
    acts(visit.member, case, name)
    return attach(visit.context, one.name, one.size, one.file)


def _told_here(take: Callable[[], T]) -> T:
    """What is refused is told on the page. The shell's own 403 is for those who may not act here at all."""
    try:
        return take()
    except InvalidInput as error:
        error.status = 422
        raise
    except UserError as error:
        error.status = 409 if error.status == 403 else error.status
        raise


PAGES: tuple[Page, ...] = (
    Page(name="cases", path=PATH, title="Pilot cases", permit="cases.read", show=_list, menu=15),
    Page(
        name="case-new",
        path=f"{PATH}/new",
        title="New pilot case",
        permit="cases.write",
        show=_new,
        acts={"open": Act(permit="cases.write", do=_open)},
    ),
    Page(
        name="admission",
        path=f"{PATH}/{{admission}}",
        title="Pilot case",
        permit="cases.read",
        show=_show,
        acts={step.name: Act(permit="cases.write", do=_act(step.name)) for step in STEPS},
        uploads=LARGEST + (1 << 20),
    ),
)
