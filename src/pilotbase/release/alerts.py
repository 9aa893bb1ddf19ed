"""Alerts in the database: one cause is one open alert, however often it is raised; a channel is told of it once, and not flooded.

An alert that is told makes a row in `deliveries` for each channel, which holds the whole message; `release.deliveries` brings it
there. The message of an alert's first telling has the alert's own id, and those of later ones that id with `-2`, `-3`, ...
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import orjson

from pilotbase.domain.alert import Alert, Channel, clean_line, read_alert
from pilotbase.errors import UserError
from pilotbase.store.audit import stamp
from pilotbase.store.database import Database, Row

__all__ = ["AGAIN_AFTER", "MOST_AN_HOUR", "Raised", "StoredAlert", "close_alerts", "find_alert", "list_alerts", "raise_alert"]

AGAIN_AFTER = timedelta(hours=6)
MOST_AN_HOUR = 60
URGENT = 2
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """What raising an alert did: its id, whether it was opened by this, and the names of the channels that will be told."""

    id: str
    fresh: bool
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAlert:
    """An alert as it stands. `at` is when it was opened, `last` when it was raised last, both ISO 8601 in UTC.

    `alert` is as it was raised first, with the worst severity since; `latest` is the evidence of the last time. `messages` are
    the ids under which it was told. `closed` holds when, by whom and why, where it is closed.
    """

    id: str
    at: str
    last: str
    count: int
    state: str
    alert: Alert
    latest: Mapping[str, Any]
    messages: tuple[str, ...]
    closed: Mapping[str, str] | None = None


def raise_alert(
    database: Database,
    alert: Alert,
    channels: Sequence[Channel],
    now: datetime,
    *,
    again_after: timedelta = AGAIN_AFTER,
    most: int = MOST_AN_HOUR,
) -> Raised:
    """Open an alert, or count it where one of the same cause is open. Joins the caller's transaction, if there is one.

    Channels are told when it is opened, when its severity rises, and when `again_after` has passed since they were told. A
    channel is told of at most `most` alerts of severity 3 and 4 in an hour of the clock, and of as many of 1 and 2, so that a
    flood of small ones never hides a great one. What is beyond that is recorded and not told; a channel that was spared
    something gets one summary at the end of the hour, and is told of what is raised again after it.
    """
    with database.transaction():
        same = alert.same
        known = database.row("SELECT id, count, severity, document FROM alerts WHERE same = ? AND state = 'open'", (same,))
        name = known["id"] if known is not None else _new_id()
        document = _opened(alert) if known is None else orjson.loads(known["document"])
        count = int(known["count"]) + 1 if known is not None else 1
        told = _tell(database, name, alert, document, {c.name: c for c in channels}, now, again_after, most, count)
        document["latest"] = alert.document()["evidence"]
        if known is None:
            database.execute(
                "INSERT INTO alerts (id, at, last, count, same, route, release_id, kind, severity, state, document)"
                " VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, 'open', ?)",
                (name, stamp(now), stamp(now), same, document["route"], document["release"], alert.kind, alert.severity,
                 _dumped(document)),
            )  # fmt: skip
        else:
            severity = document["severity"] = min(alert.severity, int(known["severity"]))
            database.execute(
                "UPDATE alerts SET last = ?, count = ?, severity = ?, document = ? WHERE id = ?",
                (stamp(now), count, severity, _dumped(document), name),
            )
        return Raised(id=name, fresh=known is None, told=told)


def close_alerts(
    database: Database,
    *,
    who: str,
    why: str,
    now: datetime,
    id: str | None = None,  # noqa: A002
    same: str | None = None,
    route: str | None = None,
    release: str | None = None,
    kind: str | None = None,
) -> int:
    """Close the open alerts that meet all the given conditions; how many. A cause that comes back opens a new one.

    What is still to be told of them is told. Raises ValueError without a condition.
    """
    where, values = _conditions(id=id, same=same, route=route, release_id=release, kind=kind)
    if not values:
        raise ValueError("name which alerts to close")
    closed = {"at": stamp(now), "who": clean_line(who), "why": clean_line(why)}
    with database.transaction():
        rows = database.rows(f"SELECT id, document FROM alerts WHERE state = 'open' AND {where}", values)
        for row in rows:
            document = orjson.loads(row["document"]) | {"closed": closed}
            database.execute("UPDATE alerts SET state = 'closed', document = ? WHERE id = ?", (_dumped(document), row["id"]))
    return len(rows)


def find_alert(database: Database, name: str) -> StoredAlert:
    """An alert by its id. UserError (status 404) where there is none."""
    row = database.row(f"SELECT {_COLUMNS} FROM alerts WHERE id = ?", (name,))
    if row is None:
        raise UserError(f"there is no alert `{clean_line(name, 60)}`", hint="take an id from the list of alerts", status=404)
    return _stored(row)


def list_alerts(
    database: Database, *, route: str | None = None, release: str | None = None, state: str | None = None, limit: int = 100
) -> list[StoredAlert]:
    """The newest first, at most `limit`; `state` is `open` or `closed`."""
    where, values = _conditions(route=route, release_id=release, state=state)
    rows = database.rows(
        f"SELECT {_COLUMNS} FROM alerts {f'WHERE {where} ' if where else ''}ORDER BY at DESC, id DESC LIMIT ?", (*values, limit)
    )
    return [_stored(row) for row in rows]


_COLUMNS = "id, at, last, count, state, document"


def _tell(
    database: Database,
    name: str,
    alert: Alert,
    document: dict[str, Any],
    channels: Mapping[str, Channel],
    now: datetime,
    again_after: timedelta,
    most: int,
    count: int,
) -> tuple[str, ...]:
    """Queue a message for each channel that is to be told now, and note it in the document; the names of those channels."""
    before: Mapping[str, Mapping[str, Any]] = document["told"]
    asked = [p for p in channels if p not in before or _due(before[p], alert.severity, now, again_after)]
    if not asked:
        return ()
    number = document["messages"] + 1
    message: dict[str, Any] = {"id": _message_id(name, number), "body": _body(name, alert, document, count, now)}
    told: list[str] = []
    for place in asked:
        if _full(database, place, alert.severity, now, most):
            if document["held"].get(place) != (lane := _lane(alert.severity, now)):
                document["held"][place] = lane
                _hold(database, channels[place], alert, now, most)
            continue
        tries = _replace(database, before[place]["message"], place, message["id"]) if place in before else 0
        _queue(database, channels[place], message, alert.severity, now, due=now, tries=tries)
        document["told"][place] = {"at": stamp(now), "severity": alert.severity, "message": message["id"]}
        told.append(place)
    if told:
        document["messages"] = number
    return tuple(told)


def _due(before: Mapping[str, Any], severity: int, now: datetime, again_after: timedelta) -> bool:
    return severity < int(before["severity"]) or now - datetime.fromisoformat(before["at"]) >= again_after


def _replace(database: Database, old: str, place: str, new: str) -> int:
    """Drop the message before where it is still on its way, for the new one says more; how often it was tried in vain."""
    row = database.row(
        "SELECT tries FROM deliveries WHERE alert = ? AND channel = ? AND state = 'waiting'",
        (old, place),
    )
    if row is None:
        return 0
    said = f"{new} took its place"
    database.execute("UPDATE deliveries SET state = 'given-up', said = ? WHERE alert = ? AND channel = ?", (said, old, place))
    return int(row["tries"])


def _full(database: Database, place: str, severity: int, now: datetime, most: int) -> bool:
    """Whether a channel has been told of as many alerts of this lane in this hour as it may be."""
    lane = _lane(severity, now)
    if database.row("SELECT id FROM alerts WHERE same = ? AND state = 'open'", (_summary_cause(place, lane),)) is not None:
        return True
    # A message is never due before it was queued, so those of this hour are among the rows found by the index.
    rows = database.rows(
        "SELECT target FROM deliveries WHERE state IN ('waiting', 'delivered', 'given-up') AND due >= ? AND channel = ?",
        (_hour(now).timestamp(), place),
    )
    told = [row for row in rows if orjson.loads(row["target"])["lane"] == lane]
    return len(told) >= most


def _hold(database: Database, channel: Channel, alert: Alert, now: datetime, most: int) -> None:
    """Count an alert as held back in the channel's summary of this hour, which is told when the hour is over."""
    lane = _lane(alert.severity, now)
    same = _summary_cause(channel.name, lane)
    row = database.row("SELECT id, count, severity, document FROM alerts WHERE same = ? AND state = 'open'", (same,))
    name = row["id"] if row is not None else _new_id()
    count = int(row["count"]) + 1 if row is not None else 1
    worst = min(alert.severity, int(row["severity"])) if row is not None else alert.severity
    routes = set(orjson.loads(row["document"])["latest"]["routes"]) if row is not None else set[str]()
    summary = _summary(channel.name, lane, now, count, worst, sorted(routes | {clean_line(alert.route)})[:20], most)
    document = _opened(summary) | {"messages": 1, "latest": summary.document()["evidence"]}
    values = (stamp(now), count, worst, _dumped(document), name)
    message = {"id": name, "body": _body(name, summary, document, count, now)}
    if row is None:
        database.execute(
            "INSERT INTO alerts (id, at, last, count, same, route, release_id, kind, severity, state, document)"
            " VALUES (?, ?, ?, ?, ?, '', '', 'held-back', ?, 'open', ?)",
            (name, stamp(now), stamp(now), count, same, worst, _dumped(document)),
        )
        _queue(database, channel, message, worst, now, due=_hour(now) + HOUR, lane="summary")
    else:
        database.execute("UPDATE alerts SET last = ?, count = ?, severity = ?, document = ? WHERE id = ?", values)
        target = _target(channel, message, "summary", now)
        database.execute(
            "UPDATE deliveries SET target = ? WHERE alert = ? AND channel = ? AND state = 'waiting'", (target, name, channel.name)
        )


