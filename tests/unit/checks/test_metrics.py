"""Each metric of the table against scikit-learn or values by hand, failures included (VERDICT.md section 5)."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from tests.fakes.boards import answers, cases, result

from pilotbase.checks.metric import Metric
from pilotbase.checks.metrics import METRICS, merge, metrics
from pilotbase.checks.texts import read_choice
from pilotbase.domain.gate import Check
from pilotbase.domain.verdict import CheckResult
from pilotbase.errors import UserError


def _value(
    metric: str, truth: list[str], said: list[Any], failed: list[int], require: str = ">= 0.5", **rest: Any
) -> CheckResult:
    score = rest.pop("score", None)
    columns = {"score": np.array(score, dtype=float)} if score is not None else {}
    seen = answers(range(len(truth)), said, failed=failed, **columns)
    return result(Check(metric=metric, require=require, **rest), cases(truth), seen)


def _draw(seed: int) -> tuple[list[str], list[str], list[int]]:
    r = np.random.default_rng(seed)
    n = int(r.integers(20, 80))
    truth = ["1", "0", *map(str, r.integers(0, 2, n - 2))]
    said = [t if r.random() < 0.7 else str(1 - int(t)) for t in truth]
    return truth, said, np.flatnonzero(r.random(n) < 0.1).tolist()


@pytest.mark.parametrize("seed", range(8))
def test_label_metrics_agree_with_scikit_learn_where_a_failure_is_the_wrong_label(seed: int) -> None:
    truth, said, failed = _draw(seed)
    worst = [str(1 - int(t)) if i in failed else s for i, (t, s) in enumerate(zip(truth, said, strict=True))]
    t, s = np.array(truth) == "1", np.array(worst) == "1"
    expected = {
        "accuracy": sk.accuracy_score(t, s),
        "sensitivity": sk.recall_score(t, s),
        "specificity": sk.recall_score(~t, ~s),
        "precision": sk.precision_score(t, s, zero_division=np.nan),
        "f1": sk.f1_score(t, s),
        "balanced-accuracy": sk.balanced_accuracy_score(t, s),
        "failure-rate": len(failed) / len(truth),
        "failures": len(failed),
    }
    for name, value in expected.items():
        found = _value(name, truth, said, failed)
        assert found.value == pytest.approx(value), name
        assert found.planned == (t.sum() if name == "sensitivity" else (~t).sum() if name == "specificity" else len(t))
        assert found.not_asked == 0


@pytest.mark.parametrize("seed", range(5))
def test_scored_metrics_agree_with_scikit_learn_and_rank_failures_last(seed: int) -> None:
    truth, said, failed = _draw(seed)
    r = np.random.default_rng(seed)
    t = np.array(truth) == "1"
    score = np.round(np.clip(0.3 * t + r.random(len(t)) * 0.7, 0, 1), 1)
    lost = np.isin(np.arange(len(t)), failed)
    ranked = np.where(lost, np.where(t, -9.0, 9.0), score)
    assert _value("auroc", truth, said, failed, score=score).value == pytest.approx(sk.roc_auc_score(t, ranked))
    squares = np.where(lost, 1.0, (score - t) ** 2)
    assert _value("brier", truth, said, failed, score=score, require="<= 0.2").value == pytest.approx(squares.mean())
    if not failed:
        assert squares.mean() == pytest.approx(sk.brier_score_loss(t, score))


@pytest.mark.parametrize(("metric", "worst"), [("auroc", 0.0), ("brier", 1.0)])
def test_an_answer_without_a_usable_score_fails_and_counts_the_worst(metric: str, worst: float) -> None:
    score = [np.nan] * 4 if metric == "auroc" else [np.nan, 1.5, -0.1, np.nan]
    found = _value(metric, ["1", "0", "1", "0"], ["1", "0", "1", "0"], [], score=score)
    assert found.value == worst
    assert found.failed == 4


def test_a_label_that_no_case_has_is_an_answer_that_could_not_be_read() -> None:
    truth, said = ["1", "0", "0", "1"], ["?", "?", "0", "1"]
    assert _value("specificity", truth, said, []).value == 0.5
    assert _value("precision", truth, said, []).value == 0.5  # one called rightly, one junk answer to a negative
    assert _value("f1", truth, said, []).value == pytest.approx(2 / 4)


def test_precision_is_estimated_on_the_answers_called_positive() -> None:
    truth = ["1"] * 10 + ["0"] * 10
    found = _value("precision", truth, ["1"] * 9 + ["0"] * 10 + ["1"], [])
    assert found.value == pytest.approx(0.9)
    assert (found.n, found.planned) == (20, 20)
    empty = _value("precision", truth, ["0"] * 20, [])
    assert empty.value is None
    assert empty.verdict == "inconclusive"
    assert [r.code for r in empty.reasons] == ["no-cases"]


def _numeric(metric: str, said: list[float], truth: list[float], failed: list[int] = [], **rest: Any) -> CheckResult:  # noqa: B006
    columns = cases([str(t) for t in truth], numbers=np.array(truth, dtype=float))
    seen = answers(range(len(said)), None, score=np.array(said, dtype=float), failed=failed)
    return result(Check(metric=metric, require="<= 1", **rest), columns, seen)


@pytest.mark.parametrize("seed", range(4))
def test_errors_of_numbers_agree_with_scikit_learn(seed: int) -> None:
    r = np.random.default_rng(seed)
    truth, said = r.normal(size=30).tolist(), r.normal(size=30).tolist()
    assert _numeric("mae", said, truth).value == pytest.approx(sk.mean_absolute_error(truth, said))
    assert _numeric("rmse", said, truth).value == pytest.approx(sk.root_mean_squared_error(truth, said))
    within = np.mean(np.abs(np.array(said) - truth) <= 0.5)
    assert _numeric("numeric", said, truth, tolerance=0.5).value == pytest.approx(within)


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_a_lost_number_leaves_an_unbounded_loss_open_and_counts_most_where_a_bound_is_declared(metric: str) -> None:
    said, truth = [0.0, np.nan, 9.0, 3.0], [0.0, 1.0, 2.0, 3.0]
    found = _numeric(metric, said, truth, [0])
    assert (found.verdict, found.low, found.high, found.failed) == ("inconclusive", None, None, 2)
    assert found.reasons[-1].code == "no-worst-value"
    assert found.reasons[-1].figures["failed"] == 2
    bounded = _numeric(metric, said, truth, [0], bound=(0.0, 4.0))
    errors = np.array([4.0, 4.0, 4.0, 0.0])  # failed, no number, 7 clipped to 4, right
    assert bounded.value == pytest.approx(errors.mean() if metric == "mae" else np.sqrt((errors**2).mean()))
    assert bounded.failed == 2
    assert bounded.high is not None
    assert bounded.high <= 4.0


def test_texts_are_compared_in_chinese_and_english() -> None:
    truth = ["良性", "Benign", "答案 42", "惡性"]
    said = ["良性。", "benign", "我认为答案  42 是对的", "恶性"]
    seen = answers(range(4), said, text=said, failed=[])

    def value(metric: str, **rest: Any) -> float | None:
        return result(Check(metric=metric, require=">= 0.5", **rest), cases(truth), seen).value

    assert value("exact") == 0.0
    assert value("normalised") == 0.75
    assert value("contains") == 1.0
    assert value("contains", expect="答案") == 0.25
    assert value("regex", pattern="性|enig") == 0.75
    assert value("numeric", tolerance=0.0) == 0.25


@pytest.mark.parametrize("metric", ["contains", "regex"])
def test_a_failure_counts_against_whichever_side_the_check_takes(metric: str) -> None:
    option = {"expect": "no"} if metric == "contains" else {"pattern": "no"}
    for require, value in ((">= 0.5", 0.0), ("<= 0.5", 1.0)):
        seen = answers(range(3), ["yes"] * 3, failed=range(3))
        assert result(Check(metric=metric, require=require, **option), cases(["a"] * 3), seen).value == value


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("B", "B"), ("(B)", "B"), ("答案：B。", "B"), ("The answer is B", "B"), ("B is a good answer", "B"),
        ("b", "B"), ("Ｂ", "B"),
        ("选择B", "B"), ("A or maybe C", "C"), ("it is d", "D"),
        ("BAD", None), ("", None), ("E", None), ("the answer: c.", "C"),
    ],
)  # fmt: skip
def test_a_choice_is_read_where_it_stands_alone(answer: str, read: str | None) -> None:
    assert read_choice(answer, ["A", "B", "C", "D"]) == read


@pytest.mark.parametrize(("answer", "read"), [("不正确", None), ("我认为正确。", "正确"), ("這是錯誤", "错误"), ("不错误", None)])
def test_a_denied_choice_is_not_chosen(answer: str, read: str | None) -> None:
    assert read_choice(answer, ["正确", "错误"]) == read


def test_choices_are_scored_against_the_truth() -> None:
    said = ["B.", "I say C", "nothing", "a"]
    seen = answers(range(4), said, text=said)
    found = result(Check(metric="choice", require=">= 0.5", choices=("A", "B", "C")), cases(["B", "A", "C", "A"]), seen)
    assert found.value == 0.5


def test_several_readers_of_a_case_count_as_the_mean_of_their_scores() -> None:
    extra = [{"readers": {"r1": "1", "r2": "0"}}, {"readers": {"r1": "0", "r2": "0"}}, None, {"readers": {}}]
    seen = answers(range(4), ["1", "0", "0", "1"], extra=extra)
    columns = cases(["1", "1", "0", "1"])

    def value(metric: str) -> float | None:
        return result(Check(metric=metric, require=">= 0.5"), columns, seen).value

    assert value("accuracy") == pytest.approx((0.5 + 0 + 1 + 1) / 4)
    assert value("balanced-accuracy") == pytest.approx((1.5 / 3 + 1) / 2)
    assert value("f1") == pytest.approx(2 * 2 / (2 * 2 + 1))  # of their majorities: no score of a case to average
    assert value("precision") == 1.0


def test_a_set_membership_fails_with_the_labels_outside_in_the_recorded_order() -> None:
    said = ["a", "z", "b", "q", None, "z", "a"]
    seen = answers(range(7), said, failed=[6])
    found = result(Check(metric="labels", require="in [a, b]"), cases(["a"] * 7), seen)
    assert (found.verdict, found.literal, found.value) == ("fail", "fail", 5.0)
    assert found.reasons[0].figures["examples"] == "z, q, (no label), (failed)"
    kept = result(Check(metric="labels", require="in ['a', z]"), cases(["a"] * 2), answers(range(2), ["z", "a"]))
    assert (kept.verdict, kept.value) == ("pass", 0.0)
    short = result(Check(metric="labels", require="in [a]"), cases(["a"] * 3), answers(range(2), ["z", "a"]))
    assert (short.verdict, [r.code for r in short.reasons]) == ("inconclusive", ["not-asked"])


def test_a_census_counts_all_cases_and_clusters_make_it_no_sample() -> None:
    few = cases(["a"] * 4, clusters=["k"] * 4)
    for require, verdict in (("= 1", "pass"), ("= 0", "fail"), ("<= 1", "pass")):
        found = result(Check(metric="failures", require=require), few, answers(range(4), ["a"] * 4, failed=[2]))
        assert (found.verdict, found.value, found.low, found.high) == (verdict, 1.0, 1.0, 1.0)


def test_repeated_answers_are_stable_only_if_all_are_the_same_and_none_failed() -> None:
    position = [0, 0, 1, 1, 2, 2, 3]
    said = ["x", "x ", "x", "y", "x", "x", "x"]
    repetition = np.array([0, 1, 0, 1, 0, 1, 0])
    seen = answers(position, said, text=said, variant=1, repetition=repetition)
    seen.failed[5] = True
    found = result(Check(metric="stability", require=">= 0.5", repeat=2), cases(["a"] * 4), seen)
    assert (found.planned, found.not_asked, found.failed) == (4, 1, 1)
    last = answers([3], ["x"], text=["x"], variant=1, repetition=np.array([1]))
    whole = result(Check(metric="stability", require=">= 0.5", repeat=2), cases(["a"] * 4), seen, last)
    assert whole.value == 0.5


@pytest.mark.parametrize("metric", ["cost.per-case", "tokens.input", "tokens.output", "tokens.total"])
def test_what_was_not_metered_is_never_zero(metric: str) -> None:
    unit = " CNY" if metric.startswith("cost") else ""
    metered = {"cost": np.array([1.0, 2, 3]), "tokens_in": np.array([1.0, 2, 3]), "tokens_out": np.array([2.0, 4, 6])}
    check = Check(metric=metric, require=f"<= 100{unit}")
    columns = cases(["a"] * 3)
    full = result(check, columns, answers(range(3), ["a"] * 3, failed=[1], **metered), currency="CNY")
    assert full.value == {"cost.per-case": 2.0, "tokens.input": 2.0, "tokens.output": 4.0, "tokens.total": 6.0}[metric]
    assert (full.failed, full.not_asked) == (1, 0)
    holes = {k: np.array([np.nan, 1, 1]) for k in metered}
    missing = result(check, columns, answers(range(3), ["a"] * 3, **holes), currency="CNY")
    assert (missing.verdict, missing.low, missing.failed) == ("inconclusive", None, 0)
    assert (missing.reasons[-1].code, missing.reasons[-1].figures["count"]) == ("no-usage", 1)


@pytest.mark.parametrize(("currency", "code"), [(None, "no-price"), ("USD", "currency")])
def test_a_cost_without_its_price_or_in_another_currency_is_not_decided(currency: str | None, code: str) -> None:
    seen = answers(range(3), ["a"] * 3, cost=np.ones(3))
    found = result(Check(metric="cost.per-case", require="<= 1 cny"), cases(["a"] * 3), seen, currency=currency)
    assert (found.verdict, found.low, found.unit) == ("inconclusive", None, "CNY")
    assert [r.code for r in found.reasons] == [code]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_planned_is_scored_and_failed_and_not_asked_whatever_came(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 25))
    truth = data.draw(st.lists(st.sampled_from(["0", "1", "2"]), min_size=n, max_size=n))
    asked = data.draw(st.lists(st.integers(0, n - 1), unique=True))
    failed = data.draw(st.sets(st.sampled_from(asked))) if asked else set()
    name = data.draw(
        st.sampled_from([m for m, row in METRICS.items() if not row.needs & {"load", "repeat", "judge", "number", "choices"}])
    )
    require = "in [0, 1]" if name == "labels" else "<= 0.5 CNY" if name.startswith("cost") else ">= 0.5"
    said = data.draw(st.lists(st.sampled_from(["0", "1", "junk", None]), min_size=len(asked), max_size=len(asked)))
    check = Check(metric=name, require=require, pattern="0")
    early = data.draw(st.booleans())
    found = result(check, cases(truth), answers(asked, said, failed=failed), early_stop=early, currency="CNY")
    scored = found.planned - found.failed - found.not_asked
    assert min(scored, found.failed, found.not_asked) >= 0
    row = METRICS[name]
    inside = np.ones(n, dtype=bool) if row.denominator is None else row.denominator(cases(truth))
    assert found.planned == inside.sum()
    assert found.not_asked == inside.sum() - inside[asked].sum() if asked else found.not_asked == inside.sum()
    assert found.failed >= sum(bool(inside[p]) for p in failed)
    if found.not_asked and row.looks == "once":
        assert found.verdict == "inconclusive"
        assert "not-asked" in [r.code for r in found.reasons]
    if found.not_asked:
        assert found.literal is None


def test_every_row_says_where_it_stands() -> None:
    for name, row in METRICS.items():
        assert row.name == name
        assert all(row.title)
        assert row.kind not in ("proportion", "f1", "balanced", "auroc", "mean", "count", "members") or row.worst is not None
    assert metrics().keys() >= METRICS.keys()


def _row(name: str, **rest: Any) -> Metric:
    return Metric(name=name, title=("Mine", "我的"), kind=rest.get("kind", "proportion"), looks="any")


def test_rows_of_a_plug_in_stand_beside_the_built_in_ones() -> None:
    merged = merge(METRICS, [("mine", _row("mine")), ("more", [_row("a"), _row("b")])])
    assert {"mine", "a", "b", "accuracy"} <= merged.keys()
    assert "mine" not in METRICS


@pytest.mark.parametrize(
    ("given", "message"),
    [(_row("accuracy"), "already there"), ("accuracy", "no Metric"), (_row("mine", kind="tail"), "of kind tail")],
)
def test_a_plug_in_that_is_no_row_or_takes_a_name_is_refused(given: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        merge(METRICS, [("point", given)])
