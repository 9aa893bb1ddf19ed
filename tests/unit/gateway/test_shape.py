"""What is read of a request, and what is changed in it."""

import orjson
import pytest

from pilotbase.domain.traffic import Preamble
from pilotbase.gateway.answers import Refused
from pilotbase.gateway.endpoints import ENDPOINTS
from pilotbase.gateway.shape import Shape, read_shape, rewrite

CHAT, RESPONSES, COMPLETIONS = (ENDPOINTS[p] for p in ("/chat/completions", "/responses", "/completions"))
SYSTEM = Preamble(role="system", content='Be "brief".')
EXAMPLE = Preamble(role="user", content="an example")


def chat(**fields: object) -> Shape:
    return read_shape(CHAT, b"application/json", orjson.dumps({"model": "m", "messages": [], **fields}))


def refusal(body: bytes, path: str = "/chat/completions", content_type: bytes = b"application/json") -> Refused:
    with pytest.raises(Refused) as caught:
        read_shape(ENDPOINTS[path], content_type, body)
    return caught.value


def test_stream_is_false_where_it_is_absent_or_null() -> None:
    assert (chat().stream, chat(stream=None).stream, chat(stream=False).stream, chat(stream=True).stream) == (False,) * 3 + (
        True,
    )


@pytest.mark.parametrize("value", [1, "true", [], 0.0])
def test_a_stream_that_is_no_boolean_is_refused(value: object) -> None:
    error = refusal(orjson.dumps({"model": "m", "stream": value}))
    assert (error.status, error.param, error.code) == (400, "stream", "invalid_type")


def test_a_path_that_does_not_stream_never_streams() -> None:
    shape = read_shape(ENDPOINTS["/embeddings"], b"", b'{"model":"e","input":"x","stream":true}')
    assert (shape.stream, shape.max_output) == (False, 0)


def test_speech_streams_events_only_where_it_says_so() -> None:
    speech = ENDPOINTS["/audio/speech"]
    assert read_shape(speech, b"", b'{"model":"t","input":"x","stream_format":"sse"}').stream
    assert not read_shape(speech, b"", b'{"model":"t","input":"x","stream_format":"audio"}').stream


def test_usage_is_asked_only_by_a_true_include_usage() -> None:
    assert chat(stream_options={"include_usage": True}).usage_asked
    assert not chat(stream_options={"include_usage": False}).usage_asked
    assert not chat(stream_options={}).usage_asked and not chat(stream_options=None).usage_asked
    assert refusal(b'{"model":"m","stream_options":[]}').param == "stream_options"
    assert refusal(b'{"model":"m","stream_options":{"include_usage":1}}').param == "stream_options.include_usage"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_the_limit_of_an_answer_has_three_names(name: str) -> None:
    assert chat(**{name: 70}).max_output == 70
    assert chat(**{name: 70}, n=3).max_output == 210
    assert chat(**{name: None}).max_output is None
    for bad in (-1, 1.5, "70", True, [], 2**40):
        assert refusal(orjson.dumps({"model": "m", name: bad})).param == name


def test_the_larger_of_two_limits_is_reserved() -> None:
    assert chat(max_tokens=10, max_completion_tokens=500).max_output == 500


def test_answers_are_counted_over_copies_and_prompts() -> None:
    body = b'{"model":"m","prompt":["a","b"],"n":2,"best_of":3,"max_tokens":5}'
    shape = read_shape(COMPLETIONS, b"", body)
    assert (shape.answers, shape.max_output) == (6, 30)
    assert read_shape(COMPLETIONS, b"", b'{"model":"m","prompt":[1,2,3]}').answers == 1
    assert refusal(b'{"model":"m","n":0}').code == "integer_below_min_value"
    assert refusal(b'{"model":"m","n":1000000}').code == "integer_above_max_value"


