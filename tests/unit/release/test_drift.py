"""A window against what the pilot saw: the right test for each kind, the look's share, and what is said of silence."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.canonical import canonical
from pilotbase.errors import UserError
from pilotbase.release.drift import LEAST_ROWS, compare
from pilotbase.release.drift_reference import (
    MOST_ROWS,
    Column,
    Kind,
    Reference,
    Side,
    cells,
    read_reference,
    reference_document,
)
from pilotbase.release.drift_report import DriftReport, report_document

DOCTOR = ["我想预约{}的专家门诊", "请问{}科今天还有号吗", "检查报告{}什么时候能拿", "挂{}的号需要带什么证件"]
TAX = ["{}的增值税发票怎么开", "个人所得税{}如何退税", "申报{}逾期要交滞纳金吗", "税务登记{}需要哪些材料"]
FILL = ["张医生", "下周一", "儿科", "昨天", "本月", "线上", "第二次", "公司"]


def sentences(topic: list[str], count: int, seed: int) -> list[str]:
    generator = np.random.default_rng(seed)
    return [topic[int(i)].format(FILL[int(j)]) for i, j in generator.integers((len(topic), len(FILL)), size=(count, 2))]


def column(name: str, kind: Kind, values: object, side: Side = "input") -> Column:
    return Column(name=name, side=side, kind=kind, values=cells(kind, values))  # type: ignore[arg-type]


def mixed(count: int, seed: int) -> dict[str, object]:
    generator = np.random.default_rng(seed)
    return {
        "age": generator.normal(50, 10, count),
        "ward": generator.choice(["A", "B", "C"], count).tolist(),
        "question": sentences(DOCTOR, count, seed),
        "score": generator.beta(2, 5, count).tolist(),
    }


KINDS: dict[str, Kind] = {"age": "numeric", "ward": "categorical", "question": "text", "score": "numeric"}


@pytest.fixture(scope="module")
def reference() -> Reference:
    made = mixed(300, 1)
    return Reference.sampled(
        [column(name, kind, made[name], "output" if name == "score" else "input") for name, kind in KINDS.items()], seed=1
    )


def look(reference: Reference, window: dict[str, object], at: int = 1) -> DriftReport:
    return compare(reference, window, confidence=0.95, look=at)  # type: ignore[arg-type]


def drifted(report: DriftReport) -> set[tuple[str, str]]:
    return {(found.feature, found.aspect) for found in report.drifted}


def test_a_window_of_the_same_law_shows_no_drift_and_each_kind_has_its_test(reference: Reference) -> None:
    report = look(reference, mixed(200, 2))
    assert report.drifted == ()
    assert [(found.feature, found.test.split(",")[0]) for found in report.findings] == [
        ("age", "Kolmogorov-Smirnov"),
        ("ward", "chi-square"),
        ("question", "MMD"),
        ("question", "classifier"),
        ("score", "Kolmogorov-Smirnov"),
    ]
    assert "none of 5 tests shows drift" in report.english and "5 项检验均未显示漂移" in report.chinese


def test_a_mean_half_a_deviation_away_is_found_with_its_size(reference: Reference) -> None:
    window = mixed(200, 3)
    window["age"] = window["age"] + 5.0
    report = look(reference, window)
    assert drifted(report) == {("age", "values")}
    assert report.drifted[0].psi_size in {"moderate", "large"}
    assert report.drifted[0].psi > 5 * report.drifted[0].psi_chance


def test_a_new_category_is_found(reference: Reference) -> None:
    window = mixed(200, 4)
    window["ward"] = ["D"] * 12 + window["ward"][12:]
    assert ("ward", "new") in drifted(look(reference, window))


def test_many_rare_categories_that_were_always_so_are_no_new_ones() -> None:
    generator = np.random.default_rng(5)
    codes = [str(code) for code in generator.integers(0, 5000, 600)]
    report = compare(
        Reference(columns=(column("code", "categorical", codes[:300]),)), {"code": codes[300:]}, confidence=0.95, look=1
    )
    assert len(set(codes[300:]) - set(codes[:300])) > 200
    assert report.drifted == ()
    assert {found.aspect for found in report.findings} == {"values", "new"}


def test_chinese_questions_on_another_topic_are_found(reference: Reference) -> None:
    window = mixed(200, 6)
    window["question"] = sentences(DOCTOR, 140, 7) + sentences(TAX, 60, 8)
    report = look(reference, window)
    assert drifted(report) == {("question", "values")}
    assert {found.test.split(",")[0] for found in report.drifted} == {"MMD", "classifier"}


def test_a_score_that_moves_is_drift_of_an_output(reference: Reference) -> None:
    window = mixed(200, 9)
    window["score"] = [value**0.5 for value in window["score"]]
    report = look(reference, window)
    assert [(found.side, found.feature) for found in report.drifted] == [("output", "score")]
    assert report.english.startswith("look 1, 200 rows, confidence 0.95: output `score`, values: drifted (Kolmogorov-Smirnov")
    assert "输出 `score`，取值：已漂移" in report.chinese


def test_missing_and_unreadable_values_are_a_feature_too(reference: Reference) -> None:
    window = mixed(200, 10)
    window["age"] = [None] * 15 + ["unknown"] * 15 + list(window["age"][30:])
    report = look(reference, window)
    assert drifted(report) == {("age", "missing")}
    assert report.drifted[0].statistic == pytest.approx(0.15)


def test_a_column_that_is_gone_is_missing_everywhere(reference: Reference) -> None:
    window = mixed(200, 11)
    del window["ward"]
    report = look(reference, window)
    assert drifted(report) == {("ward", "missing")}
    assert [silence.feature for silence in report.silent] == ["ward"]


def test_too_few_rows_say_nothing_and_are_named(reference: Reference) -> None:
    report = look(reference, mixed(LEAST_ROWS - 1, 12))
    assert report.findings == ()
    assert [(silence.feature, silence.n) for silence in report.silent] == [(name, 49) for name in KINDS]
    assert "`age` says nothing: 300 values in the reference and 49 in the window, 50 are needed" in report.english
    assert look(reference, {}).rows == 0


def test_a_column_that_the_pilot_never_saw_is_named(reference: Reference) -> None:
    assert look(reference, {**mixed(60, 13), "extra": [1] * 60}).unknown == ("extra",)


def test_holm_and_the_looks_share_make_the_adjusted_p(reference: Reference) -> None:
    window = mixed(200, 14)
    window["age"] = window["age"] + 3.0
    first, ninth = look(reference, window, 1), look(reference, window, 9)
    age = first.findings[0]
    assert age.adjusted == pytest.approx(age.p * 5 * np.pi**2 / 6)
    assert ninth.findings[0].adjusted == pytest.approx(age.p * 4 * 81 * np.pi**2 / 6)
    assert ninth.alpha == pytest.approx(first.alpha / 81)
    assert age.drifted and not ninth.findings[0].drifted


def test_a_permutation_whose_floor_is_over_the_looks_share_is_left_out(reference: Reference) -> None:
    tests = [found.test.split(",")[0] for found in look(reference, mixed(80, 15), 12).findings]
    assert "MMD" not in tests and "classifier" in tests


def test_one_row_of_a_person_counts(reference: Reference) -> None:
    window = mixed(300, 16)
    # one person asks again and again with the same age
    window["age"] = np.concatenate([np.full(100, 61.0), window["age"][:200]])
    people = ["same"] * 100 + [f"person {i}" for i in range(190)] + [None] * 10
    assert ("age", "values") in drifted(look(reference, window))
    report = compare(reference, window, confidence=0.95, look=1, clusters=people)  # type: ignore[arg-type]
    assert report.rows == 201
    assert ("age", "values") not in drifted(report)


def test_equal_arguments_give_equal_reports(reference: Reference) -> None:
    window = {"age": mixed(2500, 17)["age"], "question": sentences(TAX, 2500, 17)}
    window["question"][100:] = [None] * 2400
    first, second = look(reference, window), look(reference, window)
    assert first == second
    assert first.rows == MOST_ROWS


def test_arguments_that_cannot_be_meant_are_refused(reference: Reference) -> None:
    with pytest.raises(UserError, match="different lengths: age 3, ward 2"):
        look(reference, {"age": [1, 2, 3], "ward": ["A", "B"]})
    with pytest.raises(UserError, match=r"confidence 1\.5"):
        compare(reference, {}, confidence=1.5, look=1)
    with pytest.raises(UserError, match="look 0"):
        compare(reference, {}, confidence=0.9, look=0)


def test_a_reference_is_bounded_and_keeps_rows_together() -> None:
    count = 5000
    made = Reference.sampled([column("a", "numeric", np.arange(count)), column("b", "categorical", np.arange(count))], seed=3)
    assert made.rows == MOST_ROWS
    assert [f"{value:.0f}" for value in made.columns[0].values if isinstance(value, float)] == list(made.columns[1].values)
    assert made == Reference.sampled(
        [column("a", "numeric", np.arange(count)), column("b", "categorical", np.arange(count))], seed=3
    )
    with pytest.raises(ValueError, match="at most 2000"):
        Reference(columns=(column("a", "numeric", np.arange(count)),))


def test_columns_that_contradict_one_another_are_refused() -> None:
    with pytest.raises(ValueError, match="a more than once"):
        Reference(columns=(column("a", "numeric", [1]), column("a", "numeric", [1])))
    with pytest.raises(ValueError, match="different lengths"):
        Reference.sampled([column("a", "numeric", [1]), column("b", "numeric", [1, 2])], seed=1)
    with pytest.raises(ValueError, match="pass it through `cells`"):
        Column(name="a", side="input", kind="numeric", values=("1",))


def test_cells_read_what_they_can_and_the_rest_is_missing() -> None:
    assert cells("numeric", [1, True, 2.5, None, "3", float("nan"), float("inf"), 10**400]) == (1, 1, 2.5, *[None] * 5)
    assert cells("categorical", [1, 1.0, "1", True, None, float("nan"), "x" * 300]) == (
        *("1", "1", "1", "true"),
        *(None, None, "x" * 200),
    )
    assert cells("text", ["a", 1, None, "\ud800", "b" * 3000]) == ("a", None, None, "?", "b" * 2000)
    assert cells("numeric", np.array([1.0, np.nan])) == (1.0, None)


@given(
    numbers=st.lists(st.none() | st.floats() | st.integers(), min_size=4, max_size=4),
    texts=st.lists(st.none() | st.text(st.characters(), max_size=6), min_size=4, max_size=4),
)
def test_a_reference_survives_json(numbers: list[object], texts: list[object]) -> None:
    made = Reference(
        columns=(column("n", "numeric", numbers), column("t", "text", texts, "output"), column("c", "categorical", texts))
    )
    assert read_reference(json.loads(canonical(reference_document(made)))) == made


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, "found `NoneType`"),
        ({"schema": "other/1"}, "found `other/1`"),
        ({"schema": "pilotbase.drift-reference/1"}, "`columns` is missing"),
        ({"schema": "pilotbase.drift-reference/1", "columns": [7]}, r"columns\[0\] is no column"),
        (
            {
                "schema": "pilotbase.drift-reference/1",
                "columns": [{"name": "a", "side": "in", "kind": "numeric", "values": []}],
            },
            "the side 'in'",
        ),
        (
            {
                "schema": "pilotbase.drift-reference/1",
                "columns": [{"name": "a", "side": "input", "kind": "numeric", "values": ["x"]}],
            },
            "1 values that are not numeric",
        ),
    ],
)
def test_a_file_that_is_no_reference_says_why(document: object, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        read_reference(document, where="reference.json")
    assert caught.value.where == "reference.json"
    assert caught.value.hint


def test_a_report_is_plain_json_and_holds_no_value_of_a_request(reference: Reference) -> None:
    window = mixed(200, 18)
    window["ward"] = ["身份证 110101199003074258"] * 50 + window["ward"][50:]
    report = look(reference, window)
    assert ("ward", "new") in drifted(report)
    said = canonical(report_document(report)).decode()
    assert "110101199003074258" not in said
    assert "已漂移" in said
