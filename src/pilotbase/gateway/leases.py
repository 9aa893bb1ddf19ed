"""The keeper's side of quota: how much of a key's limits a worker may have in advance, decided in one transaction.

Money. What may still be granted is budget - spent - outstanding, where spent is settled + in doubt + overrun of the key's
balances, and outstanding is granted - returned - charged of every worker's lease. The applier of the ledger raises `charged` and
the balances by the same cost in one transaction, so that no nano is counted twice or forgotten on its way from one to the other.
A lease that was charged more than it was granted owes the difference: that is in the balances already, so for others it is
nothing, and the worker itself has to cover it out of its next grant.

Requests and tokens a minute. A grant is counted in its second and may be used for 1 s after the worker asked for it. It is given
only if it and all that is counted in this second and the 61 before stay within the limit. Then no interval [a, a + 60) admits
more than the limit. Proof: take the grants that it admits from, and of these the one decided last. All others were counted when
it was decided. The clock showed less than a + 60 then, and more than a - 1 for each of the others, so their seconds are at most
61 before its own. What was given back before it was decided is not used, and what is given back later was counted.

The seconds of a key never fall, so a clock that jumps back or stands still counts longer, never shorter. A clock that jumps ahead
forgets sooner: pass one that is driven by a monotonic one.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pilotbase.gateway.quota import SPAN, Grant, Refusal, Return, Want
from pilotbase.store.database import Database

__all__ = ["Facts", "decide", "give_back", "grant", "obtain", "sweep"]

SKEW = 300
"""A clock farther back than this, in seconds, was set anew. Source: the skew that RFC 4120, section 8.2, accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a decision rests on.

    `mine` and `others` are outstanding money of the worker that asks (below 0: its debt) and of all others (>= 0). `counted` are
    (second, requests, tokens) in order of the second, none older than `second` - 61. `now` is wall time, at most `second` + 1.
    """

    budget: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    spent: int = 0
    mine: int = 0
    others: int = 0
    counted: Sequence[tuple[int, int, int]] = ()
    second: int = 0
    now: float = 0.0
    workers: int = 1


def decide(want: Want, facts: Facts) -> Grant | Refusal:
    """As much as is useful of what is wanted, or which limit does not allow even what is needed now.

    A grant shrinks to the need itself as the limit comes near: at most a quarter of what is left, and an eighth of a limit a
    minute, shared by all workers.
    """
    share = max(1, facts.workers)
    nanos = want.nanos + want.nanos_ahead
    if facts.budget is not None and nanos:
        room = facts.budget - facts.spent - facts.others - facts.mine
        if want.nanos and want.nanos > room:
            return Refusal(limit="budget")
        nanos = max(want.nanos, min(nanos, room // (4 * share)))
    used_requests = sum(requests for _, requests, _ in facts.counted)
    used_tokens = sum(tokens for _, _, tokens in facts.counted)
    if facts.rpm is not None and want.requests and want.requests > facts.rpm - used_requests:
        counts = [(second, requests) for second, requests, _ in facts.counted]
        return Refusal(limit="rpm", after=_wait(facts.rpm, want.requests, counts, facts.now))
    if facts.tpm is not None and want.tokens and want.tokens > facts.tpm - used_tokens:
        counts = [(second, tokens) for second, _, tokens in facts.counted]
        return Refusal(limit="tpm", after=_wait(facts.tpm, want.tokens, counts, facts.now))
    requests = _share(want.requests, want.requests_ahead, facts.rpm, used_requests, share)
    tokens = _share(want.tokens, want.tokens_ahead, facts.tpm, used_tokens, share)
    return Grant(
        second=facts.second,
        requests=requests,
        tokens=tokens,
        nanos=nanos,
        remaining_requests=None if facts.rpm is None else max(0, facts.rpm - used_requests - requests),
        remaining_tokens=None if facts.tpm is None else max(0, facts.tpm - used_tokens - tokens),
        reset_seconds=0.0 if facts.rpm is facts.tpm is None else facts.second + SPAN + 1 - facts.now,
    )


def _share(need: int, ahead: int, limit: int | None, used: int, share: int) -> int:
    if limit is None:
        return need + ahead
    return max(need, min(need + ahead, (limit - used) // (4 * share), limit // (8 * share)))


def _wait(limit: int, need: int, counts: Sequence[tuple[int, int]], now: float) -> float | None:
    """Seconds until enough is forgotten for the need; None where the need alone is over the limit."""
    if need > limit:
        return None
    total = sum(count for _, count in counts)
    for second, count in counts:
        total -= count
        if total + need <= limit:
            return max(0.001, second + SPAN + 1 - now)
    return None


async def obtain(
    decision: Callable[[], Awaitable[Grant | Refusal]], recall: Callable[[], Awaitable[None]], want: Want
) -> Grant | Refusal:
    """What `decision` says (`grant`, wherever it runs). Where it refuses a request that waits, `recall` comes first, and it is
    asked once more. `recall` returns when the other workers have given back what they hold of the key unused, or its time is up.
    """
    answer = await decision()
    if isinstance(answer, Grant) or answer.limit == "key" or not want.urgent:
        return answer
    await recall()
    return await decision()


def grant(database: Database, worker: str, want: Want, now: float, workers: int = 1) -> Grant | Refusal:
    """Decide and deduct, in one transaction. `now` is in wall seconds; `workers` is how many share the limits.

    A key that is unknown or revoked is refused as `key`; a worker that was recovered meanwhile gets nothing any more.
    """
    with database.transaction():
        if database.row("SELECT closed FROM wal_marks WHERE worker = ? AND closed IS NOT NULL", (worker,)) is not None:
            return Refusal(limit="busy", after=1.0)
        key = database.row("SELECT budget, currency, rpm, tpm, revoked FROM access_keys WHERE id = ?", (want.key,))
        if key is None or key["revoked"] is not None:
            return Refusal(limit="key")
        spent, mine, others = (0, 0, 0) if key["budget"] is None else _money(database, want.key, key["currency"], worker)
        second, counted = (math.floor(now), []) if key["rpm"] is key["tpm"] is None else _counted(database, want.key, now)
        facts = Facts(
            budget=key["budget"],
            rpm=key["rpm"],
            tpm=key["tpm"],
            spent=spent,
            mine=mine,
            others=others,
            counted=counted,
            second=second,
            now=now,
            workers=workers,
        )
        answer = decide(want, facts)
        if isinstance(answer, Grant):
            _record(database, worker, want.key, answer)
        return answer


def give_back(database: Database, worker: str, returns: Sequence[Return], now: float) -> None:
    """Take back what a worker did not use, in one transaction. What belongs to a lease or second that is gone changes nothing."""
    with database.transaction():
        for one in returns:
            if one.nanos:
                sql = "UPDATE leases SET returned = returned + ? WHERE worker = ? AND access_key = ?"
                database.execute(sql, (one.nanos, worker, one.key))
            if one.tokens < 0:
                second, _ = _counted(database, one.key, now)
                _count(database, one.key, second, 0, -one.tokens)
            requests, tokens = max(0, one.requests), max(0, one.tokens)
            if requests or tokens:
                database.execute(
                    "UPDATE windows SET requests = CASE WHEN requests > ? THEN requests - ? ELSE 0 END, "
                    "tokens = CASE WHEN tokens > ? THEN tokens - ? ELSE 0 END WHERE access_key = ? AND second = ?",
                    (requests, requests, tokens, tokens, one.key, one.second),
                )


def sweep(database: Database, now: float) -> int:
    """Remove the counts that no keeper can need any more, of all keys; how many rows that were. Once a minute is enough."""
    return database.execute("DELETE FROM windows WHERE second < ?", (math.floor(now) - SPAN - SKEW,))


def _money(database: Database, key: str, currency: str, worker: str) -> tuple[int, int, int]:
    """(spent, outstanding at the worker, outstanding at others) in nanos."""
    sql = "SELECT COALESCE(SUM(settled + in_doubt + overrun), 0) AS spent FROM balances WHERE access_key = ? AND currency = ?"
    row = database.row(sql, (key, currency))
    mine = others = 0
    sql = "SELECT worker, granted - returned - charged AS held FROM leases WHERE access_key = ?"
    for one in database.rows(sql, (key,)):
        if one["worker"] == worker:
            mine = int(one["held"])
        else:
            others += max(0, int(one["held"]))
    return int(row["spent"]) if row else 0, mine, others


def _counted(database: Database, key: str, now: float) -> tuple[int, list[tuple[int, int, int]]]:
    """The second in which a grant is counted now, and what is counted in it and the 61 before, in order."""
    sql = "SELECT second, requests, tokens FROM windows WHERE access_key = ? ORDER BY second"
    counted = [(int(second), int(requests), int(tokens)) for second, requests, tokens in database.rows(sql, (key,))]
    second = math.floor(now)
    newest = counted[-1][0] if counted else second
    if newest > second + SKEW:
        # The clock was set back by far: the counts move to now, or they would block the key until it is there again.
        counted = [one for one in counted if one[0] >= newest - SPAN]
        database.execute("DELETE FROM windows WHERE access_key = ? AND second < ?", (key, newest - SPAN))
        database.execute("UPDATE windows SET second = second - ? WHERE access_key = ?", (newest - second, key))
        counted = [(old - newest + second, requests, tokens) for old, requests, tokens in counted]
    second = max(second, newest) if newest <= second + SKEW else second
    return second, [one for one in counted if one[0] >= second - SPAN]


def _record(database: Database, worker: str, key: str, given: Grant) -> None:
    if given.nanos:
        database.execute(
            "INSERT INTO leases (worker, access_key, granted) VALUES (?, ?, ?) "
            "ON CONFLICT (worker, access_key) DO UPDATE SET granted = leases.granted + excluded.granted",
            (worker, key, given.nanos),
        )
    if given.requests or given.tokens:
        _count(database, key, given.second, given.requests, given.tokens)
        # What is older than the window of the newest second is never asked for again.
        database.execute("DELETE FROM windows WHERE access_key = ? AND second < ?", (key, given.second - SPAN))


def _count(database: Database, key: str, second: int, requests: int, tokens: int) -> None:
    database.execute(
        "INSERT INTO windows (access_key, second, requests, tokens) VALUES (?, ?, ?, ?) ON CONFLICT (access_key, second) "
        "DO UPDATE SET requests = windows.requests + excluded.requests, tokens = windows.tokens + excluded.tokens",
        (key, second, requests, tokens),
    )