def _summary(place: str, lane: str, now: datetime, count: int, worst: int, routes: Sequence[str], most: int) -> Alert:
    start, end = _hour(now).strftime("%Y-%m-%d %H:%M"), (_hour(now) + HOUR).strftime("%H:%M")
    some = f"{count} alert{'' if count == 1 else 's'}"
    return Alert(
        kind="held-back",
        severity=worst,
        route="",
        title=f"{some} beyond the limit of {most} an hour: told of in this summary only ({start} to {end} UTC)",
        title_zh=f"另有 {count} 条预警超出每小时 {most} 条的上限，未逐条发送（{start} 至 {end}，UTC）",
        about=f"{place} {lane}",
        evidence={"held-back": count, "worst-severity": worst, "routes": list(routes), "limit": most, "window": [start, end]},
    )


def _summary_cause(place: str, lane: str) -> str:
    return Alert(kind="held-back", severity=4, route="", title="", about=f"{place} {lane}").same


def _queue(
    database: Database,
    channel: Channel,
    message: Mapping[str, Any],
    severity: int,
    now: datetime,
    *,
    due: datetime,
    tries: int = 0,
    lane: str | None = None,
) -> None:
    target = _target(channel, message, lane or _lane(severity, now), now)
    database.execute(
        "INSERT INTO deliveries (alert, channel, state, tries, due, said, target) VALUES (?, ?, 'waiting', ?, ?, '', ?)",
        (message["id"], channel.name, tries, due.timestamp(), target),
    )


