"""Cases in the database. A change says which version it was made from, and is one transaction with its signed record."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from secrets import token_hex
from typing import Any, Final

import orjson

from pilotbase.catalog.case_records import GENESIS, append
from pilotbase.domain.admission import Admission, Party, Proof, State
from pilotbase.domain.trial_risk import Register
from pilotbase.dsse import KeyedSigner
from pilotbase.errors import UserError
from pilotbase.store.audit import stamp, write
from pilotbase.store.database import Database, Row

__all__ = ["By", "Stored", "change", "count_states", "create", "find", "list_cases", "list_concerned", "list_overdue", "require"]

BASE: Final = ""
"""The base, among the organisations for which a case is in a list."""
_COLUMNS: Final = "c.id, c.state, c.document, c.records, c.head, c.version"
_MOMENTS: Final = ("created", "entered", "submitted", "countersigned")
_DAYS: Final = ("data_day", "due")


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who takes a step: the name for the log (`member:LOGIN`), the organisation (id), and as which party."""

    who: str
    organisation: str
    party: Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A case with the length and the newest digest of its record."""

    admission: Admission
    records: int
    head: str


def create(database: Database, admission: Admission, signer: KeyedSigner, by: By, *, now: datetime) -> Stored:
    """Keep a new case as a draft, with its first record; its id is given here. UserError (409) where one is under way already."""
    made = _as_draft(admission, now)
    with database.transaction():
        _refuse_second(database, made)
        database.execute(
            "INSERT INTO cases (id, state, need, capability, vendor, owner, due, document, created, records, head, version)"
            " VALUES (?, ?, ?, ?, ?, ?, NULL, ?, ?, 0, ?, ?)",
            (made.id, made.state, made.need, made.capability, made.vendor, made.owner, _packed(made), stamp(now), GENESIS, 1),
        )
        detail = {"need": made.need, "capability": made.capability, "vendor": made.vendor, "owner": made.owner}
        return _written(database, Stored(admission=made, records=0, head=GENESIS), made, "open", detail, signer, by, now)


def change(
    database: Database,
    before: Stored,
    after: Admission,
    step: str,
    detail: Mapping[str, Any],
    signer: KeyedSigner,
    by: By,
    *,
    now: datetime,
) -> Stored:
    """Keep a case as it is after a step, with the step's record. UserError (409) where it changed since `before` was read."""
    with database.transaction():
        if require(database, before.admission.id).admission.version != before.admission.version:
            raise UserError("somebody else changed this case meanwhile", hint="look at it, and try again", status=409)
        return _written(database, before, after, step, detail, signer, by, now)


def find(database: Database, case: str) -> Stored | None:
    """A case by id."""
    row = database.row(f"SELECT {_COLUMNS} FROM cases c WHERE c.id = ?", (case,))
    return _stored(row) if row is not None else None


def require(database: Database, case: str) -> Stored:
    """A case by id. UserError (404) where there is none."""
    found = find(database, case)
    if found is None:
        raise UserError(f"there is no case `{case[:80]}`", hint="take one from the list of cases", status=404)
    return found


def list_cases(database: Database, *, state: State | None = None, before: str | None = None, limit: int = 50) -> list[Admission]:
    """All cases, or those in one state, the newest first; those older than `before`. UserError (404) where that is not known."""
    wheres, values = ["1 = 1"], list[Any]()
    if state:
        wheres.append("c.state = ?")
        values.append(state)
    _after(database, before, "c.created", "c.id", wheres, values)
    sql = f"SELECT {_COLUMNS} FROM cases c WHERE {' AND '.join(wheres)} ORDER BY c.created DESC, c.id DESC LIMIT ?"
    return [_stored(row).admission for row in database.rows(sql, (*values, limit))]


