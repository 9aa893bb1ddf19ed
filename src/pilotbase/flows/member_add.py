"""A new member, with a first password that the base makes up: on the console and over the API."""

from collections.abc import Iterable

from pilotbase.accounts import members, passwords
from pilotbase.context import Context
from pilotbase.domain.account import Member

__all__ = ["add_member"]


def add_member(
    context: Context, *, login: str, name: str, organisation: str, roles: Iterable[str], who: str
) -> tuple[Member, str]:
    """The member, and the password to hand over, which is kept nowhere. `organisation` is an id. See `members.create`."""
    password = passwords.suggested()
    made = members.create(
        context.database,
        login=login,
        name=name,
        organisation=organisation,
        roles=roles,
        password=password,
        who=who,
        now=context.clock.now(),
    )
    return made, password
