"""The paths that the gateway serves under `/v1`, and what kind of body each takes.

Source: the OpenAPI description of OpenAI's API, 2.3.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["ENDPOINTS", "Endpoint", "Kind"]

Kind = Literal[
    "chat",
    "completions",
    "responses",
    "embeddings",
    "moderations",
    "speech",
    "transcriptions",
    "translations",
    "images",
    "image-edits",
    "image-variations",
    "rerank",
    "infer",
]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path that is metered: `path` is what follows `/v1`, and what is appended to an upstream's root."""

    kind: Kind
    path: str
    body: Literal["json", "multipart"] = "json"
    streams: bool = False


ENDPOINTS: Mapping[str, Endpoint] = {
    one.path: one
    for one in (
        Endpoint("chat", "/chat/completions", streams=True),
        Endpoint("completions", "/completions", streams=True),
        Endpoint("responses", "/responses", streams=True),
        Endpoint("embeddings", "/embeddings"),
        Endpoint("moderations", "/moderations"),
        Endpoint("speech", "/audio/speech", streams=True),
        Endpoint("transcriptions", "/audio/transcriptions", body="multipart", streams=True),
        Endpoint("translations", "/audio/translations", body="multipart"),
        Endpoint("images", "/images/generations", streams=True),
        Endpoint("image-edits", "/images/edits", body="multipart", streams=True),
        Endpoint("image-variations", "/images/variations", body="multipart"),
        Endpoint("rerank", "/rerank"),
    )
}
