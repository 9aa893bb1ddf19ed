"""Cases from incidents through every story: run, explain, dossier, verify, rerun, compare."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.fakes.chat_server import answers
from tests.flows.stories import forge, key_of, pilotbase, record_of, sealed
from tests.flows.support import Base, cases, check_of, estimates, serving

REGRESSIONS = {"metric": "regressions", "require": "= 0", "id": "regressions"}
ACCURACY = {"metric": "accuracy", "require": ">= 0.7", "id": "accuracy"}
COUNTED = (
    ACCURACY,
    {"metric": "f1", "require": ">= 0.7", "id": "f1"},
    {"metric": "accuracy", "gap-by": "site", "require": "<= 0.9", "id": "gap"},
    {"metric": "failures", "require": "= 0", "id": "failures"},
    {"metric": "accuracy", "drop-under": {"transform": "scale", "scale": 0.0}, "require": "<= 0.5", "id": "drop"},
)
WRONG, RIGHT = (3, 13), (4, 5)  # of these `good` answers the first two wrongly


def rows(count: int = 120, incidents: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """Ordinary cases, and further ones from incidents, at sites of their own."""
    found = [{**row, "incident": ""} for row in cases(count)]
    for i, x in enumerate(incidents):
        truth = "yes" if x % 2 else "no"
        found.append({"id": f"inc{i}", "x": x, "site": f"site-{i}", "patient": f"i{i}", "label": truth, "incident": f"INC-{i}"})
    return found


def write(base: Base, incidents: tuple[int, ...], *checks: dict[str, Any], count: int = 120, **data: Any) -> Base:
    named = {"groups": ["site"], "incident": "incident", **data}
    return base.write(
        rows=rows(count, incidents),
        candidates={"good": base.python("good")},
        checks=[*checks, REGRESSIONS],
        data={name: value for name, value in named.items() if value is not None},
    )


def test_a_case_from_an_incident_that_is_answered_wrongly_fails_the_pilot_and_one_answered_rightly_does_not(base: Base) -> None:
    found = write(base, (*WRONG, *RIGHT), ACCURACY).run()
    check = check_of(found, "regressions")
    assert (found["verdict"], check["verdict"], check["value"], check["planned"]) == ("fail", "fail", 2.0, 4)
    assert check_of(found, "accuracy")["verdict"] == "pass"
    kept = write(base, RIGHT, ACCURACY).run()
    assert (kept["verdict"], check_of(kept, "regressions")["value"]) == ("pass", 0.0)


def test_the_check_can_be_declared_on_the_first_day(base: Base) -> None:
    found = write(base, (), ACCURACY).run()
    check = check_of(found, "regressions")
    assert (found["verdict"], check["verdict"], check["value"], check["planned"]) == ("pass", "pass", 0.0, 0)
    assert "no regression case yet" in str(check["reasons"])


@pytest.mark.parametrize("early", [True, False])
def test_no_other_figure_of_a_run_moves_by_cases_from_incidents(base: Base, early: bool) -> None:
    """Each keeps its planned cases and groups; the order of asking is another, so figures are compared where all were asked."""
    without = write(base, (), *COUNTED).run(early_stop=early)
    found = write(base, WRONG, *COUNTED).run(early_stop=early)
    for name in ("accuracy", "f1", "gap", "failures", "drop"):
        assert check_of(found, name)["planned"] == 120
        assert [p["group"] for p in check_of(found, name)["parts"]] in ([], ["north", "south"], ["south", "north"])
    if not early:
        of, before = ({n: check_of(d, n) for n in ("accuracy", "f1", "gap", "failures")} for d in (found, without))
        bounds = [(k[n]["value"], k[n]["low"], k[n]["high"]) for k in (of, before) for n in k]
        assert bounds[:4] == bounds[4:]


def test_neither_the_incident_nor_its_column_reaches_the_candidate(base: Base) -> None:
    spy = 'def good(case):\n    assert set(case) == {"x"}, case\n    return "yes" if case["x"] % 2 else "no"\n'
    base.write(
        rows=rows(60, WRONG), candidates={"good": {"python": "models:good"}}, models=spy, checks=[ACCURACY, REGRESSIONS],
        data={"incident": "incident"},
    )  # fmt: skip
    found = base.run(early_stop=False)
    assert found["verdict"] == "pass"
    assert check_of(found, "regressions")["failed"] == 0


def test_changed_inputs_and_repetitions_are_asked_of_ordinary_cases_only(base: Base) -> None:
    stable = {"metric": "stability", "require": ">= 0.5", "repeat": 2, "id": "stable"}
    found = write(base, WRONG, COUNTED[-1], stable, count=60).run(early_stop=False)
    asked = base.evidence(found["run"], "good")
    assert {v: sum(r["variant"] == v for r in asked) for v in range(3)} == {0: 62, 1: 60, 2: 120}


def test_a_load_arrives_with_the_inputs_of_ordinary_cases_only(base: Base) -> None:
    load = {"metric": "throughput", "require": ">= 1 /s", "load": {"rate": "200/s", "for": "1s", "arrivals": "uniform"}}
    found = write(base, (1003, 1013, 1023), load, count=30).run()
    assert check_of(found, "capability/throughput")["n"] > 0
    loaded = [r["position"] for r in base.evidence(found["run"], "good") if r["scheduled"] is not None]
    kept = pl.read_parquet(base.home / "runs" / found["run"] / "cases.parquet")
    ordinary = set(kept["incident"].is_null().arg_true().to_list())
    assert set(loaded) == ordinary
    assert len(ordinary) == 30
    assert sorted(x for x in base.counted() if int(x) > 1000) == ["1003", "1013", "1023"], "each once, as a case"


def test_a_judge_is_not_asked_about_cases_from_incidents(base: Base) -> None:
    with serving(answers("yes")) as judge:
        spec = {"url": judge.url, "model": "j", "rubric": "Is it right?", "version": "1"}
        rubric = {"metric": "rubric", "judge": spec, "require": ">= 0.5", "id": "rubric"}
        found = write(base, WRONG, rubric, count=30).run()
    assert (check_of(found, "rubric")["planned"], check_of(found, "rubric")["n"]) == (30, 30)
    judged = [r for r in base.evidence(found["run"], "good") if r["variant"] == 1]
    assert len(judged) == 30


def test_explain_counts_cases_from_incidents_apart_and_tells_of_live_checks(base: Base) -> None:
    live = {**ACCURACY, "live": {"sample": "5 %"}}
    write(base, WRONG, live)
    said = pilotbase(base.home, "explain", base.pilot, environment=base.environment).out
    assert "incidents `incident`: 2 cases came from one; they enter no rate, only `regressions`" in said
    assert "groups `site`: " in said
    assert "site-0" not in said
    assert "on 120 cases;" in said
    assert "on 2 cases from incidents, all of them counted: no interval" in said
    assert "decided on live traffic too, during a release: 5 % of requests" in said
    assert "at most 122" in said
    write(base, (), ACCURACY)
    said = pilotbase(base.home, "explain", base.pilot, environment=base.environment).out
    assert "no case comes from an incident yet: it passes until one does" in said
    assert "WARNING" not in said


def test_live_changes_no_verdict_of_a_pilot(base: Base) -> None:
    plain = estimates(base.write(checks=[ACCURACY]).run(early_stop=False))
    live = estimates(base.write(checks=[{**ACCURACY, "live": {"sample": "5 %"}}]).run(early_stop=False))
    assert live == plain


@pytest.mark.parametrize("custody", ["open", "held-out"])
@pytest.mark.parametrize("cluster", [None, "patient"])
def test_a_dossier_with_cases_from_incidents_is_derived_again_and_names_no_incident(
    base: Base, custody: str, cluster: str | None
) -> None:
    write(base, (*WRONG, *RIGHT), *COUNTED[:4], custody=custody, cluster=cluster)
    dossier = sealed(base)
    said = pilotbase(base.home, "verify", dossier)
    assert said.code == 0, said.out
    record = record_of(dossier)
    assert (record["data"]["count"], record["data"]["regressions"]) == (124, 4)
    assert record["data"]["clusters"] == (30 if cluster else None)
    assert check_of(record["result"], "regressions")["value"] == 2.0
    table = pl.read_parquet(dossier / record["cases"]["file"])
    assert table["incident"].drop_nulls().n_unique() == 4
    assert not any("INC-" in value for value in table["incident"].drop_nulls())
    assert b"INC-0" not in b"".join(p.read_bytes() for p in dossier.rglob("*") if p.is_file())


def test_a_failed_case_that_is_called_ordinary_afterwards_does_not_give_the_verdict_that_was_sealed(
    base: Base, tmp_path: Path
) -> None:
    write(base, WRONG, ACCURACY)
    dossier = sealed(base)

    def acquit(record: dict[str, Any], folder: Path) -> None:
        path = folder / record["cases"]["file"]
        pl.read_parquet(path).with_columns(incident=pl.lit(None, dtype=pl.String)).write_parquet(path)

    said = pilotbase(base.home, "verify", forge(dossier, tmp_path / "forged", key_of(base.home), acquit))
    assert said.code == 1
    assert "regressions" in said.out


def test_a_run_without_the_column_records_and_seals_nothing_of_incidents(base: Base) -> None:
    base.write(checks=[ACCURACY])
    dossier = sealed(base)
    record = record_of(dossier)
    assert "regressions" not in record["data"]
    assert "incident" not in record["pilot"]["data"]["test"]
    assert "incident" not in pl.read_parquet(dossier / record["cases"]["file"]).columns


def test_concluding_again_and_rerunning_give_the_same_count(base: Base) -> None:
    found = write(base, WRONG, ACCURACY).run()
    assert estimates(base.conclude()) == estimates(found)
    dossier = base.home.parent / "dossier"
    assert pilotbase(base.home, "dossier", "last", "--with-data", "--with-candidate", "--out", dossier).code == 0
    again = pilotbase(base.home, "rerun", dossier, "--json", environment=base.environment)
    assert again.code == 0, again.err
    (check,) = (c for c in again.json["comparison"]["checks"] if c["check"] == "regressions")
    assert (check["first"], check["second"], check["agreement"], check["difference"]) == ("fail", "fail", "agree", None)


def test_a_partial_run_leaves_the_count_open(base: Base) -> None:
    found = write(base, RIGHT, ACCURACY).run(limit=5)
    assert check_of(found, "regressions")["verdict"] == "inconclusive"
