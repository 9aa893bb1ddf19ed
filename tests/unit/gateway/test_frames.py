"""Whole events with their bytes."""

import pytest

from pilotbase.gateway.answers import Refused
from pilotbase.gateway.frames import Frame, Frames


def test_an_event_is_handed_out_as_soon_as_its_blank_line_is_there() -> None:
    frames = Frames()
    assert frames.feed(b"data: one\n") == []
    assert frames.feed(b"\ndata: tw") == [Frame(b"data: one\n\n", b"one", b"")]
    assert frames.feed(b"o\r\n\r\n") == [Frame(b"data: two\r\n\r\n", b"two", b"")]
    assert frames.finish() is None


def test_an_event_keeps_its_name_and_joins_its_lines() -> None:
    (named,) = Frames().feed(b'event: response.completed\ndata: {"a":1}\n\n')
    assert (named.event, named.data) == (b"response.completed", b'{"a":1}')
    (joined,) = Frames().feed(b"id: 7\ndata: one\ndata:two\ndata\n\n")
    assert (joined.event, joined.data) == (b"", b"one\ntwo\n")


def test_a_comment_is_an_event_without_data_so_that_keep_alives_go_on() -> None:
    assert Frames().feed(b": keep-alive\n\n") == [Frame(b": keep-alive\n\n", b"", b"")]


def test_a_byte_order_mark_is_kept_and_not_read() -> None:
    frames = Frames()
    assert frames.feed(b"\xef\xbb") == []
    (one,) = frames.feed(b"\xbfdata: x\n\n")
    assert one == Frame(b"\xef\xbb\xbfdata: x\n\n", b"x", b"")


def test_what_a_stream_leaves_unfinished_is_handed_out_at_its_end() -> None:
    frames = Frames()
    assert frames.feed(b"data: [DONE]") == []
    assert frames.finish() == Frame(b"data: [DONE]", b"[DONE]", b"")
    assert frames.finish() is None


def test_an_event_beyond_the_limit_is_refused_without_being_kept() -> None:
    frames = Frames(limit=1000)
    with pytest.raises(Refused, match="more than 1000 bytes") as caught:
        for _ in range(100):
            assert frames.feed(b"x" * 300) == []
    assert caught.value.status == 502
    with pytest.raises(Refused):
        frames.finish()


def test_events_before_one_that_is_too_large_are_handed_out_first() -> None:
    frames = Frames(limit=100)
    assert [f.data for f in frames.feed(b"data: a\n\ndata: " + b"x" * 200 + b"\n\ndata: b\n\n")] == [b"a"]
    with pytest.raises(Refused):
        frames.feed(b"data: c\n\n")


def test_an_event_of_the_limit_itself_passes() -> None:
    event = b"data: " + b"x" * 92 + b"\n\n"
    assert len(event) == 100
    assert Frames(limit=100).feed(event)[0].raw == event
    whole = Frames(limit=100)
    assert whole.feed(event[:99]) == []
    assert whole.feed(event[99:])[0].raw == event
