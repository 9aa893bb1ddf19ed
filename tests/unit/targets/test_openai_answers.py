"""What an `openai` target sends, and what it makes of a good answer."""

from typing import Any

import pytest
from tests.fakes.asking import ask, converse, reply_to
from tests.fakes.chat_server import ChatServer, answers, piece, sends, streams, usage_only
from tests.fakes.fake_time import FakeTime

from pilotbase.domain.evidence import Ask
from pilotbase.targets.openai import OpenAI

CALL = {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"q": "x"}'}}


def sent(**options: Any) -> dict[str, Any]:
    async def story(asked: OpenAI, server: ChatServer, time: FakeTime) -> dict[str, Any]:
        await ask(asked, 'say "hi"\n你好')
        return server.bodies[0]

    body: dict[str, Any] = converse((answers(),), story, **options)
    return body


def test_an_answer_is_text_with_usage_times_and_finish() -> None:
    reply, requests, _ = reply_to(answers("benign"))
    assert (reply.answer, reply.failure, reply.attempts, requests) == ("benign", None, 1, 1)
    assert reply.usage is not None
    assert (reply.usage.tokens_in, reply.usage.tokens_out) == (11, 3)
    assert reply.extra == {"finish": "stop"}
    assert reply.seconds > 0
    assert reply.started > 1.7e9
    assert reply.ttft is None


def test_a_streamed_answer_has_a_time_to_its_first_content() -> None:
    parts = [piece({"role": "assistant"}), piece({"content": "be"}), piece({"content": "nign"}), piece({}, "stop"), usage_only()]
    reply, _, _ = reply_to(streams(parts), stream=True)
    assert reply.answer == "benign"
    assert reply.ttft is not None
    assert 0 < reply.ttft <= reply.seconds
    assert reply.usage is not None
    assert (reply.usage.tokens_in, reply.usage.tokens_out) == (11, 3)


@pytest.mark.parametrize("last_line", [b"\n\n", b"\n", b""])
def test_a_stream_may_end_without_a_blank_line(last_line: bytes) -> None:
    reply, _, _ = reply_to(streams([piece({"content": "yes"})], last_line=last_line), stream=True)
    assert (reply.answer, reply.failure) == ("yes", None)


def test_an_endpoint_that_ignores_streaming_is_understood() -> None:
    reply, _, _ = reply_to(answers("yes"), stream=True)
    assert (reply.answer, reply.ttft) == ("yes", None)


def test_tool_calls_are_kept_as_a_trajectory() -> None:
    reply, _, _ = reply_to(answers(None, finish="tool_calls", tool_calls=[CALL]))
    steps = [{"tool": "look", "arguments": {"q": "x"}, "id": "t1"}]
    assert reply.answer == {"text": "", "steps": steps}
    assert reply.extra == {"finish": "tool_calls", "steps": steps}


def test_a_refusal_is_an_answer_with_a_mark() -> None:
    reply, _, _ = reply_to(answers(None, refusal="I must not."))
    assert (reply.answer, reply.failure, reply.extra["refusal"]) == ("I must not.", None, "I must not.")


def test_a_model_that_calls_itself_otherwise_is_recorded() -> None:
    reply, _, _ = reply_to(sends(b'{"model":"m-2026","choices":[{"message":{"content":"yes"}}]}'))
    assert reply.extra["model"] == "m-2026"
    assert reply.usage is None


def test_only_model_parameters_and_the_prompt_are_sent() -> None:
    assert sent(params={"temperature": 0}) == {
        "model": "m",
        "stream": False,
        "temperature": 0,
        "messages": [{"role": "user", "content": 'say "hi"\n你好'}],
    }


def test_streaming_asks_for_usage_and_a_null_parameter_takes_that_out() -> None:
    assert sent(stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent(stream=True, params={"stream_options": None})


def test_tools_are_sent_as_declared() -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    assert sent(tools=(tool,))["tools"] == [tool]


def test_the_key_travels_in_its_header_and_nowhere_else() -> None:
    async def story(asked: OpenAI, server: ChatServer, time: FakeTime) -> ChatServer:
        await ask(asked)
        return server

    server: ChatServer = converse(
        (answers(),), story, key_env="CHAT_KEY", secrets={"CHAT_KEY": "s3cret"}, headers={"X-Team": "a"}
    )
    assert server.headers[0]["Authorization"] == "Bearer s3cret"
    assert server.headers[0]["X-Team"] == "a"
    assert "s3cret" not in str(server.bodies)


def test_several_asks_of_one_call_are_answered_in_order() -> None:
    async def story(asked: OpenAI, server: ChatServer, time: FakeTime) -> list[Any]:
        asks = [Ask(key=key, inputs={"question": "ready?"}) for key in range(2)]
        return [reply.answer for reply in await asked.invoke(asks)]

    assert converse((answers("one"), answers("two")), story, concurrency=1) == ["one", "two"]


def test_closing_twice_is_safe() -> None:
    async def story(asked: OpenAI, server: ChatServer, time: FakeTime) -> str:
        answer = (await ask(asked)).answer
        await asked.aclose()
        await asked.aclose()
        return str(answer)

    assert converse((answers(),), story) == "yes"
