"""Records and their bytes: what is written is read, and what is not whole is never taken for a record."""

import struct
import zlib
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.ledger_records import log_bytes, progress, release, reserve, settle

from pilotbase.domain.metering import Fare, Tokens
from pilotbase.gateway.wal import LARGEST, LONGEST, Progress, Record, Reserve, Settle, encode, scan

STORY: list[Record] = [reserve("a"), progress("a", 100, 7), reserve("b"), settle("a"), release("b"), reserve("c"), settle("c")]

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
counts = st.integers(0, 10**9)
tokens = st.builds(Tokens, counts, counts, counts)
reserves = st.builds(
    lambda currency, call, **rest: Reserve(currency=currency, fare=Fare(call, 5, 7, currency), **rest),
    currency=texts,
    call=counts,
    **dict.fromkeys(("id", "key", "route", "upstream", "endpoint"), texts),
    **dict.fromkeys(("started", "reserved", "tokens", "read"), counts),
    in_doubt=st.sampled_from(["progress", "reserved", "release"]),
)
armed = st.builds(
    replace,
    reserves,
    arm=st.sampled_from(["stable", "candidate", "shadow"]),
    release=texts.filter(bool),
    person=texts,
    copy_of=texts,
)
settles = st.builds(
    Settle,
    id=texts,
    cost=counts,
    tokens=tokens,
    source=st.sampled_from(["upstream", "estimate", "policy", "none"]),
    outcome=texts,
    status=st.none() | st.integers(100, 599),
    seconds=st.floats(0, 1e6),
    ttft=st.none() | st.floats(0, 1e6),
    upstream=texts,
    detail=st.dictionaries(texts, st.none() | st.integers(-5, 5) | texts, max_size=3),
)
records = st.one_of(reserves, armed, st.builds(Progress, id=texts, tokens=tokens), settles)


@given(st.lists(records, max_size=8), st.integers(0, 2**39))
def test_what_is_written_is_read_again(written: list[Record], sequence: int) -> None:
    data = log_bytes(written, sequence)
    found = scan(data, 0, sequence)
    assert (found.records, found.position, found.stop) == (written, len(data), "end")


def test_a_frame_is_what_the_format_says() -> None:
    data = encode(progress("r", 1, 2, 3), 5)
    length, crc, sequence, kind = struct.unpack_from("<IIQB", data)
    assert (length, sequence, kind) == (len(data) - 8, 5, 2)
    assert crc == zlib.crc32(data[8:])
    assert orjson.loads(data[17:]) == ["r", [1, 2, 3]]


def test_a_log_cut_anywhere_gives_the_whole_records_and_calls_the_rest_torn() -> None:
    whole = [len(log_bytes(STORY[:n])) for n in range(len(STORY) + 1)]
    data = log_bytes(STORY)
    for cut in range(len(data) + 1):
        found = scan(data[:cut])
        count = sum(end <= cut for end in whole) - 1
        assert found.records == STORY[:count] and found.position == whole[count]
        assert found.stop == ("end" if cut == whole[count] else "torn")


def test_a_byte_changed_anywhere_is_found_and_told_from_a_torn_tail() -> None:
    data = log_bytes(STORY)
    ends = [len(log_bytes(STORY[: n + 1])) for n in range(len(STORY))]
    for at in range(len(data)):
        found = scan(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        hit = sum(end <= at for end in ends)
        assert found.records == STORY[:hit]
        assert found.stop == ("torn" if hit == len(STORY) - 1 else "damaged"), at


@pytest.mark.parametrize("tail", [b"\0" * 5, b"\0" * 5000, b"\xff" * 300, b"[" * 100, b"\0\0\0\1[" * 50])
def test_a_tail_that_is_no_record_is_torn(tail: bytes) -> None:
    data = log_bytes(STORY)
    found = scan(data + tail)
    assert (found.records, found.position, found.stop) == (STORY, len(data), "torn")


def test_a_record_that_is_missing_between_others_is_damage() -> None:
    data = log_bytes(STORY[:2]) + log_bytes(STORY[3:], 3)
    found = scan(data)
    assert (len(found.records), found.stop, found.why) == (2, "damaged", "good records follow a bad one")


def test_a_record_of_a_kind_that_is_not_known_is_never_skipped() -> None:
    body = struct.pack("<QB", 0, 9) + b"[1]"
    found = scan(struct.pack("<II", len(body), zlib.crc32(body)) + body + log_bytes(STORY, 1))
    assert (found.records, found.stop) == ([], "damaged")
    assert "kind 9 is not known" in found.why


def test_places_that_a_later_version_appends_are_passed_over() -> None:
    data = encode(progress("r", 1, 2, 3), 0)
    body = data[8:-1] + b',"new"]'
    found = scan(struct.pack("<II", len(body), zlib.crc32(body)) + body)
    assert found.records == [progress("r", 1, 2, 3)]


def test_reading_stops_at_the_limit_and_goes_on_from_there() -> None:
    data = log_bytes(STORY)
    first = scan(data, limit=3)
    rest = scan(data, first.position, 3)
    assert first.records + rest.records == STORY and first.stop == "end"


def test_a_cost_that_no_column_can_hold_is_written_at_its_bound_with_the_claim_beside_it() -> None:
    lie = settle("a", cost=10**30, tokens=Tokens(10**25, -3, 0))
    (found,) = scan(encode(lie, 0)).records
    assert isinstance(found, Settle)
    assert found.cost == LARGEST and found.detail == {"claimed": str(10**30)}
    assert found.tokens == Tokens(10**11, 0, 0)


@pytest.mark.parametrize("detail", [{"x": object()}, {"x": "\ud800"}, {"x": "y" * (LONGEST + 1)}])
def test_a_count_is_not_lost_for_what_stands_beside_it(detail: dict[str, object]) -> None:
    record = settle("a", detail=detail)
    (found,) = scan(encode(record, 0)).records
    assert found == replace(record, detail={"left_out": True})


def test_the_character_that_no_database_keeps_is_replaced() -> None:
    (found,) = scan(encode(settle("a", outcome="odd\0one", detail={"why": "\0"}), 0)).records
    assert isinstance(found, Settle)
    assert found.outcome == "odd\ufffdone" and found.detail == {"why": "\ufffd"}


def test_a_reservation_under_a_release_keeps_its_arm_and_one_without_is_written_as_before() -> None:
    plain = encode(reserve("a"), 0)
    under = reserve("a", arm="shadow", release="r1", person="0123456789abcdef", copy_of="w-1")
    written = orjson.loads(encode(under, 0)[17:])
    assert written[12:] == ["shadow", "r1", "0123456789abcdef", "w-1"]
    assert orjson.loads(plain[17:]) == written[:12]


def test_old_reservations_without_an_arm_are_read_as_of_no_release() -> None:
    written = orjson.loads(encode(reserve("a"), 0)[17:])
    body = struct.pack("<QB", 0, 1) + orjson.dumps(written[:12])
    (found,) = scan(struct.pack("<II", len(body), zlib.crc32(body)) + body).records
    assert isinstance(found, Reserve)
    assert (found.arm, found.release, found.person, found.copy_of) == ("", "", "", "")
    assert found == reserve("a")
