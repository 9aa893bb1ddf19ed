"""`/api/v1/keys`."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends

from pilotbase.api.access import Caller
from pilotbase.api.shapes import KeyMade, KeyOut, KeyRotation, KeyWanted, Revocation
from pilotbase.context import Context
from pilotbase.flows import keys
from pilotbase.flows.operator import said

__all__ = ["paths"]


def paths(context: Context, pepper: bytes, admit: Callable[..., Caller]) -> APIRouter:
    """The operations on customers' and admins' keys."""
    router = APIRouter(tags=["keys"])

    @router.get("/keys", summary="All keys, newest first, without their secrets")
    def listed() -> list[KeyOut]:
        return [KeyOut(**one) for one in keys.list_keys(context)]

    @router.post("/keys", status_code=201, summary="Make a key; its text is told this once")
    def create(wanted: KeyWanted, caller: Annotated[Caller, Depends(admit)]) -> KeyMade:
        wish = keys.KeyWish(
            name=wanted.name,
            budget=wanted.budget,
            rpm=wanted.rpm,
            tpm=wanted.tpm,
            routes=wanted.routes,
            expires=wanted.expires,
            admin=wanted.admin,
        )
        key, token = keys.create_key(context, pepper, wish, who=caller.who)
        return KeyMade(key=token, about=KeyOut(**keys.shown(key, context)))

    @router.post("/keys/{name}/rotate", summary="Another secret for the same key; its text is told this once")
    def rotate(name: str, wanted: KeyRotation, caller: Annotated[Caller, Depends(admit)]) -> KeyMade:
        key, token = keys.rotate_key(context, pepper, name, keep=wanted.keep, who=caller.who)
        return KeyMade(key=token, about=KeyOut(**keys.shown(key, context)))

    @router.post("/keys/{name}/revoke", summary="Let a key in no more, for good")
    def revoke(name: str, wanted: Revocation, caller: Annotated[Caller, Depends(admit)]) -> KeyOut:
        key, _ = keys.revoke_key(context, name, why=said("why", wanted.why), cut=wanted.cut, who=caller.who)
        return KeyOut(**keys.shown(key, context))

    return router
