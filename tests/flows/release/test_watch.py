"""`pilotbase watch`: what a frame shows, at every width, of a release in every state."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from pilotbase.cli.watch import bar, frame, interval, span

NUMBERS = st.none() | st.floats(-1e9, 1e9) | st.just(float("inf"))


def check(**words: Any) -> dict[str, Any]:
    """One check's result as the controller saw it."""
    plain = {
        "id": "capability/failure-rate", "metric": "failure-rate", "mandatory": True, "role": "decide", "require": "<= 2 %",
        "verdict": "inconclusive", "value": 0.012, "low": 0.001, "high": 0.041, "unit": "", "n": 150, "confidence": 0.99,
        "method": "sequential blocks", "reasons": [["too few", "太少"]],
    }  # fmt: skip
    return {**plain, **words}


CHECKS = [
    check(),
    check(id="capability/contains", metric="contains", require=">= 0.7", verdict="pass", value=0.93, low=0.84, high=0.98, n=48),
    check(id="release/latency.p95", metric="latency.p95", require="<= 0.05", verdict="fail", value=0.21, low=0.12, high=0.33),
    check(
        id="release/cost.per-case", metric="cost.per-case", require="<= 0.02 CNY", unit="CNY", value=0.0101, low=None, high=None
    ),
    check(
        id="release/feedback", metric="feedback", require=">= 0.8", role="inform", verdict="fail", value=0.4, low=0.2, high=0.6
    ),
    check(id="release/accuracy", metric="accuracy", require=">= 0.9", value=None, low=0.0, high=1.0, n=0),
]


def seen(**words: Any) -> dict[str, Any]:
    """What the controller saw last."""
    plain = {
        "state": "climbing", "rung": 1, "since": 1, "seconds": 1260.0, "total": 5400.0, "requests": 150, "failed": 2, "units": 60,
        "feedback": 3, "lag": 1.2, "checks": CHECKS,
        "exposed": {"people": 41, "requests": 150, "nanos": 8_400_000_000, "currency": "CNY", "seconds": 5400.0},
        "waiting": [["150 of 200 results", "已有 150 个结果"], ["no PASS yet: capability/failure-rate", "尚未通过"]],
        "causes": [],
    }  # fmt: skip
    return {**plain, **words}


def rung(name: str, **words: Any) -> dict[str, Any]:
    return {"rung": name, "requests": 200, "seconds": 3600.0, "feedback": 0, "climb": "pass", "users": [], **words}


def document(**words: Any) -> dict[str, Any]:
    """A release as `describe_release` tells it."""
    plain: dict[str, Any] = {
        "id": "rel-20261122-8c01677c", "route": "assistant", "state": "climbing", "rung": 1,
        "started": "2026-11-22T01:18:13+00:00", "bearer": "Li Lei, head of the pathology desk",
        "candidate": "assistant-7b", "tie": {"verdict": "pass"},
        "limits": {"people": 50, "requests": 1000, "spend": "10 CNY", "time": None},
        "budget": {"failures": "2 %", "over": "30d"}, "over": False, "watched": True, "unseen": 0.6, "current": True,
        "ladder": [rung("shadow 100 %"), rung("bounded", feedback=20), rung("canary 5 %"), rung("full")],
        "checks": [
            {"id": "capability/failure-rate", "require": "<= 2 %", "limit": None, "role": "decide", "mandatory": True},
            {"id": "release/latency.p95", "require": "<= 0.05", "limit": "<= 3 s", "role": "inform", "mandatory": True},
        ],
        "seen": seen(),
        "alerts": [
            {"id": "al1", "last": "2026-11-22T01:40:00+00:00", "count": 3, "severity": 3, "title": "drift: 输入变化 in x"},
        ],
        "events": [
            {"at": "2026-11-22T01:18:13+00:00", "who": "user:li", "action": "start", "detail": {}},
            {
                "at": "2026-11-22T02:18:20+00:00", "who": "pilotbase", "action": "climb",
                "detail": {"rung": 1, "why": "", "causes": []},
            },
        ],
    }  # fmt: skip
    return {**plain, **words}


def drawn(width: int = 100, **words: Any) -> str:
    """A frame as text."""
    console = Console(width=width, file=io.StringIO(), legacy_windows=False)
    console.print(frame(document(**words), width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


BURN = {
    "left": 0.4,
    "burns": [
        {
            "by": "time", "rate": 14.4, "long": 3600.0, "short": 300.0, "long_rate": 20.1, "short_rate": None, "long_count": 40,
            "short_count": 0, "enough": False, "fires": False,
        },
        {
            "by": "count", "rate": 2.0, "long": 1000.0, "short": 100.0, "long_rate": 3.1, "short_rate": 4.0, "long_count": 900,
            "short_count": 100, "enough": True, "fires": True,
        },
    ],
}  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 100, 160])
def test_no_line_of_a_frame_is_longer_than_the_terminal_is_wide(width: int) -> None:
    long = {"id": "capability/" + "x" * 80, "bearer": "李" * 90, "route": "r" * 128}
    states: list[dict[str, Any]] = [
        {},
        {"seen": None, "current": False},
        {"state": "held"},
        {"watched": False, "unseen": 300.0, "tie": {"verdict": "not verified: x", "by": "Ann", "reason": "demo " * 40}},
        {"seen": seen(burn=BURN, checks=[check(id=long["id"], require="<= 0.000123 CNY")])},
        {"bearer": long["bearer"], "route": long["route"]},
    ]
    for words in states:
        lines = drawn(width, **words).splitlines()
        assert lines and max(cell_len(line) for line in lines) <= width


