"""When an upstream is left alone, and when it is tried again."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pilotbase.gateway.breaker import Breaker, Rules

RULES = Rules(row=3, share=0.5, least=10, window=10.0, pause=4.0, longest=16.0)


def broken(now: float = 0.0) -> Breaker:
    breaker = Breaker(RULES)
    for _ in range(RULES.row):
        breaker.failed(breaker.take(now), now)
    return breaker


def test_failures_in_a_row_open_it_and_a_success_begins_the_count_again() -> None:
    breaker = Breaker(RULES)
    for good in (False, False, True, False, False):
        ticket = breaker.take(0.0)
        (breaker.succeeded if good else breaker.failed)(ticket, 0.0)
    assert breaker.up(0.0)
    breaker.failed(breaker.take(0.0), 0.0)
    assert breaker.state(0.0) == "open"
    assert not breaker.up(0.0) and breaker.take(0.0) == 0
    assert breaker.back(1.0) == 3.0
    assert breaker.opened == 1


def test_a_large_share_of_failures_in_the_window_opens_it() -> None:
    breaker = Breaker(RULES)
    for i in range(9):
        ticket = breaker.take(0.0)
        (breaker.failed if i % 2 else breaker.succeeded)(ticket, 0.0)
    assert breaker.up(0.0)
    breaker.failed(breaker.take(0.0), 0.0)
    assert not breaker.up(0.0)


def test_what_fell_out_of_the_window_no_longer_counts() -> None:
    breaker = Breaker(RULES)
    for i in range(9):
        ticket = breaker.take(0.0)
        (breaker.failed if i % 2 else breaker.succeeded)(ticket, 0.0)
    breaker.failed(breaker.take(10.0), 10.0)
    assert breaker.up(10.0)


def test_after_the_pause_one_request_passes_and_an_answer_closes_it() -> None:
    breaker = broken()
    assert not breaker.up(3.9)
    assert breaker.state(4.0) == "half-open"
    probe = breaker.take(4.0)
    assert probe and not breaker.up(4.0) and breaker.take(4.0) == 0
    ticket = breaker.answered(probe, 5.0)
    assert breaker.state(5.0) == "closed" and breaker.up(5.0)
    breaker.succeeded(ticket, 6.0)
    assert breaker.up(6.0)


def test_a_failed_try_doubles_the_pause_up_to_the_longest() -> None:
    breaker, now = broken(), 4.0
    for pause in (8.0, 16.0, 16.0):
        breaker.failed(breaker.take(now), now)
        assert breaker.back(now) == pause
        now += pause


def test_a_try_that_was_given_up_makes_room_for_another() -> None:
    breaker = broken()
    breaker.dropped(breaker.take(4.0))
    assert breaker.up(4.0)


def test_outcomes_of_requests_from_before_change_nothing() -> None:
    breaker = Breaker(RULES)
    old = [breaker.take(0.0) for _ in range(6)]
    for ticket in old[:3]:
        breaker.failed(ticket, 0.0)
    probe = breaker.take(4.0)
    breaker.failed(old[3], 4.0)
    breaker.succeeded(old[4], 4.0)
    breaker.dropped(old[5])
    assert breaker.state(4.0) == "half-open" and not breaker.up(4.0)
    breaker.succeeded(probe, 4.0)
    assert breaker.state(4.0) == "closed"


def test_a_request_for_rest_keeps_it_out_of_the_order_without_being_a_failure() -> None:
    breaker = Breaker(RULES)
    breaker.rest(3.0, 10.0)
    assert not breaker.up(12.9) and breaker.take(12.9) == 0
    assert breaker.state(12.9) == "closed"
    assert breaker.back(11.0) == 2.0
    assert breaker.up(13.0)


class Life(RuleBasedStateMachine):
    """Requests come, end in any way and in any order, and time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(RULES)
        self.now = 0.0
        self.tickets: list[int] = []
        self.probe = False

    @rule()
    def come(self) -> None:
        half = self.breaker.state(self.now) == "half-open"
        up = self.breaker.up(self.now)
        ticket = self.breaker.take(self.now)
        assert bool(ticket) == up
        if ticket:
            assert not (half and self.probe and self.breaker.state(self.now) == "half-open" and ticket in self.tickets)
            self.tickets.append(ticket)
            self.probe = half

    @rule(place=st.integers(0, 50), how=st.sampled_from(["succeeded", "failed", "dropped"]))
    def end(self, place: int, how: str) -> None:
        if self.tickets:
            ticket = self.tickets.pop(place % len(self.tickets))
            if how == "dropped":
                self.breaker.dropped(ticket)
            else:
                getattr(self.breaker, how)(ticket, self.now)

    @rule(seconds=st.floats(0.0, 30.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.floats(0.0, 5.0))
    def rest(self, seconds: float) -> None:
        self.breaker.rest(seconds, self.now)

    @invariant()
    def nothing_under_way_means_that_it_comes_back(self) -> None:
        if not self.tickets:
            # A breath beyond, since a sum of floats may round below.
            assert self.breaker.up(self.now + self.breaker.back(self.now) + 1e-6)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40)


@given(st.lists(st.booleans(), max_size=60))
def test_an_upstream_that_never_fails_three_times_in_a_row_or_half_the_time_stays_in(outcomes: list[bool]) -> None:
    breaker, row, bad = Breaker(RULES), 0, 0
    for n, good in enumerate(outcomes, 1):
        (breaker.succeeded if good else breaker.failed)(breaker.take(0.0), 0.0)
        row, bad = (0, bad) if good else (row + 1, bad + 1)
        opens = not good and (row >= RULES.row or (n >= RULES.least and bad >= n / 2))
        assert breaker.up(0.0) != opens
        if opens:
            return
