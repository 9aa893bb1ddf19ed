"""What ends the asking early, what is then accounted for, and what the command line says of it."""

import json
from typing import Any

import pytest
from tests.fakes.chat_server import answers
from tests.flows.support import Base, accuracy, cases, check_of, serving, verdicts

from pilotbase.domain.pilot import Limits
from pilotbase.pilots.limits import Budget

ONCE = {"metric": "balanced-accuracy", "require": ">= 0.5"}
STRICT = {"metric": "sensitivity", "require": ">= 0.899"}


def reasons(check: dict[str, Any]) -> str:
    return " ".join(check["reasons"])


def test_a_limit_of_calls_leaves_the_rest_not_asked_and_a_decided_check_stands(base: Base) -> None:
    base.write(rows=cases(200), checks=[accuracy(">= 0.5"), STRICT, ONCE], more={"limits": {"calls": 80}})
    document = base.run()
    assert len(base.counted()) == 80
    decided, undecided, once = (check_of(document, f"capability/{m}") for m in ("accuracy", "sensitivity", "balanced-accuracy"))
    assert decided["verdict"] == "pass" and decided["n"] < 80
    assert undecided["verdict"] == once["verdict"] == "inconclusive"
    assert "limits.calls of 80" in reasons(once) and "limits.calls of 80" in reasons(undecided)
    assert once["planned"] == 200 and once["not_asked"] == 120 and once["value"] is None
    assert verdicts(document) == {"good": "inconclusive"}


@pytest.mark.parametrize("way", [{"batch": 16}, {"frame": 64}, {"workers": 3}])
def test_a_limit_of_calls_is_kept_in_every_way_of_calling(base: Base, way: dict[str, Any]) -> None:
    call = "batch" if "batch" in way else "frame" if "frame" in way else "good"
    base.write(rows=cases(100), candidates={"good": base.python(call, **way)}, checks=[ONCE], more={"limits": {"calls": 50}})
    document = base.run()
    assert len(base.counted()) == 50
    assert check_of(document, "capability/balanced-accuracy")["not_asked"] == 50
    assert "limits.calls of 50" in reasons(check_of(document, "capability/balanced-accuracy"))


@pytest.mark.parametrize("way", [{}, {"batch": 16}, {"frame": 64}])
def test_a_limit_of_spend_is_never_passed_by_calls_of_a_known_price(base: Base, way: dict[str, Any]) -> None:
    candidate = {
        "target": base.python("batch" if "batch" in way else "frame" if "frame" in way else "good", **way),
        "price": {"per-call": "0.3 CNY"},
    }
    base.write(rows=cases(100), candidates={"good": candidate}, checks=[ONCE], more={"limits": {"spend": "10 CNY"}})
    document = base.run()
    assert len(base.counted()) == 33
    found = check_of(document, "capability/balanced-accuracy")
    assert "limits.spend of 10 CNY is used up (9.9 spent)" in reasons(found) and found["not_asked"] == 67


def test_calls_before_a_cut_count_against_the_limit_and_looked_up_answers_do_not(base: Base) -> None:
    readers = {
        "target": {"recorded": {"path": "readers.csv", "answer": "opinion"}},
        "role": "reference",
        "price": {"per-call": "100 CNY"},
    }
    good = {"target": base.python("good"), "price": {"per-call": "0.01 CNY"}}
    base.write(
        rows=cases(60),
        candidates={"readers": readers, "good": good},
        checks=[ONCE],
        more={"limits": {"calls": 40, "spend": "1 CNY"}},
    )
    (base.folder / "readers.csv").write_text("id,opinion\n" + "".join(f"{r['id']},{r['label']}\n" for r in cases(60)))

    class Stop(BaseException):
        pass

    class Cutter:
        def step(self, step: Any) -> None:
            if step.candidate == "good" and step.done >= 16:
                raise Stop

        def note(self, message: str) -> None: ...

    with pytest.raises(Stop):
        base.run(progress=Cutter())
    document = base.run()
    assert document["run"] == "small-1" and len(base.counted()) == 40
    assert check_of(document, "capability/balanced-accuracy", "good")["not_asked"] == 20
    assert check_of(document, "capability/balanced-accuracy", "readers")["verdict"] == "pass"


def test_a_limit_of_time_leaves_everything_not_asked_and_says_so(base: Base) -> None:
    base.write(checks=[accuracy(">= 0.5"), ONCE], more={"limits": {"time": "0.001ms"}})
    document = base.run()
    assert not base.counted()
    for check in ("accuracy", "balanced-accuracy"):
        found = check_of(document, f"capability/{check}")
        assert found["verdict"] == "inconclusive" and found["not_asked"] == 60 and "limits.time" in reasons(found)


class Hand:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_budget_ends_at_its_time_and_not_before() -> None:
    hand = Hand()
    budget = Budget(Limits(time="2m"), monotonic=hand)
    hand.now += 119.9
    assert budget.left() > 1000
    hand.now += 0.2
    assert budget.left() == 0 and budget.why() == "limits.time of 2m ran out"


def test_a_budget_reserves_what_is_under_way() -> None:
    budget = Budget(Limits(calls=10, spend="1 CNY"))
    assert budget.left(4) == 6 and budget.left(12) == 0 and not budget.why()
    assert budget.left(3, each=200_000_000) == 2
    budget.use(4, 900_000_000)
    assert budget.left(each=100_000_000) == 1 and budget.left() == 6
    assert budget.left(each=200_000_000) == 0 and "limits.spend" in budget.why(each=200_000_000)
    assert budget.left(each=1) and not budget.why()  # a cheaper candidate may go on


