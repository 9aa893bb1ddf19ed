"""`/api/v1/members`, `/api/v1/organisations` and `/api/v1/tokens`. Passwords are set by people: on the console, or the server."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from pilotbase.accounts import members, organisations, tokens
from pilotbase.api.access import Admit, Caller, needs
from pilotbase.api.etags import Expected, Matched, tag
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.replays import Once, once
from pilotbase.api.shapes.members import (
    MemberMade,
    MemberOut,
    MemberWanted,
    OrganisationOut,
    OrganisationWanted,
    RolesWanted,
    TokenOut,
)
from pilotbase.context import Context
from pilotbase.domain.account import Member, Organisation
from pilotbase.errors import UserError
from pilotbase.flows.member_add import add_member
from pilotbase.flows.tokens import shown_token
from pilotbase.store.audit import stamp

__all__ = ["paths"]


def paths(context: Context, admit: Admit) -> APIRouter:
    """Who uses the base."""
    router = APIRouter(tags=["members"])
    _reads(router, context)
    _makes(router, context, admit)
    _changes(router, context, admit)
    return router


def _reads(router: APIRouter, context: Context) -> None:
    database = context.database

    @router.get("/organisations", summary="Organisations, by name", openapi_extra=needs("members.read"))
    def all_organisations(paging: Paged) -> Listed[OrganisationOut]:
        name, last = paging.start(2) or ("", "")
        found = organisations.list_organisations(database, after=(name, last), limit=paging.limit + 1)
        return paging.page(found, lambda one: (one.name, one.id), _organisation)

    @router.get("/members", summary="Members, by login; disabled ones too", openapi_extra=needs("members.read"))
    def listed(paging: Paged, organisation: Annotated[str | None, Query(max_length=200)] = None) -> Listed[MemberOut]:
        found = members.list_members(database, organisation, after=paging.before, limit=paging.limit + 1)
        return paging.page(found, lambda one: (one.login,), _told)

    @router.get("/members/{member}", summary="One member", openapi_extra=needs("members.read"))
    def show(member: str, response: Response) -> MemberOut:
        found = _found(context, member)
        tag(response, found.version)
        return _told(found)

    @router.get("/members/{member}/tokens", summary="A member's tokens, newest first", openapi_extra=needs("members.read"))
    def of_member(member: str, paging: Paged) -> Listed[TokenOut]:
        now, last = context.clock.now(), paging.before
        found = tokens.list_tokens(database, _found(context, member).id)
        ids = [one.id for one in found]
        behind = found[ids.index(last) + 1 :] if last in ids else found
        return paging.page(behind, lambda one: (one.id,), lambda one: TokenOut(**shown_token(one, now)))


def _makes(router: APIRouter, context: Context, admit: Admit) -> None:
    repeatable = once(context, admit)

    @router.post("/organisations", status_code=201, summary="Add an organisation", openapi_extra=needs("members.write"))
    def add_organisation(wanted: OrganisationWanted, repeated: Annotated[Once, repeatable]) -> OrganisationOut:
        return repeated(
            lambda: _organisation(organisations.create(context.database, wanted.name, who=repeated.who, now=context.clock.now())),
            status=201,
        )

    @router.post(
        "/members",
        status_code=201,
        summary="Add a member; the first password is told this once",
        openapi_extra=needs("members.write"),
    )
    def add(wanted: MemberWanted, repeated: Annotated[Once, repeatable]) -> MemberMade:
        repeated.caller.refuse_roles(wanted.roles)

        def work() -> MemberMade:
            made, password = add_member(
                context,
                login=wanted.login,
                name=wanted.name,
                organisation=wanted.organisation,
                roles=wanted.roles,
                who=repeated.who,
            )
            return MemberMade(password=password, about=_told(made))

        return repeated(work, status=201, told=_known_already)

    @router.post("/tokens/{token}/revoke", summary="Let a token in no more, for good", openapi_extra=needs("members.write"))
    def revoke(token: str, repeated: Annotated[Once, repeatable]) -> TokenOut:
        def work() -> TokenOut:
            now = context.clock.now()
            found, _ = tokens.revoke(context.database, token, who=repeated.who, now=now)
            return TokenOut(**shown_token(found, now))

        return repeated(work)


def _changes(router: APIRouter, context: Context, admit: Admit) -> None:
    repeatable = once(context, admit)
    database = context.database

    def changed(member: str, expected: Expected, step: Callable[[Member], Member]) -> MemberOut:
        found = _found(context, member)
        expected.check(found.version)
        return _told(step(found))

    @router.put("/members/{member}/roles", summary="Other roles", openapi_extra=needs("members.write"))
    def set_roles(member: str, wanted: RolesWanted, caller: Annotated[Caller, Depends(admit)], expected: Matched) -> MemberOut:
        caller.refuse_roles(wanted.roles)

        def step(found: Member) -> Member:
            now = context.clock.now()
            return members.set_roles(database, found.id, wanted.roles, version=found.version, who=caller.who, now=now)

        return changed(member, expected, step)

    @router.post("/members/{member}/disable", summary="Let a member in no more", openapi_extra=needs("members.write"))
    def disable(member: str, repeated: Annotated[Once, repeatable], expected: Matched) -> MemberOut:
        def step(found: Member) -> Member:
            return members.disable(database, found.id, version=found.version, who=repeated.who, now=context.clock.now())

        return repeated(lambda: changed(member, expected, step))

    @router.post("/members/{member}/enable", summary="Let a disabled member in again", openapi_extra=needs("members.write"))
    def enable(member: str, repeated: Annotated[Once, repeatable], expected: Matched) -> MemberOut:
        def step(found: Member) -> Member:
            repeated.caller.refuse_roles(found.roles)
            return members.enable(database, found.id, version=found.version, who=repeated.who, now=context.clock.now())

        return repeated(lambda: changed(member, expected, step))


def _known_already(made: MemberMade) -> MemberMade:
    """What is kept for a repeated request: that the member was added, not the password."""
    return replace(made, password=None)


def _found(context: Context, member: str) -> Member:
    found = members.find(context.database, member)
    if found is None:
        raise UserError("there is no such member", hint="look at the list of members", status=404)
    return found


def _told(one: Member) -> MemberOut:
    return MemberOut(
        id=one.id,
        login=one.login,
        name=one.name,
        organisation=one.organisation,
        roles=list(one.roles),
        created=stamp(one.created),
        disabled=stamp(one.disabled) if one.disabled is not None else None,
        version=one.version,
    )


def _organisation(one: Organisation) -> OrganisationOut:
    return OrganisationOut(id=one.id, name=one.name, created=stamp(one.created))
