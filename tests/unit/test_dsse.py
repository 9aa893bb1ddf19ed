"""DSSE envelopes: honest ones read back, hostile ones are refused in words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.canonical import canonical
from pilotbase.dsse import add_signature, build, pae, parse, strict_json, verify
from pilotbase.errors import UserError
from pilotbase.signing import Key

ONE, TWO = Key.generate(), Key.generate()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


def test_the_signed_bytes_are_those_of_the_specification() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), st.binary(max_size=50))
def test_an_envelope_reads_back_and_its_signatures_hold(kind: str, payload: bytes) -> None:
    envelope = parse(add_signature(build(payload, kind, ONE), TWO).bytes())
    assert (envelope.payload, envelope.payload_type) == (payload, kind)
    assert [(signed.key_id, signed.holds) for signed in verify(envelope)] == [(ONE.key_id, True), (TWO.key_id, True)]


def test_a_signature_by_a_key_that_is_not_among_the_known_does_not_hold() -> None:
    envelope = add_signature(build(b"x", "t", ONE), TWO)
    first, second = verify(envelope, {ONE.key_id: ONE.public_key()})
    assert first.holds and not second.holds
    assert "not among those known" in second.problem


def test_one_key_signs_once() -> None:
    envelope = build(b"x", "t", ONE)
    with pytest.raises(UserError, match="signed this before"):
        add_signature(envelope, ONE)
    document = envelope.document()
    document["signatures"] *= 2
    with pytest.raises(UserError, match="signs twice"):
        parse(canonical(document))


def test_every_flipped_byte_is_refused_or_breaks_the_signature() -> None:
    data = build(b'{"a":1}', "type", ONE).bytes()
    for at in range(len(data)):
        for bit in (0x01, 0x20, 0x80):
            changed = bytes([*data[:at], data[at] ^ bit, *data[at + 1 :]])
            try:
                envelope = parse(changed)
            except UserError:
                continue
            assert not any(signed.holds for signed in verify(envelope)), (at, bit)


@given(JSON)
def test_other_json_is_refused_and_never_crashes(document: Any) -> None:
    with pytest.raises(UserError):
        parse(canonical(document))


@given(st.sampled_from(["payload", "payloadType", "signatures"]), JSON)
def test_a_field_of_another_kind_is_refused_or_harmless(field: str, value: Any) -> None:
    document = build(b"x", "t", ONE).document() | {field: value}
    try:
        envelope = parse(canonical(document))
    except UserError:
        return
    assert document == build(b"x", "t", ONE).document() or not any(signed.holds for signed in verify(envelope))


@given(st.sampled_from(["keyid", "public_key", "sig", "cert"]), JSON)
def test_a_signature_with_another_field_is_refused(field: str, value: Any) -> None:
    document = build(b"x", "t", ONE).document()
    document["signatures"][0][field] = value
    with pytest.raises(UserError, match="signature 1"):
        parse(canonical(document))


def test_a_key_id_that_is_not_the_key_s_own_is_refused() -> None:
    document = build(b"x", "t", ONE).document()
    document["signatures"][0]["keyid"] = TWO.key_id
    with pytest.raises(UserError, match="not the fingerprint of the key"):
        parse(canonical(document))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b"NaN",
        b"[Infinity]",
        b"1e999",
        b"1E2",
        b'"\\ud800"',
        b"[" * 100_000,
        b"[" * 150 + b"]" * 150,
        b"9" * 5000,
        b'{"b":1,"a":2}',
        "\ufeff{}".encode(),
    ],
)
def test_hostile_json_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(UserError) as caught:
        strict_json(data, where="statement.dsse.json")
    assert caught.value.where == "statement.dsse.json"


def test_too_much_json_is_refused_before_it_is_read() -> None:
    with pytest.raises(UserError, match="too large"):
        strict_json(b'"' + b"a" * 100 + b'"', largest=50)


def test_an_envelope_is_what_other_tools_of_dsse_expect() -> None:
    document = json.loads(build(b"hello", "t", ONE).bytes())
    assert document["payload"] == "aGVsbG8="
    assert document["signatures"][0]["keyid"] == ONE.key_id
