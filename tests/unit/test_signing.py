"""Keys: where they are kept, how they are handed over, and what they sign."""

import base64
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.errors import UserError
from pilotbase.signing import Key, PublicKey, decode_base64, public_keys


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_once_and_then_loaded(tmp_path: Path) -> None:
    first, second = Key.load_or_create(tmp_path), Key.load_or_create(tmp_path)
    assert first.key_id == second.key_id
    assert second.public_key().holds(first.sign(b"data"), b"data")
    assert os.listdir(tmp_path / "keys") == ["signing.pem"]


def test_the_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    Key.load_or_create(tmp_path)
    assert mode(tmp_path / "keys") == 0o700
    assert mode(tmp_path / "keys" / "signing.pem") == 0o600


@pytest.mark.parametrize(("name", "wide", "wanted"), [("keys/signing.pem", 0o640, "600"), ("keys", 0o755, "700")])
def test_wider_permissions_are_refused_with_the_command_that_mends_them(
    tmp_path: Path, name: str, wide: int, wanted: str
) -> None:
    Key.load_or_create(tmp_path)
    (tmp_path / name).chmod(wide)
    with pytest.raises(UserError) as caught:
        Key.load_or_create(tmp_path)
    assert f"{wide:03o}" in caught.value.message
    assert f"chmod {wanted} {tmp_path / name}" in str(caught.value.hint)


def test_processes_that_make_the_key_at_once_all_use_one(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pilotbase.signing import Key; "
        "print(Key.load_or_create(Path(sys.argv[1])).key_id)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    ids = {process.communicate(timeout=60)[0] for process in running}
    assert len(ids) == 1 and "SHA256:" in ids.pop()


def test_what_is_no_key_is_refused_with_the_file_named(tmp_path: Path) -> None:
    Key.load_or_create(tmp_path)
    path = tmp_path / "keys" / "signing.pem"
    rsa = generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for content in (b"", b"hello", rsa):
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            Key.load_or_create(tmp_path)
        assert caught.value.where == str(path)
        assert "backup" in str(caught.value.hint)


def test_a_link_in_the_key_s_place_is_not_followed(tmp_path: Path) -> None:
    Key.load_or_create(tmp_path)
    path = tmp_path / "keys" / "signing.pem"
    path.rename(tmp_path / "elsewhere.pem")
    path.symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(UserError, match="could not read"):
        Key.load_or_create(tmp_path)


def test_a_home_that_is_a_file_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(UserError, match="could not make"):
        Key.load_or_create(tmp_path / "home")


def test_the_fingerprint_is_that_of_the_raw_public_key() -> None:
    key = Key.generate()
    digest = hashlib.sha256(key.public).digest()
    assert key.key_id == "SHA256:" + base64.b64encode(digest).decode().rstrip("=") == key.public_key().fingerprint


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=100))
def test_a_public_key_reads_back_from_its_line_with_any_name(name: str) -> None:
    key = PublicKey(raw=bytes(32), name=name)
    assert PublicKey.parse(key.text()) == key


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519 AAAA me", "pilotbase-ed25519", "pilotbase-ed25519 AAAA me", "pilotbase-ed25519 " + "?" * 44]
)
def test_a_garbled_public_key_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(UserError) as caught:
        PublicKey.parse(line, where="trust.txt:3")
    assert caught.value.where == "trust.txt:3"


def test_a_trust_file_may_hold_comments_and_names_the_line_that_is_wrong() -> None:
    text = Key.generate().public_text("the base in Shenzhen")
    (found,) = public_keys(f"# keys\n\n{text}\n")
    assert found.name == "the base in Shenzhen"
    with pytest.raises(UserError) as caught:
        list(public_keys(f"{text}\nnonsense\n", where="trust.txt"))
    assert caught.value.where == "trust.txt:2"


@given(st.binary(max_size=80), st.binary(max_size=40))
def test_no_other_bytes_pass_for_a_signature(signature: bytes, data: bytes) -> None:
    assert not PublicKey(raw=bytes(range(32))).holds(signature, data)


@given(st.binary(max_size=40))
def test_base64_has_one_spelling(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert decode_base64(text, limit=100) == data
    assert decode_base64(text + "\n", limit=100) is None
    assert decode_base64(text.rstrip("=") + "!", limit=100) is None