def list_concerned(
    database: Database,
    organisation: str,
    kind: str = "of",
    *,
    state: State | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[Admission]:
    """The cases that an organisation is a party to (`of`), or that wait for it (`waits`); `BASE` is the base."""
    wheres, values = ["k.organisation = ?", "k.kind = ?"], [organisation, kind]
    if state:
        wheres.append("c.state = ?")
        values.append(state)
    _after(database, before, "k.created", "k.admission", wheres, values)
    sql = (
        f"SELECT {_COLUMNS} FROM case_concerns k JOIN cases c ON c.id = k.admission WHERE {' AND '.join(wheres)} "
        "ORDER BY k.created DESC, k.admission DESC LIMIT ?"
    )
    return [_stored(row).admission for row in database.rows(sql, (*values, limit))]


def list_overdue(database: Database, today: date, *, organisation: str | None = None, limit: int = 50) -> list[Admission]:
    """Cases under way whose due day has passed, the longest overdue first; with `organisation`, those that it is a party to."""
    inner, values = "", list[Any]()
    if organisation is not None:
        inner = "JOIN case_concerns k ON k.admission = c.id AND k.kind = 'of' AND k.organisation = ? "
        values.append(organisation)
    sql = f"SELECT {_COLUMNS} FROM cases c {inner}WHERE c.due < ? ORDER BY c.due, c.id LIMIT ?"
    found = [_stored(row).admission for row in database.rows(sql, (*values, today.isoformat(), limit))]
    return [one for one in found if one.overdue(today)]


def count_states(database: Database, organisation: str | None = None) -> Mapping[str, int]:
    """How many cases there are in each state; with `organisation`, of those that it is a party to."""
    if organisation is None:
        rows = database.rows("SELECT state, count(*) AS n FROM cases GROUP BY state")
    else:
        rows = database.rows(
            "SELECT c.state AS state, count(*) AS n FROM case_concerns k JOIN cases c ON c.id = k.admission "
            "WHERE k.organisation = ? AND k.kind = 'of' GROUP BY c.state",
            (organisation,),
        )
    return {row["state"]: int(row["n"]) for row in rows}


def _as_draft(admission: Admission, now: datetime) -> Admission:
    return Admission(
        id=f"case_{token_hex(8)}",
        need=admission.need,
        need_title=admission.need_title,
        capability=admission.capability,
        capability_title=admission.capability_title,
        vendor=admission.vendor,
        owner=admission.owner,
        created=now,
        entered=now,
    )


def _refuse_second(database: Database, made: Admission) -> None:
    row = database.row(
        "SELECT id FROM cases WHERE capability = ? AND need = ? AND state NOT IN ('withdrawn', 'retired', 'failed') LIMIT 1",
        (made.capability, made.need),
    )
    if row is not None:
        hint = "go on with that one, or withdraw it"
        raise UserError(f"this capability is on its way into this need already, in case {row['id']}", hint=hint, status=409)


def _written(
    database: Database,
    before: Stored,
    after: Admission,
    step: str,
    detail: Mapping[str, Any],
    signer: KeyedSigner,
    by: By,
    now: datetime,
) -> Stored:
    """Record the step and keep what it made, in the caller's transaction."""
    seq = before.records + 1
    state = "" if seq == 1 else before.admission.state
    head = append(
        database, signer, case=after.id, seq=seq, previous=before.head, who=by.who, organisation=by.organisation, party=by.party,
        step=step, before=state, after=after.state, detail=detail, at=now,
    )  # fmt: skip
    database.execute(
        "UPDATE cases SET state = ?, due = ?, document = ?, records = ?, head = ?, version = ? WHERE id = ?",
        (after.state, after.due.isoformat() if after.due else None, _packed(after), seq, head, after.version, after.id),
    )
    _concern(database, after)
    # The audit log knows the digest too: who writes a case's record anew must write that log anew.
    noted = {"from": state, "to": after.state, "record": seq, "digest": head}
    write(database, who=by.who, action=f"case.{step}", subject=after.id, detail=noted, at=now)
    return Stored(admission=after, records=seq, head=head)


def _concern(database: Database, one: Admission) -> None:
    waits = {"vendor": one.vendor, "owner": one.owner, "base": BASE}
    rows = {(organisation, "of") for organisation in one.parties} | {(waits[party], "waits") for party in one.waits}
    database.execute("DELETE FROM case_concerns WHERE admission = ?", (one.id,))
    for organisation, kind in sorted(rows):
        database.execute(
            "INSERT INTO case_concerns (organisation, kind, created, admission) VALUES (?, ?, ?, ?)",
            (organisation, kind, stamp(one.created), one.id),
        )


def _after(database: Database, before: str | None, created: str, name: str, wheres: list[str], values: list[Any]) -> None:
    """Only what is older than the case `before`."""
    if before is None:
        return
    row = database.row("SELECT created FROM cases WHERE id = ?", (before,))
    if row is None:
        raise UserError(f"there is no case `{before[:80]}`", hint="begin at the newest one", status=404)
    wheres.append(f"({created} < ? OR ({created} = ? AND {name} < ?))")
    values += [row["created"], row["created"], before]


def _packed(one: Admission) -> str:
    return orjson.dumps({k: v for k, v in asdict(one).items() if k not in ("id", "state", "version")}).decode()


def _stored(row: Row) -> Stored:
    told: dict[str, Any] = orjson.loads(row["document"])
    for word in _MOMENTS:
        told[word] = datetime.fromisoformat(told[word]) if told[word] else None
    for word in _DAYS:
        told[word] = date.fromisoformat(told[word]) if told[word] else None
    risk = told["risk"]
    until = date.fromisoformat(risk["until"]) if risk["until"] else None
    told |= {
        "agreed": tuple(told["agreed"]),
        "runs": _pairs(told["runs"]),
        "proof": _proof(told["proof"]),
        "replication": _proof(told["replication"]),
        "risk": Register(**{**risk, "until": until, "misses": tuple(risk["misses"])}),
    }
    one = Admission(**told, id=row["id"], state=row["state"], version=row["version"])
    return Stored(admission=one, records=int(row["records"]), head=row["head"])


def _pairs(told: Sequence[Sequence[Any]]) -> tuple[tuple[int, str], ...]:
    return tuple((int(number), str(run)) for number, run in told)


def _proof(told: Mapping[str, Any] | None) -> Proof | None:
    if told is None:
        return None
    moments = {word: datetime.fromisoformat(told[word]) if told[word] else None for word in ("witnessed", "began")}
    return Proof(**{**told, **moments})
