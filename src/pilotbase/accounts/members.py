"""Members: made, listed and changed. A change says which version of the member it was made from; who comes second is refused."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from secrets import token_hex
from typing import Any, Final

from pilotbase.accounts import organisations, passwords, sessions, throttle, tokens
from pilotbase.accounts.rows import COLUMNS, find, find_login, present, read, replace_row, values
from pilotbase.accounts.sign_in import prove, sign_in
from pilotbase.domain.account import ROLES, Member, Role
from pilotbase.errors import UserError
from pilotbase.store.audit import write
from pilotbase.store.database import Database

__all__ = [
    "change_password",
    "create",
    "create_first",
    "disable",
    "enable",
    "find",
    "find_login",
    "is_empty",
    "list_members",
    "set_look",
    "set_password",
    "set_profile",
    "set_roles",
    "sign_in",
]

_CHOICES: Final = {"language": ("", "en", "zh"), "theme": ("", "light", "dark")}


def create(
    database: Database,
    *,
    login: str,
    name: str,
    organisation: str,
    roles: Iterable[str],
    password: str,
    who: str,
    now: datetime,
) -> Member:
    """A new member of an organisation, given by id. UserError for what none can be (422), or a taken login (409)."""
    member = _new(login, name, organisation, roles, password, now)
    hashed = passwords.hash_password(password)
    with database.transaction():
        _insert(database, member, hashed, who)
    return member


def create_first(database: Database, *, login: str, name: str, organisation: str, password: str, now: datetime) -> Member:
    """The first operator and the organisation of this name. UserError (409) where there is a member already."""
    member = _new(login, name, "", ("operator",), password, now)
    hashed = passwords.hash_password(password)
    who = f"member:{member.login}"
    with database.transaction():
        if not is_empty(database):
            raise UserError("this base has members already", hint="sign in; an operator can add members", status=409)
        home = organisations.find_named(database, organisation) or organisations.create(database, organisation, who=who, now=now)
        member = replace(member, organisation=home.id)
        _insert(database, member, hashed, who)
    return member


def is_empty(database: Database) -> bool:
    """Whether nobody is a member yet."""
    return database.row("SELECT id FROM members LIMIT 1") is None


def list_members(database: Database, organisation: str | None = None, *, after: str = "", limit: int = 1_000_000) -> list[Member]:
    """Members, or those of one organisation, by login, disabled ones too; at most `limit` of those behind the login `after`."""
    where, given = ("AND organisation = ? ", (organisation,)) if organisation is not None else ("", ())
    rows = database.rows(f"SELECT {COLUMNS} FROM members WHERE login > ? {where}ORDER BY login LIMIT ?", (after, *given, limit))
    return [read(row) for row in rows]


def set_roles(database: Database, member: str, roles: Iterable[str], *, version: int, who: str, now: datetime) -> Member:
    """Other roles. UserError for what is no role (422), for the last operator's, and where the member changed meanwhile (409)."""
    with database.transaction():
        before = present(database, member, version)
        after = replace(before, roles=_ordered(roles))
        detail = {"roles": after.roles, "before": before.roles}
        return _put(database, before, after, "member.roles", detail, who, now)


def disable(database: Database, member: str, *, version: int, who: str, now: datetime) -> Member:
    """Let a member in no more, end all sessions and revoke all tokens, for good. UserError (409) for the last operator."""
    with database.transaction():
        before = present(database, member, version)
        if before.disabled is not None:
            return before
        sessions.end_all(database, member)
        tokens.revoke_all(database, member, now=now)
        return _put(database, before, replace(before, disabled=now), "member.disable", {}, who, now)


def enable(database: Database, member: str, *, version: int, who: str, now: datetime) -> Member:
    """Let a disabled member in again."""
    with database.transaction():
        before = present(database, member, version)
        return _put(database, before, replace(before, disabled=None), "member.enable", {}, who, now)


def set_look(database: Database, member: str, *, language: str | None = None, theme: str | None = None) -> None:
    """Another language or theme, and nothing else: no conflict with a change under way, and nothing for the audit log."""
    for word, given in (("language", language), ("theme", theme)):
        if given is not None:
            _check_choice(word, given)
            database.execute(f"UPDATE members SET {word} = ? WHERE id = ?", (given, member))


def set_profile(
    database: Database, member: str, *, name: str, language: str, theme: str, version: int, who: str, now: datetime
) -> Member:
    """What members choose for themselves: name, language and theme; an empty one follows the browser."""
    for word, given in (("language", language), ("theme", theme)):
        _check_choice(word, given)
    with database.transaction():
        before = present(database, member, version)
        after = replace(before, name=name.strip(), language=language, theme=theme)  # type: ignore[arg-type]
        detail = {"name": after.name, "language": language, "theme": theme}
        return _put(database, before, after, "member.profile", detail, who, now)


