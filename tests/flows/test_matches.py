"""Matching over what is published: it follows every change, and asks a model for vectors where one is named."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from pilotbase.app import opened
from pilotbase.catalog import entries
from pilotbase.catalog.embeddings import ask_model
from pilotbase.context import Context, open_context
from pilotbase.domain.embedding import EmbeddingModel
from pilotbase.domain.entry import Acceptance, Capability, Need
from pilotbase.errors import UserError
from pilotbase.flows.matches import AT_ONCE, matches
from pilotbase.settings import read_settings
from pilotbase.store.disk import LocalDisk

NOW = datetime(2026, 11, 20, tzinfo=UTC)
NEED = Need(
    id="", organisation="o", created=NOW, title="肺结节初筛", text="基层胸片", area="livelihood", data="public",
    acceptance=(Acceptance(metric="sensitivity", require=">= 0.95"),),
)  # fmt: skip
OFFER = Capability(id="", organisation="v", created=NOW, title="肺结节检出", text="胸片")
MODEL = EmbeddingModel(url="http://models.example/v1", name="m", key="sk-secret-1")


class Still:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Context]:
    with open_context(tmp_path / "home", disk=LocalDisk(), clock=Still(), secrets={}.get) as context:
        yield context


def published(base: Context, entry: Any) -> Any:
    made = entries.create(base.database, entry, who="t", now=NOW)
    return entries.set_state(base.database, type(entry), made.id, "published", version=1, who="t", now=NOW)


def ids(base: Context, asking: Any, **more: Any) -> list[str]:
    return [one.entry.id for one in matches(base, asking, **more).fits]


def test_what_is_published_changed_or_withdrawn_is_matched_as_it_is_now(base: Context) -> None:
    need, one = published(base, NEED), published(base, OFFER)
    entries.create(base.database, replace(OFFER, title="肺结节草稿"), who="t", now=NOW)
    found = matches(base, need)
    assert [match.entry for match in found.fits] == [one] and (found.of, found.meaning, found.trouble) == (1, None, None)
    assert ids(base, one) == [need.id]
    two = published(base, replace(OFFER, title="胸片归档", text="存储"))
    assert ids(base, need) == [one.id, two.id]
    entries.change(base.database, replace(one, title="warehouse robot", text="boxes"), who="t", now=NOW)
    assert ids(base, need) == [two.id]
    entries.set_state(base.database, Capability, two.id, "withdrawn", version=2, who="t", now=NOW)
    assert ids(base, need) == [] and matches(base, need).of == 1


def test_a_draft_is_shown_what_would_fit_it(base: Context) -> None:
    one = published(base, OFFER)
    draft = entries.create(base.database, NEED, who="t", now=NOW)
    assert ids(base, draft) == [one.id] and ids(base, one) == []


def test_vectors_are_asked_for_once_and_bring_in_what_words_cannot(base: Context) -> None:
    asked: list[str] = []

    def ask(model: EmbeddingModel, texts: Sequence[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[1.0, 0.0] if "nodule" in text or "结节" in text else [0.0, 2.0] for text in texts]

    modelled = replace(base, embeddings=MODEL)
    need, own = published(base, NEED), published(base, OFFER)
    foreign = published(base, replace(OFFER, title="Lung nodule finder", text="radiographs"))
    assert ids(base, need) == [own.id]
    found = matches(modelled, need, ask=ask)
    assert [one.entry.id for one in found.fits] == [own.id, foreign.id] and found.meaning == 2
    assert found.fits[1].meaning == pytest.approx(1.0) and len(asked) == 3
    assert ids(modelled, need, ask=ask) == [own.id, foreign.id] and len(asked) == 3


def test_a_model_is_asked_for_so_many_at_a_time_and_the_rest_when_one_looks_again(base: Context) -> None:
    sizes: list[int] = []

    def ask(model: EmbeddingModel, texts: Sequence[str]) -> list[list[float]]:
        sizes.append(len(texts))
        return [[1.0, 1.0]] * len(texts)

    for number in range(AT_ONCE + 6):
        published(base, replace(OFFER, title=f"胸片 {number}"))
    modelled = replace(base, embeddings=MODEL)
    assert matches(modelled, NEED, ask=ask).meaning == AT_ONCE - 1 and sizes == [32, 32]
    assert matches(modelled, NEED, ask=ask).meaning == AT_ONCE + 6 and sizes == [32, 32, 7]


def test_a_model_that_fails_leaves_the_ranking_by_words(base: Context) -> None:
    def ask(model: EmbeddingModel, texts: Sequence[str]) -> list[list[float]]:
        raise UserError("the embedding model answers 500", status=502)

    need, one = published(base, NEED), published(base, OFFER)
    found = matches(replace(base, embeddings=MODEL), need, ask=ask)
    assert [match.entry.id for match in found.fits] == [one.id] and "answers 500" in str(found.trouble)


@contextmanager
def endpoint(status: int, answer: bytes) -> Iterator[tuple[str, list[Any]]]:
    """An API in this process that gives one answer, and what it was sent."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append((self.path, self.headers.get("authorization"), orjson.loads(body)))
            self.send_response(status)
            if status == 302:
                self.send_header("location", "http://127.0.0.1:1/")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
        server.shutdown()
        thread.join(timeout=30)


