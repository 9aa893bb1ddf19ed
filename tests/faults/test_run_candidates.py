"""Candidates that misbehave in every way, through whole runs: each case is failed, counted, and scores the worst value."""

from typing import Any

import pytest
from tests.flows.support import Base, accuracy, cases, check_of, verdicts

from pilotbase.domain.evidence import OBSERVATION, Reply
from pilotbase.pilots.observe import Pricing, reply_row
from pilotbase.store.columns import Columns

# Every third case goes wrong in the way that WAY names; the others are answered rightly.
BAD = """
import os, time

class Odd:
    pass

def bad(case):
    x = case["x"]
    if x % 3 == 0:
        return globals()[WAY](x)
    return "yes" if x % 2 else "no"

def raises(x): raise ValueError(f"no idea about {x} \\ud800")
def exits(x): raise SystemExit(3)
def kills_itself(x): os.kill(os.getpid(), 9)
def hangs(x): time.sleep(60)
def nothing(x): return None
def an_object(x): return Odd()
def nan(x): return float("nan")
def nan_score(x): return {"label": "yes", "score": float("nan")}
def empty(x): return {}
def nested(x): return [[["yes"]]]
def surrogate(x): return "yes\\ud800"
def surrogate_label(x): return {"label": "\\udcff", "score": 0.5}
def surrogate_extra(x): return {"label": "yes", "steps": ["\\ud800"]}
def surrogate_key(x): return {"probabilities": {"\\ud800": 1.0}}
def bytes_(x): return b"yes"
def big(x): return "y" * 50_000_000
def forks(x):
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(60)
"""
WAYS = {
    "raises": "raised",
    "exits": "raised",
    "kills_itself": "crashed",
    "hangs": "timeout",
    "nothing": "shape",
    "an_object": "shape",
    "nan": "shape",
    "nan_score": "shape",
    "empty": "shape",
    "nested": "shape",
    "surrogate": "shape",
    "surrogate_label": "shape",
    "surrogate_extra": "shape",
    "surrogate_key": "shape",
    "bytes_": "shape",
    "big": "too-large",
    "forks": "crashed",
}
SLOW = ("hangs", "forks")
"""The ways that only a limit of time ends. The others get time enough for a busy machine to say what they are."""
CHECKS = [
    accuracy(">= 0.9"),
    {"metric": "sensitivity", "require": ">= 0.9"},
    {"metric": "specificity", "require": ">= 0.9"},
    {"metric": "failure-rate", "require": "<= 0.05"},
    {"metric": "failures", "require": "= 0"},
]


@pytest.mark.parametrize("way", WAYS)
def test_a_case_that_goes_wrong_is_failed_counted_and_scores_the_worst(base: Base, way: str) -> None:
    base.write(
        rows=cases(12),
        candidates={"bad": {"python": {"call": "models:bad", "timeout": "5s" if way in SLOW else "30s", "workers": 4}}},
        models=f'WAY = "{way}"\n' + BAD,
        checks=CHECKS,
    )
    document = base.run(early_stop=False)
    for check, planned, failed in (("accuracy", 12, 4), ("sensitivity", 6, 2), ("specificity", 6, 2), ("failure-rate", 12, 4)):
        found = check_of(document, f"capability/{check}")
        assert (found["n"], found["planned"], found["failed"], found["not_asked"]) == (planned, planned, failed, 0), check
        assert found["value"] == pytest.approx(4 / 12 if check == "failure-rate" else 8 / 12)
    assert check_of(document, "capability/failures")["value"] == 4
    assert verdicts(document) == {"bad": "fail"}
    rows = base.evidence("small-1", "bad")
    kinds = {row["failure"] for row in rows if row["position"] is not None and row["failure"] is not None}
    assert kinds == {WAYS[way]}, [row["detail"] for row in rows]
    assert all(row["detail"] for row in rows if row["failure"])
    assert base.conclude()["candidates"] == document["candidates"]


def test_failed_cases_are_shown_with_their_reason(base: Base) -> None:
    base.write(
        rows=cases(12), candidates={"bad": {"python": {"call": "models:bad"}}}, models='WAY = "raises"\n' + BAD, checks=CHECKS
    )
    base.run()
    shown = base.said("show", "small-1")
    assert shown.code == 0 and "4 × raised: ValueError: no idea about # ?" in shown.out


def test_a_batch_of_the_wrong_length_fails_and_no_answer_is_put_to_another_case(base: Base) -> None:
    models = "def short(cases):\n    return ['yes' if c['x'] % 2 else 'no' for c in cases][:-1] if len(cases) > 1 else []\n"
    base.write(
        rows=cases(12), candidates={"short": {"python": {"call": "models:short", "batch": 4}}}, models=models, checks=CHECKS
    )
    found = check_of(base.run(early_stop=False), "capability/accuracy")
    assert (found["failed"], found["value"]) == (12, 0.0)