def set_password(
    database: Database, member: str, password: str, *, version: int, who: str, now: datetime, but: str | None = None
) -> Member:
    """Another password. All sessions end, except that of the token `but`; failed sign-ins of the login are forgotten."""
    before = present(database, member, version)
    _check_password(password, before)
    hashed = passwords.hash_password(password)
    with database.transaction():
        before = present(database, member, version)
        after = replace(before, version=before.version + 1)
        replace_row(database, after)
        database.execute("UPDATE members SET password = ? WHERE id = ?", (hashed, member))
        sessions.end_all(database, member, but)
        throttle.clear(database, before.login)
        write(database, who=who, action="member.password", subject=member, detail={}, at=now)
    return after


def change_password(
    database: Database, member: Member, old: str, new: str, *, address: str, now: datetime, but: str | None = None
) -> Member:
    """A member's own change, which needs the password of now; throttled as a sign-in is. Sessions end as in `set_password`."""
    _check_password(new, member)
    try:
        prove(database, member.login, old, address, now)
    except throttle.ThrottledError:
        raise
    except UserError as error:
        if error.status != 401:
            raise
        raise UserError("the present password is wrong", hint="type the one that you sign in with", status=422) from None
    return set_password(database, member.id, new, version=member.version, who=f"member:{member.login}", now=now, but=but)


def _new(login: str, name: str, organisation: str, roles: Iterable[str], password: str, now: datetime) -> Member:
    member = Member(
        id=f"mem_{token_hex(8)}",
        login=login.strip().lower(),
        name=name.strip(),
        organisation=organisation,
        roles=_ordered(roles),
        created=now,
    )
    _check(member)
    _check_password(password, member)
    return member


def _insert(database: Database, member: Member, hashed: str, who: str) -> None:
    """Write a new member, in the caller's transaction."""
    if organisations.find(database, member.organisation) is None:
        raise UserError("there is no such organisation", hint="make it first, or choose one of the list", status=422)
    if find_login(database, member.login) is not None:
        raise UserError("this login is taken", hint="choose another one; disabled members keep theirs", status=409)
    database.execute(
        f"INSERT INTO members ({COLUMNS}, password) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values(member), hashed)
    )
    detail = {"login": member.login, "name": member.name, "organisation": member.organisation, "roles": member.roles}
    write(database, who=who, action="member.create", subject=member.id, detail=detail, at=member.created)


def _put(
    database: Database, before: Member, after: Member, action: str, detail: Mapping[str, Any], who: str, now: datetime
) -> Member:
    """Write a change with its entry, in the caller's transaction; what changes nothing is not written."""
    if after == before:
        return before
    _check(after)
    if _operates(before) and not _operates(after) and not _others_operate(database, before.id):
        hint = "give another member this role first"
        raise UserError("this is the last operator; nobody could let anybody in again", hint=hint, status=409)
    after = replace(after, version=before.version + 1)
    replace_row(database, after)
    write(database, who=who, action=action, subject=after.id, detail={"login": after.login, **detail}, at=now)
    return after


def _operates(member: Member) -> bool:
    return "operator" in member.roles and member.disabled is None


def _others_operate(database: Database, member: str) -> bool:
    row = database.row(
        "SELECT id FROM members WHERE id <> ? AND disabled IS NULL AND password <> '' AND roles LIKE ? LIMIT 1",
        (member, '%"operator"%'),
    )
    return row is not None


def _ordered(roles: Iterable[str]) -> tuple[Role, ...]:
    """Each role once, in the order of `ROLES`; what is no role stays at the end, to be told by the check."""
    given = set(roles)
    return (*(role for role in ROLES if role in given), *sorted(given.difference(ROLES)))  # type: ignore[arg-type]


def _check(member: Member) -> None:
    for problem in member.problems():
        raise UserError(problem.message, hint=problem.hint, status=422)


def _check_choice(word: str, given: str) -> None:
    if given not in _CHOICES[word]:
        known = ", ".join(filter(None, _CHOICES[word]))
        raise UserError(f"`{given[:40]}` is no {word}", hint=f"one of {known}, or nothing", status=422)


def _check_password(password: str, member: Member) -> None:
    for problem in passwords.problems(password, login=member.login, name=member.name):
        raise UserError(problem.message, hint=problem.hint, status=422)
