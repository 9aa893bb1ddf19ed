"""A case on a real run: what the base finds out for each step, and that nobody talks it into another."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.admissions import CRITERIA, Parties, facts_of, opened, people, walked
from tests.flows.stories import pilotbase, sealed
from tests.flows.support import Base, accuracy, cases

from pilotbase.catalog import cases as store
from pilotbase.catalog import entries
from pilotbase.catalog.case_records import records
from pilotbase.context import Context
from pilotbase.domain.admission import Admission
from pilotbase.domain.admission_steps import Facts
from pilotbase.domain.entry import Capability, Need
from pilotbase.errors import InvalidInput, UserError
from pilotbase.flows.case_access import seen
from pilotbase.flows.case_files import attach
from pilotbase.flows.case_sight import case_sight
from pilotbase.flows.case_steps import take_step
from pilotbase.flows.explain import explain_pilot
from pilotbase.signing import Key
from pilotbase.store import audit


@dataclass
class Bench:
    """A home with its parties, and a pilot whose criteria are recorded in it."""

    base: Base
    context: Context
    parties: Parties
    criteria: str

    def step(self, case: Admission, name: Any, role: str, told: Facts | None = None, **more: Any) -> Admission:
        return take_step(self.context, self.parties[role], case.id, name, told or facts_of(name), **more).admission

    def walked(self, case: Admission, last: str, **more: Any) -> Admission:
        told = {"match": facts_of("match", criteria=self.criteria), "run": Facts(run=more.get("dossier", ""))}
        return walked(self.context, self.parties, case, last, told, **{w: v for w, v in more.items() if w == "dossier"})

    def begun(self) -> Admission:
        return self.walked(opened(self.context, self.parties), "begin")

    def tried(self) -> str:
        """Run the pilot, and seal its dossier in the home."""
        run = str(self.base.run()["run"])
        assert pilotbase(self.base.home, "dossier", run).code == 0
        return run


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    base = Base(folder=tmp_path / "pilot", home=tmp_path / "home")
    base.write(rows=cases(200), checks=[accuracy(">= 0.8")], data={"custody": "held-out"})
    with base.opened() as context:
        facts = explain_pilot(context, base.pilot, early_stop=True, commit=True)
        yield Bench(base=base, context=context, parties=people(context), criteria=facts["criteria"])


def refusal(step: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        step()
    assert isinstance(caught.value, UserError)
    return caught.value


def test_a_case_goes_from_an_opportunity_to_a_promoted_capability(bench: Bench, tmp_path: Path) -> None:
    context, parties = bench.context, bench.parties
    case = bench.begun()
    run = bench.tried()
    case = bench.walked(case, "publish", dossier=run)
    assert (case.state, case.outcome, case.round) == ("published", "passed", 1)
    assert case.proof is not None and case.proof.signed and case.proof.witnessed is not None
    offered = entries.find(context.database, Capability, parties.capability.id)
    assert offered is not None and offered.state == "published" and offered.evidence == (case.proof.digest,)
    told = [one for one in entries.events(context.database, parties.need.id) if one.kind.startswith("case.")]
    assert [one.kind for one in told] == ["case.submitted", "case.admitted", "case.provisioned", "case.published"]
    assert told[2].detail["data"] == "2026-11-30" and told[2].detail["days"] >= 0
    # A second tester runs the same pilot elsewhere.
    other = bench.base.beside("second")
    packed = sealed(other, name="second.zip").read_bytes()
    file = attach(context, "second.zip", len(packed), BytesIO(packed))
    case = bench.step(case, "file", "owner", file=file)
    source = f"file:{case.version}"
    strange = refusal(lambda: bench.step(case, "promote", "operator", dossier=source))
    assert "does not verify here" in strange.message
    assert "the same signer" in refusal(lambda: bench.step(case, "promote", "operator", dossier=run)).message
    key = pilotbase(other.home, "key", "export").out.strip()
    assert pilotbase(bench.base.home, "key", "trust", key).code == 0
    case = bench.step(case, "promote", "operator", dossier=source)
    assert case.state == "promoted" and case.replication is not None and case.replication.agreement == "agree"


def test_figures_reach_the_vendor_and_no_row_of_held_out_data_does(bench: Bench) -> None:
    case = bench.begun()
    case = bench.walked(case, "review", dossier=bench.tried())
    sight = case_sight(bench.context, seen(bench.context, bench.parties["vendor"], case.id))
    reviewed = sight.rounds[0].reviewed
    assert reviewed is not None and reviewed["custody"] == "held-out" and reviewed["cases"] == 200
    assert [check["metric"] for check in reviewed["checks"]] == ["accuracy"] and reviewed["checks"][0]["low"] > 0.7
    assert sum(reviewed["failures"].values()) > 0 and all(kind.startswith("wrong: ") for kind in reviewed["failures"])
    told = orjson.dumps([dict(one.detail) for one in records(bench.context.database, case.id)]).decode()
    assert '"c3"' not in told and "examples" not in told and "reasons" not in told and '"inputs"' not in told


def test_a_run_that_began_before_the_base_signed_its_criteria_counts_for_nothing(bench: Bench) -> None:
    case = bench.walked(opened(bench.context, bench.parties), "match")
    bench.base.run()
    for role in ("owner", "vendor"):
        case = bench.step(case, "agree", role)
    told = refusal(lambda: bench.step(case, "countersign", "reviewer"))
    assert told.status == 409 and "began before the base signed" in told.message


def test_a_run_or_a_dossier_on_other_criteria_is_refused(bench: Bench) -> None:
    case = bench.begun()
    bench.base.write(rows=cases(80))
    other = bench.tried()
    assert "other criteria" in refusal(lambda: bench.step(case, "run", "engineer", Facts(run=other))).message
    assert "other criteria" in refusal(lambda: bench.step(case, "review", "engineer", dossier=other)).message
    assert "no dossier" in refusal(lambda: bench.step(case, "review", "engineer")).message
    for source in ("../../keys", "none-1", "file:1", "file:x"):
        assert refusal(lambda source=source: bench.step(case, "review", "engineer", dossier=source)).status in (404, 422)


def test_a_dossier_that_was_changed_is_never_put_to_review(bench: Bench) -> None:
    case = bench.begun()
    run = bench.tried()
    path = bench.context.home / "dossiers" / run / "record.json"
    path.write_bytes(path.read_bytes().replace(b'"verdict":"pass"', b'"verdict":"fail"', 1))
    assert "does not verify" in refusal(lambda: bench.step(case, "review", "engineer", dossier=run)).message
    assert store.require(bench.context.database, case.id).admission.state == "verifying"


def test_who_may_not_take_a_step_or_see_a_case_changes_nothing(bench: Bench) -> None:
    context, parties = bench.context, bench.parties
    case = opened(context, parties)
    before = len(audit.entries(context.database))
    stranger = replace(parties["vendor"], organisation="org_other")
    for member in (stranger, parties["owner"]):
        assert refusal(lambda member=member: seen(context, member, case.id)).status == 404
        assert refusal(lambda member=member: take_step(context, member, case.id, "submit", facts_of("submit"))).status == 404
    assert refusal(lambda: bench.step(case, "submit", "operator")).status == 403
    assert refusal(lambda: bench.step(case, "comment", "auditor", Facts(text="x"))).status == 403
    assert refusal(lambda: bench.step(case, "fly", "vendor")).status == 422
    assert refusal(lambda: bench.step(case, "screen", "engineer")).status == 409
    assert refusal(lambda: bench.step(case, "submit", "vendor", version=7)).status == 409
    own = replace(parties["operator"], organisation=case.vendor)
    assert refusal(lambda: take_step(context, own, case.id, "screen", facts_of("screen"))).status == 403
    assert len(audit.entries(context.database)) == before
    assert len(records(context.database, case.id)) == 1


def test_a_need_that_was_withdrawn_meanwhile_takes_no_application(bench: Bench) -> None:
    case = opened(bench.context, bench.parties)
    need = bench.parties.need
    entries.set_state(bench.context.database, Need, need.id, "withdrawn", version=need.version, who="t", now=need.created)
    assert "not published" in refusal(lambda: bench.step(case, "submit", "vendor")).message


def test_the_record_is_exported_and_checked_offline_by_another_party(bench: Bench, tmp_path: Path) -> None:
    case = bench.walked(opened(bench.context, bench.parties), "submit")
    home, out, other = bench.base.home, tmp_path / "case.json", tmp_path / "elsewhere"
    fingerprint = Key.load_or_create(home).key_id
    assert pilotbase(home, "case", "export", case.id, "--out", out).code == 0
    assert pilotbase(home, "case", "verify", case.id).code == 0 == pilotbase(home, "case", "verify", out).code
    assert pilotbase(other, "case", "verify", out).code == 3
    assert pilotbase(other, "case", "verify", out, "--signer", fingerprint).code == 0
    told = orjson.loads(out.read_bytes())
    told["records"].reverse()
    out.write_bytes(orjson.dumps(told))
    said = pilotbase(other, "case", "verify", out, "--signer", fingerprint)
    assert said.code == 1 and "CHANGED at record 1" in said.out
    with bench.context.database.transaction():
        bench.context.database.execute("DELETE FROM case_records WHERE admission = ? AND seq = 2", (case.id,))
    said = pilotbase(home, "case", "verify", case.id)
    assert said.code == 1 and "record 2" in said.out
    assert pilotbase(home, "case", "show", "case_none").code == 2
    assert case.id in pilotbase(home, "case", "ls").out
    assert pilotbase(home, "case", "ls", "--json").json[0]["waits"] == ["base"]
    assert pilotbase(home, "case", "show", case.id, "--json").json["record"][0]["step"] == "open"


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("x.exe", b"MZ", "not taken"),
        ("x", b"hello", "not taken"),
        ("x.pdf", b"hello", "not what its name says"),
        ("x.png", b"\x89PNG", "not what its name says"),
        ("x.txt", b"a\x00b", "not what its name says"),
        ("x.json", b"{", "not what its name says"),
        ("x.zip", b"PK\x03\x04 nothing", "zip"),
        ("x.txt", b"", "empty"),
        ("x.txt", b"x" * ((20 << 20) + 1), "too large"),
    ],
)
def test_a_file_of_another_kind_than_is_taken_is_refused(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    with Base(folder=tmp_path, home=tmp_path / "home").opened() as context:
        found = refusal(lambda: attach(context, name, len(data), BytesIO(data)))
        assert told in found.message and found.status == 422
        assert not (context.home / "cases").exists()


def zipped(*members: tuple[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", kind) as file:
        for name, data in members:
            file.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.zip", zipped(("../../etc/passwd", b"x"))),
        ("x.zip", zipped(("/etc/passwd", b"x"))),
        ("x.zip", zipped(("C:\\x", b"x"))),
        ("x.zip", zipped(*((f"{i}", b"\0" * (15 << 20)) for i in range(15)))),
        ("x.zip", zipped(*((str(i), b"") for i in range(2001)))),
        ("x.docx", zipped(("word/other.xml", b"x"))),
        ("x.xlsx", zipped(("word/document.xml", b"x"))),
    ],
)
def test_a_zip_that_harms_who_unpacks_it_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    with Base(folder=tmp_path, home=tmp_path / "home").opened() as context:
        assert refusal(lambda: attach(context, name, len(data), BytesIO(data))).status == 422


def test_honest_files_are_kept_under_their_digest(tmp_path: Path) -> None:
    with Base(folder=tmp_path, home=tmp_path / "home").opened() as context:
        for name, data in (
            ("计划.txt", "你好".encode("gb18030")), ("a.csv", b"a,b\r\n1,2\n"), ("a.JSON", b"{}"), ("a.pdf", b"%PDF-1.7"),
            ("a.zip", zipped(("a/b.txt", b"x"))), ("a.docx", zipped(("word/document.xml", b"x"))),
        ):  # fmt: skip
            found = attach(context, name, len(data), BytesIO(data))
            assert (found.name, found.size) == (name, len(data))


def test_what_a_step_lacks_is_told_all_at_once(bench: Bench) -> None:
    case = bench.walked(opened(bench.context, bench.parties), "screen")
    with pytest.raises(InvalidInput) as caught:
        bench.step(case, "match", "engineer", Facts(criteria="x"))
    assert len(caught.value.problems) == 2
    assert (
        "no application"
        in refusal(
            lambda: bench.step(case, "match", "engineer", facts_of("match", criteria=bench.criteria, candidate="nobody"))
        ).message
    )
    assert bench.step(case, "match", "engineer", facts_of("match", criteria=CRITERIA)).state == "matched"
