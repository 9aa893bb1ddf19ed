"""Arms over real sockets: who is answered by the candidate, who stays, and when everybody goes back."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from tests.fakes.gateway import Answered, until
from tests.fakes.released import Released, text_of
from tests.fakes.upstream_server import Exchange, answers, says, sends, whole

from pilotbase.domain.traffic import Preamble, Route, Tie, Upstream


def test_the_canary_takes_its_share_of_conversations_and_every_later_turn_of_them(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path, workers=2) as one:
            await one.put(share=0.3)
            said: dict[str, set[str]] = {}
            for turn in range(3):
                for n in range(60):
                    turns: list[Any] = [{"role": "user", "content": f"question {n}"}]
                    for past in range(turn):
                        turns += [{"role": "assistant", "content": "so"}, {"role": "user", "content": f"and {past}?"}]
                    said.setdefault(f"{n}", set()).add(text_of(await one.ask(messages=turns)))
            assert all(len(found) == 1 for found in said.values())
            taken = sum(found == {"new"} for found in said.values())
            assert 5 <= taken <= 33
            await one.gateway.settled()
            assert len(one.rows("candidate")) == 3 * taken and len(one.rows("stable")) == 3 * (60 - taken)
            assert {row["release_id"] for row in one.gateway.rows()} == {"r1"}
            assert one.gateway.reconcile().balanced

    asyncio.run(story())


def test_a_larger_share_keeps_everyone_it_had(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            before: set[str] = set()
            for share in (0.05, 0.25, 1.0):
                await one.put(share=share)
                names = [f"u{n}" for n in range(40)]
                found = {name for name in names if text_of(await one.ask(user=name)) == "new"}
                assert before <= found
                before = found
            assert len(before) == 40

    asyncio.run(story())


def test_a_user_named_in_a_header_or_a_field_stays_whatever_he_asks_and_is_one_person(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path, workers=2) as one:
            await one.put(share=0.5)
            arms = set()
            for name in ("u1", "u2", "u3", "u4", "u5", "u6"):
                by_header = {text_of(await one.ask(f"q{n}", headers={"X-Pilotbase-User": name})) for n in range(3)}
                by_field = {text_of(await one.ask(f"q{n}", user=name)) for n in range(3)}
                assert by_header == by_field and len(by_header) == 1
                arms |= by_header
            assert arms == {"old", "new"}
            await one.gateway.settled()
            assert len({row["person"] for row in one.gateway.rows()}) == 6
            stored = orjson.dumps([{k: str(v) for k, v in row.items()} for row in one.gateway.rows()])
            assert b"u1" not in stored.replace(b"u10", b"")  # a name never reaches the ledger
            assert "user" not in one.old.requests[0].headers and "x-pilotbase-user" not in one.old.requests[0].headers

    asyncio.run(story())


def test_named_users_are_told_that_it_is_a_trial_and_where_to_say_how_it_went(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            await one.put(people=("customer/dr-li",), notice="这是试用：答案须核对 (trial)")
            named = await one.ask(user="dr-li")
            assert text_of(named) == "new"
            assert unquote(named.headers["x-pilotbase-notice"]) == "这是试用：答案须核对 (trial)"
            assert named.headers["x-pilotbase-feedback"] == "/v1/feedback"
            assert named.headers["x-pilotbase-release"] == "r1; arm=candidate"
            for other in (await one.ask(user="dr-wu"), await one.ask()):
                assert text_of(other) == "old"
                assert not [name for name in other.headers if name.startswith("x-pilotbase")]
            streamed = await one.ask(user="dr-li", stream=True)
            assert streamed.headers["x-pilotbase-feedback"] == "/v1/feedback"
            await one.put(people=("customer",))
            assert text_of(await one.ask(user="dr-wu")) == "new"

    asyncio.run(story())


def test_nobody_is_answered_by_a_candidate_that_is_not_watched(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            one.gateway.release(one.route, one.arm(share=1.0, people=("customer",)))
            assert text_of(await one.ask()) == "old"
            await one.gateway.watch(60.0)
            assert text_of(await one.ask()) == "new"
            await one.gateway.watch(0.0)  # nobody vouches any more
            assert text_of(await one.ask()) == "old"
            await one.gateway.settled()
            assert [row["arm"] for row in one.gateway.rows()] == ["stable", "candidate", "stable"]

    asyncio.run(story())


@pytest.mark.parametrize("failure", ["status", "rate limit", "nonsense", "nobody"])
def test_a_worker_goes_back_to_the_stable_arm_by_itself_where_the_candidate_fails(tmp_path: Path, failure: str) -> None:
    bad = {"status": says(500), "rate limit": says(429), "nonsense": sends(b"", kind="text/event-stream"), "nobody": answers()}

    async def story() -> None:
        async with Released(tmp_path, candidate=bad[failure]) as one:
            if failure == "nobody":
                await one.new.stop()
            await one.put(share=1.0)
            seen = [await one.ask(f"q{n}", stream=failure == "nonsense") for n in range(20)]
            wrong = [answer for answer in seen if answer.status != 200]
            assert 1 <= len(wrong) <= 5
            assert all(answer.status == 200 for answer in seen[len(wrong) :])
            assert len(one.old.requests) == 20 - len(wrong)
            await one.gateway.settled()
            assert len(one.rows("candidate")) == len(wrong) and len(one.rows("stable")) == 20 - len(wrong)
            assert one.gateway.reconcile().balanced

    asyncio.run(story())


def test_a_fresh_release_does_not_inherit_the_health_of_the_one_before(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path, candidate=says(500)) as one:
            await one.put(share=1.0)
            for n in range(8):
                await one.ask(f"q{n}")
            plane = one.gateway.crew[0].plane
            await one.gateway.settled()
            assert "r1" in plane.breakers
            one.gateway.release(one.route, None)
            assert text_of(await one.ask()) == "old"
            await until(lambda: not plane.breakers)
            one.new.behaviours = (answers("new"),)
            await one.put(share=1.0, release="r2")
            assert text_of(await one.ask()) == "new"

    asyncio.run(story())


def test_a_python_candidate_stands_beside_a_stable_address(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("def answer(case):\n    return 'from python'\n")
    target = {"kind": "python", "options": {"call": "models:answer"}, "folder": str(tmp_path), "inputs": ["text"]}

    async def story() -> None:
        async with Released(tmp_path / "h", target=target) as one:
            await one.put(share=1.0)
            assert text_of(await one.ask()) == "from python"
            assert b"from" in (await one.ask("again", stream=True)).body
            # What it cannot answer at all is answered by the stable arm.
            embedded = await one.gateway.post("/v1/embeddings", one.token, {"model": "m", "input": "a"})
            assert embedded.status == 200
            one.gateway.release(one.route, None)
            assert text_of(await one.ask()) == "old"
            await until(lambda: not one.gateway.crew[0].ready.locals_)
            await one.gateway.settled()
            assert [row["arm"] for row in one.gateway.rows()] == ["candidate", "candidate", "stable", ""]

    asyncio.run(story())


def test_a_python_candidate_that_raises_is_left_by_the_worker(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("def answer(case):\n    raise ValueError('no')\n")
    target = {"kind": "python", "options": {"call": "models:answer"}, "folder": str(tmp_path), "inputs": ["text"]}

    async def story() -> None:
        async with Released(tmp_path / "h", target=target) as one:
            await one.put(share=1.0)
            seen = [(await one.ask(f"q{n}")).status for n in range(10)]
            assert seen == [502] * 5 + [200] * 5

    asyncio.run(story())


def test_a_candidate_that_cannot_be_made_ready_leaves_the_route_to_the_stable_arm_and_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path, target={"kind": "python", "options": {}, "inputs": ["text"]}) as one:
            await one.put(share=1.0)
            answers_ = {(await one.ask(f"q{n}")).status for n in range(10)}
            last = await one.ask("last")
            assert text_of(last) == "old" and answers_ <= {200, 502, 503}

    asyncio.run(story())


def test_a_candidate_with_a_prompt_of_its_own_leaves_to_the_stable_arm_what_has_no_place_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            upstream = Upstream(url=one.new.url, preamble=(Preamble(role="system", content="Answer in one word."),))
            await one.put(share=1.0, upstreams=(upstream,))
            assert text_of(await one.ask()) == "new"
            assert one.new.requests[0].document["messages"][0]["content"] == "Answer in one word."
            embedded = await one.gateway.post("/v1/embeddings", one.token, {"model": "m", "input": "a"})
            assert embedded.status == 200 and len(one.new.requests) == 1

    asyncio.run(story())


def test_a_change_of_the_arm_reaches_every_worker_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path, workers=2) as one:
            await one.put(share=1.0)
            assert {text_of(await one.ask()) for _ in range(2)} == {"new"}
            # Who is asked looks first: the very next answer of each worker is the stable arm's.
            one.gateway.release(one.route, one.arm(share=0.0))
            assert {text_of(await one.ask()) for _ in range(2)} == {"old"}
            # Also where nobody asks: the workers look by themselves.
            one.gateway.release(one.route, None)
            await until(lambda: all(w.plane.view.routes["m"].route.arm is None for w in one.gateway.crew))

    asyncio.run(story())


def responding() -> Any:
    """Responses whose ids are told apart."""
    count = [0]

    async def behave(exchange: Exchange) -> None:
        count[0] += 1
        said = exchange.server.url.encode()
        name = f"resp_{said.hex()[-12:]}_{count[0]}"
        await sends(orjson.dumps({**whole("/responses", "yes"), "id": name}))(exchange)

    return behave


def test_a_response_goes_on_at_the_arm_that_gave_the_one_before(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path, stable=responding(), candidate=responding()) as one:

            async def respond(user: str, before: str | None = None) -> Answered:
                more = {"previous_response_id": before} if before else {}
                return await one.gateway.post("/v1/responses", one.token, {"model": "m", "input": "hi", "user": user, **more})

            await one.put(people=("customer/dr-li",), notice="trial")
            new, old = (await respond("dr-li")).json["id"], (await respond("other")).json["id"]
            assert (len(one.new.requests), len(one.old.requests)) == (1, 1)
            # By whoever they are asked: an arm can go on only from what it said itself. Both arms call their upstream `main`.
            went = await respond("dr-li", new)
            assert went.status == 200 and went.headers["x-pilotbase-notice"] == "trial"
            await respond("other", new)
            assert (len(one.new.requests), len(one.old.requests)) == (3, 1)
            await respond("dr-li", old)
            assert (len(one.new.requests), len(one.old.requests)) == (3, 2)
            stored = await one.gateway.get(f"/v1/responses/{new}", one.token)
            assert stored.status == 200 and len(one.new.requests) == 4

            # Where nobody may be exposed, what the candidate holds is not gone on with, neither here nor at the wrong arm.
            await one.gateway.watch(0.0)
            assert [(await respond("dr-li", new)).status, (await one.gateway.get(f"/v1/responses/{new}", one.token)).status] == [
                409,
                409,
            ]
            await one.put(share=0.0)
            assert (await respond("dr-li", new)).json["error"]["code"] == "upstream_gone"
            assert (len(one.new.requests), len(one.old.requests)) == (4, 2)
            # When the candidate has become the route's own, its conversations go on.
            upstreams = (Upstream(url=one.new.url),)
            one.gateway.release(Route(name="m", upstreams=upstreams, tie=Tie(policy="allow")), None)
            assert (await respond("dr-li", new)).status == 200 and len(one.new.requests) == 5
            await one.gateway.settled()
            assert one.gateway.reconcile().balanced

    asyncio.run(story())


def test_an_answer_given_again_says_nothing_of_the_candidate_and_is_of_no_arm(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path) as one:
            key = {"Idempotency-Key": "i1"}
            assert text_of(await one.ask(headers=key)) == "old"
            await one.put(share=1.0, shadow=1.0)
            again = await one.ask(headers=key)
            assert text_of(again) == "old" and again.headers["x-idempotent-replay"] == "true"
            assert "x-pilotbase-release" not in again.headers
            await one.gateway.settled()
            assert len(one.gateway.rows()) == 1 and not one.new.requests

    asyncio.run(story())


def test_the_opened_breaker_of_a_candidate_is_counted_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with Released(tmp_path, candidate=says(500)) as one:
            await one.put(share=1.0)
            for n in range(10):
                await one.ask(f"q{n}")
            worker = one.gateway.crew[0]
            for _ in range(4):
                worker.report()
            assert worker.counts.routes["m"].breaker_opens == {"main": 1}

    asyncio.run(story())