def test_what_a_response_goes_on_from_is_read() -> None:
    def previous(body: bytes) -> str | None:
        return read_shape(RESPONSES, b"", body).previous

    assert previous(b'{"model":"m","previous_response_id":"resp_1"}') == "resp_1"
    assert previous(b'{"model":"m","conversation":"conv_1"}') == "conv_1"
    assert previous(b'{"model":"m","conversation":{"id":"conv_2"}}') == "conv_2"
    assert previous(b'{"model":"m","conversation":null}') is None
    assert refusal(b'{"model":"m","previous_response_id":7}', "/responses").param == "previous_response_id"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "could not parse"),
        (b"{", "could not parse"),
        (b'{"model":"m"} x', "could not parse"),
        (b'{"model":"\xff"}', "UTF-8"),
        (b'{"model":"m","x":NaN}', "could not parse"),
        (b'{"model":"m","x":1e999}', "could not parse"),
        (b'{"model":"m","x":' + b"[" * 3000 + b"]" * 3000 + b"}", "could not parse"),
        (b'{"model":"m","tools":' + b"[" * 600 + b"]" * 600 + b"}", "nested too deep"),
        (b'{"model":"m","messages":' + b'[{"content":' * 400 + b"1" + b"}]" * 400 + b"}", "nested too deep"),
        (b'["model"]', "must be a JSON object"),
        (b"{}", "must provide a model"),
        (b'{"model":null}', "must provide a model"),
        (b'{"model":""}', "must provide a model"),
        (b'{"model":["m"]}', "expected a string, but got an array"),
        (b'{"model":"a","model":"b"}', "Duplicate parameter: 'model'"),
        (rb'{"model":"a","mod\u0065l":"b"}', "Duplicate parameter: 'model'"),
        (b'{"model":"a","max_tokens":1,"max_tokens":99999}', "Duplicate parameter: 'max_tokens'"),
    ],
)
def test_a_body_that_cannot_be_right_is_refused_in_plain_words(body: bytes, words: str) -> None:
    error = refusal(body)
    assert error.status == 400 and error.retry is False and words in error.message


def test_a_body_that_is_not_called_json_is_unsupported() -> None:
    assert refusal(b"model=m", content_type=b"application/x-www-form-urlencoded").status == 415
    assert read_shape(CHAT, b"application/json; charset=utf-8", b'{"model":"m"}').model == "m"
    assert read_shape(CHAT, b"application/vnd.x+json", b'{"model":"m"}').model == "m"


def test_a_key_in_a_nested_object_may_repeat_and_stays_as_it_is() -> None:
    body = b'{"messages":[{"model":1,"model":2}],"model":"m"}'
    assert rewrite(body, read_shape(CHAT, b"", body), model="up") == b'{"messages":[{"model":1,"model":2}],"model":"up"}'


def test_nothing_to_change_gives_the_very_same_bytes() -> None:
    body = b'{ "model" : "m", "temperature": 1.0e0 }'
    assert rewrite(body, read_shape(CHAT, b"", body), model="m", ask_usage=True) is body


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, b'{"stream_options":{"include_usage":true},"model":"m","stream":true}'),
        (b"null", b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
        (b"{}", b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"x":1}', b'{"model":"m","stream":true,"stream_options":{"include_usage":true,"x":1}}'),
        (b'{"include_usage": false}', b'{"model":"m","stream":true,"stream_options":{"include_usage": true}}'),
        (
            b'{"include_usage":true,"include_usage":false}',
            b'{"model":"m","stream":true,"stream_options":{"include_usage":true,"include_usage":true}}',
        ),
        (b'{"include_usage":true}', b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
    ],
)
def test_the_usage_of_a_stream_is_asked_for_in_the_fewest_bytes(options: bytes | None, expected: bytes) -> None:
    body = b'{"model":"m","stream":true' + (b',"stream_options":' + options if options else b"") + b"}"
    assert rewrite(body, read_shape(CHAT, b"", body), ask_usage=True) == expected


def test_usage_is_not_asked_where_nothing_streams_or_the_answer_tells_it_anyway() -> None:
    body = b'{"model":"m"}'
    assert rewrite(body, read_shape(CHAT, b"", body), ask_usage=True) is body
    body = b'{"model":"m","stream":true}'
    assert rewrite(body, read_shape(RESPONSES, b"", body), ask_usage=True) is body


