"""One release as its page shows it: figures put into words of the reader's language, intervals drawn."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pilotbase.console.charts import live_chart, live_view
from pilotbase.console.page import Visit
from pilotbase.console.spans import span
from pilotbase.domain.quantity import parse_duration
from pilotbase.domain.release import Rung

__all__ = ["rung_name", "view_of"]

Document = Mapping[str, Any]
Words = Callable[[str], str]


def rung_name(rung: Rung | str, t: Words) -> str:
    """`canary 5 %` in the reader's language."""
    kind, _, share = str(rung).partition(" ")
    names = {"shadow": t("shadow"), "bounded": t("bounded"), "canary": t("canary"), "full": t("full use")}
    return f"{names.get(kind, kind)} {share}".strip()


def view_of(document: Document, visit: Visit) -> dict[str, Any]:
    """The values of the template, from `flows.release_register.register_of`."""
    t, zh = visit.t, visit.language == "zh"
    current = document["seen"] if document["current"] else None
    return {
        "one": document,
        "seen": document["seen"],
        "rungs": _rungs(document, current, t),
        "now": rung_name(document["rungs"][document["rung"]], t),
        "checks": _checks(document, current, visit.language),
        "planned": document["checks"],
        "exposure": [_exposed(row, t) for row in document["exposure"]],
        "burns": [_burn(one, t) for one in _burns(document)],
        "left": _left(document),
        "waiting": [one[zh] for one in current["waiting"]] if current and not document["over"] else [],
        "timeline": [_event(one, document, t, zh=zh) for one in reversed(document["events"])],
        "alerts": [{**one, "told": one["title"][1] if zh and one["title"][1] else one["title"][0]} for one in document["alerts"]],
        "looks": [_look(one, zh=zh) for one in document["looks"]],
        "near_misses": [_incident(one, visit.language) for one in document["near_misses"]],
        "incidents": [_incident(one, visit.language) for one in document["incidents"]],
        "diligence": [(d["item"], d["by"], d["on"] or "—", d["reference"] or "—") for d in document["due_diligence"]],
        "budget": {"share": document["budget"]["failures"], "over": _told(document["budget"]["over"], t)}
        if document["budget"]
        else {},
        "keep": _told(document["samples"]["keep"], t),
        "unseen": span(document["unseen"], t),
        "lag": span(document["seen"]["lag"], t) if document["seen"] else "",
        "unproved": (document["tie"] or {}).get("verdict") != "pass",
        "refresh": 0 if document["over"] else 5,
    }


def _rungs(document: Document, current: Document | None, t: Words) -> list[dict[str, Any]]:
    """Each rung with where it stands (`done`, `here`, `next`) and, of the present one, each need with what is there."""
    found = []
    for i, rung in enumerate(document["ladder"]):
        place = "here" if i == document["rung"] else "done" if i < document["rung"] else "next"
        there = current if place == "here" and current else {"requests": 0, "seconds": 0.0, "feedback": 0}
        needs = [
            (t("results"), there["requests"], rung["requests"], f"{there['requests']:,}", f"{rung['requests']:,}"),
            (t("under watch"), there["seconds"], rung["seconds"], span(there["seconds"], t), span(rung["seconds"], t)),
        ]
        if rung["feedback"]:
            needs.append((t("users’ words"), there["feedback"], rung["feedback"], f"{there['feedback']}", f"{rung['feedback']}"))
        found.append({
            "name": rung_name(rung["rung"], t),
            "place": place,
            "needs": needs,
            "users": rung["users"],
            "climb": "" if rung["rung"] == "full" else rung["climb"],
        })  # fmt: skip
    return found


def _checks(document: Document, current: Document | None, language: str) -> list[dict[str, Any]]:
    """What was seen on this rung of each check, with its chart."""
    limits = {one["id"]: one["limit"] for one in document["checks"]}
    found = []
    for i, one in enumerate(current["checks"] if current else ()):
        view = live_view(one, language)
        chart = live_chart(view, f"check-{i}", language)
        found.append({"view": view, "chart": chart, "limit": limits.get(one["id"]) or ""})
    return found


