"""Every kind of check is derived again from the dossier alone, to the last figure."""

from pathlib import Path
from typing import Any

import pytest
from tests.fakes.chat_server import answers
from tests.flows.stories import Said, holding, pilotbase, record_of, sealed
from tests.flows.support import Base, cases, serving

MODELS = """
def scored(case):
    x = case["x"]
    right = (x % 2 == 1) != (x % 10 == 3)
    return {"label": "yes" if right else "no", "score": 0.5 + 0.4 * (x * 37 % 100) / 100 if right else 0.5 * (x * 31 % 100) / 100}


def plain(case):
    return {"label": "yes" if (case["x"] % 2 == 1) != (case["x"] % 7 == 3) else "no", "score": 0.3 + 0.4 * (case["x"] % 2)}


def number(case):
    return case["x"] + (case["x"] % 3 - 1) * 0.5


def text(case):
    return "the answer: " + case["q"].upper()


def raising(case):
    raise ValueError("no")


def other(case):
    return "perhaps"
"""

LABELS: list[dict[str, Any]] = [
    *(
        {"metric": m, "require": ">= 0.6"}
        for m in ("accuracy", "sensitivity", "specificity", "precision", "balanced-accuracy", "f1", "auroc")
    ),
    {"metric": "brier", "require": "<= 0.4"},
    {"metric": "failures", "require": "= 0"},
    {"metric": "labels", "require": "in [yes, no]"},
    {"metric": "failure-rate", "require": "<= 0.2"},
]
VIEWS: list[dict[str, Any]] = [
    {"metric": "accuracy", "gap-by": "site", "require": "<= 0.4"},
    {"metric": "accuracy", "ratio-by": "site", "require": ">= 0.5"},
    {"metric": "accuracy", "worst-of": "site", "require": ">= 0.5"},
    {"metric": "f1", "gap-by": "site", "require": "<= 0.5"},
    {"metric": "auroc", "worst-of": "site", "require": ">= 0.5"},
    {"metric": "accuracy", "drop-under": {"transform": "gaussian-noise", "scale": "0.1 sd"}, "require": "<= 0.9"},
    {"metric": "accuracy", "compare-to": "plain", "require": ">= -0.5"},
    {"metric": "stability", "repeat": 2, "require": ">= 0.5"},
    {"metric": "cost.per-case", "require": "<= 1 CNY"},
]
NUMBERS: list[dict[str, Any]] = [
    {"metric": "mae", "require": "<= 2"},
    {"metric": "rmse", "require": "<= 2"},
    {"metric": "mae", "bound": [0, 5], "require": "<= 2", "id": "bounded"},
    {"metric": "numeric", "tolerance": 0.5, "require": ">= 0.1"},
    {"metric": "mae", "gap-by": "site", "require": "<= 2"},
]
NORTH, SOUTH = "北院，甲/乙", 'a"b\\c.d <é>'


def rows(count: int = 160) -> list[dict[str, Any]]:
    """Cases with ids and sites in Chinese and in odd characters."""
    return [{**r, "id": f"病例{r['x']}", "site": NORTH if r["x"] % 3 else SOUTH} for r in cases(count)]


def python(call: str, **more: Any) -> dict[str, Any]:
    return {"target": {"python": f"models:{call}"}, **more}


TWO = {"scored": python("scored", price={"per-call": "0.01 CNY"}), "plain": python("plain", role="reference")}


def verified(base: Base, *run_flags: str) -> tuple[Said, dict[str, Any]]:
    """The run's dossier as its own home verifies it, and its record."""
    dossier = sealed(base, run_flags=run_flags)
    return pilotbase(base.home, "verify", dossier), record_of(dossier)