def test_a_limit_reached_by_one_candidate_is_told_of_the_next(base: Base) -> None:
    base.write(
        rows=cases(60),
        candidates={"good": base.python("good"), "wrong": base.python("wrong")},
        checks=[ONCE],
        more={"limits": {"calls": 60}},
    )
    document = base.run()
    assert check_of(document, "capability/balanced-accuracy", "good")["verdict"] == "pass"
    found = check_of(document, "capability/balanced-accuracy", "wrong")
    assert found["verdict"] == "inconclusive" and found["not_asked"] == 60 and "limits.calls" in reasons(found)


def test_judges_are_asked_within_the_limit_of_calls(base: Base) -> None:
    with serving(answers("yes")) as server:
        judge = {"url": server.url, "model": "m", "rubric": "Right?", "concurrency": 4}
        base.write(
            rows=cases(40), checks=[{"metric": "rubric", "require": ">= 0.5", "judge": judge}], more={"limits": {"calls": 55}}
        )
        document = base.run()
        assert len(server.bodies) == 15 and len(base.counted()) == 40
    found = check_of(document, "capability/rubric")
    assert found["verdict"] == "inconclusive" and found["not_asked"] == 25 and "limits.calls" in reasons(found)


@pytest.mark.parametrize(("options", "why"), [({"limit": 50}, "--limit 50"), ({"only": ("good",)}, "--only good")])
def test_a_partial_run_cannot_pass(base: Base, options: dict[str, Any], why: str) -> None:
    base.write(
        rows=cases(200), candidates={"good": base.python("good"), "wrong": base.python("wrong")}, checks=[accuracy(">= 0.5")]
    )
    document = base.run(**options)
    assert document["status"] == "partial" and document["verdict"] == "inconclusive"
    assert check_of(document, "capability/accuracy", "good")["verdict"] == "pass"
    assert any(why in reason for reason in document["candidates"][0]["reasons"])


def test_only_asks_no_other_and_limit_asks_a_prefix(base: Base) -> None:
    base.write(rows=cases(100), candidates={"good": base.python("good"), "wrong": base.python("wrong")}, checks=[ONCE])
    document = base.run(only=("good",), limit=30)
    assert len(base.counted()) == 30 and [c["id"] for c in document["candidates"]] == ["good"]
    assert {row["position"] for row in base.evidence("small-1", "good")} == set(range(30))
    assert "--limit" in reasons(check_of(document, "capability/balanced-accuracy"))


@pytest.mark.parametrize(("candidate", "code"), [("good", 0), ("wrong", 1), ("coin", 3)])
def test_exit_codes_and_one_document_on_stdout(base: Base, candidate: str, code: int) -> None:
    base.write(rows=cases(100), candidates={candidate: base.python(candidate)}, checks=[accuracy(">= 0.55")])
    told = base.command("run", str(base.pilot), "--json")
    assert told.returncode == code
    document = json.loads(told.stdout)
    assert document["schema"] == "pilotbase.run/1" and document["verdict"] == {0: "pass", 1: "fail", 3: "inconclusive"}[code]
    assert told.stderr and "Traceback" not in told.stderr
    again = base.said("conclude", "small-1", "--json")
    assert again.code == code and again.json == document


def test_quiet_says_nothing_but_the_result(base: Base) -> None:
    base.write(rows=cases(100), checks=[accuracy(">= 0.5")])
    told = base.said("run", base.pilot, "-q", "--json")
    assert told.code == 0 and told.err == "" and told.json["verdict"] == "pass"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--only", "nobody"), "no such candidate"),
        (("--limit", "0"), "--limit 0 tries nothing"),
        (("--executor", "nowhere"), "nowhere"),
        (("--limit", "many"), "--limit"),
        (("--colour",), "--colour"),
    ],
)
def test_a_wrong_flag_ends_with_2_and_writes_no_run(base: Base, arguments: tuple[str, ...], named: str) -> None:
    base.write()
    told = base.said("run", base.pilot, *arguments)
    assert told.code == 2 and named in told.err and "Traceback" not in told.err and not told.out
    assert base.said("runs", "--json").json == []


def test_another_confidence_is_exploratory_and_never_a_pass(base: Base) -> None:
    base.write(rows=cases(100), checks=[accuracy(">= 0.5")])
    assert base.run()["confirmatory"]
    document = base.conclude("small-1", confidence=0.9)
    assert not document["confirmatory"] and document["verdict"] == "inconclusive" and document["exploratory_because"]
    assert base.said("conclude", "small-1", "--confidence", "2").code == 2


def test_an_unfinished_run_is_not_concluded_and_is_told_how_to_go_on(base: Base) -> None:
    base.write()

    class Stop(BaseException):
        pass

    class Cutter:
        def step(self, step: Any) -> None:
            raise Stop

        def note(self, message: str) -> None: ...

    with pytest.raises(Stop):
        base.run(progress=Cutter())
    for command in (("conclude", "small-1"), ("dossier", "small-1")):
        told = base.said(*command)
        assert told.code == 2 and "pilotbase run" in told.err and "Traceback" not in told.err
    shown = base.said("show", "small-1")
    assert shown.code == 0 and "go on with: pilotbase run" in shown.out
