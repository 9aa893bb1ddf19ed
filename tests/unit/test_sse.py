"""Event streams: whatever the chunks, the same events."""

from hypothesis import given
from hypothesis import strategies as st

from pilotbase.sse import Events

LINE = st.text(alphabet="ab :{}é中", max_size=6)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """(bytes of a stream, the events that it holds)."""
    text = draw(st.sampled_from(["", "\ufeff"]))
    events = []
    for _ in range(draw(st.integers(0, 4))):
        end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
        lines = draw(st.lists(LINE, min_size=1, max_size=3))
        if draw(st.booleans()):
            text += f": a comment{end}event: x{end}id: 7{end}"
        for line in lines:
            text += f"data: {line}{end}"
        text += end
        events.append("\n".join(lines).encode())
    return text.encode(), events


def decode(data: bytes, cuts: list[int]) -> list[bytes]:
    events, found, last = Events(), [], 0
    for cut in [*sorted(c % (len(data) + 1) for c in cuts), len(data)]:
        found += events.feed(data[last:cut])
        last = cut
    return found + events.finish()


@given(streams(), st.lists(st.integers(0, 10_000), max_size=12))
def test_every_chunking_of_a_stream_gives_the_same_events(stream: tuple[bytes, list[bytes]], cuts: list[int]) -> None:
    data, expected = stream
    assert decode(data, cuts) == expected


@given(streams())
def test_a_stream_that_comes_byte_by_byte_gives_the_same_events(stream: tuple[bytes, list[bytes]]) -> None:
    data, expected = stream
    assert decode(data, list(range(len(data)))) == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 1000), max_size=8))
def test_arbitrary_bytes_decode_alike_in_any_chunks_and_raise_nothing(data: bytes, cuts: list[int]) -> None:
    assert decode(data, cuts) == decode(data, [])


def test_an_event_is_handed_out_as_soon_as_its_blank_line_is_there() -> None:
    events = Events()
    assert events.feed(b"data: one\n") == []
    assert events.feed(b"\ndata: tw") == [b"one"]
    assert events.feed(b"o\r\n\r\n") == [b"two"]


def test_a_last_event_without_its_blank_line_is_kept_by_finish() -> None:
    events = Events()
    assert events.feed(b"data: [DONE]") == []
    assert events.finish() == [b"[DONE]"]


def test_data_without_a_space_or_without_a_colon_is_data() -> None:
    assert decode(b"data:x\n\ndata\n\n", []) == [b"x", b""]


def test_an_event_without_data_is_no_event() -> None:
    assert decode(b"event: ping\n\n: beat\n\n\n\n", []) == []
