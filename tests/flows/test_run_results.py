"""Whole runs of every kind of check: equal answers give equal results however they were got, and every case is accounted for."""

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from aiohttp import web
from tests.fakes.chat_server import Behaviour, answers, completion
from tests.flows.commands import Said
from tests.flows.support import Base, accuracy, cases, check_of, estimates, serving, verdicts

CHECKS = [
    accuracy(">= 0.7"),
    {"metric": "sensitivity", "require": ">= 0.6"},
    {"metric": "sensitivity", "require": "<= 0.4", "gap-by": "site"},
    {"metric": "balanced-accuracy", "require": ">= 0.6"},
    {"metric": "failure-rate", "require": "<= 0.05"},
]
WAYS: dict[str, dict[str, Any]] = {
    "single": {"call": "good"},
    "workers": {"call": "good", "workers": 3},
    "batch": {"call": "batch", "batch": 7},
    "frame": {"call": "frame", "frame": 50},
}


@pytest.mark.parametrize("early", [True, False])
def test_single_batch_and_frame_give_equal_results(base: Base, early: bool) -> None:
    found = {}
    for name, options in WAYS.items():
        one = base.beside(name)
        one.write(rows=cases(240), candidates={"good": base.python(**options)}, checks=CHECKS, data={"groups": ["site"]})
        found[name] = estimates(one.run(early_stop=early), whole=not early)
    assert all(result == found["single"] for result in found.values())


def test_a_decided_run_asks_less_than_one_that_looks_once_and_says_the_same(base: Base) -> None:
    rows = cases(600)
    checks = [accuracy(">= 0.6"), {"metric": "specificity", "require": ">= 0.6"}, {"metric": "failure-rate", "require": "<= 0.1"}]
    early, late = base.beside("early"), base.beside("late")
    for one in (early, late):
        one.write(rows=rows, candidates={"good": one.python("good"), "wrong": one.python("wrong")}, checks=checks)
    first, second = early.run(), late.run(early_stop=False)
    assert verdicts(first) == verdicts(second) == {"good": "pass", "wrong": "fail"}
    assert len(early.counted()) < len(late.counted()) / 3 and len(late.counted()) == 1200
    stopped = check_of(first, "capability/accuracy")
    assert stopped["literal"] is None and stopped["n"] < stopped["planned"] == 600
    assert stopped["planned"] - stopped["not_asked"] >= stopped["n"]
    assert check_of(second, "capability/accuracy")["literal"] == "pass"


def test_the_recorded_order_is_no_order_of_the_file(base: Base) -> None:
    ordered = sorted(cases(300), key=lambda row: row["label"])
    base.write(rows=ordered, checks=[accuracy(">= 0.7")])
    base.run()
    asked = [int(x) % 2 for x in base.counted()[:40]]
    assert 8 <= sum(asked) <= 32  # a file sorted by label would begin with none at all
    same = base.beside("again")
    same.run()
    assert same.counted()[:40] == base.counted()[:40]


MOODY = """
import itertools

turn = itertools.count()


def moody(case):
    return "yes" if case["x"] % 5 or next(turn) % 2 else "no"
"""


def test_stability_asks_again_and_tells_unstable_cases(base: Base) -> None:
    models = MOODY
    base.write(
        rows=cases(100),
        candidates={"moody": {"python": "models:moody"}},
        models=models,
        checks=[{"metric": "stability", "require": ">= 0.99", "repeat": 2}],
    )
    document = base.run(early_stop=False)
    found = check_of(document, "capability/stability")
    assert found["value"] == pytest.approx(0.8) and found["verdict"] == "fail" and found["n"] == 100
    rows = base.evidence("small-1", "moody")
    assert len({(row["variant"], row["position"], row["repetition"]) for row in rows}) == len(rows)
    assert sum(row["repetition"] == 1 for row in rows) == 100


def test_a_drop_under_noise_is_paired_by_case(base: Base) -> None:
    models = "def cut(case):\n    return 'yes' if case['v'] > 0 else 'no'\n"
    rows = [
        {"id": f"c{i}", "v": (0.001 if i % 4 < 2 else 5.0) * (1 if i % 2 else -1), "label": "yes" if i % 2 else "no"}
        for i in range(200)
    ]
    drop = {"transform": "gaussian-noise", "scale": "1 sd"}
    base.write(
        rows=rows,
        candidates={"cut": {"python": "models:cut"}},
        models=models,
        data={"inputs": ["v"]},
        checks=[accuracy(">= 0.9"), accuracy("<= 0.05", **{"drop-under": drop})],
    )
    document = base.run(early_stop=False)
    clean = check_of(document, "capability/accuracy")
    found = next(k for k in document["candidates"][0]["gates"][0]["checks"] if k["under"])
    assert clean["value"] == 1.0 and found["verdict"] == "fail" and 0.15 < found["value"] < 0.45
    noisy = [row for row in base.evidence("small-1", "cut") if row["variant"] == 1]
    right = sum((row["label"] or row["text"]) == ("yes" if rows_by(base)[row["position"]] > 0 else "no") for row in noisy)
    assert found["value"] == pytest.approx(1 - right / 200)