def _told(duration: str, t: Words) -> str:
    """`30d` in the reader's language."""
    return span(parse_duration(duration), t)


def _exposed(row: Document, t: Words) -> dict[str, Any]:
    names = {"people": t("People"), "requests": t("Requests"), "money": t("Money"), "time": t("Time under watch")}

    def told(value: Any) -> str | None:
        if value is None:
            return None
        return span(value, t) if row["word"] == "time" else f"{value:,}" if isinstance(value, int) else str(value)

    return {"name": names[row["word"]], "now": told(row["now"]), "most": told(row["most"]), "share": row["share"]}


def _burns(document: Document) -> Sequence[Document]:
    burn = (document["seen"] or {}).get("burn")
    return burn.get("burns", ()) if document["budget"] is not None and burn is not None else ()


def _left(document: Document) -> float | None:
    burn = (document["seen"] or {}).get("burn")
    return burn.get("left") if document["budget"] is not None and burn is not None else None


def _burn(one: Document, t: Words) -> dict[str, Any]:
    long, short = one["long"], one["short"]
    if one["by"] == "time":
        windows = t("%(long)s and %(short)s") % {"long": span(long, t), "short": span(short, t)}
    else:
        windows = t("the last %(long)s and %(short)s results") % {"long": f"{long:,.0f}", "short": f"{short:,.0f}"}
    rates = " / ".join("—" if rate is None else f"{rate:.3g}" for rate in (one["long_rate"], one["short_rate"]))
    state = t("burns too fast") if one["fires"] else t("in order") if one["enough"] else t("too few results")
    return {"windows": windows, "rates": rates, "limit": f"{one['rate']:.3g}", "state": state, "fires": one["fires"]}


def _event(event: Document, document: Document, t: Words, *, zh: bool) -> dict[str, Any]:
    """One line of the timeline, with its causes or the reason that was given."""
    names = {
        "start": t("begun"), "climb": t("climbed"), "pause": t("paused"), "hold": t("held"), "resume": t("resumed"),
        "back": t("rolled back"), "end": t("ended"), "label": t("labels added"), "drift": t("looked for drift"),
        "tripped": t("failures in a row"), "anew": t("evidence begins anew"),
    }  # fmt: skip
    action, detail = event["action"], event["detail"]
    told: list[str] = [cause["told"][zh] for cause in detail.get("causes", ())]
    if detail.get("why"):
        told.append(t("the machine’s clock was set") if action == "anew" else str(detail["why"]))
    if action == "climb":
        told.insert(0, t("now on “%(rung)s”") % {"rung": rung_name(document["rungs"][detail["rung"]], t)})
    elif action == "label":
        told.append(t("%(matched)s of %(labels)s labels met a kept answer") % dict(detail))
    elif action == "tripped":
        told.append(t("%(count)s requests meant for the candidate failed in worker %(worker)s") % dict(detail))
    elif action == "drift":
        look = [one["chinese" if zh else "english"] for one in detail["drifted"]]
        told += look or [t("look %(look)s found none") % dict(detail)]
    return {"at": event["at"], "who": event["who"], "done": names.get(action, action), "told": told, "action": action}


def _look(event: Document, *, zh: bool) -> dict[str, Any]:
    detail = event["detail"]
    found = [one["chinese" if zh else "english"] for one in detail["drifted"]]
    return {"at": event["at"], "look": detail["look"], "rows": detail["rows"], "tests": detail["tests"], "found": found}


def _incident(one: Document, language: str) -> dict[str, Any]:
    title = one["title"]
    first, second = ("zh", "en") if language == "zh" else ("en", "zh")
    words = ("id", "kind", "state", "detected", "severity")
    return {**{word: one[word] for word in words}, "title": title[first] or title[second] or one["id"]}
