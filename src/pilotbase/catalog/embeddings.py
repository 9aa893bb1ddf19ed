"""Vectors of texts from a model that the operator named, each asked for once and kept by its digest."""

import base64
import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, MutableMapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from pilotbase.domain.embedding import EmbeddingModel
from pilotbase.errors import UserError
from pilotbase.store.audit import stamp
from pilotbase.store.database import Database

__all__ = ["BATCH", "Ask", "Vector", "ask_model", "cosine", "vectors"]

Vector = NDArray[np.float32]
Ask = Callable[[EmbeddingModel, Sequence[str]], list[list[float]]]
BATCH = 32
_WAIT: Final = 20.0
_LARGEST: Final = 32 << 20
_MOST: Final = 50_000  # vectors in memory
_LONGEST: Final = 8000  # characters of a text that are sent
_HINT: Final = "an operator checks PILOTBASE_EMBEDDINGS and its model; until then words alone decide"


class _Nowhere(urllib.request.HTTPRedirectHandler):
    """The address is final: a key never follows a redirect."""

    def redirect_request(self, *given: Any, **named: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Nowhere, urllib.request.ProxyHandler())


def ask_model(model: EmbeddingModel, texts: Sequence[str]) -> list[list[float]]:
    """One vector a text, in the order of the texts. UserError (502), which repeats nothing of what was sent or answered."""
    body = orjson.dumps({"model": model.name, "input": [text[:_LONGEST] for text in texts], "encoding_format": "float"})
    headers = {"content-type": "application/json", "accept": "application/json", "user-agent": "pilotbase"}
    if model.key:
        headers["authorization"] = f"Bearer {model.key}"
    request = urllib.request.Request(f"{model.url.rstrip('/')}/embeddings", data=body, headers=headers)
    try:
        with _OPENER.open(request, timeout=_WAIT) as answer:
            told = orjson.loads(answer.read(_LARGEST))
    except urllib.error.HTTPError as error:
        raise UserError(f"the embedding model answers {error.code}", hint=_HINT, status=502) from None
    except (OSError, ValueError):
        raise UserError("the embedding model cannot be reached, or its answer cannot be read", hint=_HINT, status=502) from None
    found = {}
    for place, one in enumerate(told.get("data", ()) if isinstance(told, dict) else ()):
        if isinstance(one, dict) and isinstance(one.get("embedding"), list):
            found[one.get("index", place)] = one["embedding"]
    if set(found) != set(range(len(texts))) or not _even(list(found.values())):
        raise UserError("the embedding model's answer is not one vector for each text", hint=_HINT, status=502)
    return [found[place] for place in range(len(texts))]


def vectors(
    database: Database,
    model: EmbeddingModel,
    texts: Sequence[str],
    *,
    now: datetime,
    most: int,
    ask: Ask = ask_model,
    kept: MutableMapping[str, Vector] | None = None,
) -> list[Vector | None]:
    """The vector of each text, of length 1; None for those beyond the `most` that the model is newly asked for at one time.

    `kept` holds those that were read before, by digest, and gets the others. UserError (502) from the model, after what it
    answered before is stored.
    """
    digests = [hashlib.sha256(f"{model.name}\0{text}".encode("utf-8", "replace")).hexdigest() for text in texts]
    known = kept if kept is not None else {}
    if len(known) > _MOST:
        known.clear()
    known.update(_kept(database, [digest for digest in digests if digest not in known]))
    missing = [place for place, digest in enumerate(digests) if digest not in known][:most]
    for start in range(0, len(missing), BATCH):
        part = missing[start : start + BATCH]
        answered = ask(model, [texts[place] for place in part])
        fresh = {digests[place]: _unit(answer) for place, answer in zip(part, answered, strict=True)}
        known.update(fresh)
        sql = "INSERT INTO embeddings (digest, vector, made) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING"
        rows = [(digest, base64.b64encode(one.astype("<f4").tobytes()).decode(), stamp(now)) for digest, one in fresh.items()]
        database.execute_many(sql, rows)
    return [known.get(digest) for digest in digests]


def cosine(one: Vector, other: Vector) -> float:
    """The cosine of two vectors of length 1; 0 where a model that was changed gave them other sizes."""
    return float(one @ other) if one.shape == other.shape else 0.0


def _kept(database: Database, digests: Sequence[str]) -> dict[str, Vector]:
    found: dict[str, Vector] = {}
    for start in range(0, len(digests), 200):
        part = digests[start : start + 200]
        marks = ", ".join("?" * len(part))
        for row in database.rows(f"SELECT digest, vector FROM embeddings WHERE digest IN ({marks})", tuple(part)):
            found[row["digest"]] = np.frombuffer(base64.b64decode(row["vector"]), dtype="<f4").astype(np.float32)
    return found


def _unit(numbers: Sequence[float]) -> Vector:
    vector = np.asarray(numbers, dtype=np.float32)
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 0.0 else vector


def _even(found: Sequence[Any]) -> bool:
    """Whether all are lists of as many finite numbers."""
    try:
        return bool(np.isfinite(np.asarray(found, dtype=np.float32)).all())
    except (ValueError, TypeError):
        return False
