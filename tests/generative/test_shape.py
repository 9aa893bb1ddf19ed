"""A rewritten body is the parsed edit of the body, whatever its spelling, and no byte outside the spans moves."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.traffic import Preamble
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.endpoints import ENDPOINTS
from pilotbase.gateway.shape import read_shape, rewrite

CHAT = ENDPOINTS["/chat/completions"]
SPACE = st.sampled_from(["", "", " ", "\n  "])
WORDS = st.text(alphabet='ab"\\{}[],:é中\n/', max_size=6)
NUMBERS = st.sampled_from(["1", "-0", "1.0", "1e2", "1E+2", "0.10", "123456789012345678901"])


@st.composite
def spelled(draw: st.DrawFn, value: object) -> str:
    """JSON text of a value, with free space and free escapes."""
    if isinstance(value, str):
        raw = orjson.dumps(value).decode()[1:-1]
        if draw(st.integers(0, 3)) == 0:
            raw = "".join(f"\\u{ord(c):04x}" if draw(st.booleans()) else orjson.dumps(c).decode()[1:-1] for c in value)
        return f'"{raw}"'
    gap = draw(SPACE)
    if isinstance(value, list):
        return "[" + gap + f",{gap}".join(draw(spelled(one)) for one in value) + draw(SPACE) + "]"
    if isinstance(value, dict):
        parts = [f"{draw(spelled(k))}{draw(SPACE)}:{draw(SPACE)}{draw(spelled(v))}" for k, v in value.items()]
        return "{" + gap + f"{draw(SPACE)},{gap}".join(parts) + draw(SPACE) + "}"
    return draw(NUMBERS) if isinstance(value, int) and not isinstance(value, bool) else orjson.dumps(value).decode()


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.just(1) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.sampled_from(["model", "messages"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    document = draw(st.dictionaries(WORDS | st.sampled_from(["temperature", "x-y"]), VALUES, max_size=4))
    document["model"] = draw(WORDS.filter(bool))
    document["messages"] = draw(st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": WORDS}), max_size=2))
    if draw(st.booleans()):
        document["stream"] = draw(st.booleans() | st.none())
    if draw(st.booleans()):
        document["stream_options"] = draw(
            st.none() | st.dictionaries(st.sampled_from(["include_usage", "y"]), st.booleans(), max_size=2)
        )
    keys = draw(st.permutations(list(document)))
    return {key: document[key] for key in keys}


def subsequence(small: bytes, large: bytes) -> bool:
    rest = iter(large)
    return all(byte in rest for byte in small)


@given(requests(), st.data(), st.none() | WORDS.filter(bool), st.booleans(), st.booleans(), st.booleans())
def test_a_rewritten_body_parses_to_the_expected_edit(
    document: dict[str, Any], data: st.DataObject, model: str | None, ask: bool, lead: bool, default: bool
) -> None:
    body = data.draw(spelled(document)).encode()
    parsed = orjson.loads(body)
    shape = read_shape(CHAT, b"application/json", body)
    preamble = [Preamble(role="system", content="a\nb")] if lead else []
    defaults = {"temperature": 0.5} if default else {}
    out = rewrite(body, shape, model=model, ask_usage=ask, preamble=preamble, defaults=defaults)
    expected = {**defaults, **parsed}
    if model is not None:
        expected["model"] = model
    if ask and parsed.get("stream") is True:
        expected["stream_options"] = {**(parsed.get("stream_options") or {}), "include_usage": True}
    if lead:
        expected["messages"] = [{"role": "system", "content": "a\nb"}, *parsed["messages"]]
    assert orjson.loads(out) == expected
    if model is None and not ask:
        assert subsequence(body, out)


@given(requests(), st.data(), WORDS.filter(bool))
def test_another_model_moves_no_byte_outside_its_value(document: dict[str, Any], data: st.DataObject, model: str) -> None:
    body = data.draw(spelled(document)).encode()
    shape = read_shape(CHAT, b"application/json", body)
    out = rewrite(body, shape, model=model)
    if model == shape.model:
        assert out is body
        return
    new = orjson.dumps(model)
    places = [i for i in range(len(out)) if out.startswith(new, i)]
    # At one of the places where the new value stands, everything before and after is what was there.
    assert any(body.startswith(out[:i]) and body.endswith(out[i + len(new) :]) for i in places)


@given(
    st.binary(max_size=80)
    | VALUES.map(orjson.dumps)
    | st.dictionaries(
        st.sampled_from(
            ["model", "n", "stream", "stream_options", "messages", "input", "prompt", "max_tokens", "tools", "conversation"]
        ),
        VALUES,
        max_size=8,
    ).map(orjson.dumps),
    st.sampled_from(sorted(ENDPOINTS)),
    st.sampled_from([b"", b"application/json", b"multipart/form-data; boundary=b", b"\xff;="]),
)
def test_any_bytes_are_read_or_refused_and_nothing_else_is_raised(body: bytes, path: str, content_type: bytes) -> None:
    try:
        shape = read_shape(ENDPOINTS[path], content_type, body)
        out = rewrite(
            body, shape, model="another", ask_usage=True, preamble=[Preamble(role="user", content="x")], defaults={"q": 1}
        )
        again = read_shape(ENDPOINTS[path], content_type, out)
    except Refused as error:
        assert 400 <= error.status < 500
        return
    assert again.model == "another" and again.prompt >= 0
