"""Indicators and their points in the database. A point may be corrected, and the audit log keeps what it was."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime
from secrets import token_hex
from typing import Final

from pilotbase.domain.indicator import Indicator, Point, in_years
from pilotbase.domain.problem import Problem
from pilotbase.errors import InvalidInput, UserError
from pilotbase.store.audit import stamp, write
from pilotbase.store.database import Database, Row

__all__ = ["create", "find", "list_indicators", "points", "put", "require"]

_COLUMNS: Final = "id, title, numerator, denominator, population, source, basis, created"


def create(database: Database, indicator: Indicator, *, who: str, now: datetime) -> Indicator:
    """Declare an indicator; its id is given here. InvalidInput without a numerator, denominator, population or source."""
    made = replace(indicator, id=f"ind_{token_hex(8)}", created=now)
    _refuse("this indicator cannot be kept", made.problems())
    with database.transaction():
        values = (*(getattr(made, word) for word in _COLUMNS.split(", ")[:-1]), stamp(now))
        database.execute(f"INSERT INTO indicators ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        detail = {word: value for word, value in asdict(made).items() if word not in ("id", "created")}
        write(database, who=who, action="indicator.create", subject=made.id, detail=detail, at=now)
    return made


def put(database: Database, indicator: str, point: Point, *, who: str, now: datetime) -> Point:
    """Record the counts of a period, or correct them. InvalidInput for what is no share, UserError (404) for no indicator."""
    made = replace(point, recorded=now)
    with database.transaction():
        found = require(database, indicator)
        _refuse("these counts cannot be kept", made.problems(now.date()))
        before = next((one for one in points(database, indicator) if one.period == made.period), None)
        database.execute(
            "INSERT INTO indicator_points (indicator, period, numerator, denominator, recorded) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (indicator, period) DO UPDATE SET numerator = excluded.numerator, denominator = excluded.denominator, "
            "recorded = excluded.recorded",
            (found.id, made.period, made.numerator, made.denominator, stamp(now)),
        )
        detail = {"period": made.period, "numerator": made.numerator, "denominator": made.denominator}
        was = {"before": [before.numerator, before.denominator]} if before is not None else {}
        write(database, who=who, action="indicator.record", subject=found.id, detail={**detail, **was}, at=now)
    return made


def find(database: Database, indicator: str) -> Indicator | None:
    """An indicator by id."""
    row = database.row(f"SELECT {_COLUMNS} FROM indicators WHERE id = ?", (indicator,))
    return _read(row) if row is not None else None


def require(database: Database, indicator: str) -> Indicator:
    """An indicator by id. UserError (404) where there is none."""
    found = find(database, indicator)
    if found is None:
        raise UserError("there is no such indicator", hint="look at the list", status=404)
    return found


def list_indicators(database: Database, *, before: str | None = None, limit: int = 50) -> list[Indicator]:
    """Indicators, the newest first; those older than `before`. UserError (404) where that is not known."""
    if before is None:
        sql = f"SELECT {_COLUMNS} FROM indicators ORDER BY created DESC, id DESC LIMIT ?"
        return [_read(row) for row in database.rows(sql, (limit,))]
    moment = stamp(require(database, before).created)
    sql = (
        f"SELECT {_COLUMNS} FROM indicators WHERE created < ? OR (created = ? AND id < ?) ORDER BY created DESC, id DESC LIMIT ?"
    )
    return [_read(row) for row in database.rows(sql, (moment, moment, before, limit))]


def points(database: Database, indicator: str) -> list[Point]:
    """The points of an indicator in the order of their periods."""
    sql = "SELECT period, numerator, denominator, recorded FROM indicator_points WHERE indicator = ?"
    found = [
        Point(
            period=row["period"], numerator=row["numerator"], denominator=row["denominator"],
            recorded=datetime.fromisoformat(row["recorded"]),
        )
        for row in database.rows(sql, (indicator,))
    ]  # fmt: skip
    return sorted(found, key=lambda one: (in_years(one.period), one.period))


def _refuse(title: str, problems: Iterable[Problem]) -> None:
    lines = [f"{'.'.join(map(str, one.path))}: {one.message} ({one.hint})" for one in problems]
    if lines:
        raise InvalidInput(title, lines, hint="mend what is listed, and send it again")


def _read(row: Row) -> Indicator:
    return Indicator(**{**{word: row[word] for word in _COLUMNS.split(", ")}, "created": datetime.fromisoformat(row["created"])})