@pytest.mark.parametrize("flags", [(), ("--no-early-stop",), ("--limit", "40"), ("--only", "scored")], ids=str)
def test_labels_views_and_money_are_derived_again(base: Base, flags: tuple[str, ...]) -> None:
    base.write(rows=rows(), candidates=TWO, checks=[*LABELS, *VIEWS], models=MODELS, data={"groups": ["site"]})
    said, record = verified(base, *flags)
    assert said.code == 0, said.out
    named = {p["group"] for g in record["result"]["candidates"][0]["gates"] for k in g["checks"] for p in k["parts"]}
    assert named == {NORTH, SOUTH}
    partial = bool(flags) and flags[0] in ("--limit", "--only")
    assert record["run"]["status"] == ("partial" if partial else "complete")
    assert not partial or record["result"]["verdict"] != "pass"


def test_clusters_and_their_bootstrap_are_derived_again(base: Base) -> None:
    checks = [LABELS[0], LABELS[5], LABELS[6], LABELS[4], VIEWS[2], VIEWS[6], VIEWS[8]]
    base.write(rows=rows(), candidates=TWO, checks=checks, models=MODELS, data={"groups": ["site"], "cluster": "patient"})
    said, record = verified(base)
    assert said.code == 0, said.out
    assert record["data"]["clusters"] == 40


@pytest.mark.parametrize("cluster", [None, "patient"])
def test_numbers_are_derived_again(base: Base, cluster: str | None) -> None:
    found = [{"id": r["id"], "x": r["x"], "label": r["x"] + 0.25, "patient": r["patient"], "site": r["site"]} for r in rows()]
    data = {"positive": None, "groups": ["site"], "cluster": cluster}
    base.write(rows=found, candidates={"n": python("number")}, checks=NUMBERS, models=MODELS, data=data)
    said, _ = verified(base)
    assert said.code == 0, said.out


def test_texts_are_derived_again(base: Base) -> None:
    found = [{"id": f"q{i}", "q": f"word{i} 词{i}", "label": f"WORD{i}"} for i in range(80)]
    checks = [{"metric": m, "require": ">= 0.5"} for m in ("exact", "normalised", "contains")]
    checks.append({"metric": "regex", "pattern": "answer", "require": ">= 0.5"})
    base.write(
        rows=found, candidates={"t": python("text")}, checks=checks, models=MODELS, data={"positive": None, "inputs": ["q"]}
    )
    said, record = verified(base)
    assert said.code == 0, said.out
    assert record["result"]["verdict"] == "fail"


def test_a_candidate_that_always_fails_is_derived_again(base: Base) -> None:
    base.write(rows=rows(), candidates={"gone": python("raising")}, checks=LABELS, models=MODELS)
    said, record = verified(base)
    assert said.code == 0, said.out
    assert record["result"]["verdict"] == "fail"
    assert record["failures"]["gone"] == [
        {"category": "raised", "count": record["account"]["gone"]["answered"]["0"], "examples": []}
    ]


def test_a_candidate_out_of_reach_beside_one_that_answers_is_derived_again(base: Base) -> None:
    nowhere = {"openai": {"url": "http://127.0.0.1:9/v1", "model": "m", "version": "1", "timeout": "2s", "retries": 0}}
    candidates = {"good": python("plain"), "nowhere": {"target": nowhere, "prompt": "{x}"}}
    base.write(rows=rows(60), candidates=candidates, checks=LABELS[:1], models=MODELS)
    said, record = verified(base)
    assert said.code == 0, said.out
    assert {c["id"]: c["verdict"] for c in record["result"]["candidates"]}["nowhere"] == "inconclusive"
    assert record["account"]["nowhere"]["why"] == "could not be reached"