def test_the_model_is_asked_as_openai_has_it_and_answers_in_any_order() -> None:
    told = orjson.dumps({"data": [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}]})
    with endpoint(200, told) as (url, seen):
        assert ask_model(replace(MODEL, url=url + "/"), ["a", "b"]) == [[1, 0], [0, 1]]
    path, key, body = seen[0]
    assert (path, key) == ("/v1/embeddings", "Bearer sk-secret-1")
    assert body == {"model": "m", "input": ["a", "b"], "encoding_format": "float"}


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (500, b"sk-secret-1", "answers 500"),
        (302, b"", "answers 302"),
        (200, b"<html>", "cannot be read"),
        (200, b"[]", "not one vector for each text"),
        (200, b'{"data":[{"embedding":[1]}]}', "not one vector for each text"),
        (200, b'{"data":[{"embedding":[1]},{"embedding":[1,2]}]}', "not one vector for each text"),
        (200, b'{"data":[{"embedding":["x"]},{"embedding":["y"]}]}', "not one vector for each text"),
    ],
)
def test_a_wrong_answer_is_told_without_what_was_sent(status: int, answer: bytes, told: str) -> None:
    with endpoint(status, answer) as (url, _), pytest.raises(UserError, match=told) as refused:
        ask_model(replace(MODEL, url=url), ["private words", "b"])
    assert refused.value.status == 502 and "sk-secret" not in str(refused.value) and "private" not in str(refused.value)
    assert "sk-secret" not in repr(MODEL)


def test_a_model_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="cannot be reached"):
        ask_model(replace(MODEL, url="http://127.0.0.1:9/v1"), ["a"])


def test_the_settings_name_a_model_whole_or_not_at_all(tmp_path: Path) -> None:
    home = {"PILOTBASE_HOME": str(tmp_path)}
    whole = {**home, "PILOTBASE_EMBEDDINGS": "https://m.example/v1", "PILOTBASE_EMBEDDINGS_MODEL": "m"}
    with opened(read_settings({**whole, "PILOTBASE_EMBEDDINGS_KEY": "k"})) as context:
        assert context.embeddings == EmbeddingModel(url="https://m.example/v1", name="m", key="k")
    for wrong in ({**home, "PILOTBASE_EMBEDDINGS_MODEL": "m"}, {**whole, "PILOTBASE_EMBEDDINGS": "m.example"}):
        with pytest.raises(UserError, match="named in part"), opened(read_settings(wrong)):
            pass
