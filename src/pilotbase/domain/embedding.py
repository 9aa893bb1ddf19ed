"""A model that turns texts into vectors, behind an endpoint that speaks as OpenAI's `/v1/embeddings` does."""

from dataclasses import dataclass, field

__all__ = ["EmbeddingModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingModel:
    """`url` is the API's root (`https://models.example/v1`), `name` the model's. The key is never shown."""

    url: str
    name: str
    key: str = field(default="", repr=False)
