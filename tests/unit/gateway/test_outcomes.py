"""What an outcome in the ledger says of the one who answers: a table."""

import pytest

from pilotbase.gateway.outcomes import failed

SAYS: list[tuple[str, int | None, bool | None]] = [
    ("answered", 200, False),
    ("unfinished", 200, False),
    ("cut", 200, True),
    ("failed", 200, True),
    ("blocked", 400, True),
    ("released: upstream_error", 502, True),
    ("released: upstream_timeout", 504, True),
    ("released: upstream_unreachable", 503, True),
    ("released: upstream_misconfigured", 502, True),
    ("released: upstream_rate_limited", 429, True),
    ("released: upstream_cut", None, True),
    ("released: upstream_refused", 422, None),  # the request was wrong
    ("released: unsupported_parameter", 400, None),
    ("released: insufficient_quota", 429, None),  # the caller's, not the upstream's
    ("released: never sent on", None, None),
    ("gone", 200, None),
    ("stopped", 503, None),
    ("in-doubt", None, None),
    ("replayed", 200, None),  # was known from before: whoever answers now was not asked
    ("refused", 429, None),
    ("slow client", 200, None),
    ("", None, None),
]


@pytest.mark.parametrize(("outcome", "status", "says"), SAYS)
def test_an_outcome_says_whether_the_one_who_answers_failed(outcome: str, status: int | None, says: bool | None) -> None:
    assert failed(outcome, status) is says