@pytest.mark.parametrize("width", [60, 100, 160])
def test_a_frame_shows_the_rungs_the_checks_the_exposure_and_what_it_waits_for(width: int) -> None:
    text = drawn(width)
    lines = text.splitlines()
    assert "assistant  climbing" in lines[0]
    assert [line[0] for line in lines[lines.index("✔ shadow 100 %") :][:1]] == ["✔"]
    assert "▶ bounded  150 of 200 results · 21 min of 1 h · 3 of 20" in text and "· canary 5 %" in text
    for one in CHECKS[:2]:
        assert one["id"] in text
    assert "✘ FAIL release/latency.p95 (over 3 s)" in text, "a tail says beyond which limit it counts"
    assert all(word in text for word in ("0.001", "0.041", "people   41 of 50", "money    8.4 CNY of 10 CNY", "time     1.5 h"))
    assert "150 of 200 results\n" in text.partition("waits for")[2]
    assert "severity 3: drift" in text and "(3 times)" in text
    assert "climb by pilotbase: bounded" in " ".join(text.split())


def test_a_verdict_that_only_informs_does_not_shout() -> None:
    text = drawn(100)
    assert "✘ FAIL release/latency.p95" in text and "✘ fail release/feedback" in text


def test_a_release_that_nobody_watches_says_so_loudly() -> None:
    text = " ".join(drawn(60, watched=False, unseen=300.0).split())
    assert "nobody watches this release (for 5 min): workers answer from the stable arm; is `pilotbase serve` running?" in text
    assert "nobody watches" not in drawn(60)


def test_a_release_without_a_pass_names_who_let_it_through() -> None:
    text = drawn(100, tie={"verdict": "not verified: it is FAIL", "by": "Ann", "reason": "board decision"})
    assert "no verified PASS stands behind it: by Ann: board decision" in text


def test_before_anything_is_seen_the_thresholds_are_shown() -> None:
    text = drawn(100, seen=None, current=False)
    assert "▶ bounded  0 of 200 results" in text
    assert "nothing was seen on this rung yet" in text and "capability/failure-rate: <= 2 %" in text
    assert "release/latency.p95: <= 0.05 (of requests beyond `<= 3 s`, informs)" in text


def test_what_was_seen_on_the_rung_before_is_not_shown_as_of_this_one() -> None:
    text = drawn(100, current=False)
    assert "▶ bounded  0 of 200 results" in text and "0.041" not in text and "waits for" not in text


def test_a_held_release_says_what_a_person_can_do() -> None:
    text = drawn(100, state="held")
    assert "held: the candidate answers nobody until a person resumes it" in text and "waits for" not in text
    assert "paused: it climbs no further" in drawn(100, state="paused")


def test_a_full_release_with_all_its_evidence_says_how_to_end_it() -> None:
    text = drawn(100, state="full", rung=3, seen=seen(waiting=[]))
    assert "pilotbase release promote assistant --why ... ends it" in text
    assert "ends it" not in drawn(100, state="full", rung=3)


def test_a_release_that_is_over_shows_where_it_ended_and_waits_for_nothing() -> None:
    told = [["rolled back", "回退"]]
    causes = [{"kind": "failing-check", "check": "x", "told": ["failure-rate FAILS on live traffic", "不通过"], "figures": {}}]
    event = {"at": "2026-11-22T03:00:00+00:00", "who": "pilotbase", "action": "back", "detail": {"why": "", "causes": causes}}
    text = drawn(100, state="rolled-back", over=True, events=[event], seen=seen(waiting=told))
    assert "■ bounded  rolled-back" in text and "▶" not in text and "waits for" not in text
    assert "rollback by pilotbase: failure-rate FAILS on live traffic" in text


def test_the_error_budget_shows_what_is_left_and_how_fast_it_burns() -> None:
    text = drawn(100, seen=seen(burn=BURN))
    assert "error budget: 2 % over 30d" in text and "left     40 %" in text
    assert "burn 20.1 and — times over 1 h and 5 min, limit 14.4  too few results" in text
    assert "burn 3.1 and 4 times over the last 1,000 and 100 results, limit 2  burns too fast" in text
    assert "error budget" not in drawn(100), "without a burn rate nothing is told"


def test_an_interval_lies_on_the_side_of_its_threshold() -> None:
    below, above = interval(0.01, 0.05, 0.02, 0.1, 40), interval(0.2, 0.5, 0.3, 0.1, 40)
    assert below.index("┃") > below.rindex("━") and above.index("┃") < above.index("━")
    assert below.index("━") < below.index("●") < below.rindex("━")


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.integers(8, 120))
def test_an_interval_fills_its_width_whatever_the_numbers(
    low: float | None, high: float | None, value: float | None, threshold: float | None, width: int
) -> None:
    assert cell_len(interval(low, high, value, threshold, width)) == width


@given(st.floats(0, 1), st.integers(2, 80))
def test_only_all_of_a_limit_fills_its_bar_and_any_use_shows(part: float, width: int) -> None:
    drawn_bar = bar(part, width)
    assert len(drawn_bar) == width
    assert (drawn_bar == "━" * width) == (part >= 1.0) and ("━" in drawn_bar) == (part > 0)


def test_times_are_said_as_a_person_says_them() -> None:
    assert [span(seconds) for seconds in (0, 45.4, 90, 3600, 5400, 86400 * 2.5)] == [
        "0 s",
        "45 s",
        "1.5 min",
        "1 h",
        "1.5 h",
        "2.5 d",
    ]