def rows_by(base: Base) -> list[float]:
    """The truth in the recorded order, as the sign that was asked about without noise."""
    plain = sorted((row for row in base.evidence("small-1", "cut") if row["variant"] == 0), key=lambda row: row["position"])
    return [1.0 if (row["label"] or row["text"]) == "yes" else -1.0 for row in plain]


def readers(base: Base, rows: list[dict[str, Any]], who: dict[str, int]) -> dict[str, Any]:
    """Readers who are wrong on every n-th case."""
    lines = ["id,reader,opinion"]
    for name, often in who.items():
        lines += [f"{r['id']},{name},{r['label'] if r['x'] % often else ('no' if r['label'] == 'yes' else 'yes')}" for r in rows]
    (base.folder / "readers.csv").write_text("\n".join(lines) + "\n")
    return {"target": {"recorded": {"path": "readers.csv", "answer": "opinion", "reader": "reader"}}, "role": "reference"}


def test_a_candidate_is_compared_to_several_readers_by_the_mean_of_their_scores(base: Base) -> None:
    rows = cases(200)
    base.folder.mkdir()
    reference = readers(base, rows, {"ann": 4, "bo": 5, "cy": 10**9})
    base.write(
        rows=rows,
        candidates={"people": reference, "good": base.python("good")},
        checks=[accuracy(), accuracy(">= -0.05", **{"compare-to": "people"})],
    )
    document = base.run(early_stop=False)
    found = check_of(document, "capability/accuracy[compare-to people]", "good")
    mean = (0.75 + 0.8 + 0.995) / 3
    assert check_of(document, "capability/accuracy", "people")["value"] == pytest.approx(mean)
    assert found["value"] == pytest.approx(0.9 - mean) and found["planned"] == 200 and found["verdict"] == "pass"
    assert len(base.counted()) == 200
    assert base.conclude()["candidates"] == document["candidates"]


def test_a_case_that_no_reader_answered_is_the_references_failure(base: Base) -> None:
    rows = cases(50)
    base.folder.mkdir()
    reference = readers(base, rows[:40], {"ann": 10**9})
    base.write(
        rows=rows,
        candidates={"people": reference, "good": base.python("good")},
        checks=[accuracy(">= -0.5", **{"compare-to": "people"})],
    )
    found = check_of(base.run(early_stop=False), "capability/accuracy[compare-to people]", "good")
    assert found["planned"] == 50 and found["failed"] == 10 and found["not_asked"] == 0


@pytest.mark.parametrize("price", ["0.02 CNY", None])
def test_cost_is_counted_with_a_price_and_inconclusive_without(base: Base, price: str | None) -> None:
    candidate: dict[str, Any] = {"target": base.python("good"), **({"price": {"per-call": price}} if price else {})}
    base.write(rows=cases(80), candidates={"good": candidate}, checks=[{"metric": "cost.per-case", "require": "<= 0.05 CNY"}])
    found = check_of(base.run(), "capability/cost.per-case")
    assert found["planned"] == 80
    if price:
        assert found["verdict"] == "pass" and found["value"] == pytest.approx(0.02) and found["unit"] == "CNY"
    else:
        assert found["verdict"] == "inconclusive" and found["value"] in (None,) and "price" in " ".join(found["reasons"])


def test_token_prices_are_counted_from_usage(base: Base) -> None:
    with serving(answers("yes")) as server:
        chat = {
            "target": {"openai": {"url": server.url, "model": "m"}},
            "prompt": "{x}?",
            "price": {"per-million-input-tokens": "1 CNY", "per-million-output-tokens": "10 CNY"},
        }
        base.write(rows=cases(30), candidates={"chat": chat}, checks=[{"metric": "cost.per-case", "require": "<= 1 CNY"}])
        found = check_of(base.run(), "capability/cost.per-case")
    assert found["value"] == pytest.approx((11 * 1 + 3 * 10) / 1e6) and found["verdict"] == "pass"