def _target(channel: Channel, message: Mapping[str, Any], lane: str, now: datetime) -> str:
    return _dumped({"channel": channel.document(), "body": message["body"], "lane": lane, "queued": stamp(now)})


def _body(name: str, alert: Alert, document: Mapping[str, Any], count: int, now: datetime) -> dict[str, Any]:
    """What receivers read; see docs/alerts.md."""
    data = {"id": name, "count": count, "severity-before": None if count == 1 else document["severity"]} | alert.document()
    return {"type": "alert.raised", "timestamp": stamp(now), "data": data}


def _opened(alert: Alert) -> dict[str, Any]:
    return alert.document() | {"messages": 0, "told": {}, "held": {}, "latest": {}}


def _message_id(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _new_id() -> str:
    # No full stop may be in it: it is signed as a part between two of them.
    return f"al{token_hex(8)}"


def _lane(severity: int, now: datetime) -> str:
    return f"{'urgent' if severity <= URGENT else 'other'} {_hour(now).strftime('%Y-%m-%dT%H')}"


def _hour(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _dumped(document: Mapping[str, Any]) -> str:
    return orjson.dumps(document).decode()


def _conditions(**given: str | None) -> tuple[str, tuple[str, ...]]:
    asked = {word: value for word, value in given.items() if value is not None}
    return " AND ".join(f"{word} = ?" for word in asked), tuple(asked.values())


def _stored(row: Row) -> StoredAlert:
    document = orjson.loads(row["document"])
    return StoredAlert(
        id=row["id"],
        at=row["at"],
        last=row["last"],
        count=int(row["count"]),
        state=row["state"],
        alert=read_alert(document),
        latest=document["latest"],
        messages=tuple(_message_id(row["id"], number) for number in range(1, document["messages"] + 1)),
        closed=document.get("closed"),
    )
