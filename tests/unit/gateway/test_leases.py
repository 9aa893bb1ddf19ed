"""The keeper's decisions, and what they write: pilotbase.gateway.leases."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.lease_office import add_key, charge, held, recover
from tests.fakes.postgres import place, postgres_server, postgres_url

from pilotbase.gateway import leases
from pilotbase.gateway.leases import Facts, decide
from pilotbase.gateway.quota import Grant, Refusal, Return, Want, answer_from
from pilotbase.store.database import Database

NOW = 1_000_000.25


__all__ = ["place", "postgres_server", "postgres_url"]


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    with Database(place) as opened:
        yield opened


def granted(answer: Grant | Refusal) -> Grant:
    assert isinstance(answer, Grant), answer
    return answer


def counted(database: Database, key: str = "k") -> list[tuple[int, int, int]]:
    sql = "SELECT second, requests, tokens FROM windows WHERE access_key = ? ORDER BY second"
    return [tuple(row) for row in database.rows(sql, (key,))]


def money(database: Database, worker: str, nanos: int, ahead: int = 0, workers: int = 1) -> Grant | Refusal:
    return leases.grant(database, worker, Want(key="k", nanos=nanos, nanos_ahead=ahead), NOW, workers)


def test_a_lease_is_as_large_as_useful_while_much_is_left() -> None:
    answer = granted(decide(Want(key="k", nanos=10, nanos_ahead=310), Facts(budget=1_000_000)))
    assert answer.nanos == 320


def test_a_lease_shrinks_to_one_request_near_exhaustion() -> None:
    want = Want(key="k", nanos=10, nanos_ahead=310)
    sizes = [granted(decide(want, Facts(budget=1000, spent=spent, workers=4))).nanos for spent in (0, 500, 900, 990)]
    assert sizes == [62, 31, 10, 10]


def test_a_lease_of_requests_is_at_most_an_eighth_of_the_limit_shared_by_the_workers() -> None:
    want = Want(key="k", requests=1, requests_ahead=4095)
    assert granted(decide(want, Facts(rpm=800))).requests == 100
    assert granted(decide(want, Facts(rpm=800, workers=4))).requests == 25
    assert granted(decide(want, Facts(rpm=800, workers=4, counted=[(0, 760, 0)]))).requests == 2
    assert granted(decide(want, Facts(rpm=800, workers=4, counted=[(0, 799, 0)]))).requests == 1


def test_a_key_without_a_limit_gets_what_is_asked() -> None:
    answer = granted(decide(Want(key="k", requests=1, tokens=5, nanos=7, requests_ahead=9), Facts()))
    assert (answer.requests, answer.tokens, answer.nanos) == (10, 5, 7)
    assert answer.remaining_requests is answer.remaining_tokens is None


def test_a_refusal_of_the_budget_names_no_time() -> None:
    assert decide(Want(key="k", nanos=11), Facts(budget=100, spent=60, others=30)) == Refusal(limit="budget")


def test_a_refusal_of_a_rate_says_when_enough_is_forgotten() -> None:
    facts = Facts(rpm=10, tpm=1000, counted=[(100, 4, 0), (130, 6, 900)], second=140, now=140.5)
    assert decide(Want(key="k", requests=1), facts) == Refusal(limit="rpm", after=100 + 62 - 140.5)
    assert decide(Want(key="k", requests=5), facts) == Refusal(limit="rpm", after=130 + 62 - 140.5)
    assert decide(Want(key="k", tokens=101), facts) == Refusal(limit="tpm", after=130 + 62 - 140.5)


def test_a_request_larger_than_the_limit_is_refused_for_good() -> None:
    assert decide(Want(key="k", tokens=1001), Facts(tpm=1000)) == Refusal(limit="tpm", after=None)


def test_what_is_not_asked_is_not_refused_though_its_limit_is_passed() -> None:
    facts = Facts(budget=10, spent=20, rpm=10, counted=[(0, 12, 0)])
    assert granted(decide(Want(key="k", tokens=5), facts)).tokens == 5


def test_after_a_refusal_of_a_rate_the_named_time_is_enough_and_not_a_second_too_long(database: Database) -> None:
    add_key(database, rpm=2)
    want = Want(key="k", requests=1)
    for second in (0, 3):
        granted(leases.grant(database, "w", want, NOW + second))
    refused = leases.grant(database, "w", want, NOW + 20)
    assert isinstance(refused, Refusal) and refused.after is not None
    assert isinstance(leases.grant(database, "w", want, NOW + 20 + refused.after - 0.01), Refusal)
    granted(leases.grant(database, "w", want, NOW + 20 + refused.after))


def test_grants_never_pass_the_budget_and_returns_free_it(database: Database) -> None:
    add_key(database, budget=100)
    granted(money(database, "a", 60))
    assert money(database, "b", 41) == Refusal(limit="budget")
    granted(money(database, "b", 40))
    leases.give_back(database, "a", [Return(key="k", nanos=25)], NOW)
    assert money(database, "b", 26) == Refusal(limit="budget")
    granted(money(database, "b", 25))
    assert held(database) == {"a": 35, "b": 65}


def test_applying_a_settlement_changes_nothing_of_what_may_be_granted(database: Database) -> None:
    add_key(database, budget=100)
    granted(money(database, "a", 60))
    charge(database, "a", "k", 50, 50)
    assert money(database, "b", 41) == Refusal(limit="budget")
    granted(money(database, "b", 40))


def test_a_debt_is_covered_by_the_worker_that_made_it_and_lends_nothing_to_others(database: Database) -> None:
    add_key(database, budget=100)
    granted(money(database, "a", 10))
    charge(database, "a", "k", 15, 10)  # 5 beyond: 85 are left for everybody
    assert held(database) == {"a": -5}
    assert money(database, "b", 86) == Refusal(limit="budget")
    assert money(database, "a", 91) == Refusal(limit="budget")
    granted(money(database, "a", 90))
    assert money(database, "b", 1) == Refusal(limit="budget")


def test_money_in_doubt_is_spent_and_another_currency_is_another_matter(database: Database) -> None:
    add_key(database, budget=100)
    for currency in ("CNY", "EUR"):
        database.execute("INSERT INTO balances (access_key, route, currency, in_doubt) VALUES ('k', 'r', ?, 30)", (currency,))
    assert money(database, "a", 71) == Refusal(limit="budget")
    granted(money(database, "a", 70))


def test_a_worker_that_died_with_an_unspent_lease_frees_it_when_it_is_recovered(database: Database) -> None:
    add_key(database, budget=100)
    granted(money(database, "dead", 100))
    assert money(database, "b", 1) == Refusal(limit="budget")
    recover(database, "dead")
    granted(money(database, "b", 100))


def test_a_worker_that_was_recovered_gets_nothing_any_more(database: Database) -> None:
    add_key(database, budget=100)
    recover(database, "dead")
    assert money(database, "dead", 1) == Refusal(limit="busy", after=1.0)
    assert held(database) == {}


def test_what_a_recovered_worker_gives_back_late_changes_nothing(database: Database) -> None:
    add_key(database, budget=100)
    granted(money(database, "dead", 100))
    recover(database, "dead")
    leases.give_back(database, "dead", [Return(key="k", nanos=100)], NOW)
    granted(money(database, "b", 100))
    assert money(database, "b", 1) == Refusal(limit="budget")


def test_an_unknown_key_and_a_revoked_one_get_nothing(database: Database) -> None:
    assert money(database, "a", 1) == Refusal(limit="key")
    add_key(database, budget=100)
    database.execute("UPDATE access_keys SET revoked = '2026-11-02T00:00:00Z' WHERE id = 'k'")
    assert money(database, "a", 1) == Refusal(limit="key")
    assert held(database) == {}


def test_a_changed_limit_counts_from_the_next_grant(database: Database) -> None:
    add_key(database, budget=100)
    granted(money(database, "a", 100))
    database.execute("UPDATE access_keys SET budget = 150 WHERE id = 'k'")
    granted(money(database, "a", 50))
    assert money(database, "a", 1) == Refusal(limit="budget")


def test_a_refusal_writes_nothing(database: Database) -> None:
    add_key(database, budget=100, rpm=5)
    assert leases.grant(database, "a", Want(key="k", requests=6, nanos=10), NOW).as_dict()["limit"] == "rpm"
    assert held(database) == {} and counted(database) == []


def test_what_is_given_back_leaves_the_second_of_its_grant(database: Database) -> None:
    add_key(database, rpm=100, tpm=1000)
    want = Want(key="k", requests=10, tokens=500)
    second = granted(leases.grant(database, "a", want, NOW)).second
    granted(leases.grant(database, "a", want, NOW + 5))
    leases.give_back(database, "a", [Return(key="k", second=second, requests=3, tokens=200)], NOW + 5)
    assert counted(database) == [(second, 7, 300), (second + 5, 10, 500)]


def test_what_is_given_back_twice_or_too_late_never_counts_below_nothing(database: Database) -> None:
    add_key(database, rpm=100, tpm=1000)
    second = granted(leases.grant(database, "a", Want(key="k", requests=10, tokens=500), NOW)).second
    leases.give_back(database, "a", [Return(key="k", second=second, requests=11, tokens=501)], NOW)
    leases.give_back(database, "a", [Return(key="k", second=second - 1000, requests=11)], NOW)
    assert counted(database) == [(second, 0, 0)]


def test_tokens_used_beyond_are_counted_at_once_though_they_pass_the_limit(database: Database) -> None:
    add_key(database, tpm=1000)
    granted(leases.grant(database, "a", Want(key="k", tokens=900), NOW))
    leases.give_back(database, "a", [Return(key="k", tokens=-400)], NOW + 7)
    assert counted(database) == [(1_000_000, 0, 900), (1_000_007, 0, 400)]
    # The first grant is forgotten at 62 s and the 400 beyond only at 69 s.
    assert isinstance(leases.grant(database, "a", Want(key="k", tokens=700), NOW + 63), Refusal)
    granted(leases.grant(database, "a", Want(key="k", tokens=700), NOW + 69))


@pytest.mark.parametrize("back", [1, 30, 299])
def test_a_clock_that_jumps_back_allows_no_more(database: Database, back: int) -> None:
    add_key(database, rpm=10)
    granted(leases.grant(database, "a", Want(key="k", requests=6), NOW))
    assert granted(leases.grant(database, "a", Want(key="k", requests=4), NOW - back)).second == 1_000_000
    assert isinstance(leases.grant(database, "a", Want(key="k", requests=1), NOW + 61), Refusal)


def test_a_clock_that_was_set_back_by_hours_allows_no_more_and_does_not_block_the_key_for_hours(database: Database) -> None:
    add_key(database, rpm=10)
    granted(leases.grant(database, "a", Want(key="k", requests=4), NOW))
    granted(leases.grant(database, "a", Want(key="k", requests=5), NOW + 10))
    now = NOW - 8 * 3600
    assert granted(leases.grant(database, "a", Want(key="k", requests=1), now)).second == int(now)
    assert isinstance(leases.grant(database, "a", Want(key="k", requests=1), now + 51), Refusal)
    granted(leases.grant(database, "a", Want(key="k", requests=4), now + 52))
    granted(leases.grant(database, "a", Want(key="k", requests=6), now + 62))


def test_counts_that_no_window_needs_are_removed(database: Database) -> None:
    add_key(database, rpm=10)
    add_key(database, "other", rpm=10)
    for second in range(0, 500, 50):
        granted(leases.grant(database, "a", Want(key="k", requests=1), NOW + second))
    assert [second for second, _, _ in counted(database)] == [1_000_400, 1_000_450]
    granted(leases.grant(database, "a", Want(key="other", requests=1), NOW))
    assert leases.sweep(database, NOW + 600) == 1
    assert counted(database, "other") == [] and len(counted(database)) == 2


def test_two_keepers_on_one_database_share_the_limits(place: Path | str) -> None:
    with Database(place) as one, Database(place) as two:
        add_key(one, budget=50, rpm=30)
        answers = [
            leases.grant(database, name, Want(key="k", nanos=1, requests=int(i < 15)), NOW - skew)
            for i in range(40)
            for name, database, skew in (("a", one, 0.0), ("b", two, 2.0))
        ]
        grants = [answer for answer in answers if isinstance(answer, Grant)]
        assert sum(answer.nanos for answer in grants) == 50 == sum(held(one).values())
        assert sum(requests for _, requests, _ in counted(two)) == sum(answer.requests for answer in grants) == 30


def obtained(answers: list[Grant | Refusal], want: Want) -> tuple[Grant | Refusal, int]:
    recalls = 0

    async def decision() -> Grant | Refusal:
        return answers.pop(0)

    async def recall() -> None:
        nonlocal recalls
        recalls += 1

    return asyncio.run(leases.obtain(decision, recall, want)), recalls


def test_what_others_hold_is_called_back_once_before_a_request_that_waits_is_refused() -> None:
    short, enough = Refusal(limit="budget"), Grant(second=1, nanos=5)
    assert obtained([enough], Want(key="k", nanos=5)) == (enough, 0)
    assert obtained([short, enough], Want(key="k", nanos=5)) == (enough, 1)
    assert obtained([short, short, enough], Want(key="k", nanos=5)) == (short, 1)


def test_nothing_is_called_back_for_what_is_asked_in_advance_or_for_a_revoked_key() -> None:
    short, revoked = Refusal(limit="budget"), Refusal(limit="key")
    assert obtained([short], Want(key="k", nanos=5, urgent=False)) == (short, 0)
    assert obtained([revoked], Want(key="k", nanos=5)) == (revoked, 0)


def test_documents_read_back_as_what_was_written() -> None:
    want = Want(key="k", requests=1, tokens=2, nanos=3, requests_ahead=4, urgent=False)
    given = Return(key="k", second=5, tokens=-6)
    answers: list[Grant | Refusal] = [Grant(second=1, nanos=2, remaining_tokens=3), Refusal(limit="rpm", after=1.5)]
    assert Want.from_dict(want.as_dict()) == want and Return.from_dict(given.as_dict()) == given
    assert [answer_from(one.as_dict()) for one in answers] == answers
