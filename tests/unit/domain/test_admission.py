"""The way of a case from draft to retired: who may take which step, what each needs, and that there is no way around one."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.domain.account import ROLES, Member
from pilotbase.domain.admission import FINAL, STATES, STEPS, Admission, Party, Proof, acting, open_steps, step_named
from pilotbase.domain.admission_steps import Facts, taken
from pilotbase.domain.trial_risk import Register
from pilotbase.errors import InvalidInput, UserError

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
CRITERIA, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DAY = date(2026, 11, 30)
PASSED = Proof(
    digest="sha256:" + "c" * 64, run="r-1", criteria=CRITERIA, verdict="pass", confirmatory=True, verified=True, signed=True,
    signer="SHA256:base", fingerprint="sha256:f", witnessed=NOW, began=NOW + timedelta(hours=1),
)  # fmt: skip
ELSEWHERE = replace(PASSED, digest="sha256:" + "d" * 64, signer="SHA256:second", agreement="agree")
RISK = Register(people=20, bearer="First Hospital", diligence="papers seen")
GOOD: dict[str, Facts] = {
    "submit": Facts(contact="Li Lei, 010-1234", need_published=True),
    "screen": Facts(text="complete"),
    "match": Facts(criteria=CRITERIA, candidate="app", rounds=2, need_published=True),
    "revise": Facts(criteria=OTHER, candidate="app", text="fresh cases"),
    "countersign": Facts(countersigned=NOW),
    "register": Facts(register=RISK),
    "provision": Facts(access="personal", day=DAY, text="test set behind the counter"),
    "run": Facts(run="r-1", run_criteria=CRITERIA),
    "review": Facts(proof=PASSED),
    "condition": Facts(text="mend the log", day=DAY),
    "again": Facts(text="after a fix"),
    "withdraw": Facts(text="no time"),
    "promote": Facts(proof=ELSEWHERE),
    "retire": Facts(text="replaced"),
    "comment": Facts(text="hello"),
    "due": Facts(text="papers", day=DAY),
    "miss": Facts(incident="inc-1"),
    "settle": Facts(text="paid"),
}
WAY = (
    "submit", "screen", "match", "agree", "agree", "countersign", "register", "admit", "provision", "begin", "run", "review",
    "pass", "publish", "promote", "retire",
)  # fmt: skip


def draft(**more: Any) -> Admission:
    fields: dict[str, Any] = {
        "id": "case_1", "need": "need_1", "need_title": "Find nodules", "capability": "capability_1",
        "capability_title": "Nodule finder", "vendor": "org_v", "owner": "org_o", "created": NOW, "entered": NOW,
    }  # fmt: skip
    return Admission(**{**fields, **more})


def step(case: Admission, name: Any, facts: Facts | None = None, *, party: Party | None = None) -> Admission:
    """The step with what it needs, by the first party that it takes."""
    found = step_named(name)
    assert found is not None
    turn: Party = party or ("owner" if name == "agree" and "vendor" in case.agreed else found.parties[0])
    return taken(case, name, facts or GOOD.get(name, Facts()), party=turn, now=NOW + timedelta(days=1))


def at(last: str, **more: Any) -> Admission:
    """A case after the step `last` of the usual way."""
    case = draft(**more)
    for name in WAY[: len(WAY) - WAY[::-1].index(last)]:
        case = step(case, name)
    return case


def refusal(case: Admission, name: str, facts: Facts | None = None, **more: Any) -> str:
    with pytest.raises(UserError) as caught:
        step(case, name, facts, **more)
    if not isinstance(caught.value, InvalidInput):
        assert caught.value.status in (409, 422)
    return str(caught.value)


def member(organisation: str, *roles: Any) -> Member:
    return Member(id="m", login="li", name="Li", organisation=organisation, roles=roles, created=NOW)


def test_the_usual_way_leads_from_draft_to_retired() -> None:
    states, case = ["draft"], draft()
    for name in WAY:
        case = step(case, name)
        if case.state != states[-1]:
            states.append(case.state)
    assert states == [one for one in STATES if one not in ("conditional", "failed", "withdrawn")]
    assert (case.round, case.runs, case.outcome, case.version) == (1, ((1, "r-1"),), "passed", len(WAY) + 1)


@pytest.mark.parametrize("name", ["submit", "screen", "match", "agree", "countersign", "register", "admit", "provision", "begin",
                                  "review", "pass", "publish"])  # fmt: skip
def test_no_step_of_the_way_can_be_left_out(name: str) -> None:
    case, left = draft(), False
    with pytest.raises(UserError):
        for one in WAY:
            if one == name and not left:
                left = True
                continue
            case = step(case, one)


def test_what_a_step_is_not_told_is_asked_for_all_at_once() -> None:
    assert "findings" not in refusal(at("submit"), "screen", Facts(text=" ")) and "what was found" in refusal(
        at("submit"), "screen", Facts()
    )
    told = refusal(at("screen"), "match", Facts(criteria="latest", rounds=99, need_published=True))
    assert all(word in told for word in ("criteria:", "candidate:", "rounds:"))
    assert "access:" in refusal(at("admit"), "provision", Facts(access="secret", text="x"))
    assert "contact" in refusal(draft(), "submit", Facts(need_published=True))
    assert "money" in refusal(at("match"), "register", Facts(register=Register(money="much", people=-1)))


def test_a_need_that_is_not_published_takes_nobody() -> None:
    assert "not published" in refusal(draft(), "submit", replace(GOOD["submit"], need_published=False))
    assert "not published" in refusal(at("screen"), "match", replace(GOOD["match"], need_published=False))


def test_other_criteria_void_agreements_and_the_countersignature() -> None:
    case = step(at("admit"), "revise")
    assert (case.criteria, case.agreed, case.countersigned) == (OTHER, (), None)
    assert case.waits == ("vendor", "owner")
    assert "has not agreed" in refusal(step(case, "provision"), "begin")


def test_a_round_begins_only_after_the_base_signed_the_criteria_and_before_any_call() -> None:
    case = step(at("countersign"), "register")
    early = Facts(first_call=NOW - timedelta(minutes=1))
    case = step(step(case, "admit"), "provision")
    assert "began before the base signed" in refusal(case, "begin", early)
    assert step(case, "begin", Facts(first_call=NOW + timedelta(minutes=1))).round == 1
    unsigned = replace(case, countersigned=None)
    assert "not countersigned" in refusal(unsigned, "begin")
    assert "began before the base signed" in refusal(unsigned, "countersign", replace(early, countersigned=NOW))
    late = replace(PASSED, began=NOW - timedelta(hours=1))
    assert "began before" in refusal(at("run"), "review", Facts(proof=late))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"criteria": OTHER}, "other criteria"),
        ({"verified": False}, "does not verify"),
        ({"signed": False}, "not countersigned"),
        ({"began": None}, "began before"),
    ],
)
def test_a_dossier_that_proves_nothing_is_not_put_to_review(change: dict[str, Any], told: str) -> None:
    assert told in refusal(at("run"), "review", Facts(proof=replace(PASSED, **change)))


def test_no_decision_overrides_a_verdict_in_either_direction() -> None:
    allowed = {
        ("pass", True): {"pass", "condition"},
        ("pass", False): {"condition", "again"},
        ("inconclusive", True): {"condition", "again"},
        ("fail", True): {"fail"},
    }
    for (verdict, confirmatory), names in allowed.items():
        case = step(at("run"), "review", Facts(proof=replace(PASSED, verdict=verdict, confirmatory=confirmatory)))  # type: ignore[arg-type]
        for name in ("pass", "condition", "fail", "again"):
            if name in names:
                assert step(case, name).state != "review"
            else:
                refusal(case, name)
    assert "conditions" in refusal(at("review"), "condition", Facts(day=DAY))
    assert "day" in refusal(at("review"), "condition", Facts(text="mend it"))


def test_rounds_are_used_up() -> None:
    failed = Facts(proof=replace(PASSED, verdict="fail"))
    case = at("begin")
    for number in (1, 2):
        assert case.round == number
        case = step(step(step(case, "run"), "review", failed), "fail")
        if number == 1:
            case = step(step(case, "again"), "begin")
    assert "all 2 rounds are used up" in refusal(case, "again")
    assert step(case, "withdraw").state == "withdrawn"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"signer": PASSED.signer}, "the same signer"),
        ({"verified": False}, "does not verify"),
        ({"fingerprint": "sha256:g"}, "another application"),
        ({"agreement": "undecided"}, "does not agree"),
        ({"verdict": "inconclusive"}, "does not agree"),
    ],
)
def test_promoting_needs_a_replication_elsewhere_that_agrees(change: dict[str, Any], told: str) -> None:
    assert told in refusal(at("publish"), "promote", Facts(proof=replace(ELSEWHERE, **change)))
    assert "no dossier" in refusal(at("publish"), "promote", Facts())
    conditional = step(step(at("review"), "condition"), "publish")
    assert "with conditions" in refusal(conditional, "promote")


def test_a_due_day_ends_with_the_step_that_it_was_for() -> None:
    case = step(at("submit"), "due")
    assert case.overdue(DAY + timedelta(days=1)) and not case.overdue(DAY)
    assert step(case, "screen").due is None
    assert step(at("review"), "condition").due == DAY


def test_the_register_keeps_its_near_misses_and_its_settlement() -> None:
    case = step(step(step(at("register"), "miss"), "settle"), "register", Facts(register=replace(RISK, people=5)))
    assert (case.risk.people, case.risk.misses, case.risk.settlement) == (5, ("inc-1",), "paid")


def test_nobody_acts_without_the_role_or_for_another_organisation() -> None:
    for state in STATES:
        case = draft(state=state)
        for role in ROLES:
            for organisation in ("org_v", "org_o", "org_x"):
                one = member(organisation, role)
                for name in open_steps(one, case):
                    found = step_named(name)
                    assert found is not None and case.state in found.starts
                    party = acting(one, case, found)
                    assert party in found.parties
                    assert (party == "vendor") == (role == "vendor") and (party == "owner") == (role == "owner")
                    assert party != "vendor" or organisation == "org_v"
                    assert party != "owner" or organisation == "org_o"
                    assert party != "base" or (role in found.roles and organisation != "org_v")
    assert open_steps(member("org_o", "auditor"), draft(state="review")) == ()
    assert open_steps(replace(member("org_v", "vendor"), disabled=NOW), draft()) == ()
    assert open_steps(member("org_o", "owner"), draft()) == (), "a draft is its vendor's alone"


def test_a_case_waits_for_somebody_until_nothing_is_left_to_do() -> None:
    waits = [at(name).waits for name in ("submit", "match", "countersign", "admit", "review", "pass", "publish")]
    assert waits == [("base",), ("vendor", "owner"), ("base",), ("base",), ("base",), ("base",), ()]
    assert draft().waits == ("vendor",)
    assert all(draft(state=state).waits == () for state in FINAL)


def test_every_state_is_reached_by_some_step() -> None:
    assert {one.to for one in STEPS} - {None} == set(STATES) - {"draft"}


NAMES = [one.name for one in STEPS]
PROOFS = st.builds(
    replace, st.just(PASSED), verdict=st.sampled_from(["pass", "fail", "inconclusive"]), confirmatory=st.booleans(),
    verified=st.booleans(), signed=st.booleans(), criteria=st.sampled_from([CRITERIA, OTHER]),
    signer=st.sampled_from(["SHA256:base", "SHA256:second"]), agreement=st.sampled_from(["agree", "undecided"]),
    digest=st.sampled_from([PASSED.digest, ELSEWHERE.digest]),
)  # fmt: skip
TURNS = st.tuples(st.sampled_from(NAMES), st.booleans(), st.booleans(), PROOFS)


@given(turns=st.lists(TURNS, max_size=60))
@settings(max_examples=100)
def test_whatever_is_tried_no_required_step_was_gone_around(turns: list[tuple[Any, bool, bool, Proof]]) -> None:
    case, done = draft(), list[str]()
    # Half of the walks go on from somewhere along the way, so that the far end is tried too.
    for name, well, second, proof in [*((one, True, False, PASSED) for one in WAY[: len(turns) % len(WAY)]), *turns]:
        facts = GOOD.get(name, Facts()) if well else Facts(proof=proof, need_published=second)
        if name == "review":
            facts = Facts(proof=proof)
        before = case
        try:
            case = step(case, name, facts)
        except UserError:
            assert case == before
            continue
        done.append(name)
        assert case.version == before.version + 1
        check(case, done)


def check(case: Admission, done: list[str]) -> None:
    """What must be true of a case wherever it is."""
    if case.state in ("admitted", "provisioned", "verifying", "review", "passed", "published", "promoted"):
        assert {"submit", "screen", "match", "agree", "register", "admit"} <= set(done)
        assert case.risk.bearer and case.risk.limited
    if case.state in ("verifying", "review", "passed", "conditional", "failed", "published", "promoted"):
        assert case.agreed == ("vendor", "owner") and case.countersigned is not None and 1 <= case.round <= case.rounds
    if case.state in ("review", "passed", "conditional", "failed", "published", "promoted"):
        assert case.proof is not None and case.proof.verified and case.proof.signed and case.proof.criteria == case.criteria
    if case.outcome == "passed":
        assert case.proof is not None and case.proof.verdict == "pass" and case.proof.confirmatory
    if case.outcome == "failed" and case.state == "failed":
        assert case.proof is not None and case.proof.verdict == "fail"
    if case.state == "conditional":
        assert case.conditions and case.due
    if case.state == "promoted":
        assert case.outcome == "passed" and case.replication is not None and case.proof is not None
        assert case.replication.signer != case.proof.signer
    if case.state in FINAL:
        assert case.reason and case.waits == ()
