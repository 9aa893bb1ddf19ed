"""`pilotbase admin`: the members of this base, its backups, and how it is."""

import argparse
import getpass
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pilotbase.accounts import identities, members, organisations
from pilotbase.app import opened
from pilotbase.cli import token
from pilotbase.cli.admin_copies import back_up, backup_arguments, put_back, restore_arguments
from pilotbase.cli.admin_doctor import doctor_arguments, examine
from pilotbase.cli.listing import print_json, print_table
from pilotbase.context import Context
from pilotbase.domain.account import ROLES, Member
from pilotbase.errors import UserError
from pilotbase.flows.operator import operator
from pilotbase.flows.tokens import member_called
from pilotbase.settings import Settings, read_settings

__all__ = ["arguments", "main", "outside", "run"]

_LARGEST = 4096


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "The members of this base, who sign in to its console, and their tokens for the API: create, ls, password, roles, "
        "disable, enable, forget-identity, token. "
        "The base itself: backup, restore, doctor."
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="|".join((*_WORDS, *_OUTSIDE)))
    create = words.add_parser("create", help="a new member; the password is asked for")
    create.add_argument("login", metavar="LOGIN", help="what the member signs in with, as an e-mail address")
    create.add_argument("--name", required=True, help="the member's name")
    create.add_argument("--organisation", required=True, metavar="NAME|ID", help="made where there is none of this name")
    create.add_argument("--role", action="append", choices=ROLES, dest="roles", help="may be repeated (default: operator)")
    create.add_argument("--password-file", type=Path, metavar="FILE", help="take the password from the first line of a file")
    listed = words.add_parser("ls", help="all members with their organisations and roles")
    listed.add_argument("--json", action="store_true", help="one JSON list on stdout")
    password = words.add_parser("password", help="another password; all sessions of the member end")
    password.add_argument("login", metavar="LOGIN")
    password.add_argument("--password-file", type=Path, metavar="FILE", help="take the password from the first line of a file")
    roles = words.add_parser("roles", help="give a member these roles, in place of those before")
    roles.add_argument("login", metavar="LOGIN")
    roles.add_argument("roles", nargs="+", metavar="ROLE", help=", ".join(ROLES))
    words.add_parser("disable", help="let a member in no more; sessions and tokens end").add_argument("login", metavar="LOGIN")
    words.add_parser("enable", help="let a disabled member in again").add_argument("login", metavar="LOGIN")
    forget = words.add_parser("forget-identity", help="unbind a member from the identity provider, to be bound anew")
    forget.add_argument("login", metavar="LOGIN")
    token.arguments(words.add_parser("token", help="members' tokens for the API: create, ls, revoke"))
    backup_arguments(words)
    restore_arguments(words)
    doctor_arguments(words)


def main(given: argparse.Namespace) -> int:
    if given.word in _OUTSIDE:
        return outside(read_settings(), given)
    with opened() as context:
        return run(context, given)


def outside(settings: Settings, given: argparse.Namespace) -> int:
    """A command that opens no home: there is none yet, or it must not be changed; its exit code."""
    return _OUTSIDE[given.word](settings, given)


def run(context: Context, given: argparse.Namespace) -> int:
    """The command in an opened home; its exit code."""
    return _WORDS[given.word](context, given)


def _create(context: Context, given: argparse.Namespace) -> int:
    database, now = context.database, context.clock.now()
    if members.find_login(database, given.login) is not None:
        raise UserError(f"the login {given.login} is taken", hint="choose another one; disabled members keep theirs")
    password = _password(given.password_file)
    with database.transaction():
        home = organisations.find(database, given.organisation) or organisations.find_named(database, given.organisation)
        made = home is None
        home = home or organisations.create(database, given.organisation, who=operator(), now=now)
        member = members.create(
            database,
            login=given.login,
            name=given.name,
            organisation=home.id,
            roles=given.roles or ["operator"],
            password=password,
            who=operator(),
            now=now,
        )
    new = ", which is new" if made else ""
    print(f"member {member.login} ({', '.join(member.roles)}) of {home.name}{new}")
    return 0


