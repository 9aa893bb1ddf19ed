"""`/api/v1/needs` and `/api/v1/capabilities`: what is published is there for all, the rest for its organisation and the base."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Response

from pilotbase.api.access import Admit, Caller, needs
from pilotbase.api.etags import Expected, Matched, tag
from pilotbase.api.paging import Listed, Paged
from pilotbase.api.replays import Once, once
from pilotbase.api.shapes.catalogue import (
    CapabilityAdded,
    CapabilityLine,
    CapabilityOut,
    CapabilityWanted,
    ComponentOut,
    MatchedEntry,
    MatchesOut,
    MatchOut,
    NeedAdded,
    NeedLine,
    NeedOut,
    NeedWanted,
    OpennessOut,
    RefusalOut,
)
from pilotbase.api.shapes.telling import told
from pilotbase.context import Context
from pilotbase.domain.account import Permit
from pilotbase.domain.entry import Acceptance, Capability, Certificate, Entry, EntryState, Need
from pilotbase.domain.scenario import Area
from pilotbase.flows import catalogue
from pilotbase.flows.catalogue import Asked
from pilotbase.flows.matches import matches

__all__ = ["paths"]

E = TypeVar("E", bound=Entry)
Shape = TypeVar("Shape")
Line = TypeVar("Line")
By = Annotated[str, Query(max_length=200, description="the id of an organisation")]
_MOVES: Final[Mapping[str, tuple[EntryState, str]]] = {
    "publish": ("published", "Show it to all members, and match it"),
    "withdraw": ("withdrawn", "Match it no more"),
    "reopen": ("draft", "Make a draft of what was withdrawn"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf(Generic[E, Line, Shape]):
    """What differs between needs and capabilities: `line` and `shape` are told in lists and of one."""

    context: Context
    kind: type[E]
    word: str
    many: str
    permit: Permit
    line: type[Line]
    shape: Callable[[E], Shape]

    def page(self, paging: Paged, caller: Caller, state: str, organisation: str, area: str = "") -> Listed[Line]:
        """A page of what the caller may see."""
        asked = Asked(state=state, area=area, organisation=organisation, before=paging.before)
        found = catalogue.list_visible(self.context, caller.acting, self.kind, asked, limit=paging.limit + 1)
        return paging.page(found.entries, lambda one: (one.id,), lambda one: told(self.line, one))

    def see(self, caller: Caller, entry: str) -> E:
        """An entry that the caller may see."""
        return catalogue.see(self.context, caller.acting, self.kind, entry)

    def keep(self, caller: Caller, wanted: E) -> Shape:
        """A new draft."""
        return self.shape(catalogue.draft(self.context, caller.acting, wanted, who=caller.who))

    def change(self, caller: Caller, expected: Expected, entry: str, wanted: Callable[[Mapping[str, Any]], E]) -> Shape:
        """What `wanted` makes of the words that no caller gives, in place of the entry."""
        found = self.see(caller, entry)
        expected.check(found.version)
        kept = {word: getattr(found, word) for word in ("id", "organisation", "state", "created", "published", "version")}
        return self.shape(catalogue.change(self.context, caller.acting, wanted(kept), who=caller.who))

    def move(self, caller: Caller, expected: Expected, entry: str, state: EntryState) -> Shape:
        """Publish, withdraw, or take up again."""
        version = self.see(caller, entry).version
        expected.check(version)
        return self.shape(catalogue.move(self.context, caller.acting, self.kind, entry, state, version=version, who=caller.who))


def paths(context: Context, admit: Admit) -> APIRouter:
    """What scenarios need, what vendors offer, and what fits what."""
    router = APIRouter(tags=["catalogue"])

    def need_out(one: Need) -> NeedOut:
        return told(NeedOut, one, unknown_metrics=tuple(name for name, _ in catalogue.unknown_metrics(one.acceptance)))

    needed = Shelf(
        context=context, kind=Need, word="need", many="needs", permit="needs.write", line=NeedLine, shape=need_out
    )  # fmt: skip
    offered = Shelf(
        context=context, kind=Capability, word="capability", many="capabilities", permit="capabilities.write",
        line=CapabilityLine, shape=lambda one: told(CapabilityOut, one),
    )  # fmt: skip
    _needs(router, needed, admit)
    _capabilities(router, offered, admit)
    for shelf, shape in ((needed, NeedOut), (offered, CapabilityOut)):
        _of_both(router, shelf, shape, admit)
    return router


def _needs(router: APIRouter, shelf: Shelf[Need, NeedLine, NeedOut], admit: Admit) -> None:
    context = shelf.context

    @router.get("/needs", summary="Needs, newest first", openapi_extra=needs("catalogue.read"))
    def listed(
        paging: Paged,
        caller: Annotated[Caller, Depends(admit)],
        state: Annotated[EntryState | None, Query()] = None,
        area: Annotated[Area | None, Query()] = None,
        organisation: By = "",
    ) -> Listed[NeedLine]:
        return shelf.page(paging, caller, state or "", organisation, area or "")

    @router.post("/needs", status_code=201, summary="Draft a need", openapi_extra=needs("needs.write"))
    def add(
        wanted: NeedAdded, caller: Annotated[Caller, Depends(admit)], repeated: Annotated[Once, once(context, admit)]
    ) -> NeedOut:
        return repeated(lambda: shelf.keep(caller, _need(wanted, _new(context, caller, wanted.organisation))), status=201)

    @router.put("/needs/{need}", summary="Say all of it anew; its state stays", openapi_extra=needs("needs.write"))
    def change(need: str, wanted: NeedWanted, caller: Annotated[Caller, Depends(admit)], expected: Matched) -> NeedOut:
        return shelf.change(caller, expected, need, lambda kept: _need(wanted, kept))

    @router.get(
        "/needs/{need}/openness", summary="How open its scenario is, from what happened", openapi_extra=needs("catalogue.read")
    )
    def openness(need: str, caller: Annotated[Caller, Depends(admit)]) -> OpennessOut:
        found = catalogue.openness_of(context, shelf.see(caller, need))
        low, high = found.span
        components = tuple(told(ComponentOut, one) for one in found.components)
        return OpennessOut(score=found.score, low=low, high=high, known=found.known, components=components)


def _capabilities(router: APIRouter, shelf: Shelf[Capability, CapabilityLine, CapabilityOut], admit: Admit) -> None:
    context = shelf.context

    @router.get("/capabilities", summary="Capabilities, newest first", openapi_extra=needs("catalogue.read"))
    def listed(
        paging: Paged,
        caller: Annotated[Caller, Depends(admit)],
        state: Annotated[EntryState | None, Query()] = None,
        organisation: By = "",
    ) -> Listed[CapabilityLine]:
        return shelf.page(paging, caller, state or "", organisation)

    @router.post("/capabilities", status_code=201, summary="Draft a capability", openapi_extra=needs("capabilities.write"))
    def add(
        wanted: CapabilityAdded, caller: Annotated[Caller, Depends(admit)], repeated: Annotated[Once, once(context, admit)]
    ) -> CapabilityOut:
        return repeated(lambda: shelf.keep(caller, _capability(wanted, _new(context, caller, wanted.organisation))), status=201)

    @router.put(
        "/capabilities/{capability}", summary="Say all of it anew; its state stays", openapi_extra=needs("capabilities.write")
    )
    def change(
        capability: str, wanted: CapabilityWanted, caller: Annotated[Caller, Depends(admit)], expected: Matched
    ) -> CapabilityOut:
        return shelf.change(caller, expected, capability, lambda kept: _capability(wanted, kept))


def _of_both(router: APIRouter, shelf: Shelf[Any, Any, Any], shape: type[Any], admit: Admit) -> None:
    place = f"/{shelf.many}/{{{shelf.word}}}"
    named = Path(alias=shelf.word)

    @router.get(place, summary=f"One {shelf.word}", openapi_extra=needs("catalogue.read"), response_model=shape)
    def show(entry: Annotated[str, named], response: Response, caller: Annotated[Caller, Depends(admit)]) -> Any:
        found = shelf.see(caller, entry)
        tag(response, found.version)
        return shelf.shape(found)

    @router.get(f"{place}/matches", summary="What fits it, why, and what does not", openapi_extra=needs("catalogue.read"))
    def matched(
        entry: Annotated[str, named],
        caller: Annotated[Caller, Depends(admit)],
        most: Annotated[int, Query(ge=1, le=50, description="how many of each at most")] = 10,
    ) -> MatchesOut:
        found = matches(shelf.context, shelf.see(caller, entry), most=most)
        return MatchesOut(
            of=found.of,
            meaning=found.meaning,
            trouble=found.trouble.message if found.trouble is not None else "",
            fits=tuple(told(MatchOut, one, entry=told(MatchedEntry, one.entry)) for one in found.fits),
            refused=tuple(told(RefusalOut, one, entry=told(MatchedEntry, one.entry)) for one in found.refused),
        )

    for word in _MOVES:
        _move(router, shelf, shape, admit, word)


def _move(router: APIRouter, shelf: Shelf[Any, Any, Any], shape: type[Any], admit: Admit, word: str) -> None:
    place, (state, summary) = f"/{shelf.many}/{{{shelf.word}}}/{word}", _MOVES[word]
    extra = needs(shelf.permit)

    @router.post(place, summary=summary, openapi_extra=extra, response_model=shape, name=f"{word}_{shelf.word}")
    def move(
        entry: Annotated[str, Path(alias=shelf.word)],
        caller: Annotated[Caller, Depends(admit)],
        repeated: Annotated[Once, once(shelf.context, admit)],
        expected: Matched,
    ) -> Any:
        return repeated(lambda: shelf.move(caller, expected, entry, state))


def _new(context: Context, caller: Caller, organisation: str) -> Mapping[str, Any]:
    """What no caller says of a new entry."""
    return {"id": "", "organisation": organisation or caller.acting.organisation, "created": context.clock.now()}


def _need(wanted: NeedWanted, kept: Mapping[str, Any]) -> Need:
    words = {one.name: getattr(wanted, one.name) for one in fields(NeedWanted)}
    words["acceptance"] = tuple(Acceptance(**asdict(one)) for one in wanted.acceptance)
    return Need(**words, **kept)


def _capability(wanted: CapabilityWanted, kept: Mapping[str, Any]) -> Capability:
    words = {one.name: getattr(wanted, one.name) for one in fields(CapabilityWanted)}
    words["certificates"] = tuple(Certificate(**asdict(one)) for one in wanted.certificates)
    return Capability(**words, **kept)
