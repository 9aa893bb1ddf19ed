"""`/api/v1/keys`."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter

from pilotbase.api.access import Admit, needs
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.replays import Once, once
from pilotbase.api.shapes.traffic import KeyMade, KeyOut, KeyRotation, KeyWanted, Revocation
from pilotbase.context import Context
from pilotbase.domain.access import AccessKey
from pilotbase.flows import keys
from pilotbase.flows.operator import said

__all__ = ["paths"]


def paths(context: Context, pepper: bytes, admit: Admit) -> APIRouter:
    """The operations on customers' and admins' keys."""
    router = APIRouter(tags=["keys"])
    repeatable = once(context, admit)

    @router.get("/keys", summary="Keys, newest first, without their secrets", openapi_extra=needs("keys.read"))
    def listed(paging: Paged) -> Listed[KeyOut]:
        found = keys.list_keys(context, before=paging.before, limit=paging.limit + 1)
        return paging.page(found, lambda one: (one["id"],), lambda one: KeyOut(**one))

    @router.post("/keys", status_code=201, summary="Make a key; its text is told this once", openapi_extra=needs("keys.write"))
    def create(wanted: KeyWanted, repeated: Annotated[Once, repeatable]) -> KeyMade:
        if wanted.admin:
            repeated.caller.refuse_secrets()
        wish = keys.KeyWish(
            name=wanted.name,
            budget=wanted.budget,
            rpm=wanted.rpm,
            tpm=wanted.tpm,
            routes=wanted.routes,
            expires=wanted.expires,
            admin=wanted.admin,
        )
        return repeated(
            lambda: _made(context, *keys.create_key(context, pepper, wish, who=repeated.who)),
            status=201,
            told=_known_already,
        )

    @router.post(
        "/keys/{name}/rotate",
        summary="Another secret for the same key; its text is told this once",
        openapi_extra=needs("keys.write"),
    )
    def rotate(name: str, wanted: KeyRotation, repeated: Annotated[Once, repeatable]) -> KeyMade:
        def work() -> KeyMade:
            if keys.find_one(context, name).admin:
                repeated.caller.refuse_secrets()
            return _made(context, *keys.rotate_key(context, pepper, name, keep=wanted.keep, who=repeated.who))

        return repeated(work, told=_known_already)

    @router.post("/keys/{name}/revoke", summary="Let a key in no more, for good", openapi_extra=needs("keys.write"))
    def revoke(name: str, wanted: Revocation, repeated: Annotated[Once, repeatable]) -> KeyOut:
        def work() -> KeyOut:
            key, _ = keys.revoke_key(context, name, why=said("why", wanted.why), cut=wanted.cut, who=repeated.who)
            return KeyOut(**keys.shown(key, context))

        return repeated(work)

    return router


def _made(context: Context, key: AccessKey, text: str) -> KeyMade:
    return KeyMade(key=text, about=KeyOut(**keys.shown(key, context)))


def _known_already(made: KeyMade) -> KeyMade:
    """What is kept for a repeated request: that the key was made, not its text."""
    return replace(made, key=None)