def test_a_preamble_stands_before_the_callers_messages() -> None:
    body = b'{"model":"m","messages": [ {"role":"user"} ]}'
    out = rewrite(body, read_shape(CHAT, b"", body), preamble=[SYSTEM, EXAMPLE])
    first = rb'{"role":"system","content":"Be \"brief\"."},{"role":"user","content":"an example"},'
    assert out == b'{"model":"m","messages": [' + first + b' {"role":"user"} ]}'
    assert orjson.loads(rewrite(b'{"model":"m","messages":[]}', chat(), preamble=[EXAMPLE]))["messages"][0]["role"] == "user"


def test_a_preamble_is_never_left_out_where_it_has_no_place() -> None:
    for body in (b'{"model":"m"}', b'{"model":"m","messages":"hi"}'):
        with pytest.raises(Refused, match="messages"):
            rewrite(body, read_shape(CHAT, b"", body), preamble=[SYSTEM])
    body = b'{"model":"m","prompt":"x"}'
    with pytest.raises(Refused, match="chat/completions and /responses only"):
        rewrite(body, read_shape(COMPLETIONS, b"", body), preamble=[SYSTEM])


@pytest.mark.parametrize(
    ("fields", "instructions"),
    [({}, 'Be "brief".'), ({"instructions": None}, 'Be "brief".'), ({"instructions": "Rhyme\n"}, 'Be "brief".\n\nRhyme\n')],
)
def test_rules_of_a_preamble_go_before_a_responses_instructions(fields: dict[str, object], instructions: str) -> None:
    body = orjson.dumps({"model": "m", "input": "hi", **fields})
    out = orjson.loads(rewrite(body, read_shape(RESPONSES, b"", body), preamble=[SYSTEM, EXAMPLE]))
    assert out["instructions"] == instructions
    assert out["input"] == [{"role": "user", "content": "an example"}, {"role": "user", "content": "hi"}]


def test_examples_are_not_repeated_in_a_later_turn_and_rules_are() -> None:
    body = b'{"model":"m","input":[{"role":"user"}],"previous_response_id":"resp_1"}'
    out = orjson.loads(rewrite(body, read_shape(RESPONSES, b"", body), preamble=[SYSTEM, EXAMPLE]))
    assert (out["instructions"], out["input"]) == ('Be "brief".', [{"role": "user"}])


def test_defaults_are_set_only_where_the_caller_says_nothing() -> None:
    body = b'{"model":"m","max_completion_tokens":5,"temperature":null}'
    defaults = {"temperature": 0, "top_p": 0.5, "max_tokens": 9, "stream": True, "model": "x"}
    assert rewrite(body, read_shape(CHAT, b"", body), defaults=defaults) == b'{"top_p":0.5,' + body[1:]


def test_a_default_of_stream_options_and_the_usage_asked_for_become_one() -> None:
    body = b'{"model":"m","stream":true}'
    out = rewrite(body, read_shape(CHAT, b"", body), ask_usage=True, defaults={"stream_options": {"x": 1}})
    assert orjson.loads(out)["stream_options"] == {"x": 1, "include_usage": True}


def test_a_form_is_read_and_its_model_replaced() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n'
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n'
        b'--b\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n--b--\r\n'
    )
    shape = read_shape(ENDPOINTS["/audio/transcriptions"], b"multipart/form-data; boundary=b", body)
    assert (shape.model, shape.stream, shape.prompt > 0) == ("whisper", True, True)
    assert rewrite(body, shape, model="up") == body.replace(b"whisper", b"up")
    added = rewrite(body, shape, defaults={"language": "zh", "temperature": 0, "stream": "false"})
    assert added.count(b"form-data") == 5 and added.endswith(body)
    assert refusal(body.replace(b"true", b"maybe"), "/audio/transcriptions", b"multipart/form-data; boundary=b").param == "stream"


def test_image_edits_are_taken_as_json_too() -> None:
    shape = read_shape(ENDPOINTS["/images/edits"], b"application/json", b'{"model":"i","prompt":"x","n":2}')
    assert (shape.model, shape.answers, shape.form) == ("i", 2, None)
