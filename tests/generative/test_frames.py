"""Events and their bytes over every chunking, against the decoder of `pilotbase.sse`."""

from hypothesis import given
from hypothesis import strategies as st

from pilotbase.gateway.frames import Frame, Frames
from pilotbase.sse import Events

LINES = st.sampled_from(
    ["data: a", "data:b", "data", 'data: {"x":"é"}', ": note", "event: e", "id: 1", "", "", "", "data: [DONE]"]
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A stream with one kind of line end throughout, or with all of them mixed."""
    ends = draw(st.sampled_from([st.just("\n"), st.just("\r\n"), st.just("\r"), ENDS]))
    text = draw(st.sampled_from(["", "\ufeff"]))
    text += "".join(line + end for line, end in draw(st.lists(st.tuples(LINES, ends), min_size=3, max_size=14)))
    return (text + draw(st.sampled_from(["", "data: cut", "\n\n", "\r"]))).encode()


def split(data: bytes, cuts: list[int]) -> list[Frame]:
    frames, found, last = Frames(), [], 0
    for cut in [*sorted(c % (len(data) + 1) for c in cuts), len(data)]:
        found += frames.feed(data[last:cut])
        last = cut
    rest = frames.finish()
    return [*found, rest] if rest else found


CUTS = st.lists(st.integers(0, 10_000), max_size=10)


@given(streams() | st.binary(max_size=120), CUTS)
def test_the_bytes_of_all_events_are_the_stream_over_every_chunking(data: bytes, cuts: list[int]) -> None:
    assert b"".join(f.raw for f in split(data, cuts)) == data


@given(streams(), CUTS)
def test_no_chunking_changes_an_event(data: bytes, cuts: list[int]) -> None:
    assert split(data, cuts) == split(data, [])
    assert split(data, list(range(len(data)))) == split(data, [])


@given(streams(), CUTS)
def test_the_data_is_what_the_plain_decoder_reads(data: bytes, cuts: list[int]) -> None:
    events = Events()
    expected = [*events.feed(data), *events.finish()]
    assert [f.data for f in split(data, cuts) if f.data] == [e for e in expected if e]


@given(st.text(alphabet="a\r\n", max_size=24), CUTS)
def test_line_ends_in_any_order_make_the_same_events_over_every_chunking(text: str, cuts: list[int]) -> None:
    data = text.encode()
    assert split(data, cuts) == split(data, list(range(len(data)))) == split(data, [])