def test_a_load_is_accounted_for_whatever_the_machine_does(base: Base) -> None:
    load = {"rate": "100/s", "for": "1s", "warmup": "200ms", "arrivals": "uniform"}
    base.write(
        rows=cases(30),
        checks=[
            {"metric": "latency.p95", "require": "<= 10 s", "load": load},
            {"metric": "throughput", "require": ">= 1/s", "load": load},
            accuracy(">= 0.5"),
        ],
    )
    document = base.run()
    found = check_of(document, "capability/latency.p95")
    assert found["planned"] == found["n"] == 100 and found["failed"] == 0 and found["value"] > 0
    rows = [row for row in base.evidence("small-1", "good") if row["scheduled"] is not None]
    assert len(rows) == 120 and [row["scheduled"] for row in rows] == sorted(row["scheduled"] for row in rows)
    assert all(row["seconds"] > 0 and row["late"] >= 0 for row in rows)
    assert base.conclude()["candidates"] == document["candidates"]


def test_failures_under_load_count_as_infinite(base: Base) -> None:
    load = {"rate": "100/s", "for": "1s", "warmup": "10ms", "arrivals": "uniform"}
    models = "def bad(case):\n    raise ValueError('no')\n"
    base.write(
        rows=cases(30),
        candidates={"bad": {"python": "models:bad"}},
        models=models,
        checks=[
            {"metric": "latency.p95", "require": "<= 10 s", "load": load},
            {"metric": "throughput", "require": ">= 1/s", "load": load},
        ],
    )
    document = base.run()
    for check in ("latency.p95", "throughput"):
        assert check_of(document, f"capability/{check}")["failed"] == 100
        assert check_of(document, f"capability/{check}")["verdict"] != "pass"
    assert check_of(document, "capability/latency.p95")["value"] is None
    json.dumps(document, allow_nan=False)


