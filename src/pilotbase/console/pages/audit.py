"""The audit log: who changed what, newest first, and whether its chain is whole."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

from pilotbase.console.page import Act, Page, Shown, Visit
from pilotbase.store import audit
from pilotbase.store.audit import Report

__all__ = ["PAGES"]

_PATH = "/console/audit"
_SHOWN = 50
_READ_AT_ONCE = 5000
"""Entries that a page reads again by itself; a longer log is checked where somebody asks for it."""
_LONGEST = 200


def _show(visit: Visit) -> Shown:
    last = audit.newest(visit.context.database)
    short = last is None or last.seq <= _READ_AT_ONCE
    return _page(visit, audit.verify(visit.context.database) if short else None)


def _verify(visit: Visit, _: Mapping[str, str]) -> Shown:
    context = visit.context
    return _page(visit, audit.verify_home(context.database, context.disk, context.home), asked=True)


def _page(visit: Visit, report: Report | None, *, asked: bool = False) -> Shown:
    filters = {word: visit.query.get(word, "").strip()[:_LONGEST] for word in ("who", "action", "subject")}
    before = visit.query.get("before") or None
    found = audit.entries(visit.context.database, limit=_SHOWN + 1, before=before, **filters)
    rows = [{"entry": one, "detail": list(_told(one.detail))} for one in found[:_SHOWN]]
    set_filters = {word: text for word, text in filters.items() if text}
    return Shown(
        template="audit.html.j2",
        values={
            "rows": rows,
            "filters": filters,
            "filtered": bool(set_filters),
            "older": "?" + urlencode({**set_filters, "before": found[_SHOWN - 1].id}) if len(found) > _SHOWN else "",
            "newest": "?" + urlencode(set_filters) if before is not None else "",
            "report": report,
            "asked": asked,
        },
    )


def _told(value: object, term: str = "") -> Iterator[tuple[str, str]]:
    """What an entry says further, as terms and texts, what is inside others by its path; what is empty is left out."""
    if isinstance(value, Mapping):
        for word, inner in value.items():
            yield from _told(inner, f"{term}.{word}" if term else str(word))
    elif isinstance(value, list) and any(isinstance(one, (Mapping, list)) for one in value):
        for number, one in enumerate(value, 1):
            yield from _told(one, f"{term}.{number}")
    elif isinstance(value, list):
        if value:
            yield term, ", ".join(map(str, value))
    elif value is not None and value != "":
        yield term, str(value).lower() if isinstance(value, bool) else str(value)


PAGES: tuple[Page, ...] = (
    Page(
        name="audit",
        path=_PATH,
        title="Audit log",
        permit="audit.read",
        show=_show,
        menu=80,
        acts={"verify": Act(permit="audit.read", do=_verify)},
    ),
)
