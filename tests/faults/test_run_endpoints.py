"""Chat endpoints that misbehave, through whole runs."""

import socket
from typing import Any

import pytest
from tests.fakes.chat_server import Behaviour, answers, drips, resets, says, sends, streams
from tests.flows.support import Base, accuracy, cases, check_of, serving, verdicts

from pilotbase.errors import UserError

CHECKS = [accuracy(">= 0.3"), {"metric": "failure-rate", "require": "<= 0.5"}, {"metric": "failures", "require": "= 0"}]


def chat(url: str, **options: Any) -> dict[str, Any]:
    given = {"url": url, "model": "m", "retries": 0, "timeout": "30s", "concurrency": 4, **options}
    return {"target": {"openai": given}, "prompt": "Is {x} odd?"}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_an_endpoint_that_refuses_connections_ends_with_4(base: Base) -> None:
    base.write(rows=cases(10), candidates={"chat": chat(f"http://127.0.0.1:{free_port()}/v1")}, checks=CHECKS)
    with pytest.raises(UserError) as error:
        base.run()
    assert error.value.code == 4 and "no candidate could be reached" in str(error.value)


def test_an_endpoint_that_comes_back_lets_the_run_go_on(base: Base) -> None:
    port = free_port()
    base.write(
        rows=cases(10),
        candidates={"chat": {**chat("", **{"url-env": "CHAT_URL"}), "price": {"per-call": "0.01 CNY"}}},
        checks=CHECKS,
    )
    base.pilot.write_text(base.pilot.read_text().replace('"url": "",', ""))
    base.environment["CHAT_URL"] = f"http://127.0.0.1:{port}/v1"
    with pytest.raises(UserError) as error:
        base.run()
    assert error.value.code == 4
    with serving(answers("yes")) as server:
        base.environment["CHAT_URL"] = server.url
        with pytest.raises(UserError, match="candidate `chat`"):
            base.run()  # another address is another candidate
        assert base.run(fresh=True)["run"] == "small-2"


def test_the_others_go_on_beside_an_endpoint_that_refuses(base: Base) -> None:
    base.write(
        rows=cases(60),
        candidates={"chat": chat(f"http://127.0.0.1:{free_port()}/v1"), "good": base.python("good")},
        checks=[accuracy(">= 0.5")],
    )
    document = base.run()
    found = check_of(document, "capability/accuracy", "chat")
    assert found["verdict"] == "inconclusive" and "could not be reached" in " ".join(found["reasons"])
    assert found["planned"] == found["failed"] + found["not_asked"]
    assert verdicts(document)["good"] == "pass"


@pytest.mark.parametrize(
    ("behaviours", "failure", "failed"),
    [
        ((resets(),), "unreachable", 10),
        ((says(500),), "refused", 10),
        ((sends(b"{not json"),), "shape", 10),
        ((sends(b'{"choices": []}'),), "shape", 10),
        ((sends(b"<html>", kind="text/html"),), "shape", 10),
        ((drips(0.05),), "timeout", 10),
    ],
    ids=["resets", "500 for ever", "invalid json", "no choices", "a page", "one byte at a time"],
)
def test_calls_that_fail_are_failed_cases_or_an_unreachable_candidate(
    base: Base, behaviours: tuple[Behaviour, ...], failure: str, failed: int
) -> None:
    with serving(answers("yes"), *behaviours) as server:
        base.write(
            rows=cases(11),
            candidates={"chat": chat(server.url, timeout="500ms" if failure == "timeout" else "10s", concurrency=1)},
            checks=CHECKS,
        )
        document = base.run(early_stop=False)
    found = check_of(document, "capability/accuracy")
    assert (found["planned"], found["n"], found["failed"], found["not_asked"]) == (11, 11, failed, 0)
    kinds = [row["failure"] for row in base.evidence("small-1", "chat") if row["failure"]]
    assert len(kinds) == failed
    assert check_of(document, "capability/failures")["value"] == failed
    assert base.conclude()["candidates"] == document["candidates"]


def test_a_stream_that_is_cut_is_a_failed_case(base: Base) -> None:
    part = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "ye"}, "finish_reason": None}]}
    with serving(streams([part], cut=True)) as server:
        base.write(rows=cases(6), candidates={"chat": chat(server.url, stream=True)}, checks=CHECKS)
        document = base.run(early_stop=False)
    assert check_of(document, "capability/accuracy")["failed"] == 6


def test_429_then_200_is_an_answer_and_its_attempts_are_recorded(base: Base) -> None:
    turns = [says(429, retry_after="0"), answers("yes")] * 10
    with serving(*turns) as server:
        base.write(rows=cases(8), candidates={"chat": chat(server.url, retries=4, concurrency=1)}, checks=CHECKS)
        document = base.run(early_stop=False)
        assert len(server.bodies) == 16
    assert check_of(document, "capability/accuracy")["failed"] == 0
    assert {row["attempts"] for row in base.evidence("small-1", "chat")} == {2}


def test_nothing_but_the_inputs_reaches_an_endpoint(base: Base) -> None:
    rows = [{**row, "id": f"secret-{row['x']}", "site": "hidden-site"} for row in cases(6)]
    with serving(answers("yes")) as server:
        base.write(rows=rows, candidates={"chat": chat(server.url)}, checks=CHECKS, data={"groups": ["site"]})
        base.run()
        sent = str(server.bodies)
    assert "Is 1 odd?" in sent and "secret" not in sent and "hidden" not in sent and "label" not in sent
