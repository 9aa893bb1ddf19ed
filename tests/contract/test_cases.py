"""Cases and their signed records, on SQLite and on PostgreSQL."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.postgres import place, postgres_server, postgres_url

from pilotbase.catalog import case_records, cases
from pilotbase.catalog.case_records import GENESIS, verify_records
from pilotbase.catalog.cases import By, Stored
from pilotbase.domain.admission import Admission, Proof
from pilotbase.domain.canonical import canonical
from pilotbase.domain.trial_risk import Register
from pilotbase.errors import UserError
from pilotbase.signing import Key
from pilotbase.store import audit
from pilotbase.store.database import Database

__all__ = ["place", "postgres_server", "postgres_url"]

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
KEY = Key.generate()
VENDOR, BASE = By(who="member:wu", organisation="org_v", party="vendor"), By(who="member:li", organisation="org_b", party="base")
PROOF = Proof(
    digest="sha256:" + "c" * 64, run="r-1", criteria="sha256:" + "a" * 64, verdict="pass", confirmatory=True, verified=True,
    signed=True, signer="SHA256:x", fingerprint="sha256:f", witnessed=NOW, began=NOW, agreement="agree",
)  # fmt: skip


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    with Database(place) as found:
        yield found


def draft(number: int = 1, **more: Any) -> Admission:
    fields: dict[str, Any] = {
        "id": "", "need": f"need_{number}", "need_title": "找结节", "capability": "capability_1", "capability_title": "Finder",
        "vendor": "org_v", "owner": "org_o", "created": NOW, "entered": NOW,
    }  # fmt: skip
    return Admission(**{**fields, **more})


def made(database: Database, number: int = 1, **more: Any) -> Stored:
    return cases.create(database, draft(number, **more), KEY, VENDOR, now=NOW + timedelta(minutes=number))


def moved(database: Database, before: Stored, step: str = "comment", **changes: Any) -> Stored:
    after = replace(before.admission, **changes, version=before.admission.version + 1)
    return cases.change(database, before, after, step, {"text": "你好"}, KEY, BASE, now=NOW + timedelta(hours=1))


def test_a_case_is_kept_whole_with_a_record_of_each_step(database: Database) -> None:
    first = made(database)
    risk = Register(people=3, money="5 CNY", until=date(2027, 1, 1), bearer="甲", misses=("inc-1",))
    changes: dict[str, Any] = {
        "state": "review", "contact": "c", "criteria": PROOF.criteria, "agreed": ("vendor", "owner"), "countersigned": NOW,
        "data_day": date(2026, 11, 3), "round": 1, "runs": ((1, "r-1"),), "proof": PROOF, "replication": PROOF,
        "due": date(2026, 12, 1), "risk": risk,
    }  # fmt: skip
    second = moved(database, first, "review", **changes)
    assert cases.require(database, first.admission.id) == second
    told = case_records.records(database, first.admission.id)
    assert [(one.seq, one.step, one.before, one.after, one.party) for one in told] == [
        (1, "open", "", "draft", "vendor"), (2, "review", "draft", "review", "base"),
    ]  # fmt: skip
    assert (told[0].previous, told[1].previous, second.head) == (GENESIS, told[0].digest, told[1].digest)
    assert told[1].detail == {"text": "你好"} and told[1].who == "member:li"
    logged = audit.entries(database, subject=first.admission.id)
    assert logged[0].action == "case.review" and logged[0].detail["digest"] == second.head


def test_who_changes_a_case_second_is_refused_and_nothing_is_recorded(database: Database) -> None:
    first = made(database)
    second = moved(database, first)
    with pytest.raises(UserError, match="somebody else changed this case meanwhile") as refused:
        moved(database, first, "submit", state="submitted")
    assert refused.value.status == 409
    assert cases.require(database, first.admission.id) == second
    assert len(case_records.records(database, first.admission.id)) == 2


def test_one_capability_is_on_its_way_into_one_need_once(database: Database) -> None:
    first = made(database)
    with pytest.raises(UserError, match=first.admission.id):
        made(database)
    moved(database, first, "withdraw", state="withdrawn")
    assert made(database).admission.state == "draft"


def test_lists_are_paged_and_narrowed_to_an_organisation(database: Database) -> None:
    ids = [made(database, number).admission.id for number in range(1, 6)]
    assert [one.id for one in cases.list_cases(database, limit=2)] == ids[:2:-1]
    assert [one.id for one in cases.list_cases(database, before=ids[3], limit=2)] == [ids[2], ids[1]]
    assert [one.id for one in cases.list_concerned(database, "org_v", before=ids[1])] == ids[:1]
    assert cases.list_concerned(database, "org_o") == [] == cases.list_concerned(database, "org_x")
    moved(database, cases.require(database, ids[2]), "submit", state="submitted")
    assert [one.id for one in cases.list_concerned(database, "org_o")] == [ids[2]]
    assert [one.id for one in cases.list_concerned(database, cases.BASE, "waits")] == [ids[2]]
    assert [one.id for one in cases.list_concerned(database, "org_v", "waits")] == [ids[4], ids[3], ids[1], ids[0]]
    assert [one.id for one in cases.list_cases(database, state="submitted")] == [ids[2]]
    assert cases.count_states(database) == {"draft": 4, "submitted": 1}
    assert cases.count_states(database, "org_o") == {"submitted": 1}
    with pytest.raises(UserError, match="there is no case"):
        cases.list_cases(database, before="case_none")


def test_what_is_overdue_is_found_the_longest_first(database: Database) -> None:
    for number, day in ((1, 5), (2, 3), (3, 9)):
        moved(database, made(database, number), "due", due=date(2026, 11, day), state="submitted")
    found = cases.list_overdue(database, date(2026, 11, 6))
    assert [one.due.day for one in found if one.due] == [3, 5]
    assert cases.list_overdue(database, date(2026, 11, 6), organisation="org_x") == []
    assert len(cases.list_overdue(database, date(2026, 11, 6), organisation="org_o")) == 2


def chain(database: Database, length: int = 4) -> tuple[Stored, list[Any]]:
    stored = made(database)
    for _ in range(length - 1):
        stored = moved(database, stored)
    return stored, case_records.envelopes(database, stored.admission.id)


def test_a_whole_record_verifies_and_names_who_signed(database: Database) -> None:
    stored, found = chain(database)
    report = verify_records(found, case=stored.admission.id, count=stored.records, head=stored.head)
    assert (report.broken, report.records, report.signers, report.head) == (None, 4, (KEY.key_id,), stored.head)
    data = orjson.dumps(case_records.exported(stored.admission.id, found, KEY.public_text("base")))
    assert case_records.read_export(data, "x.json") == (stored.admission.id, found)
    for wrong in (b"{", b"[]", b"{}", orjson.dumps({"schema": case_records.SCHEMA, "case": 1, "records": []})):
        with pytest.raises(UserError, match=r"x\.json|not"):
            case_records.read_export(wrong, "x.json")


def test_a_record_that_was_cut_exchanged_or_signed_anew_is_found(database: Database) -> None:
    stored, found = chain(database)
    case, known = stored.admission.id, {"count": stored.records, "head": stored.head}

    def broken(documents: list[Any]) -> int | None:
        return verify_records(documents, case=case, **known).broken  # type: ignore[arg-type]

    assert broken(found[:-1]) == 4
    assert broken(found[1:]) == 1
    assert broken([found[0], found[2], found[1], found[3]]) == 2
    assert broken([found[0], found[0], *found[1:]]) == 2
    assert verify_records(found[:-1], case=case).broken is None, "only the count tells that one is missing"
    forged = {**found[1], "payload": base64.b64encode(canonical({"any": "thing"})).decode()}
    assert broken([found[0], forged, *found[2:]]) == 2
    told = orjson.loads(base64.b64decode(found[1]["payload"])) | {"who": "member:nobody"}
    assert broken([found[0], {**found[1], "payload": base64.b64encode(canonical(told)).decode()}, *found[2:]]) == 2
    assert verify_records(found, case="case_other").broken == 1


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stored, list[Any]]:
    with Database(tmp_path_factory.mktemp("kept") / "x.db") as database:
        return chain(database, 3)


@given(data=st.data())
@settings(max_examples=60)
def test_any_single_change_in_an_export_is_found(kept: tuple[Stored, list[Any]], data: st.DataObject) -> None:
    stored, found = kept
    text = bytearray(orjson.dumps(found))
    where = data.draw(st.integers(0, len(text) - 1))
    text[where] ^= data.draw(st.integers(1, 127))
    try:
        changed = orjson.loads(bytes(text))
    except orjson.JSONDecodeError:
        return
    if changed == found or not isinstance(changed, list):
        return
    assert verify_records(changed, case=stored.admission.id, count=stored.records, head=stored.head).broken is not None
