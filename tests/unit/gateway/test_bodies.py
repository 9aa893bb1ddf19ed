"""Sampled bodies."""

import asyncio
import re
import stat
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.gateway.bodies import Bodies, Pair, redacted
from pilotbase.gateway.day_files import DayFiles
from pilotbase.store.disk import LocalDisk

MOBILE = re.compile(r"1[3-9]\d{9}")


def mask(text: str) -> str:
    return MOBILE.sub("[mobile]", text)


def pair(name: str = "r1", *, request: bytes = b'{"messages":[]}', answer: bytes = b'{"id":"a"}', streamed: bool = False) -> Pair:
    return Pair(id=name, at=1_780_000_000.0, route="chat", request=request, answer=answer, streamed=streamed)


def chunk(text: str, index: int = 0) -> bytes:
    return b"data: " + orjson.dumps({"id": "c1", "choices": [{"index": index, "delta": {"content": text}}]}) + b"\n\n"


def kept(tmp_path: Path, *pairs: Pair, share: float = 1.0, limit: int = 262_144) -> list[dict[str, Any]]:
    async def story() -> None:
        files = DayFiles(tmp_path / "bodies", "w1", LocalDisk())
        bodies = Bodies(files, share=share, redact=[mask], limit=limit)
        for one in pairs:
            bodies.add(one)
        await bodies.aclose(20)
        files.close()
        assert bodies.outbox.dropped == 0

    asyncio.run(story())
    path = tmp_path / "bodies" / "2026-05-28.w1.jsonl"
    return [orjson.loads(text) for text in path.read_bytes().splitlines()] if path.exists() else []


def test_bodies_are_kept_redacted_in_files_that_their_owner_alone_can_read(tmp_path: Path) -> None:
    asked = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "call 13812345678"}]})
    (one,) = kept(tmp_path, pair(request=asked, answer=b'{"text":"I called 13812345678"}'))
    assert one["request"]["messages"][0]["content"] == "call [mobile]"
    assert one["answer"] == {"text": "I called [mobile]"}
    assert one["id"] == "r1" and one["at"] == "2026-05-28T20:26:40Z"
    path = tmp_path / "bodies" / "2026-05-28.w1.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and b"138" not in path.read_bytes()


def test_no_body_is_kept_unless_a_share_is_given(tmp_path: Path) -> None:
    assert kept(tmp_path, *(pair(f"r{i}") for i in range(100)), share=0.0) == []


def test_the_sample_is_chosen_by_the_requests_id(tmp_path: Path) -> None:
    first = {one["id"] for one in kept(tmp_path / "a", *(pair(f"r{i}") for i in range(400)), share=0.1)}
    again = {one["id"] for one in kept(tmp_path / "b", *(pair(f"r{i}") for i in reversed(range(400))), share=0.1)}
    assert first == again and 15 < len(first) < 75


def test_what_is_written_in_escapes_or_cut_over_chunks_is_redacted_too(tmp_path: Path) -> None:
    asked = b'{"input":"call 1381234\\u0035678 now"}'
    answer = chunk("call 138") + chunk("1234") + chunk("5678.", 0) + chunk("other", 1) + b"data: [DONE]\n\n"
    (one,) = kept(tmp_path, pair(request=asked, answer=answer, streamed=True))
    assert one["request"] == {"input": "call [mobile] now"}
    assert one["answer"] == {"id": "c1", "choices.0.delta.content": "call [mobile].", "choices.1.delta.content": "other"}


def test_names_of_members_and_whole_numbers_are_redacted(tmp_path: Path) -> None:
    (one,) = kept(tmp_path, pair(request=b'{"13812345678":{"phone":13912345678,"age":42,"ok":true}}'))
    assert one["request"] == {"[mobile]": {"phone": "[mobile]", "age": 42, "ok": True}}


def test_a_body_beyond_the_limit_is_left_out_whole_and_said_to_be(tmp_path: Path) -> None:
    (one,) = kept(tmp_path, pair(request=b'{"a":"' + b"x" * 100 + b'"}'), limit=64)
    assert one["request"] == {"left_out": "108 bytes are more than 64"} and one["answer"] == {"id": "a"}


@pytest.mark.parametrize("body", [b"\x89PNG\r\n\x1a\n13812345678", b"--x\r\n13812345678", b'{"a":"13812345678', b"\xff\xfe"])
def test_what_is_no_json_is_left_out(body: bytes) -> None:
    assert redacted(body, [mask], 1000) == {"left_out": f"{len(body)} bytes that are no JSON"}


def test_events_that_are_no_json_leave_the_stream_out() -> None:
    assert "left_out" in redacted(b"data: 13812345678 is no object {\n\n", [mask], 1000, streamed=True)


def test_a_stream_without_its_last_blank_line_is_kept_whole() -> None:
    assert redacted(chunk("a") + chunk("b").rstrip(), [], 1000, streamed=True)["choices.0.delta.content"] == "ab"


def test_words_that_follow_one_another_alike_are_all_kept() -> None:
    assert redacted(chunk("ha") * 3, [], 1000, streamed=True)["choices.0.delta.content"] == "hahaha"


@given(st.recursive(st.text() | st.integers() | st.just("13812345678"), lambda s: st.lists(s) | st.dictionaries(st.text(), s)))
def test_no_number_that_a_detector_sees_is_ever_kept(value: Any) -> None:
    try:
        body = orjson.dumps({"v": value})
    except TypeError:  # a lone surrogate or a number beyond 64 bits is no JSON here
        return
    clean = redacted(body, [mask], 1_000_000)
    assert not MOBILE.search(orjson.dumps(clean).decode().replace("\\", "\n"))


def test_bodies_that_wait_are_bounded_in_bytes(tmp_path: Path) -> None:
    async def story() -> None:
        bodies = Bodies(DayFiles(tmp_path, "w1", LocalDisk()), share=1.0, redact=[], most=50)
        assert bodies.add(pair("a")) and not bodies.add(pair("b", request=b"x" * 100))
        assert bodies.outbox.dropped == 1
        await bodies.aclose(20)

    asyncio.run(story())


def test_a_detector_that_fails_loses_the_body_and_never_writes_it_bare(tmp_path: Path) -> None:
    def broken(text: str) -> str:
        raise RuntimeError("a bug")

    told: list[Any] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        bodies = Bodies(DayFiles(tmp_path, "w1", LocalDisk()), share=1.0, redact=[broken])
        bodies.add(pair())
        await bodies.aclose(20)
        assert bodies.outbox.dropped == 1

    asyncio.run(story())
    assert [str(error) for error in told] == ["a bug"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_a_mistake(tmp_path: Path, share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Bodies(DayFiles(tmp_path, "w1", LocalDisk()), share=share, redact=[])
