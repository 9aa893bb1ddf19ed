"""What a dossier does not hold: by default no input and no answer, and of held-out data no row, no id and no group's name."""

from datetime import date
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from tests.flows.stories import holding, pilotbase, record_of, sealed
from tests.flows.support import Base

MODELS = """
def told(case):
    note = case["note"]
    x = int(note.rsplit("-", 1)[1])
    if x % 11 == 4:
        raise ValueError(f"cannot read {note!r}")
    if x % 13 == 5:
        return {"label": f"ANSWERED-{note}", "score": 0.5}
    return {"label": "yes" if x % 2 else "no", "score": 0.5, "text": f"ANSWERED-{x}", "extra": f"ANSWERED-{x}"}


def spoken(case):
    return "ANSWERED " + case["note"]
"""

CHECKS = [
    {"metric": "accuracy", "require": ">= 0.5"},
    {"metric": "accuracy", "gap-by": "ward", "require": "<= 0.5"},
    {"metric": "labels", "require": "in [yes, no]"},
    {"metric": "failures", "require": "= 0"},
]
INPUT, AGE, ANSWER, IDENTITY, WARD, PATIENT = "SECRET", "31415", "ANSWERED", "PERSON", "WARD", "FAMILY"


def rows(count: int = 90) -> list[dict[str, Any]]:
    """Cases whose every value can be found again; the last age is a word, which reading repairs and tells."""
    return [
        {
            "id": f"PERSON-{x}",
            "note": f"SECRET-{x}",
            "age": "SECRET old" if x == count - 1 else f"31415{x}",
            "ward": f"WARD-{x % 2}",
            "patient": f"FAMILY-{x // 2}",
            "label": "yes" if x % 2 else "no",
        }
        for x in range(count)
    ]


def pilot(base: Base, custody: str, **more: Any) -> Base:
    data = {"inputs": ["note", "age"], "groups": ["ward"], "cluster": "patient", "custody": custody}
    given: dict[str, Any] = {"candidates": {"told": {"python": "models:told"}}, "checks": CHECKS, **more}
    return base.write(rows=rows(), models=MODELS, data={**data, **given.pop("data", {})}, **given)


def test_by_default_no_input_no_answer_and_no_id_is_in_a_dossier_of_open_data(base: Base) -> None:
    dossier = sealed(pilot(base, "open"))
    assert holding(dossier, INPUT, AGE, ANSWER, IDENTITY, PATIENT) == []
    record = record_of(dossier)
    kinds = {kind["category"] for kind in record["failures"]["told"]}
    assert "raised" in kinds
    assert any(kind.startswith("wrong: no class of the truth for") for kind in kinds)
    assert not any(kind["examples"] for kind in record["failures"]["told"])
    assert record["enclosed"] == {"data": False, "candidate": False}
    assert "encloses no data" in (dossier / "report.html").read_text("utf-8")
    assert pilotbase(base.home, "verify", dossier).code == 0


def test_with_the_data_open_failures_have_examples(base: Base) -> None:
    dossier = sealed(pilot(base, "open"), "--with-data")
    examples = [e for kind in record_of(dossier)["failures"]["told"] for e in kind["examples"]]
    assert examples
    assert all(e["input"]["note"].startswith(INPUT) for e in examples)
    assert (dossier / "data" / "test.csv").read_bytes() == (base.folder / "test.csv").read_bytes()
    assert pilotbase(base.home, "verify", dossier).code == 0


def test_of_held_out_data_no_row_id_group_input_or_answer_is_in_a_dossier(base: Base) -> None:
    dossier = sealed(pilot(base, "held-out"))
    assert holding(dossier, INPUT, AGE, ANSWER, IDENTITY, WARD, PATIENT) == []
    parts = record_of(dossier)["result"]["candidates"][0]["gates"][0]["checks"][1]["parts"]
    assert len(parts) == 2
    assert pilotbase(base.home, "verify", dossier).code == 0


def test_free_text_truth_of_held_out_data_is_coded(base: Base) -> None:
    truths = [{**r, "label": f"DIAGNOSIS of {r['id']}"} for r in rows()]
    base.write(
        rows=truths,
        models=MODELS,
        candidates={"spoken": {"python": "models:spoken"}},
        checks=[{"metric": "contains", "require": ">= 0.1"}],
        data={"inputs": ["note"], "positive": None, "custody": "held-out"},
    )
    dossier = sealed(base)
    assert holding(dossier, INPUT, ANSWER, IDENTITY, "DIAGNOSIS") == []
    assert pilotbase(base.home, "verify", dossier).code == 0


def test_held_out_data_is_enclosed_only_for_its_custodian(base: Base, tmp_path: Path) -> None:
    sealed(pilot(base, "held-out"))
    said = pilotbase(base.home, "dossier", "last", "--with-data", "--out", tmp_path / "full")
    assert said.code == 2
    assert "--custodian" in said.err
    assert not (tmp_path / "full").exists()
    said = pilotbase(base.home, "dossier", "last", "--with-data", "--custodian", "--out", tmp_path / "full")
    assert said.code == 0, said.err
    assert (tmp_path / "full" / "data" / "test.csv").exists()
    assert not any(kind["examples"] for kind in record_of(tmp_path / "full")["failures"]["told"])


