"""Any table that Python's own csv module writes is read back, and any order is a permutation."""

import csv
import io
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.data.files import open_cases
from pilotbase.data.order import order_rows
from pilotbase.domain.pilot import TestData
from pilotbase.errors import UserError

CELL = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=8).map(lambda t: "t" + t)


@given(rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=12), end=st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=60, deadline=None)
def test_text_cells_come_back_as_they_were_written(rows: list[tuple[str, str]], end: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end).writerows([("a", "b"), *rows])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "t.csv").write_bytes(out.getvalue().encode())
        cases = open_cases(TestData(path="t.csv", inputs=("a", "b")), folder, 3, folder / "s")
        found = dict(zip(cases.ids, cases.inputs(0, cases.count).rows(), strict=True))
        cases.close()
    assert [found[str(i + 1)] for i in range(len(rows))] == rows


@given(st.binary(max_size=200), st.sampled_from([".csv", ".tsv", ".jsonl", ".json", ".parquet"]))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_cases_or_a_clear_error(content: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / f"t{suffix}").write_bytes((b"a,b\n" if suffix == ".csv" else b"") + content)
        try:
            cases = open_cases(TestData(path=f"t{suffix}", inputs=("a",)), folder, 3, folder / "s")
        except UserError as error:
            assert str(error)
        else:
            assert cases.inputs(0, cases.count).height == cases.count >= 1
            cases.close()


@given(st.lists(st.integers(0, 6), max_size=60), st.integers())
def test_every_order_is_a_permutation_that_keeps_clusters_together(labels: list[int], seed: int) -> None:
    seen: dict[int, int] = {}
    codes = np.array([seen.setdefault(v, len(seen)) for v in labels], dtype=np.int32)
    order = order_rows(len(labels), seed, codes)
    assert sorted(order.tolist()) == list(range(len(labels)))
    arranged = codes[order]
    assert int(np.count_nonzero(np.diff(arranged))) == max(0, len(seen) - 1)
    assert sorted(order_rows(len(labels), seed).tolist()) == list(range(len(labels)))
