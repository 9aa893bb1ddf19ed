"""What users think of answers: told by the key that asked, kept once, the last word counting."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.released import Released


def kept(one: Released) -> list[tuple[str, int, str]]:
    """All feedback in the database."""
    rows = one.gateway.context.database.rows("SELECT request, good, comment FROM feedback ORDER BY request")
    return [(row["request"], row["good"], row["comment"]) for row in rows]


def test_a_word_on_an_answer_is_kept_at_once_and_a_later_one_replaces_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            await one.put(share=1.0)
            name = (await one.ask()).headers["x-request-id"]
            told = await one.gateway.post("/v1/feedback", one.token, {"request": name, "good": True})
            assert (told.status, told.json) == (200, {"request": name, "good": True})
            assert kept(one) == [(name, 1, "")]
            worse = {"request": name, "good": False, "comment": "第二句是错的 \u0000"}
            assert (await one.gateway.post("/v1/feedback", one.token, worse)).status == 200
            assert kept(one) == [(name, 0, "第二句是错的 ")]

    asyncio.run(story())


def test_only_the_key_that_asked_may_say_what_it_thinks(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            purse = one.gateway.key("purse", budget="1 CNY")
            await one.put(shadow=1.0, purse=one.gateway.find_key(purse).id)
            name = (await one.ask()).headers["x-request-id"]
            await one.gateway.settled()
            (shadow,) = one.rows("shadow")
            other = one.gateway.key("other")
            said = {"request": name, "good": True}
            refused = await one.gateway.post("/v1/feedback", other, said)
            assert (refused.status, refused.json["error"]["code"]) == (404, "request_not_found")
            assert (await one.gateway.post("/v1/feedback", one.token, {"request": shadow["id"], "good": True})).status == 404
            assert (await one.gateway.post("/v1/feedback", None, said)).status == 401
            assert (await one.gateway.post("/v1/feedback", "pb_0000_0000", said)).status == 401
            assert kept(one) == []

    asyncio.run(story())


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'{"good": true}', "request"),
        ({"request": "", "good": True}, "request"),
        ({"request": "a\u0000b", "good": True}, "request"),
        ({"request": "x" * 200, "good": True}, "request"),
        ({"request": 7, "good": True}, "request"),
        ({"request": "w-1"}, "good"),
        ({"request": "w-1", "good": "yes"}, "good"),
        ({"request": "w-1", "good": 1}, "good"),
        ({"request": "w-1", "good": True, "comment": 7}, "comment"),
        ({"request": "w-1", "good": True, "comment": "x" * 2001}, "comment"),
    ],
)
def test_a_body_that_says_nothing_is_told_what_is_wrong_with_it(tmp_path: Path, body: Any, word: str) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            data = body if isinstance(body, bytes) else orjson.dumps(body)
            answer = await one.gateway.post("/v1/feedback", one.token, data)
            assert answer.status == 400 and word in answer.json["error"]["message"]

    asyncio.run(story())


def test_a_body_that_is_too_long_and_another_method_are_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            assert (await one.gateway.post("/v1/feedback", one.token, b" " * 70_000)).status == 413
            assert (await one.gateway.get("/v1/feedback", one.token)).status == 404
            unknown = await one.gateway.post("/v1/feedback", one.token, {"request": "w-unknown", "good": True})
            assert unknown.status == 404 and "w-unknown" in unknown.json["error"]["message"]

    asyncio.run(story())