def _list(context: Context, given: argparse.Namespace) -> int:
    names = {one.id: one.name for one in organisations.list_organisations(context.database)}
    found = members.list_members(context.database)
    if given.json:
        print_json([_document(member, names) for member in found])
    elif not found:
        print("no members yet; make the first: pilotbase admin create LOGIN --name NAME --organisation NAME")
    else:
        rows = [
            (one.login, one.name, names.get(one.organisation, "—"), ", ".join(one.roles), "disabled" if one.disabled else "")
            for one in found
        ]
        print_table(("login", "name", "organisation", "roles", "state"), rows)
    return 0


def _set_password(context: Context, given: argparse.Namespace) -> int:
    member = member_called(context, given.login)
    password = _password(given.password_file)
    members.set_password(context.database, member.id, password, version=member.version, who=operator(), now=context.clock.now())
    print(f"{member.login} has a new password; all sessions ended")
    return 0


def _set_roles(context: Context, given: argparse.Namespace) -> int:
    member = member_called(context, given.login)
    after = members.set_roles(
        context.database, member.id, given.roles, version=member.version, who=operator(), now=context.clock.now()
    )
    print(f"{after.login}: {', '.join(after.roles)}{'' if after != member else ', as before'}")
    return 0


def _disable(context: Context, given: argparse.Namespace) -> int:
    member = member_called(context, given.login)
    members.disable(context.database, member.id, version=member.version, who=operator(), now=context.clock.now())
    print(
        f"{member.login} is {'let in no more; sessions and tokens ended' if member.disabled is None else 'disabled, as before'}"
    )
    return 0


def _enable(context: Context, given: argparse.Namespace) -> int:
    member = member_called(context, given.login)
    members.enable(context.database, member.id, version=member.version, who=operator(), now=context.clock.now())
    print(f"{member.login} is let in{' again' if member.disabled is not None else ', as before'}")
    return 0


def _forget_identity(context: Context, given: argparse.Namespace) -> int:
    member = member_called(context, given.login)
    gone = identities.forget(context.database, member, who=operator(), now=context.clock.now())
    print(f"{member.login} is {'bound to no identity any more' if gone else 'bound to none, as before'}")
    return 0


def _document(member: Member, names: Mapping[str, str]) -> dict[str, object]:
    return {
        "id": member.id,
        "login": member.login,
        "name": member.name,
        "organisation": {"id": member.organisation, "name": names.get(member.organisation)},
        "roles": list(member.roles),
        "created": member.created.isoformat(),
        "disabled": member.disabled.isoformat() if member.disabled else None,
        "version": member.version,
    }


def _password(file: Path | None) -> str:
    """From the first line of a file, or from the terminal, twice and unseen. Never from an argument, which others can read."""
    if file is not None:
        try:
            with file.open("rb") as opened_file:
                data = opened_file.read(_LARGEST)
            return (data.decode("utf-8-sig").splitlines() or [""])[0]
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise UserError(
                f"could not read the password: {reason}", where=str(file), hint="check the file of --password-file"
            ) from None
    if not sys.stdin.isatty():
        raise UserError("there is no terminal to ask for the password on", hint="give it in a file: --password-file FILE")
    first = getpass.getpass("password: ")
    if getpass.getpass("the same again: ") != first:
        raise UserError("the two passwords differ", hint="run the command again")
    return first


_WORDS: Mapping[str, Callable[[Context, argparse.Namespace], int]] = {
    "create": _create,
    "ls": _list,
    "password": _set_password,
    "roles": _set_roles,
    "disable": _disable,
    "enable": _enable,
    "forget-identity": _forget_identity,
    "token": token.run,
    "backup": back_up,
}
_OUTSIDE: Mapping[str, Callable[[Settings, argparse.Namespace], int]] = {"restore": put_back, "doctor": examine}
