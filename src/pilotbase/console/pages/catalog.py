"""The catalogue: needs of scenarios and capabilities, each listed, shown, drafted, changed, published and withdrawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from pilotbase.checks.metrics import metrics
from pilotbase.console.entry_form import read_capability, read_need
from pilotbase.console.entry_words import choices, condition_words, labels, lines
from pilotbase.console.openness_words import component_words
from pilotbase.console.page import Act, Answer, Page, Shown, To, Visit
from pilotbase.domain.account import Permit, may
from pilotbase.domain.entry import Capability, Entry, EntryState, Need
from pilotbase.errors import UserError
from pilotbase.flows import catalogue
from pilotbase.flows.matches import matches

__all__ = ["PAGES"]

E = TypeVar("E", bound=Entry)
Words = Mapping[str, str]
_FILTERS = ("state", "area", "organisation")
_STATES: Mapping[str, EntryState] = {"publish": "published", "withdraw": "withdrawn", "reopen": "draft"}


def _nothing(visit: Visit, entry: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf(Generic[E]):
    """What differs between needs and capabilities. `word` is the name of the pages, and of the part of a path."""

    kind: type[E]
    word: str
    path: str
    permit: Permit
    title: str
    one: str
    new: str
    edit: str
    menu: int
    read: Callable[..., E]
    more: Callable[[Visit, E], Mapping[str, Any]] = field(default=_nothing)

    def listed(self, visit: Visit) -> Shown:
        """The list, filtered."""
        asked = {word: visit.query.get(word, "").strip() for word in _FILTERS}
        if self.kind is Capability:
            asked["area"] = ""  # a capability may serve several
        before = visit.query.get("before", "").strip()
        found = catalogue.list_visible(visit.context, visit.member, self.kind, catalogue.Asked(**asked, before=before))
        wanted = {word: value for word, value in asked.items() if value}
        names = catalogue.named(visit.context)
        values = {
            **choices(visit),
            "shelf": self,
            "rows": found.entries,
            "names": names,
            "asked": asked,
            "filtered": bool(wanted),
            "older": f"{self.path}?{urlencode({**wanted, 'before': found.entries[-1].id})}" if found.more else "",
        }
        return Shown(template="catalog_list.html.j2", values=values)

    def shown(self, visit: Visit) -> Shown:
        """One entry with all that is known of it."""
        one = self._found(visit)
        values = {
            "words": {name: dict(pairs) for name, pairs in choices(visit).items()},
            "shelf": self,
            "one": one,
            "organisation": catalogue.named(visit.context).get(one.organisation, one.organisation),
            "writes": catalogue.may_write(visit.member, one),
            "history": [
                {"at": event.at, "kind": event.kind, "changed": event.detail.get("changed", ())}
                for event in reversed(catalogue.history(visit.context, one))
            ],
            "field_names": labels(visit.t),
            "today": visit.context.clock.now().date(),
        }
        return Shown(template=f"{self.word}.html.j2", values={**values, **self.more(visit, one)})

    def asked_new(self, visit: Visit) -> Answer:
        """An empty form."""
        return self._form(visit, None)

    def asked_edit(self, visit: Visit) -> Answer:
        """The form of what is there; who may see it and not change it is led back to it."""
        one = self._found(visit)
        if not catalogue.may_write(visit.member, one):
            return To(path=self.link(one), note=visit.t("This belongs to another organisation; you may read it."))
        return self._form(visit, one)

    def save(self, visit: Visit, form: Words) -> To:
        """Keep what was filled in, and publish it where that was asked for."""
        publish = form.get("then") == "publish"
        before = self._found(visit) if self.word in visit.place else None
        wanted = self.read(visit, form, before, publish=publish)
        if before is None:
            kept = catalogue.draft(visit.context, visit.member, wanted)
        else:
            kept = catalogue.change(visit.context, visit.member, wanted)
        if publish and kept.state != "published":
            kept = self._moved(visit, kept.id, "published", kept.version)
        note = visit.t("It is published: all members of the base see it.") if publish else visit.t("It is saved.")
        return To(path=self.link(kept), note=" ".join([note, *_warnings(visit, kept)]))

    def move(self, word: str) -> Callable[[Visit, Words], To]:
        """The act that publishes, withdraws, or takes up again."""

        def act(visit: Visit, form: Words) -> To:
            text = form.get("version", "")
            if not (text.isascii() and text.isdigit() and len(text) < 18):
                raise UserError(visit.t("The form is not whole."), hint=visit.t("Load the page again."), status=422)
            kept = self._moved(visit, visit.place.get(self.word, ""), _STATES[word], int(text))
            notes = {
                "publish": visit.t("It is published: all members of the base see it."),
                "withdraw": visit.t("It is withdrawn: it is matched no more."),
                "reopen": visit.t("It is a draft again."),
            }
            return To(path=self.link(kept), note=notes[word])

        return act

    def link(self, entry: Entry) -> str:
        """Where an entry is."""
        return f"{self.path}/{entry.id}"

    def pages(self) -> tuple[Page, ...]:
        """The four pages of a kind."""
        one = f"{self.path}/{{{self.word}}}"
        moves = {word: Act(permit=self.permit, do=self.move(word)) for word in _STATES}
        save = {"save": Act(permit=self.permit, do=self.save)}
        many = self.path.rpartition("/")[2]
        return (
            Page(name=many, path=self.path, title=self.title, permit="catalogue.read", show=_of(self.listed), menu=self.menu),
            Page(name=self.word, path=one, title=self.one, permit="catalogue.read", show=_of(self.shown), acts=moves),
            Page(
                name=f"{self.word}-new", path=f"{self.path}/new", title=self.new, permit=self.permit,
                show=_of(self.asked_new), acts=save,
            ),
            Page(
                name=f"{self.word}-edit", path=f"{one}/edit", title=self.edit, permit=self.permit,
                show=_of(self.asked_edit), acts=save,
            ),
        )  # fmt: skip

    def _found(self, visit: Visit) -> E:
        return catalogue.see(visit.context, visit.member, self.kind, visit.place.get(self.word, ""))

    def _moved(self, visit: Visit, entry: str, state: EntryState, version: int) -> E:
        return catalogue.move(visit.context, visit.member, self.kind, entry, state, version=version)

    def _form(self, visit: Visit, one: E | None) -> Shown:
        everywhere = may(visit.member, self.permit, ())
        names = catalogue.named(visit.context)
        values = {
            **choices(visit),
            "shelf": self,
            "one": one,
            "typed": lines(one),
            "organisations": list(names.items()) if everywhere and one is None else [],
            "own": visit.member.organisation,
            "metrics": [(name, row.title[visit.language == "zh"]) for name, row in metrics().items()],
        }
        return Shown(template=f"{self.word}_form.html.j2", values=values)


def _of(show: Callable[[Visit], Answer]) -> Callable[[Visit], Answer]:
    """The same as a function of this module: by its module a page finds its own words."""

    def shown(visit: Visit) -> Answer:
        return show(visit)

    return shown


def _warnings(visit: Visit, entry: Entry) -> list[str]:
    """What is kept and may yet not be what was meant."""
    if not isinstance(entry, Need):
        return []
    told = visit.t("This base has no metric `%(metric)s`: the check can be read, and cannot yet be run.")
    near = visit.t("Did you mean `%(near)s`?")
    return [
        told % {"metric": metric} + (f" {near % {'near': nearest}}" if nearest else "")
        for metric, nearest in catalogue.unknown_metrics(entry.acceptance)
    ]


def _matched(visit: Visit, entry: Need | Capability) -> Mapping[str, Any]:
    found = matches(visit.context, entry)
    return {"found": found, "names": catalogue.named(visit.context), "told_conditions": condition_words(visit)}


def _open(visit: Visit, need: Need) -> Mapping[str, Any]:
    return {"open": catalogue.openness_of(visit.context, need), "components": component_words(visit)}


def _need_more(visit: Visit, need: Need) -> Mapping[str, Any]:
    return {**_matched(visit, need), **_open(visit, need), "unknown": dict(catalogue.unknown_metrics(need.acceptance))}


NEEDS = Shelf(
    kind=Need, word="need", path="/console/needs", permit="needs.write", menu=12, title="Needs", one="Need", new="A new need",
    edit="Change the need", read=read_need, more=_need_more,
)  # fmt: skip
CAPABILITIES = Shelf(
    kind=Capability, word="capability", path="/console/capabilities", permit="capabilities.write", menu=14, title="Capabilities",
    one="Capability", new="A new capability", edit="Change the capability", read=read_capability, more=_matched,
)  # fmt: skip
PAGES: tuple[Page, ...] = (*NEEDS.pages(), *CAPABILITIES.pages())