def judging(wrong: int) -> Behaviour:
    """A judge that says yes to answers that hold an odd number, except that every `wrong`-th call says no."""
    calls = 0

    async def behave(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        material = orjson.loads(orjson.loads(await request.read())["messages"][1]["content"])
        said = "odd" in material["answer"] and calls % wrong != 0
        return web.json_response(completion('{"answer": "yes"}' if said else "no"))

    return behave


SAYS = """
def says(case):
    if case["x"] == 7:
        raise ValueError("no")
    return f"{case['x']} is {'odd' if case['x'] % 4 else 'even'}"
"""


def judged(base: Base, url: str, labels: bool, count: int = 120) -> Base:
    judge = {
        "url": url,
        "model": "m",
        "rubric": "Does it say odd?",
        "concurrency": 4,
        **({"labels": "labels.csv"} if labels else {}),
    }
    base.write(
        rows=cases(count),
        candidates={"says": {"python": "models:says"}},
        models=SAYS,
        checks=[{"metric": "rubric", "require": ">= 0.5", "judge": judge}],
    )
    if labels:
        rows = [
            f"{f'c{i}' if i % 2 else f'other{i}'},{i} is {'odd' if i % 2 else 'even'},{'yes' if i % 2 else 'no'}"
            for i in range(120)
        ]
        (base.folder / "labels.csv").write_text("id,answer,label\n" + "\n".join(rows) + "\nc1,who knows,unsure\n")
    return base


def test_a_judge_without_labels_informs_and_never_decides(base: Base) -> None:
    with serving(judging(10**9)) as server:
        judged(base, server.url, labels=False)
        document = base.run()
        assert len(server.bodies) == 119
    found = check_of(document, "capability/rubric")
    assert found["verdict"] == "inconclusive" and found["value"] == pytest.approx(89 / 120) and found["low"] is None


def test_a_judge_is_corrected_by_its_measured_error_and_sees_labelled_answers_as_it_sees_others(base: Base) -> None:
    with serving(judging(10**9)) as server:
        judged(base, server.url, labels=True)
        document = base.run()
        assert len(server.bodies) == 119 + 120
        material = [orjson.loads(body["messages"][1]["content"]) for body in server.bodies]
    found = check_of(document, "capability/rubric")
    assert found["verdict"] == "pass" and found["planned"] == 120 and found["failed"] == 1
    labelled = [m for m in material if m["inputs"]]
    assert all("expected" in m for m in labelled) and len(labelled) == 119 + 60
    (base.folder / "labels.csv").unlink()
    assert base.conclude()["candidates"] == document["candidates"]  # what people said is kept with the run


def test_a_judged_run_that_is_cut_repeats_no_call_and_ends_the_same(base: Base) -> None:
    class Stop(BaseException):
        pass

    class Cutter:
        def step(self, step: Any) -> None:
            if step.phase == "judging":
                raise Stop

        def note(self, message: str) -> None: ...

    with serving(judging(10**9)) as server:
        judged(base, server.url, labels=True)
        whole = base.beside("whole").run()
        server.bodies.clear()
        with pytest.raises(Stop):
            base.run(progress=Cutter())
        document = base.run()
        assert document["run"] == "small-1" and estimates(document) == estimates(whole)
        assert len(server.bodies) <= 239 + 4


TEXTS = [
    ("t1", "首都是哪里？", "北京", "答案是：北京。"),
    ("t2", "繁体怎么写？", "计算机", "計算機"),
    ("t3", "全角数字？", "123", "１２３"),
    ("t4", "选哪个？", "乙", "乙"),
    ("t5", "错了吗？", "对", "错"),
]


def test_chinese_texts_are_read_by_every_text_metric(base: Base) -> None:
    said = {question: answer for _, question, _, answer in TEXTS}
    models = f"SAID = {said!r}\ndef says(case):\n    return SAID[case['question']]\n"
    rows = [{"id": i, "question": q, "label": truth} for i, q, truth, _ in TEXTS]
    base.write(
        rows=rows,
        candidates={"says": {"python": "models:says"}},
        models=models,
        data={"inputs": ["question"], "positive": None},
        checks=[{"metric": m, "require": ">= 0.1"} for m in ("exact", "normalised", "contains")]
        + [{"metric": "regex", "require": ">= 0.1", "pattern": "[北京乙]+"}],
    )
    document = base.run(early_stop=False)
    values = {m: check_of(document, f"capability/{m}")["value"] for m in ("exact", "normalised", "contains", "regex")}
    assert values["exact"] == pytest.approx(1 / 5) and values["normalised"] == pytest.approx(3 / 5)
    assert values["contains"] >= 2 / 5 and values["regex"] == pytest.approx(2 / 5)
    assert base.said("show", "small-1").code == 0


def test_media_reach_a_candidate_as_files(base: Base) -> None:
    base.folder.mkdir()
    (base.folder / "media").mkdir()
    rows = cases(12)
    for row in rows:
        (base.folder / "media" / f"{row['x']}.bin").write_bytes(bytes([row["x"] % 2]))
        row["file"] = f"media/{row['x']}.bin"
    models = (
        "from pathlib import Path\ndef reads(case):\n    return 'yes' if Path(case['file']).read_bytes() == b'\\x01' else 'no'\n"
    )
    base.write(
        rows=rows, candidates={"reads": {"python": "models:reads"}}, models=models, data={"inputs": ["file"], "media": ["file"]}
    )
    found = check_of(base.run(early_stop=False), "capability/accuracy")
    assert (found["value"], found["failed"]) == (1.0, 0)


@pytest.mark.parametrize(("count", "verdict"), [(120, "pass"), (60, "inconclusive")])
def test_clusters_are_the_unit_and_under_twenty_decide_nothing(base: Base, count: int, verdict: str) -> None:
    base.write(rows=cases(count), checks=[accuracy(">= 0.6")], data={"cluster": "patient"})
    found = check_of(base.run(), "capability/accuracy")
    assert (found["n"], found["verdict"]) == (count, verdict)
    patients = [int(x) // 4 for x in base.counted()]
    assert all(len(set(patients[i : i + 4])) == 1 for i in range(0, count, 4))  # clusters are asked as wholes


def secrets() -> Iterator[str]:
    yield from (f"secret-{i:04d}" for i in range(60))


@pytest.mark.parametrize("way", ["mapping", "raises"])
def test_held_out_rows_are_shown_nowhere(base: Base, way: str) -> None:
    rows = [{"id": f"id-{s}", "x": i, "name": f"name-{s}", "label": "yes" if i % 2 else "no"} for i, s in enumerate(secrets())]
    body = {
        "mapping": "return {'label': case['name'], 'text': case['name']}",
        "raises": "raise ValueError(case['name'])",
    }[way]
    models = f"def leaks(case):\n    if case['x'] % 3 == 0: {body}\n    return 'no'\n"
    base.write(
        rows=rows,
        candidates={"leaks": {"python": "models:leaks"}},
        models=models,
        data={"inputs": ["x", "name"], "custody": "held-out"},
        checks=[accuracy(">= 0.9"), {"metric": "failures", "require": "= 0"}],
    )
    printed = []
    for arguments in (
        ("run", str(base.pilot), "--no-early-stop", "--json"),
        ("show", "small-1"),
        ("show", "small-1", "--json"),
        ("dossier", "small-1", "--out", str(base.home.parent / "dossier")),
    ):
        if arguments[0] == "run":  # as a process: what a candidate's own process writes is printed too
            real = base.command(*arguments)
            told = Said(code=real.returncode, out=real.stdout, err=real.stderr)
        else:
            told = base.said(*arguments)
        assert told.code in (0, 1) and "Traceback" not in told.err, told.err
        printed.append(told.out + told.err)
    for path in (base.home.parent / "dossier").rglob("*"):
        if path.is_file():
            printed.append(path.read_bytes().decode("utf-8", "replace"))
    assert len(printed) > 4
    assert not any("secret" in text for text in printed)
    assert "held-out" in printed[1]