def test_answers_recorded_on_held_out_data_are_enclosed_only_for_its_custodian(base: Base, tmp_path: Path) -> None:
    base.folder.mkdir(parents=True)
    (base.folder / "readers.csv").write_text("id,opinion\n" + "".join(f"{r['id']},{r['label']}\n" for r in rows()))
    readers = {"recorded": {"path": "readers.csv", "id": "id", "answer": "opinion"}}
    sealed(pilot(base, "held-out", candidates={"readers": readers}))
    said = pilotbase(base.home, "dossier", "last", "--with-candidate", "--out", tmp_path / "full")
    assert said.code == 2
    assert "readers" in said.err
    assert pilotbase(base.home, "dossier", "last", "--with-candidate", "--custodian", "--out", tmp_path / "full").code == 0
    assert (tmp_path / "full" / "candidate" / "readers" / "readers.csv").exists()


@pytest.mark.parametrize("custody", ["open", "held-out"])
def test_two_dossiers_of_a_run_use_the_same_codes_and_another_run_others(base: Base, tmp_path: Path, custody: str) -> None:
    first = sealed(pilot(base, custody))
    assert pilotbase(base.home, "dossier", "last", "--out", tmp_path / "second").code == 0
    assert (first / "cases.parquet").read_bytes() == (tmp_path / "second" / "cases.parquet").read_bytes()
    assert sealed(base, name="third").joinpath("cases.parquet").read_bytes() != (first / "cases.parquet").read_bytes()


def test_what_an_endpoint_says_when_it_gives_up_is_not_quoted(base: Base) -> None:
    candidates = {
        "told": {"python": "models:told"},
        "nowhere": {
            "target": {"openai": {"url": "http://127.0.0.1:9/v1", "model": "SECRET-model", "retries": 0}},
            "prompt": "{note}",
        },
    }
    dossier = sealed(pilot(base, "open", candidates=candidates))
    record = record_of(dossier)
    assert record["account"]["nowhere"]["why"] == "could not be reached"
    assert "Connect" not in str(record["result"])


def test_show_quotes_no_row_of_held_out_data(base: Base) -> None:
    sealed(pilot(base, "held-out"))
    said = pilotbase(base.home, "show", "last")
    assert said.code == 0
    for text in (INPUT, ANSWER, IDENTITY, AGE):
        assert text not in said.out
    assert "categories and counts" in said.out
    said = pilotbase(base.home, "show", "last", "--case", "PERSON-4")
    assert said.code == 2
    assert INPUT not in said.out + said.err


def test_show_tells_one_case_of_open_data_call_by_call(base: Base) -> None:
    sealed(pilot(base, "open"))
    said = pilotbase(base.home, "show", "last", "--case", "PERSON-4")
    assert said.code == 0, said.err
    (call,) = said.json
    assert call["input"] == {"note": "SECRET-4", "age": "314154"}
    assert call["answer"]["failure"] == "raised"
    assert call["call_key"].startswith("sha256:")
    assert pilotbase(base.home, "show", "last", "--case", "nobody").code == 2
    assert "SECRET" in pilotbase(base.home, "show", "last").out


def test_media_are_committed_to_by_their_bytes_enclosed_and_rerun(base: Base, tmp_path: Path) -> None:
    (base.folder / "pictures").mkdir(parents=True)
    for x in range(40):
        (base.folder / "pictures" / f"{x}.png").write_bytes(b"\x89PNG" + bytes([x]))
    found = [{"id": f"p{x}", "picture": f"pictures/{x}.png", "label": "yes" if x % 2 else "no"} for x in range(40)]
    models = "def seen(case):\n    return 'yes' if open(case['picture'], 'rb').read()[-1] % 2 else 'no'\n"
    base.write(
        rows=found,
        models=models,
        candidates={"seen": {"python": "models:seen"}},
        data={"inputs": ["picture"], "media": ["picture"]},
    )
    dossier = sealed(base, "--with-data", "--with-candidate", run_flags=("--no-early-stop",))
    assert (dossier / "data" / "pictures" / "7.png").read_bytes()[-1] == 7
    said = pilotbase(base.home, "rerun", dossier, "--json")
    assert said.code == 0, said.err
    opened = pilotbase(base.home, "disclose", "open", "small", "seen", "p7").json
    assert opened["input"]["picture"]["file"].endswith("pictures/7.png")
    assert opened["input"]["picture"]["digest"].startswith("sha256:")


def test_ids_that_would_be_one_file_are_refused_before_anything_is_called(base: Base) -> None:
    base.write(candidates={"App": {"python": "models:good"}, "app": {"python": "models:good"}})
    said = pilotbase(base.home, "run", base.pilot, "-q")
    assert said.code == 2
    assert "differs from another id by its capitals only" in said.err


def test_inputs_of_every_type_are_committed_to(base: Base) -> None:
    base.write(models=MODELS.replace('case["note"]', '"SECRET-1"'), candidates={"told": {"python": "models:told"}})
    (base.folder / "test.csv").unlink()
    rows = [
        {
            "id": str(i),
            "day": date(2026, 1, 1 + i % 28),
            "big": 2**62 + i,
            "many": [1.5, None],
            "deep": {"a": "é"},
            "none": None,
            "label": "yes",
        }
        for i in range(40)
    ]
    pl.DataFrame(rows).write_parquet(base.folder / "test.parquet")
    document = orjson.loads(base.pilot.read_bytes())
    document["data"]["test"] |= {"path": "test.parquet", "inputs": ["day", "big", "many", "deep", "none"]}
    base.pilot.write_bytes(orjson.dumps(document))
    dossier = sealed(base, "--with-data", "--with-candidate")
    assert pilotbase(base.home, "verify", dossier).code == 0
    opened = pilotbase(base.home, "disclose", "open", "last", "told", "3")
    assert opened.code == 0, opened.err
    assert opened.json["input"] == {"day": "2026-01-04", "big": 2**62 + 3, "many": [1.5, None], "deep": {"a": "é"}, "none": None}
    assert pilotbase(base.home, "rerun", dossier, "-q").code == 0
