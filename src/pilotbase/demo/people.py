"""The demonstration's organisations and members."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from pilotbase.accounts import members, organisations
from pilotbase.context import Context
from pilotbase.demo import contents
from pilotbase.domain.account import Member
from pilotbase.errors import UserError

__all__ = ["Peopled", "add_people"]

WHO = "demonstration"
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peopled:
    """Ids of organisations by key, members by login, and the password that all of them share."""

    organisations: Mapping[str, str]
    members: Mapping[str, Member]
    password: str


def add_people(context: Context) -> Peopled:
    """Add them to a base that has no members yet. UserError (409) where it has."""
    if not members.is_empty(context.database):
        hint = "choose a fresh home, as in: PILOTBASE_HOME=demo pilotbase demo"
        raise UserError("this base has members: the demonstration fills fresh bases only", hint=hint, status=409)
    database, now = context.database, context.clock.now()
    password = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))
    ids = {key: organisations.create(database, name, who=WHO, now=now).id for key, name in contents.organisations().items()}
    made: dict[str, Member] = {}
    for one in contents.people():
        member = members.create(
            database, login=one.login, name=one.name, organisation=ids[one.organisation], roles=one.roles,
            password=password, who=WHO, now=now,
        )  # fmt: skip
        members.set_look(database, member.id, language=one.language)
        made[one.login] = member
    return Peopled(organisations=ids, members=made, password=password)
