"""Pages of cases: who finds what in the lists, what others' members read, files, and what a refused step says."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.admissions import Parties, facts_of, opened, people, walked
from tests.fakes.console import render

from pilotbase.catalog import cases
from pilotbase.catalog.cases import By
from pilotbase.console.page import Page, Sent, To, Upload, Visit
from pilotbase.console.pages import home
from pilotbase.console.pages.cases import PAGES
from pilotbase.console.words import speak
from pilotbase.context import Context, SystemClock, open_context
from pilotbase.domain.account import Member
from pilotbase.domain.admission import STATES, Admission, Proof
from pilotbase.domain.admission_steps import Facts
from pilotbase.errors import UserError
from pilotbase.flows.case_steps import take_step
from pilotbase.signing import Key
from pilotbase.store.disk import LocalDisk

LIST, NEW, CASE = PAGES


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with open_context(tmp_path / "home", disk=LocalDisk(), clock=SystemClock(), secrets=lambda _: None) as found:
        yield found


@pytest.fixture
def parties(context: Context) -> Parties:
    return people(context, title="<b>Find</b> nodules")


def visit(context: Context, member: Member, language: Any = "en", **more: Mapping[str, Any]) -> Visit:
    return Visit(context=context, member=member, language=language, t=speak(language, "cases"), **more)


def shown(context: Context, member: Member, case: Admission, **query: str) -> str:
    return render(CASE, visit(context, member, place={"admission": case.id}, query=query))


def listed(context: Context, member: Member, **query: str) -> str:
    return render(LIST, visit(context, member, query=query))


def put(context: Context, case: Admission, **changes: Any) -> Admission:
    """The case as if steps had led there."""
    found = cases.require(context.database, case.id)
    by = By(who="test", organisation="base", party="base")
    after = replace(found.admission, **changes, version=found.admission.version + 1)
    key = Key.load_or_create(context.home)
    return cases.change(context.database, found, after, "due", {}, key, by, now=context.clock.now()).admission


def proof(case: Admission) -> Proof:
    return Proof(
        digest="sha256:" + "d" * 64, run="r-1", criteria=case.criteria, verdict="pass", confirmatory=True, verified=True,
        signed=True, signer="SHA256:x", fingerprint="sha256:f",
    )  # fmt: skip


def test_each_sees_the_cases_of_the_own_organisation_and_the_base_sees_all(context: Context, parties: Parties) -> None:
    case = opened(context, parties)
    stranger = replace(parties["vendor"], organisation="org_other")
    assert "Nodule finder" in listed(context, parties["vendor"]) and "Nodule finder" in listed(context, parties["auditor"])
    assert "Nodule finder" not in listed(context, parties["owner"]), "a draft is its vendor's alone"
    assert "Nodule finder" not in listed(context, stranger)
    case = walked(context, parties, case, "submit")
    assert "Nodule finder" in listed(context, parties["owner"]) and "<b>Find" not in listed(context, parties["owner"])
    assert "Nodule finder" in listed(context, parties["engineer"], show="mine")
    assert "Nodule finder" not in listed(context, parties["vendor"], show="mine")
    assert "Nodule finder" not in listed(context, parties["engineer"], state="draft")
    with pytest.raises(UserError) as refused:
        shown(context, stranger, case)
    assert refused.value.status == 404


def test_a_list_is_paged(context: Context, parties: Parties) -> None:
    key, now = Key.load_or_create(context.home), context.clock.now()
    by = By(who="test", organisation=parties["vendor"].organisation, party="vendor")
    for number in range(52):
        made = Admission(
            id="", need=f"need_{number}", need_title=f"need {number}", capability="c", capability_title="Finder",
            vendor=by.organisation, owner="o", created=now, entered=now,
        )  # fmt: skip
        cases.create(context.database, made, key, by, now=now)
    first = listed(context, parties["vendor"])
    assert first.count("Finder</a>") == 50 and "before=case_" in first
    before = first.partition("before=")[2].partition('"')[0]
    assert listed(context, parties["vendor"], before=before).count("Finder</a>") == 2


def test_a_published_verdict_is_everybodys_and_nothing_else_of_the_case_is(context: Context, parties: Parties) -> None:
    case = walked(context, parties, opened(context, parties), "submit")
    take_step(context, parties["owner"], case.id, "comment", Facts(text="between us"))
    case = put(context, case, state="published", outcome="passed", criteria="sha256:" + "a" * 64)
    case = put(context, case, proof=proof(case))
    stranger = replace(parties["vendor"], organisation="org_other")
    told = shown(context, stranger, case)
    assert "Published verdict" in told and "d" * 64 in told
    assert "between us" not in told and "010-1234" not in told and "Record" not in told
    assert "Nodule finder" in listed(context, stranger, show="published")
    with pytest.raises(UserError) as refused:
        CASE.acts["comment"].do(visit(context, stranger, place={"admission": case.id}), {"text": "x"})
    assert refused.value.status == 404
    for query in ({"export": "1"}, {"file": "1"}):
        assert "Published verdict" in shown(context, stranger, case, **query), "no file and no record for others"


def upload(name: str, data: bytes) -> Mapping[str, Upload]:
    return {"file": Upload(name=name, size=len(data), file=BytesIO(data))}


def test_a_file_is_attached_and_fetched_by_the_parties(context: Context, parties: Parties) -> None:
    case = walked(context, parties, opened(context, parties), "submit")
    place = {"admission": case.id}
    done = CASE.acts["file"].do(visit(context, parties["vendor"], place=place, files=upload("计划.txt", b"plan")), {})
    assert isinstance(done, To) and "On record" in done.note
    found = CASE.show(visit(context, parties["owner"], place=place, query={"file": "3"}))
    assert isinstance(found, Sent) and (found.name, found.data, found.media_type) == ("计划.txt", b"plan", "text/plain")
    for files, status in ((upload("x.exe", b"MZ"), 422), ({}, 422)):
        with pytest.raises(UserError) as refused:
            CASE.acts["file"].do(visit(context, parties["vendor"], place=place, files=files), {})
        assert refused.value.status == status
    with pytest.raises(UserError, match="attaches no file"):
        CASE.show(visit(context, parties["owner"], place=place, query={"file": "1"}))


def test_only_the_steps_that_the_reader_may_take_are_offered(context: Context, parties: Parties) -> None:
    case = walked(context, parties, opened(context, parties), "match")
    offered = {role: shown(context, parties[role], case) for role in parties.members}
    expected: dict[str, set[str]] = {
        "vendor": {"agree"},
        "owner": {"agree"},
        "reviewer": {"countersign"},
        "operator": {"countersign", "admit"},
        "auditor": set(),
    }
    for role, steps in expected.items():
        found = {step for step in ("agree", "countersign", "admit", "pass", "screen") if f'value="{step}"' in offered[role]}
        assert found == steps, role
    assert "<form" in offered["vendor"] and 'name="act" value="comment"' not in offered["auditor"]


def test_a_step_from_an_old_page_is_refused(context: Context, parties: Parties) -> None:
    case = walked(context, parties, opened(context, parties), "match")
    seen = visit(context, parties["vendor"], place={"admission": case.id})
    CASE.acts["agree"].do(visit(context, parties["owner"], place={"admission": case.id}), {"version": str(case.version)})
    with pytest.raises(UserError, match="changed this case meanwhile") as refused:
        CASE.acts["agree"].do(seen, {"version": str(case.version)})
    assert refused.value.status == 409
    for wrong in ({"version": "x"}, {"day": "soon"}):
        step = "agree" if "version" in wrong else "due"
        member = parties["vendor" if step == "agree" else "engineer"]
        with pytest.raises(UserError) as garbled:
            CASE.acts[step].do(visit(context, member, place={"admission": case.id}), {"text": "x", **wrong})
        assert garbled.value.status == 422


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("state", STATES)
def test_every_state_has_its_page(context: Context, parties: Parties, state: Any, language: str) -> None:
    case = put(context, opened(context, parties), state=state, agreed=("vendor", "owner"))
    told = render(CASE, visit(context, parties["vendor"], language, place={"admission": case.id}))
    assert told.count('aria-current="step"') == 1


def test_a_record_that_was_changed_is_told_on_the_page(context: Context, parties: Parties) -> None:
    case = walked(context, parties, opened(context, parties), "submit")
    assert "Every record is signed" in shown(context, parties["owner"], case)
    context.database.execute("DELETE FROM case_records WHERE seq = 2")
    assert "The record was changed, at record 2" in shown(context, parties["owner"], case)


def test_the_home_page_says_whose_turn_it_is(context: Context, parties: Parties) -> None:
    page: Page = home.PAGES[0]
    opened(context, parties)

    def told(role: str) -> str:
        return render(page, visit(context, parties[role])).partition('id="needs"')[0]

    assert "Nodule finder" in told("vendor") and "Nodule finder" not in told("engineer")
    case = cases.list_cases(context.database)[0]
    walked(context, parties, case, "submit", {"submit": facts_of("submit")})
    assert "Nodule finder" in told("engineer") and "Nodule finder" not in told("vendor")
    assert "Nodule finder" not in told("auditor")
    assert ">1</b><span>submitted" in told("owner")
