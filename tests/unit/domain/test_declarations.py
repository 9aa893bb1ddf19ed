"""What a declaration may not say, without its metrics."""

from typing import Any

import pytest
from tests.fakes.boards import pilot

from pilotbase.domain.gate import Check, Gate, JudgeSpec, Load, PackUse, Transform


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"require": "0.9"}, ("require",), "not a requirement"),
        ({"gap_by": "g", "worst_of": "g"}, ("worst-of",), "names 2"),
        ({"confidence": 0.4}, ("confidence",), "out of range"),
        ({"confidence": 1.0}, ("confidence",), "out of range"),
        ({"minimum": 29}, ("minimum",), "too few"),
        ({"repeat": 1}, ("repeat",), "repetitions"),
        ({"bound": (1.0, 1.0)}, ("bound",), "is empty"),
        ({"bound": (0.0, float("inf"))}, ("bound",), "no range"),
        ({"tolerance": -1.0}, ("tolerance",), "no distance"),
        ({"tolerance": float("nan")}, ("tolerance",), "no distance"),
        ({"pattern": "("}, ("pattern",), "regular expression"),
        ({"errors": "1"}, ("errors",), "not a requirement"),
        ({"errors": ">= 1%"}, ("errors",), "no limit on a share"),
        ({"errors": "<= 5 ms"}, ("errors",), "no limit on a share"),
        ({"errors": "<= 2"}, ("errors",), "no limit on a share"),
        ({"drop_under": Transform(transform="t", scale="x")}, ("drop-under", "scale"), "strength"),
        ({"load": Load(rate="x", for_="1s")}, ("load", "rate"), "rate"),
        ({"load": Load(rate="1/s", for_="x")}, ("load", "for"), "duration"),
        ({"load": Load(rate="1/s", for_="1s", warmup="x")}, ("load", "warmup"), "duration"),
        ({"judge": JudgeSpec(url="x", model="m", rubric="r")}, ("judge", "url"), "http"),
        ({"judge": JudgeSpec(url="http://x", model="m", rubric="r", timeout="x")}, ("judge", "timeout"), "duration"),
        ({"judge": JudgeSpec(url="http://x", model="m", rubric="r", concurrency=0)}, ("judge", "concurrency"), "out of range"),
    ],
)
def test_a_check_tells_what_is_wrong_and_where(fields: dict[str, Any], path: tuple[str, ...], message: str) -> None:
    found = list(Check(**({"metric": "accuracy", "require": ">= 0.9"} | fields)).problems())
    assert [p.path for p in found] == [path]
    assert message in found[0].message


def test_a_sound_check_has_no_problem() -> None:
    sound = Check(
        metric="accuracy", require=">= 0.9", gap_by="g", confidence=0.99, minimum=30, errors="<= 1%", bound=(0, 2), tolerance=0
    )
    assert list(sound.problems()) == []
    assert sound.view == ("gap-by", "g")
    assert sound.group == "g"


def test_a_gate_needs_checks_and_a_pack_its_version() -> None:
    assert "no checks" in next(iter(Gate(gate="g", checks=()).problems())).message
    assert "names no pack" in next(iter(PackUse(use="basics").problems())).message
    assert list(PackUse(use="basics@1").problems()) == []


def _messages(declared: Any) -> list[str]:
    return [p.message for p in declared.problems()]


CHECK = Check(metric="accuracy", require=">= 0.9")


def test_at_high_risk_nothing_may_be_made_easier() -> None:
    lax = pilot(
        gates=[Gate(gate="g", checks=(Check(metric="accuracy", require=">= 0.9", confidence=0.95),), mandatory=False)],
        risk="high", confidence=0.95, family=False,
    )  # fmt: skip
    told = " | ".join(_messages(lax))
    for word in ("0.95 is below 0.99, the least at risk: high", "always divided", "no gate may be optional"):
        assert word in told
    assert _messages(pilot(CHECK, risk="high", confidence=0.995)) == []
    assert pilot(CHECK, risk="high").corrected
    assert [pilot(CHECK, risk=r).level for r in ("low", "medium", "high")] == [0.90, 0.95, 0.99]


def test_a_pilot_names_what_is_missing_or_twice() -> None:
    told = _messages(
        pilot(
            Check(metric="accuracy", require=">= 0.9", compare_to="nobody"),
            Check(metric="accuracy", require="<= 0.1", gap_by="h"),
        )
    )
    assert any("`nobody` is no candidate" in m for m in told)
    assert any("`h` is not declared as a group" in m for m in told)
    assert any("nothing would be decided" in m for m in _messages(pilot(gates=[])))
    assert any("used twice" in m for m in _messages(pilot(gates=[Gate(gate="g", checks=(CHECK,))] * 2)))
    assert any("no candidate is to be judged" in m for m in _messages(pilot(CHECK, candidates=0)))
