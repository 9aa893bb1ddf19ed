"""`pilotbase key create|ls|rotate|revoke`, as a person meets it."""

from pathlib import Path

import pytest
from tests.flows.stories import Said, key_of, pilotbase

from pilotbase.gateway import keys
from pilotbase.gateway.audit import entries
from pilotbase.gateway.epoch import EpochPage
from pilotbase.gateway.secret_key import split
from pilotbase.store.database import Database


@pytest.fixture
def home(tmp_path: Path) -> Path:
    found = tmp_path / "home"
    for name in ("a", "b"):
        assert pilotbase(found, "route", "add", name, "--upstream", "http://127.0.0.1:9/v1").code == 0
    return found


def create(home: Path, name: str, *flags: str) -> Said:
    said = pilotbase(home, "key", "create", name, *flags)
    assert said.code == 0, said.err
    return said


def test_a_key_is_shown_once_and_listed_with_its_limits(home: Path) -> None:
    said = create(
        home, "acme", "--budget", "100CNY", "--rpm", "60", "--tpm", "100000", "--routes", "a,b", "--expires", "2099-01-01"
    )
    token = said.out.strip()
    assert split(token) is not None
    assert "shown this once" in said.err
    listed = pilotbase(home, "key", "ls")
    assert token not in listed.out
    for word in ("acme", "active", "100 CNY", "60", "100,000", "a, b", "2099-01-01"):
        assert word in listed.out
    (one,) = pilotbase(home, "key", "ls", "--json").json
    assert one["id"] == split(token)
    assert not {"digest", "replaces", "key"} & one.keys()
    assert (one["budget"], one["spent"]) == ("100 CNY", [])


def test_a_key_as_json_holds_its_text_and_expires_so_long_from_now(home: Path) -> None:
    made = create(home, "acme", "--expires", "30d", "--json").json
    assert split(made["key"]) == made["id"]
    assert made["expires"] > made["created"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--budget", "100"), "is not an amount"),
        (("--budget=-1CNY",), "out of range"),
        (("--expires", "2001-01-01"), "expired already"),
        (("--expires", "soon"), "neither a moment nor a duration"),
        (("--expires", "9999999d"), "out of range"),
        (("--rpm", "0"), "out of range"),
        (("--routes", "a,bb"), "did you mean `b`?"),
        (("--routes", ","), "no route is named"),
        (("--admin", "--rpm", "5"), "an admin key calls no route"),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_what_to_do(home: Path, flags: tuple[str, ...], told: str) -> None:
    said = pilotbase(home, "key", "create", "acme", *flags)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert pilotbase(home, "key", "ls", "--json").json == []


def test_a_rotated_key_keeps_its_id_and_its_old_secret_as_long_as_asked(home: Path) -> None:
    old = create(home, "acme", "--rpm", "5").out.strip()
    new = pilotbase(home, "key", "rotate", "acme", "--keep", "10m").out.strip()
    assert split(new) == split(old) and new != old
    with Database(home / "pilotbase.db") as database:
        key = keys.find_key(database, split(new) or "")
        assert key is not None and key.rpm == 5 and key.replaces is not None
    too_long = pilotbase(home, "key", "rotate", "acme", "--keep", "8d")
    assert "longer than 7 d" in too_long.err


def test_revoke_takes_a_signing_keys_fingerprint_or_an_access_keys_id(home: Path) -> None:
    token = create(home, "acme").out.strip()
    said = pilotbase(home, "key", "revoke", split(token), "--why", "leaked", "--cut")
    assert said.code == 0 and "streams under way end too" in said.out
    assert "was revoked before" in pilotbase(home, "key", "revoke", split(token)).out
    assert pilotbase(home, "key", "ls", "--json").json[0]["state"] == "revoked"
    fingerprint = key_of(home).key_id
    assert pilotbase(home, "key", "revoke", fingerprint).out == f"revoked {fingerprint}\n"
    assert "not a fingerprint" in pilotbase(home, "key", "revoke", "SHA256:short").err
    assert "there is no key" in pilotbase(home, "key", "revoke", "nobody").err


def test_one_of_several_keys_of_a_name_must_be_named_by_its_id(home: Path) -> None:
    create(home, "acme")
    second = create(home, "acme").out.strip()
    said = pilotbase(home, "key", "revoke", "acme")
    assert said.code == 2 and "2 keys are called `acme`" in said.err and (split(second) or "") in said.err
    assert pilotbase(home, "key", "revoke", split(second)).code == 0
    assert pilotbase(home, "key", "revoke", "acme").code == 0


def test_every_change_of_a_key_moves_the_shared_page_and_names_the_user_of_this_machine(home: Path) -> None:
    with EpochPage.open(home) as page:
        before = page.value
        token = create(home, "acme").out.strip()
        pilotbase(home, "key", "rotate", "acme")
        pilotbase(home, "key", "revoke", split(token), environment={"USER": "somebody-else", "LOGNAME": "somebody-else"})
        assert page.value == before + 3
    with Database(home / "pilotbase.db") as database:
        found = entries(database, limit=3)
    assert [e.action for e in found] == ["key.revoke", "key.rotate", "key.create"]
    assert {e.who for e in found} == {found[0].who} and found[0].who.startswith("user:")
    assert "somebody-else" not in found[0].who


def test_gateways_that_share_a_pepper_know_each_others_keys(home: Path) -> None:
    pepper = {"PILOTBASE_PEPPER": "x" * 40}
    token = pilotbase(home, "key", "create", "acme", environment=pepper).out.strip()
    with Database(home / "pilotbase.db") as database:
        key = keys.find_key(database, split(token) or "")
        assert key is not None
        assert keys.check(database, token, b"x" * 40, key.created) == key
    assert not (home / "keys" / "pepper").exists()
