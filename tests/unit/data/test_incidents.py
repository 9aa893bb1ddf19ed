"""The column of incidents: read from every format, kept from the candidate, and outside of groups and spreads."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pilotbase.data.files import FileCases, open_cases
from pilotbase.domain.pilot import TestData
from pilotbase.errors import UserError

ROWS = [
    {"id": "a", "x": 1.0, "y": "yes", "site": "north", "incident": None},
    {"id": "b", "x": 2.0, "y": "no", "site": "south", "incident": None},
    {"id": "c", "x": 3.0, "y": "yes", "site": "north", "incident": None},
    {"id": "d", "x": 900.0, "y": "no", "site": "mars", "incident": "INC-7"},
    {"id": "e", "x": 901.0, "y": "no", "site": "north", "incident": "INC-7"},
    {"id": "f", "x": 902.0, "y": "no", "site": "north", "incident": "INC-8"},
]


def opened(folder: Path, frame: pl.DataFrame, name: str = "t.csv", incident: str | None = "incident") -> FileCases:
    path = folder / name
    writers = {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}
    writers[path.suffix](path)
    spec = TestData(path=name, id="id", inputs=("x",), target="y", positive="yes", groups=("site",), incident=incident)
    return open_cases(spec, folder, 7, folder / "scratch")


def by_id(cases: FileCases, values: list[str | None]) -> dict[str, str | None]:
    return dict(zip(cases.ids, values, strict=True))


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_the_incident_of_each_case_is_read_and_is_no_input(tmp_path: Path, name: str) -> None:
    cases = opened(tmp_path, pl.DataFrame(ROWS), name)
    assert cases.incidents is not None
    assert by_id(cases, cases.incidents.values()) == {r["id"]: r["incident"] for r in ROWS}
    assert cases.inputs(0, 6).columns == ["x"]
    assert cases.repairs == (), "an empty place in the column of incidents is nothing to mend"


def test_cases_from_incidents_are_in_no_group_and_make_none(tmp_path: Path) -> None:
    cases = opened(tmp_path, pl.DataFrame(ROWS))
    assert set(cases.groups["site"].names) == {"north", "south"}
    assert by_id(cases, cases.groups["site"].values()) == {
        "a": "north",
        "b": "south",
        "c": "north",
        "d": None,
        "e": None,
        "f": None,
    }


def test_the_spread_that_noise_is_measured_by_is_that_of_ordinary_cases(tmp_path: Path) -> None:
    assert opened(tmp_path, pl.DataFrame(ROWS)).spread()["x"] == pytest.approx(np.std([1, 2, 3], ddof=1))


def test_the_one_seeded_order_is_the_same_with_and_without_the_column(tmp_path: Path) -> None:
    named, unnamed = (opened(tmp_path, pl.DataFrame(ROWS), incident=i) for i in ("incident", None))
    assert (named.order, list(named.ids), named.digest) == (unnamed.order, list(unnamed.ids), unnamed.digest)
    assert unnamed.incidents is None


def test_an_empty_column_and_blanks_name_no_incident(tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS).with_columns(incident=pl.Series(["", None, "  ", "", None, ""]))
    cases = opened(tmp_path, frame)
    assert cases.incidents is not None
    assert (cases.incidents.codes < 0).all()


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        opened(tmp_path, pl.DataFrame(ROWS), incident="incidnt")
    assert "no column `incidnt`; nearest: `incident`" in str(refused.value)


def test_a_nested_column_of_incidents_is_refused(tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS).with_columns(incident=pl.Series([["a"]] * 6))
    with pytest.raises(UserError, match="lists and records cannot be labels"):
        opened(tmp_path, frame, "t.parquet")
