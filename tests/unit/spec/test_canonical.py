"""Canonical JSON: equal data, equal bytes."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.canonical import canonical, digest, digest_bytes

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
data = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12)


def test_keys_are_sorted_and_nothing_is_spaced_or_escaped_without_need() -> None:
    assert canonical({"b": [1, 1.0, None], "a": {"中": True}}) == '{"a":{"中":true},"b":[1,1.0,null]}'.encode()


def test_a_digest_is_the_sha_256_of_the_canonical_bytes() -> None:
    assert digest({}) == digest_bytes(b"{}") == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@given(data)
def test_canonical_bytes_read_back_as_the_same_data(value: Any) -> None:
    assert json.loads(canonical(value)) == value
    assert canonical(json.loads(canonical(value))) == canonical(value)


@given(st.dictionaries(text, scalars, min_size=2, max_size=6))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf], {"a": math.nan}, "\ud800"])
def test_what_has_no_json_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical(value)


@pytest.mark.parametrize("value", [{1: "a"}, [{None: 1}], {"a": {True: 1}}, {"a": object()}, b"bytes"])
def test_other_keys_and_objects_are_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical(value)
