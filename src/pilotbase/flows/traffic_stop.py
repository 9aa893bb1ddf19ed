"""`pilotbase stop` and `resume`: what a name means, and the change itself."""

from dataclasses import dataclass
from typing import Literal

from pilotbase.context import Context
from pilotbase.domain.access import StopKind
from pilotbase.errors import UserError
from pilotbase.flows.operator import announce, said
from pilotbase.gateway import keys, routes, stops

__all__ = ["ALL", "Stopped", "resume_traffic", "stop_traffic"]

ALL = "ALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What was stopped or resumed, in words too, and whether that changed anything."""

    kind: StopKind
    name: str
    told: str
    changed: bool


def stop_traffic(context: Context, name: str, *, why: str | None, kind: StopKind | None = None, who: str) -> Stopped:
    """Stop a route, a key, or `ALL`. UserError where `name` means nothing here, or several things."""
    reason = said("why", why)
    meant, what, told = _meant(context, name, kind, stopped=False)
    changed = stops.stop(context.database, meant, what, why=reason, who=who, now=context.clock.now())
    announce(context)
    return Stopped(kind=meant, name=what, told=told, changed=changed)


def resume_traffic(context: Context, name: str, *, why: str | None, kind: StopKind | None = None, who: str) -> Stopped:
    """Let a route, a key, or `ALL` go on: that stop alone is taken back. UserError as `stop_traffic`."""
    reason = said("why", why) if why is not None else ""
    meant, what, told = _meant(context, name, kind, stopped=True)
    changed = stops.resume(context.database, meant, what, why=reason, who=who, now=context.clock.now())
    announce(context)
    return Stopped(kind=meant, name=what, told=told, changed=changed)


def _meant(context: Context, name: str, kind: StopKind | None, *, stopped: bool) -> tuple[StopKind, str, str]:
    """(kind, name as stored, in words). A route that was removed can still be resumed."""
    if kind == "all" or (kind is None and name == ALL):
        if name not in (ALL, ""):
            raise UserError(f"`{name[:80]}` is not all traffic", hint=f"write {ALL}", status=422)
        return "all", "", "all traffic"
    found: list[tuple[Literal["route", "key"], str, str]] = []
    if kind != "key" and _is_route(context, name, stopped=stopped):
        found.append(("route", name, f"route `{name}`"))
    if kind != "route":
        found += [("key", key.id, f"key {key.id} ({key.name})") for key in keys.find_named(context.database, name)]
    if not found:
        what = f"{kind}" if kind is not None else "route and no key"
        raise UserError(
            f"there is no {what} `{name[:128]}`",
            hint=f"see `pilotbase route ls` and `pilotbase key ls`; {ALL}, in capitals, means all traffic",
            status=404,
        )
    if len(found) > 1:
        listed = ", ".join(told for _, _, told in found)
        raise UserError(
            f"`{name[:128]}` may mean {listed}",
            hint="say which: --route, --key, or a key's id; nothing was changed",
            status=409,
        )
    return found[0]


def _is_route(context: Context, name: str, *, stopped: bool) -> bool:
    if routes.find_route(context.database, name) is not None:
        return True
    return stopped and any(stop.kind == "route" and stop.name == name for stop in stops.list_stops(context.database))