def test_rounds_that_share_their_alpha_are_derived_again(base: Base) -> None:
    candidates = {"scored": python("scored"), "plain": python("plain")}
    base.write(rows=rows(), candidates=candidates, checks=LABELS[:3], models=MODELS, scenario={"risk": "high"})
    verified(base)
    made = pilotbase(base.home, "run", base.pilot, "-q", environment=base.environment)
    assert made.code in (0, 1, 3)
    pilotbase(base.home, "dossier", "last", "--out", base.home.parent / "second")
    said, record = pilotbase(base.home, "verify", base.home.parent / "second"), record_of(base.home.parent / "second")
    assert said.code == 0, said.out
    assert record["result"]["family"]["round"] == record["run"]["round"] == 2
    assert [h["same_criteria"] for h in record["history"]] == [True]


def test_a_load_is_derived_again(base: Base) -> None:
    load = {"rate": "100/s", "for": "1s", "warmup": "200ms"}
    checks = [
        {"metric": "latency.p95", "require": "<= 5 s", "load": load},
        {"metric": "throughput", "require": ">= 1 /s", "load": load},
    ]
    base.write(rows=rows(60), candidates={"p": python("plain")}, checks=checks, models=MODELS)
    said, record = verified(base)
    assert said.code == 0, said.out
    assert record["loads"][0]["rows"] > 50


def test_a_judge_with_labels_is_derived_again_and_its_dossier_can_be_rerun(base: Base) -> None:
    found = [{"id": f"q{i}", "q": f"word{i}"} for i in range(60)]
    base.folder.mkdir(parents=True)
    (base.folder / "labels.csv").write_text(
        "id,answer,label\n" + "".join(f"l{i},answer {i},{'yes' if i % 2 else 'no'}\n" for i in range(60))
    )
    with serving(answers("yes")) as judge:
        spec = {"url": judge.url, "model": "j", "rubric": "Is it right?", "labels": "labels.csv", "version": "1"}
        base.write(
            rows=found,
            candidates={"t": python("text")},
            checks=[{"metric": "rubric", "judge": spec, "require": ">= 0.5"}],
            models=MODELS,
            data={"positive": None, "target": None, "inputs": ["q"]},
        )
        dossier = sealed(base, "--with-data", "--with-candidate")
        said, record = pilotbase(base.home, "verify", dossier), record_of(dossier)
        assert said.code == 0, said.out
        assert next(iter(record["account"]["t"]["judges"].values()))["positives"] == 30
        (base.folder / "labels.csv").unlink()
        again = pilotbase(base.home, "rerun", dossier, "--json")
    assert again.code == 0, again.err
    assert again.json["comparison"]["same_candidates"]


def test_a_pilot_with_a_pack_is_derived_again_and_rerun(base: Base) -> None:
    base.write(rows=rows(60), candidates={"plain": python("plain")}, models=MODELS, more={"gates": [{"use": "tiny@1.0"}]})
    (base.folder / "packs").mkdir()
    pack = base.folder / "packs" / "tiny@1.0.yaml"
    pack.write_text(
        'pack: tiny\nversion: "1.0"\ngates:\n  - gate: capability\n    checks:\n      - {metric: accuracy, require: ">= 0.7"}\n'
    )
    said, record = verified(base)
    assert said.code == 0, said.out
    assert list(record["packs"]) == ["tiny@1.0"]
    pack.unlink()
    again = pilotbase(
        base.home, "rerun", base.home.parent / "dossier", "--data", base.folder / "test.csv",
        "--candidate", f"plain={base.folder}/models:plain", "--json",
    )  # fmt: skip
    assert again.code == 0, again.err
    made = pilotbase(base.home, "dossier", again.json["run"]["run"], "--out", base.home.parent / "second")
    assert made.code == 0, made.err
    assert record_of(base.home.parent / "second")["criteria"]["digest"] == record["criteria"]["digest"]


def test_labels_outside_a_set_are_counted_and_not_quoted(base: Base) -> None:
    base.write(rows=rows(40), candidates={"o": python("other")}, checks=[LABELS[9]], models=MODELS)
    dossier = sealed(base)
    assert pilotbase(base.home, "verify", dossier).code == 0
    assert holding(dossier, "perhaps") == []
    assert Path(dossier / "report.md").exists()
