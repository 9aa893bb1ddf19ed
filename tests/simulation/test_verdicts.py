"""How often a board passes what is not ready (VERDICT.md section 9): whole verdicts, not single bounds."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from tests.fakes.boards import answers, board, cases, conclude, pilot, tracked

from pilotbase.checks.board import Board
from pilotbase.checks.plan import plan_checks, plan_family
from pilotbase.checks.rows import CaseColumns
from pilotbase.data.order import order_rows
from pilotbase.domain.gate import Check, Transform
from pilotbase.stats.power import boundaries

ALPHA = 0.05
NOISE = Transform(transform="gaussian-noise", scale="0.1 sd")
Size = Callable[[int, int], int]


def allowed(trials: int, alpha: float = ALPHA) -> float:
    """Three standard errors of a simulated rate above alpha."""
    return alpha + 3 * float(np.sqrt(alpha * (1 - alpha) / trials))


def _labels(right: np.ndarray) -> list[str]:  # type: ignore[type-arg]
    return ["1" if r else "0" for r in right]


def _passes(check: Check, columns: CaseColumns, variants: Sequence[np.ndarray], *, early: bool) -> bool:  # type: ignore[type-arg]
    made = board(pilot(check), columns, early_stop=early)
    for variant, right in enumerate(variants):
        made.add(answers(range(len(right)), _labels(right), variant=variant))
    return conclude(made).verdict == "pass"


@pytest.mark.parametrize(("op", "threshold"), [(">=", 0.9), ("<=", 0.1)])
def test_a_board_that_looks_after_every_few_answers_passes_the_unready_no_more_often_than_alpha(
    op: str, threshold: float, size: Size
) -> None:
    trials, n = size(300, 5000), 200
    generator = np.random.default_rng(1)
    metric = "accuracy" if op == ">=" else "failure-rate"
    check, columns = Check(metric=metric, require=f"{op} {threshold}"), cases(["1"] * n)
    lines = {look: (refuse, accept) for look, refuse, accept in boundaries(threshold, n, 1 - ALPHA)}
    passed = 0
    for _ in range(trials):
        hit = generator.random(n) < threshold
        made = board(pilot(check), columns)
        seen = answers(range(n), _labels(hit)) if op == ">=" else answers(range(n), ["1"] * n, failed=np.flatnonzero(hit))
        made.add(seen)
        made.look()
        frozen = tracked(made).frozen
        passed += frozen is not None and frozen.verdict == "pass"
        first = next((k for k, (refuse, accept) in lines.items() if not refuse < hit[:k].sum() < accept), n + 1)
        # the last look is at the complete sample, which the schedule need not name
        assert (frozen.n if frozen is not None else n + 1) in (first, n)
    assert passed / trials <= allowed(trials)


def test_many_candidates_in_adaptive_rounds_pass_no_unready_one_more_often_than_alpha_with_family(size: Size) -> None:
    trials, n, candidates, rounds, threshold = size(4000, 40_000), 400, 4, 5, 0.9
    generator = np.random.default_rng(2)
    rates = {}
    for corrected in (True, False):
        fooled = np.zeros(trials, dtype=bool)
        for round_ in range(1, rounds + 1):
            declared = pilot(Check(metric="accuracy", require=f">= {threshold}"), candidates=candidates, family=corrected)
            plan = plan_checks(declared, plan_family(declared, round_), early_stop=True)[0][0]
            hits, at = np.zeros((trials, candidates), dtype=np.int64), 0
            for look, _, accept in boundaries(threshold, n, plan.confidence):
                hits += generator.binomial(look - at, threshold, hits.shape)
                at = look
                fooled |= (hits >= accept).any(axis=1)  # whoever passes first is taken; else another round is tried
        rates[corrected] = fooled.mean()
    assert rates[True] <= allowed(trials)
    assert rates[False] > 2 * ALPHA  # what the division is for


def test_a_file_sorted_by_label_keeps_the_error_rate_because_it_is_asked_in_random_order(size: Size) -> None:
    trials, n, threshold = size(150, 5000), 300, 0.9
    right = np.arange(n) < round(n * threshold) - 1  # every answer that is right stands first; just under the threshold
    columns = cases(["1"] * n)
    check = Check(metric="accuracy", require=f">= {threshold}")
    assert _passes(check, columns, [right], early=True)  # in the order of the file
    passed = sum(_passes(check, columns, [right[order_rows(n, seed)]], early=True) for seed in range(trials))
    assert passed / trials <= allowed(trials)


def test_answers_that_are_slow_when_wrong_keep_the_error_rate_because_a_look_sees_complete_prefixes(size: Size) -> None:
    trials, n, threshold = size(200, 4000), 200, 0.85
    generator = np.random.default_rng(3)
    columns, check = cases(["1"] * n), Check(metric="accuracy", require=f">= {threshold}")
    lines = [(look, accept) for look, _, accept in boundaries(threshold, n, 1 - ALPHA)]
    passed = naive = 0
    for _ in range(trials):
        right = generator.random(n) < threshold
        ended = np.argsort(np.arange(n) + np.where(right, 1, 60), kind="stable")
        made = board(pilot(check), columns)
        for start in range(0, n, 8):
            some = ended[start : start + 8]
            made.add(answers(some, _labels(right[some])))
            made.look()
        frozen = tracked(made).frozen
        passed += frozen is not None and frozen.verdict == "pass"
        came = np.cumsum(right[ended])
        naive += any(came[look - 1] >= accept for look, accept in lines)
    assert passed / trials <= allowed(trials)
    assert naive / trials > 0.5  # looked at as they come, most would pass


@pytest.mark.parametrize("early", [False, True])
def test_a_gap_at_its_threshold_passes_and_fails_no_more_often_than_alpha(early: bool, size: Size) -> None:
    trials, n = size(150, 4000), 240
    generator = np.random.default_rng(4)
    share = np.where(np.arange(n) % 3 == 0, 0.75, 0.9)  # a true gap of 0.15
    columns = cases(["1"] * n, groups=["a" if i % 3 == 0 else "b" if i % 3 == 1 else "c" for i in range(n)])
    verdicts = [
        _verdict(Check(metric="accuracy", gap_by="g", require="<= 0.15"), columns, [generator.random(n) < share], early)
        for _ in range(trials)
    ]
    for wrong in ("pass", "fail"):
        assert verdicts.count(wrong) / trials <= allowed(trials)


def _verdict(check: Check, columns: CaseColumns, variants: Sequence[np.ndarray], early: bool) -> str:  # type: ignore[type-arg]
    made = board(pilot(check), columns, early_stop=early)
    for variant, right in enumerate(variants):
        made.add(answers(range(len(right)), _labels(right), variant=variant))
    return conclude(made).verdict


@pytest.mark.parametrize("early", [False, True])
def test_a_drop_at_its_threshold_passes_and_fails_no_more_often_than_alpha(early: bool, size: Size) -> None:
    trials, n = size(80, 4000), 150
    generator = np.random.default_rng(5)
    columns, check = cases(["1"] * n), Check(metric="accuracy", drop_under=NOISE, require="<= 0.1")
    verdicts = []
    for _ in range(trials):
        clean = generator.random(n) < 0.9
        noisy = clean & (generator.random(n) >= 0.1 / 0.9)  # a true drop of 0.1
        verdicts.append(_verdict(check, columns, [clean, noisy], early))
    for wrong in ("pass", "fail"):
        assert verdicts.count(wrong) / trials <= allowed(trials)


@pytest.mark.parametrize("early", [False, True])
def test_a_comparison_at_its_threshold_passes_and_fails_no_more_often_than_alpha(early: bool, size: Size) -> None:
    trials, n = size(80, 4000), 150
    generator = np.random.default_rng(6)
    declared = pilot(Check(metric="accuracy", require=">= -0.1", compare_to="c0"), candidates=2)
    planned, variants = plan_checks(declared, plan_family(declared, 1), early_stop=early)
    feeds = [replace(p, other=None, reference=None) for p in planned]
    columns, verdicts = cases(["1"] * n), []
    for _ in range(trials):
        boards: dict[str, Board] = {}
        for name, share in (("c0", 0.9), ("c1", 0.8)):
            boards[name] = Board(name, planned, variants, columns, references=boards, feeds=feeds if name == "c0" else ())
            boards[name].add(answers(range(n), _labels(generator.random(n) < share)))
        verdicts.append(conclude(boards["c1"]).verdict)
    for wrong in ("pass", "fail"):
        assert verdicts.count(wrong) / trials <= allowed(trials)


def test_shares_of_readers_keep_the_error_rate_under_optional_stopping(size: Size) -> None:
    trials, n, threshold = size(150, 3000), 120, 0.8
    generator = np.random.default_rng(7)
    columns, check = cases(["1"] * n), Check(metric="accuracy", require=f">= {threshold}")
    passed = 0
    for _ in range(trials):
        extra = [
            {"readers": {str(k): "1" if generator.random() < threshold else "0" for k in range(3)}} if i % 2 else None
            for i in range(n)
        ]
        made = board(pilot(check), columns)
        made.add(answers(range(n), _labels(generator.random(n) < threshold), extra=extra))
        passed += conclude(made).verdict == "pass"
    assert passed / trials <= allowed(trials)
