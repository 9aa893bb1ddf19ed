"""`pilotbase admin` and `pilotbase audit` as a person uses them."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from pilotbase.accounts import members, tokens
from pilotbase.cli import admin, audit
from pilotbase.context import Context, SystemClock, open_context
from pilotbase.errors import UserError
from pilotbase.store.disk import LocalDisk

Command = Callable[..., str]


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with open_context(tmp_path / "home", disk=LocalDisk(), clock=SystemClock(), secrets=lambda _: None) as found:
        yield found


@pytest.fixture
def command(context: Context, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run a command; what it printed."""
    secret = tmp_path / "password"
    secret.write_text("four plain words here\nsecond line\n")

    def run(noun: str, *words: str, code: int = 0, ask: bool = False) -> str:
        module = {"admin": admin, "audit": audit}[noun]
        parser = argparse.ArgumentParser()
        module.arguments(parser)
        extra = ["--password-file", str(secret)] if words[0] in ("create", "password") and not ask else []
        assert module.run(context, parser.parse_args([*words, *extra])) == code
        return capsys.readouterr().out

    return run


def test_members_are_made_listed_and_changed(command: Command, context: Context) -> None:
    assert "no members yet" in command("admin", "ls")
    created = command("admin", "create", "Li@base.example", "--name", "李明", "--organisation", "市第一医院")
    assert created == "member li@base.example (operator) of 市第一医院, which is new\n"
    words = ("--name", "Wang", "--organisation", "市第一医院", "--role", "engineer", "--role", "auditor")
    assert "which is new" not in command("admin", "create", "wang", *words)
    listed = orjson.loads(command("admin", "ls", "--json"))
    assert [(one["login"], one["roles"]) for one in listed] == [
        ("li@base.example", ["operator"]),
        ("wang", ["engineer", "auditor"]),
    ]
    assert "argon2" not in str(listed) and "李明" in command("admin", "ls")
    assert command("admin", "roles", "wang", "owner") == "wang: owner\n"
    assert "ended" in command("admin", "password", "wang")
    assert "no more" in command("admin", "disable", "wang") and "as before" in command("admin", "disable", "wang")
    assert "again" in command("admin", "enable", "wang") and "as before" in command("admin", "enable", "wang")
    now = context.clock.now()
    assert members.sign_in(context.database, "wang", "four plain words here", "::1", now).roles == ("owner",)


def test_tokens_are_made_listed_and_revoked(command: Command, context: Context) -> None:
    command("admin", "create", "li", "--name", "Li", "--organisation", "Base")
    assert command("admin", "token", "ls", "li") == "li has no tokens yet\n"
    words = ("--name", "nightly", "--scope", "runs.read", "--scope", "usage.read")
    text = command("admin", "token", "create", "li", *words).strip()
    assert tokens.find(context.database, text, context.clock.now()) is not None
    (listed,) = orjson.loads(command("admin", "token", "ls", "li", "--json"))
    assert (listed["name"], listed["scopes"], listed["state"]) == ("nightly", ["runs.read", "usage.read"], "active")
    assert text[15:] not in str(listed) and "nightly" in command("admin", "token", "ls", "li")
    assert command("admin", "token", "revoke", listed["id"]).startswith("revoked")
    assert "before" in command("admin", "token", "revoke", listed["id"])
    made = orjson.loads(command("admin", "token", "create", "li", *words, "--expires", "7d", "--json"))
    assert made["token"].startswith(made["id"])
    with pytest.raises(UserError, match="no member `eve`"):
        command("admin", "token", "ls", "eve")
    with pytest.raises(UserError, match="within 366 days"):
        command("admin", "token", "create", "li", *words, "--expires", "2100-01-01")


def test_mistakes_are_told_with_what_to_do(command: Command) -> None:
    with pytest.raises(UserError, match="no terminal"):
        command("admin", "create", "li", "--name", "Li", "--organisation", "Base", ask=True)
    with pytest.raises(UserError, match="cannot be a login"):
        command("admin", "create", "l i", "--name", "Li", "--organisation", "Base")
    assert command("audit", "ls") == "no such entries in the audit log\n", "the organisation was not made either"
    with pytest.raises(UserError, match="no member `nobody`"):
        command("admin", "disable", "nobody")
    command("admin", "create", "li", "--name", "Li", "--organisation", "Base")
    with pytest.raises(UserError, match="taken"):
        command("admin", "create", "LI", "--name", "Li", "--organisation", "Base")
    with pytest.raises(UserError, match="last operator"):
        command("admin", "roles", "li", "owner")
    with pytest.raises(UserError, match="could not read the password"):
        command("admin", "password", "li", "--password-file", "/absent", ask=True)


def test_the_log_is_listed_and_verified(command: Command, context: Context) -> None:
    assert "no chain yet" in command("audit", "verify")
    command("admin", "create", "li", "--name", "Li", "--organisation", "Base")
    (entry,) = orjson.loads(command("audit", "ls", "--json", "--action", "member."))
    assert entry["action"] == "member.create" and entry["who"].startswith("user:") and entry["detail"]["login"] == "li"
    assert "organisation.create" in command("audit", "ls")
    told = orjson.loads(command("audit", "verify", "--json"))
    assert (told["entries"], told["broken"]) == (2, None)
    assert "whole: 2 entries\n" in command("audit", "verify", "--noted", told["newest"])
    context.database.execute("UPDATE audit SET who = 'user:eve' WHERE action = 'member.create'")
    assert "BROKEN at link 2" in command("audit", "verify", code=1)
    with pytest.raises(UserError, match="--limit"):
        command("audit", "ls", "--limit", "0")
