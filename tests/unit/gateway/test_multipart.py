"""Forms: fields in place, files untouched, doubtful forms refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.gateway.answers import Refused
from pilotbase.gateway.multipart import read_form

TYPE = b"multipart/form-data; boundary=xYz"


def part(name: str, value: bytes, more: str = "", headers: str = "") -> bytes:
    return f'--xYz\r\nContent-Disposition: form-data; name="{name}"{more}\r\n{headers}\r\n'.encode() + value + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xYz--\r\n"


FILE = part("file", b"\x00\r\n--xY\r\n" * 50, '; filename="a;\\"b.wav"', "Content-Type: audio/wav\r\n")


def test_text_fields_are_found_around_a_file() -> None:
    body = form(part("model", b"whisper"), FILE, part("prompt", "你好".encode()), part("extra[]", b"1"), part("extra[]", b"2"))
    found = read_form(TYPE, body)
    assert (found.text(body, "model"), found.text(body, "prompt"), found.text(body, "stream")) == ("whisper", "你好", None)
    assert (found.files, found.names) == (1, {"model", "file", "prompt", "extra[]"})


def test_the_models_value_is_replaced_and_no_other_byte_moves() -> None:
    before, after = part("language", b"zh") + FILE, part("response_format", b"json")
    body = form(before, part("model", b"whisper"), after)
    out = read_form(TYPE, body).rewrite(body, "upstream/whisper-large", {})
    assert out == form(before, part("model", b"upstream/whisper-large"), after)
    assert read_form(TYPE, body).rewrite(body, None, {}) is body


def test_fields_are_added_before_the_others() -> None:
    body = form(part("model", b"m"), FILE)
    out = read_form(TYPE, body).rewrite(body, None, {"temperature": "0"})
    assert out == form(part("temperature", b"0"), part("model", b"m"), FILE)


def test_a_value_that_would_break_the_form_is_an_error() -> None:
    body = form(part("model", b"m"))
    with pytest.raises(ValueError, match="break the form"):
        read_form(TYPE, body).rewrite(body, "m\r\n--xYz--", {})


@pytest.mark.parametrize("value", [b'multipart/form-data; boundary="xYz"', b"Multipart/Form-Data;charset=utf-8; Boundary=xYz"])
def test_the_boundary_may_be_quoted_and_stand_anywhere(value: bytes) -> None:
    body = form(part("model", b""))
    assert read_form(value, body).text(body, "model") == ""


@pytest.mark.parametrize("value", [b"application/json", b"", b"text/multipart/form-data; boundary=xYz"])
def test_another_content_type_is_unsupported(value: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_form(value, form(part("model", b"m")))
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (b"multipart/form-data", form(part("model", b"m"))),
        (b"multipart/form-data; boundary=xYz; boundary=abc", form(part("model", b"m"))),
        (b'multipart/form-data; boundary="\xff"', form(part("model", b"m"))),
        (TYPE, form(part("model", b"a"), part("model", b"b"))),
        (TYPE, form(part("model", b"m", '; filename="x"'))),
        (TYPE, form(part("model", b"bQ==", headers="Content-Transfer-Encoding: base64\r\n"))),
        (TYPE, form(part("model", b"m", '; name="other"'))),
        (TYPE, form(part("model", b"m", "; name*=utf-8''other"))),
        (TYPE, form(part("model", b"m", headers='Content-Disposition: form-data; name="x"\r\n'))),
        (TYPE, form(part("model", b"m"))[:-9]),
        (TYPE, form(part("model", b"m")) + part("model", b"other")),
        (TYPE, b"text before\r\n" + form(part("model", b"m"))),
        (TYPE, form(b"--xYz and more\r\n" + part("model", b"m"))),
        (TYPE, form(part("model", b"m\n--xYz\nx"))),
        (TYPE, b"--xYz\r\n\r\nno headers\r\n--xYz--"),
        (TYPE, b'--xYz\r\nContent-Disposition: form-data; name="model"\r\n'),
        (TYPE, b""),
    ],
)
def test_a_form_that_two_readers_could_read_differently_is_refused(content_type: bytes, body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_form(content_type, body)
    assert caught.value.status == 400


def test_a_field_that_is_no_text_is_refused_when_it_is_read() -> None:
    body = form(part("model", b"\xff"))
    with pytest.raises(Refused, match="UTF-8"):
        read_form(TYPE, body).text(body, "model")


def test_a_form_of_endless_parts_is_refused() -> None:
    with pytest.raises(Refused, match="1000 parts"):
        read_form(TYPE, form(*[part("x", b"")] * 1001))
    assert read_form(TYPE, form(*[part("x", b"")] * 1000)).names == {"x"}


PIECES = st.sampled_from(
    [b"--xYz", b"--", b"\r\n", b"\n", b'Content-Disposition: form-data; name="model"', b";", b"m", b"\r\n\r\n"]
)


@given(st.lists(PIECES | st.binary(max_size=4), max_size=20), st.sampled_from([TYPE, b"multipart/form-data;boundary="]))
def test_any_bytes_are_read_or_refused(pieces: list[bytes], content_type: bytes) -> None:
    body = b"--xYz\r\n" + b"".join(pieces)
    try:
        found = read_form(content_type, body)
    except Refused:
        return
    assert all(0 <= start <= end <= len(body) for start, end in found.texts.values())
