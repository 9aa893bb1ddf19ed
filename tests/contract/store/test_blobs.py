"""One contract for blobs on disk and in memory, and what holds on disk alone."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.errors import UserError
from pilotbase.ports import Blobs as BlobsPort
from pilotbase.store.blobs import Blobs, digest_of
from pilotbase.store.disk import LocalDisk
from pilotbase.store.memory import MemoryBlobs


@pytest.fixture(params=["disk", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobsPort:
    return Blobs(tmp_path / "blobs", LocalDisk()) if request.param == "disk" else MemoryBlobs()


def test_what_was_put_is_got_by_its_digest(blobs: BlobsPort) -> None:
    @settings(max_examples=30, deadline=None)
    @given(st.binary(max_size=200))
    def check(data: bytes) -> None:
        digest = blobs.put(data)
        assert digest == digest_of(data) == blobs.put(data)
        assert blobs.get(digest) == data and blobs.has(digest)

    check()


def test_a_digest_that_was_never_put_is_absent(blobs: BlobsPort) -> None:
    digest = digest_of(b"nowhere")
    assert not blobs.has(digest)
    with pytest.raises(UserError, match=f"no content {digest}"):
        blobs.get(digest)


@pytest.mark.parametrize("digest", ["", "sha256:", "md5:" + "0" * 64, "sha256:" + "G" * 64, "sha256:../../" + "0" * 58])
def test_something_that_is_no_digest_is_refused(blobs: BlobsPort, digest: str) -> None:
    for refused in (blobs.get, blobs.has):
        with pytest.raises(UserError, match="is not a digest"):
            refused(digest)


def test_a_changed_blob_is_found_and_the_file_named(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path, LocalDisk())
    digest = blobs.put(b"the answer")
    path = tmp_path / digest[7:9] / digest[9:11] / digest[7:]
    assert path.read_bytes() == b"the answer"
    path.write_bytes(b"the Answer")
    with pytest.raises(UserError, match=f"{digest[7:]}: changed"):
        blobs.get(digest)
