"""A board: equal records give equal results, and a look sees a complete prefix of the recorded order and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.boards import account, answers, board, cases, conclude, pilot, portion, result, tracked

from pilotbase.checks.board import Board
from pilotbase.checks.conclude import conclude_candidate
from pilotbase.checks.plan import alpha_share, plan_checks, plan_family
from pilotbase.domain.gate import Check, Transform
from pilotbase.domain.verdict import CandidateResult, CheckResult, Family
from pilotbase.ports import Observations

NOISE = Transform(transform="gaussian-noise", scale="0.1 sd")
CHECKS = (
    Check(metric="accuracy", require=">= 0.8"),
    Check(metric="sensitivity", require=">= 0.6"),
    Check(metric="precision", require=">= 0.7"),
    Check(metric="f1", require=">= 0.7"),
    Check(metric="auroc", require=">= 0.7"),
    Check(metric="accuracy", drop_under=NOISE, require="<= 0.2"),
    Check(metric="accuracy", gap_by="g", require="<= 0.4"),
    Check(metric="failure-rate", require="<= 0.1"),
    Check(metric="labels", require="in [0, 1]"),
    Check(metric="contains", require="<= 0.3", expect="junk"),
)


def _records(seed: int, n: int = 150) -> tuple[list[str], list[str], list[Observations]]:
    r = np.random.default_rng(seed)
    truth = [str(v) for v in r.integers(0, 2, n)]
    right = r.random() * 0.3 + 0.7

    def said(share: float, variant: int) -> Observations:
        label = [t if r.random() < share else r.choice(["0", "1", "junk"]) for t in truth]
        failed = np.flatnonzero(r.random(n) < 0.03)
        return answers(range(n), label, variant=variant, failed=failed, score=np.round(r.random(n), 2))

    return truth, [str(v) for v in r.integers(0, 2, n)], [said(right, 0), said(right - 0.05, 1)]


def _fresh(truth: list[str], groups: list[str], early_stop: bool = True) -> Board:
    return board(pilot(*CHECKS), cases(truth, groups=groups), early_stop=early_stop)


def _whole(made: Board) -> CandidateResult:
    made.look()
    return conclude_candidate(made, account(made), role="candidate", fingerprint="f", gates=[("gate", True)])


def _checks(found: CandidateResult) -> list[CheckResult]:
    return [c for g in found.gates for c in g.checks]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.data())
def test_equal_records_give_equal_results_in_whatever_order_and_portions_they_came(
    seed: int, early: bool, data: st.DataObject
) -> None:
    truth, groups, seen = _records(seed)
    once = _fresh(truth, groups, early)
    for one in seen:
        once.add(one)
    pieces = _fresh(truth, groups, early)
    order = [(v, p) for v in range(2) for p in range(len(truth))]
    np.random.default_rng(data.draw(st.integers(0, 10**6))).shuffle(order)
    size = data.draw(st.integers(1, 60))
    for start in range(0, len(order), size):
        for variant in range(2):
            places = [p for v, p in order[start : start + size] if v == variant]
            if places:
                pieces.add(portion(seen[variant], places))
        pieces.look()
    assert _whole(once) == _whole(pieces)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_stopping_early_changes_no_verdict_and_asks_only_what_is_wanted(seed: int, slots: int) -> None:
    truth, groups, seen = _records(seed)
    stopped, complete = _fresh(truth, groups), _fresh(truth, groups)
    for one in seen:
        complete.add(one)
    for start in range(0, len(truth), slots):
        stop = min(start + slots, len(truth))
        for variant in (0, 1):
            wanted = stopped.wanted(variant, start, stop)
            needing = [
                np.isin(np.arange(start, stop), t.need)
                for t in stopped.tracked
                if t.frozen is None and not t.complete and variant in stopped.reads(t.plan)
            ]
            assert (wanted == (np.any(needing, axis=0) if needing else False)).all()
            if wanted.any():
                stopped.add(portion(seen[variant], (start + np.flatnonzero(wanted)).tolist()))
        stopped.look()
    early, late = _checks(_whole(stopped)), _checks(_whole(complete))
    keep = {"failed": 0, "not_asked": 0}
    for a, b in zip(early, late, strict=True):
        assert replace(a, **keep) == replace(b, **keep)  # what was not asked is told, and nothing else
    assert not stopped.open()


def test_a_look_never_sees_past_a_case_that_is_still_under_way() -> None:
    made = board(pilot(Check(metric="accuracy", require=">= 0.5")), cases(["1"] * 100))
    made.add(answers(range(1, 100), ["1"] * 99))
    assert list(made.look()) == []
    assert tracked(made).ready == 0
    made.add(answers([0], ["0"]))
    assert list(made.look()) == ["gate/accuracy"]
    alone = board(pilot(Check(metric="accuracy", require=">= 0.5")), cases(["1"] * 100))
    for p in range(100):
        alone.add(answers([p], ["0" if p == 0 else "1"]))
        alone.look()
    assert tracked(alone).frozen == tracked(made).frozen


def test_a_frozen_verdict_stands_whatever_comes_later() -> None:
    made = board(pilot(Check(metric="accuracy", require=">= 0.5")), cases(["1"] * 300))
    made.add(answers(range(40), ["1"] * 40))
    made.look()
    frozen = tracked(made).frozen
    assert frozen is not None
    assert frozen.n < 40
    made.add(answers(range(40, 300), ["0"] * 260))
    found = conclude(made)
    assert tracked(made).frozen == frozen
    assert (found.verdict, found.n, found.literal, found.value) == ("pass", frozen.n, None, 1.0)
    assert [r.code for r in found.reasons] == ["met", "decided-early"]


def test_the_complete_planned_sample_is_always_looked_at() -> None:
    for n in (1, 7, 50, 53, 101, 250):
        made = board(pilot(Check(metric="accuracy", require=">= 0.9")), cases(["1"] * n))
        made.add(answers(range(n), ["1" if p % 12 else "0" for p in range(n)]))
        made.look()
        assert tracked(made).looked == n or tracked(made).frozen is not None


def test_a_decided_check_stands_when_the_run_is_cut_and_an_undecided_one_says_what_is_missing() -> None:
    truth = ["1", "0"] * 100
    checks = (
        Check(metric="accuracy", require=">= 0.5"),
        Check(metric="f1", require=">= 0.5"),
        Check(metric="accuracy", require=">= 0.98"),
    )
    made = board(pilot(*checks), cases(truth))
    made.add(answers(range(60), truth[:60]))
    found = [conclude(made, i, why="left out by --limit") for i in range(3)]
    assert [f.verdict for f in found] == ["pass", "inconclusive", "inconclusive"]
    assert [f.not_asked for f in found] == [140, 140, 140]
    assert [[r.code for r in f.reasons] for f in found] == [["met", "decided-early"], ["not-asked"], ["not-asked"]]
    assert [f.literal for f in found] == [None] * 3
    assert found[1].value is None
    assert found[2].value == 1.0


@pytest.mark.parametrize("lost", [0, 1])
def test_records_that_do_not_add_up_make_a_check_inconclusive_loudly_in_either_column(lost: int) -> None:
    truth = ["1", "0"] * 50
    made = board(pilot(Check(metric="accuracy", drop_under=NOISE, require="<= 0.5")), cases(truth))
    for variant in (0, 1):
        made.add(answers(range(100), truth, variant=variant))
    assert conclude(made).verdict == "pass"
    found = conclude(made, answered={0: 100, 1: 100} | {lost: 101})
    assert (found.verdict, found.low, found.high, found.literal) == ("inconclusive", None, None, None)
    assert found.reasons[0].text().startswith("THE RECORDS DO NOT ADD UP: the run recorded 101 answers")


def test_an_informing_check_is_told_and_decides_nothing() -> None:
    checks = (Check(metric="accuracy", require=">= 0.5"), Check(metric="failures", require="= 1", role="inform"))
    made = board(pilot(*checks), cases(["1"] * 60), early_stop=False)
    made.add(answers(range(60), ["1"] * 60))
    found = _whole(made)
    assert [c.verdict for c in _checks(found)] == ["pass", "fail"]
    assert found.verdict == "pass"


def _compared(reference: list[int], asked: list[int], **rest: object) -> tuple[Board, Board]:
    checks = (Check(metric="accuracy", require=">= -0.2", compare_to="c0"),)
    declared = pilot(*checks, candidates=2)
    planned, variants = plan_checks(declared, plan_family(declared, 1), early_stop=True)
    feeds = [replace(p, other=None, reference=None, id=f"{p.id} (reference)") for p in planned]
    boards: dict[str, Board] = {}
    columns = cases(["1"] * 200)
    boards["c0"] = Board("c0", planned, variants, columns, references=boards, feeds=feeds)
    assert boards["c0"].wanted(0, 0, 200).all()
    if reference:
        boards["c0"].add(answers(reference, ["1"] * len(reference)))
    boards["c0"].look()
    boards["c1"] = Board("c1", planned, variants, columns, references=boards)
    if asked:
        boards["c1"].add(answers(asked, ["1" if p % 10 else "0" for p in asked]))
    return boards["c0"], boards["c1"]


def test_a_comparison_is_paired_by_case_and_says_when_it_is_with_itself() -> None:
    reference, candidate = _compared(list(range(200)), list(range(200)))
    found = conclude(candidate, accounts={"c0": account(reference)})
    assert found.verdict == "pass"
    assert found.value is not None
    assert found.value < 0
    assert found.under == "compared to c0"
    assert [r.code for r in conclude(reference).reasons] == ["reference-itself"]
    torn = conclude(candidate, accounts={"c0": replace(account(reference), answered={0: 199})})
    assert [r.code for r in torn.reasons] == ["count-mismatch"]


def test_a_comparison_asks_nothing_that_its_reference_has_not_answered() -> None:
    _, candidate = _compared(list(range(50, 200)), [])
    assert candidate.wanted(0, 0, 200).tolist() == [False] * 50 + [True] * 150
    reference, lonely = _compared([], [])
    assert not lonely.wanted(0, 0, 200).any()
    assert not lonely.open()
    assert reference.open()
    assert [r.code for r in conclude(lonely).reasons] == ["no-reference"]


def test_failed_pairs_count_and_lost_numbers_leave_a_drop_open() -> None:
    truth = ["1", "0"] * 40
    failed = answers(range(80), truth, variant=1, failed=range(0, 80, 4))
    found = result(Check(metric="accuracy", drop_under=NOISE, require="<= 0.5"), cases(truth), answers(range(80), truth), failed)
    assert (found.value, found.failed, found.planned, found.not_asked) == (0.25, 20, 80, 0)
    numbers = np.arange(80.0)
    columns = cases([str(v) for v in numbers], numbers=numbers)
    clean, noisy = (answers(range(80), None, variant=v, score=numbers + v, failed=[3] if v else []) for v in (0, 1))
    loss = result(Check(metric="mae", drop_under=NOISE, require=">= -5"), columns, clean, noisy)
    assert (loss.verdict, loss.low, loss.reasons[-1].code) == ("inconclusive", None, "no-worst-value")
    bounded = result(Check(metric="mae", drop_under=NOISE, require=">= -5", bound=(0.0, 4.0)), columns, clean, noisy)
    assert bounded.value == pytest.approx(-(79 + 4) / 80)
    assert bounded.verdict == "pass"


def test_alpha_is_divided_over_candidates_and_rounds_where_the_family_is_corrected() -> None:
    assert alpha_share(Family(candidates=3, round=4, alpha=0.05), False) == 1.0
    total = sum(alpha_share(Family(candidates=1, round=r, alpha=0.05), True) for r in range(1, 100_000))
    assert total == pytest.approx(1.0, abs=1e-4)
    for risk, level in (("medium", 0.95), ("high", 0.99)):
        declared = pilot(
            CHECKS[0], replace(CHECKS[0], confidence=0.999), candidates=4, risk=risk, family=True if risk == "medium" else None
        )
        family = plan_family(declared, 2)
        planned, _ = plan_checks(declared, family, early_stop=True)
        share = 6 / (np.pi**2 * 4) / 4
        assert family.alpha == pytest.approx((1 - level) * share)
        assert [p.confidence for p in planned] == pytest.approx([1 - (1 - level) * share, 1 - 0.001 * share])


def test_checks_that_differ_in_what_they_score_share_no_column() -> None:
    checks = (
        Check(metric="labels", require="in [a]"), Check(metric="labels", require="in [b]"),
        Check(metric="contains", require=">= 0.5", expect="x"),
        Check(metric="contains", require="<= 0.5", expect="x"), Check(metric="accuracy", require=">= 0.1"),
        Check(metric="accuracy", require=">= 0.2"),
    )  # fmt: skip
    planned, variants = plan_checks(pilot(*checks), plan_family(pilot(*checks), 1), early_stop=True)
    assert len({p.column for p in planned}) == 5
    assert len({p.id for p in planned}) == 6
    assert len(variants) == 1


@pytest.mark.parametrize(
    ("check", "anytime"),
    [
        (Check(metric="accuracy", require=">= 0.5"), True),
        (Check(metric="brier", require="<= 0.5"), True),
        (Check(metric="precision", require=">= 0.5"), True),
        (Check(metric="accuracy", gap_by="g", require="<= 0.5"), True),
        (Check(metric="accuracy", drop_under=NOISE, require="<= 0.5"), True),
        (Check(metric="mae", require="<= 1"), False),
        (Check(metric="mae", require="<= 1", bound=(0, 2)), True),
        (Check(metric="rmse", require="<= 1", bound=(0, 2)), False),
        (Check(metric="auroc", require=">= 0.5"), False),
        (Check(metric="f1", require=">= 0.5"), False),
        (Check(metric="tokens.total", require="<= 5"), False),
        (Check(metric="failures", require="= 0"), False),
    ],
)
def test_only_bounds_that_hold_at_every_time_may_be_looked_at(check: Check, anytime: bool) -> None:
    def plan(early: bool, **rest: str) -> bool:
        declared = pilot(check, **rest)
        return plan_checks(declared, plan_family(declared, 1), early_stop=early)[0][0].anytime

    assert plan(True) == anytime
    assert not plan(False)
    assert not plan(True, cluster="k")


def test_a_comparison_with_answers_of_its_reference_alone_was_not_asked() -> None:
    _, lonely = _compared(list(range(200)), [])
    assert [r.code for r in conclude(lonely).reasons] == ["not-asked"]
