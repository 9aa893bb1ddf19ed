"""Merkle trees against the RFC's own recursive definition and published values."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.dossier import merkle

TREES = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def naive_path(leaves: list[bytes], index: int) -> list[bytes]:
    """RFC 6962, 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*naive_path(leaves[:split], index), naive_root(leaves[split:])]
    return [*naive_path(leaves[split:], index - split), naive_root(leaves[:split])]


def test_the_root_of_no_leaves_is_the_hash_of_nothing() -> None:
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_root_of_one_empty_leaf_is_the_published_one() -> None:
    assert merkle.root([b""]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@given(TREES, st.data())
def test_roots_and_paths_are_those_of_the_rfc_and_prove_the_leaf(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, path = merkle.root(iter(leaves)), merkle.proof(leaves, index)
    assert root == naive_root(leaves)
    assert path == naive_path(leaves, index)
    assert merkle.verify(leaves[index], index, len(leaves), path, root)


@given(TREES, st.data())
def test_nothing_else_is_proved(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, path = merkle.root(leaves), merkle.proof(leaves, index)
    assert not merkle.verify(leaves[index] + b"x", index, len(leaves), path, root)
    assert not merkle.verify(leaves[index], index, len(leaves), [*path, bytes(32)], root)
    assert not merkle.verify(leaves[index], len(leaves), len(leaves), path, root)
    assert not merkle.verify(leaves[index], -1, len(leaves), path, root)
    if path:
        assert not merkle.verify(leaves[index], index, len(leaves), path[:-1], root)
        broken = data.draw(st.integers(0, len(path) - 1))
        assert not merkle.verify(leaves[index], index, len(leaves), [*path[:broken], bytes(32), *path[broken + 1 :]], root)


def test_a_node_cannot_pass_for_a_leaf() -> None:
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    assert merkle.root([left + right]) != merkle.root([b"a", b"b"])


def test_a_path_to_no_leaf_is_an_error() -> None:
    with pytest.raises(IndexError):
        merkle.proof([b"a"], 1)


def test_a_million_leaves_are_no_trouble(full: bool) -> None:
    count = 1_000_000 if full else 20_000
    leaves = [i.to_bytes(4, "big") for i in range(count)]
    path = merkle.proof(leaves, count - 1)
    assert merkle.verify(leaves[-1], count - 1, count, path, merkle.root(leaves))
