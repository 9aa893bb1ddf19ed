"""Forms of the catalogue read into entries; everything that is wrong is told at once, in the reader's language."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, cast

from pilotbase.console.entry_words import problem_line
from pilotbase.console.page import Visit
from pilotbase.domain.entry import DATA_CLASSES, DEPLOYMENTS, Acceptance, Capability, Certificate, Entry, EntryState, Need
from pilotbase.domain.quantity import parse_money, parse_require
from pilotbase.domain.scenario import AREAS
from pilotbase.errors import InvalidInput

__all__ = ["read_capability", "read_need"]

Words = Mapping[str, str]
Trouble = tuple[str, str, str]
"""(field, what is wrong, what to do), in the reader's language."""
_CHECK = re.compile(r"(.+?)\s*((?:>=|<=|=|in\b).*)", re.DOTALL)
_NEW = datetime(1970, 1, 1, tzinfo=UTC)


def read_need(visit: Visit, form: Words, before: Need | None, *, publish: bool) -> Need:
    """A need as it was filled in, from the version that the form names. InvalidInput with a line for each thing that is wrong."""
    troubles: list[Trouble] = []
    need = Need(
        **_own(visit, form, before, publish),
        area=cast(Any, form.get("area", "")),
        risk=cast(Any, form.get("risk", "medium")),
        authority=cast(Any, form.get("authority", "user-only")),
        data=cast(Any, form.get("data", "general")),
        access=cast(Any, form.get("access", "")),
        budget=_amount(visit, form, "budget", troubles),
        acceptance=tuple(_checks(visit, form.get("acceptance", ""), troubles)),
        pack=form.get("pack", "").strip(),
        papers=tuple(_lines(form, "papers")),
        constraints=form.get("constraints", "").strip(),
    )
    _refuse(visit, need, troubles, visit.t("This need cannot be kept yet"))
    return need


def read_capability(visit: Visit, form: Words, before: Capability | None, *, publish: bool) -> Capability:
    """A capability as it was filled in, as `read_need` does."""
    troubles: list[Trouble] = []
    capability = Capability(
        **_own(visit, form, before, publish),
        application=form.get("application", "").strip(),
        areas=_ticked(form, "area", AREAS),
        data=_ticked(form, "data", DATA_CLASSES),
        price=_amount(visit, form, "price", troubles),
        evidence=tuple(_lines(form, "evidence")),
        certificates=tuple(_papers(visit, form.get("certificates", ""), troubles)),
    )
    _refuse(visit, capability, troubles, visit.t("This capability cannot be kept yet"))
    return capability


def _own(visit: Visit, form: Words, before: Entry | None, publish: bool) -> dict[str, Any]:
    """What needs and capabilities have in common."""
    version = form.get("version", "")
    known = version.isascii() and version.isdigit() and len(version) < 18
    state: EntryState = "published" if publish else before.state if before is not None else "draft"
    return {
        "id": before.id if before is not None else "",
        "organisation": before.organisation if before is not None else form.get("organisation", "") or visit.member.organisation,
        "title": form.get("title", "").strip(),
        "text": form.get("text", "").strip(),
        "field": form.get("field", "").strip(),
        "tags": tuple(dict.fromkeys(one.strip() for one in re.split(r"[,，、;；\n]+", form.get("tags", "")) if one.strip())),
        "deployments": _ticked(form, "deployment", DEPLOYMENTS),
        "state": state,
        "created": before.created if before is not None else _NEW,
        "published": before.published if before is not None else None,
        "version": int(version) if known else 0 if before is not None else 1,
    }


def _checks(visit: Visit, text: str, troubles: list[Trouble]) -> Iterator[Acceptance]:
    """`sensitivity >= 0.95`, one in a line; full-width signs and ≥ ≤ are understood."""
    for number, line in _numbered(text):
        plain = unicodedata.normalize("NFKC", line).replace("≥", ">=").replace("≤", "<=")
        found = _CHECK.fullmatch(plain)
        try:
            parse_require(found[2] if found else "")
        except ValueError:
            told = visit.t("line %(number)s, `%(text)s`, has no threshold that can be read")
            troubles.append(("acceptance", told % {"number": number, "text": line[:60]}, visit.t("as in `sensitivity >= 0.95`")))
            continue
        assert found is not None
        yield Acceptance(metric=found[1].strip(), require=found[2].strip())


def _papers(visit: Visit, text: str, troubles: list[Trouble]) -> Iterator[Certificate]:
    """`name | issuer | number | 2028-12-31`, one in a line; all but the name may be missing."""
    for number, line in _numbered(text):
        parts = [part.strip() for part in line.replace("｜", "|").split("|")]
        last = parts.pop() if len(parts) > 1 and (len(parts) == 4 or _day(parts[-1])) else ""
        if (last and _day(last) is None) or len(parts) > 3:
            told = visit.t("line %(number)s, `%(text)s`, cannot be read")
            hint = visit.t("as in `name | issuer | number | 2028-12-31`")
            troubles.append(("certificates", told % {"number": number, "text": line[:60]}, hint))
            continue
        name, issuer, paper = (*parts, "", "")[:3]
        yield Certificate(name=name, issuer=issuer, number=paper, until=_day(last))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _amount(visit: Visit, form: Words, word: str, troubles: list[Trouble]) -> str:
    text = unicodedata.normalize("NFKC", form.get(word, "")).replace(",", "").strip()
    if text:
        try:
            return str(parse_money(text))
        except ValueError:
            told = visit.t("`%(text)s` is no amount with a currency") % {"text": text[:40]}
            troubles.append((word, told, visit.t("as in `500000 CNY`")))
    return ""


def _ticked(form: Words, word: str, allowed: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(one for one in allowed if form.get(f"{word}-{one}"))


def _lines(form: Words, word: str) -> list[str]:
    return [line for _, line in _numbered(form.get(word, ""))]


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.strip()


def _refuse(visit: Visit, entry: Entry, troubles: list[Trouble], title: str) -> None:
    seen = {word for word, _, _ in troubles}
    say: Callable[[str], str] = visit.t
    told = [problem_line(say, word, message, hint) for word, message, hint in troubles]
    told += [
        problem_line(say, str(one.path[0]), one.message, one.hint)
        for one in entry.problems()
        if one.path[0] not in seen  # told already, by the line that was typed
    ]
    if told:
        raise InvalidInput(title, told, hint=visit.t("Mend what is listed; nothing that you filled in is lost."))