@pytest.mark.parametrize(
    "broken", ["import no_such_module_anywhere\n", "def good(case:\n", "raise RuntimeError('at import')\n", "x = 1\n"]
)
def test_a_module_that_does_not_load_ends_with_4_where_nothing_else_can_be_asked(base: Base, broken: str) -> None:
    base.write(models=broken, candidates={"good": {"python": "models:good"}})
    told = base.said("run", base.pilot)
    assert told.code == 4 and "no candidate could be reached" in told.err and "cannot be loaded" in told.err


def test_the_others_go_on_where_one_candidate_cannot_be_loaded(base: Base) -> None:
    load = {"metric": "latency.p95", "require": "<= 60 s", "load": {"rate": "100/s", "for": "1s", "warmup": "10ms"}}
    base.write(
        candidates={"broken": {"python": "broken:good"}, "good": base.python("good")},
        more={
            "gates": [
                {"gate": "capability", "checks": [accuracy(">= 0.5"), {"metric": "failures", "require": "= 0"}]},
                {"gate": "speed", "mandatory": False, "checks": [load]},
            ]
        },
    )
    (base.folder / "broken.py").write_text("raise RuntimeError('at import')")
    document = base.run()
    assert verdicts(document)["broken"] == "inconclusive"
    for check in ("capability/accuracy", "capability/failures", "speed/latency.p95"):
        found = check_of(document, check, "broken")
        assert found["verdict"] == "inconclusive" and "could not be reached" in " ".join(found["reasons"]), found
    assert check_of(document, "capability/accuracy", "good")["verdict"] == "pass"


def test_a_comparison_with_a_reference_that_cannot_be_loaded_is_inconclusive_and_says_so(base: Base) -> None:
    base.write(
        candidates={"old": {"target": {"python": "broken:old"}, "role": "reference"}, "good": base.python("good")},
        checks=[accuracy(">= 0.5"), accuracy(">= -0.1", **{"compare-to": "old"})],
    )
    (base.folder / "broken.py").write_text("import no_such_module_anywhere")
    found = check_of(base.run(), "capability/accuracy[compare-to old]", "good")
    assert found["verdict"] == "inconclusive" and "old" in " ".join(found["reasons"])


FRAMES = """
import polars as pl

def bad(frame):
    x = frame["x"]
    return globals()[WAY](x)

def right(x): return pl.Series(["yes" if v % 2 else "no" for v in x])
def nulls(x): return pl.Series([None if v % 3 == 0 else ("yes" if v % 2 else "no") for v in x])
def short(x): return right(x)[:-1] if len(x) > 1 else pl.Series([], dtype=pl.String)
def raises(x):
    if any(v % 3 == 0 for v in x): raise ValueError("a three")
    return right(x)
def nothing(x): return None
def nan(x): return [float("nan")] * len(x)
"""


@pytest.mark.parametrize(
    ("way", "failed"), [("right", 0), ("nulls", 8), ("raises", 8), ("short", 24), ("nothing", 24), ("nan", 24)]
)
def test_rows_of_a_frame_that_go_wrong_are_failed_one_by_one(base: Base, way: str, failed: int) -> None:
    base.write(
        rows=cases(24),
        candidates={"bad": {"python": {"call": "models:bad", "frame": 10}}},
        models=f'WAY = "{way}"\n' + FRAMES,
        checks=CHECKS,
    )
    found = check_of(base.run(early_stop=False), "capability/accuracy")
    assert (found["n"], found["failed"], found["value"]) == (24, failed, pytest.approx(1 - failed / 24))


@pytest.mark.parametrize(
    "answer",
    [
        "a\ud800",
        {"label": "\udcff"},
        {"text": "\ud800", "label": "a"},
        {"label": "a", "steps": ["\ud800"]},
        {"probabilities": {"\ud800": 1.0}},
    ],
)
def test_text_that_is_no_unicode_becomes_a_failure_of_shape(answer: Any) -> None:
    row = reply_row(0, 1, 0, Reply(answer=answer), None, Pricing(None))
    assert (row["failure"], row["label"], row["text"], row["score"], row["extra"]) == ("shape", None, None, None, None)
    assert "written down" in row["detail"]
    Columns(OBSERVATION).encode(row)
    failed = reply_row(0, 1, 0, Reply(failure="raised", detail="\ud800", extra={"steps": ["\ud800"]}), None, Pricing(None))
    assert failed["failure"] == "raised"
    Columns(OBSERVATION).encode(failed)
