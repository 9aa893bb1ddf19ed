"""The composition root: settings in, an opened context out."""

from collections.abc import Iterator
from contextlib import contextmanager

from pilotbase.context import Context, SystemClock, open_context
from pilotbase.domain.embedding import EmbeddingModel
from pilotbase.errors import UserError
from pilotbase.settings import Settings, read_settings
from pilotbase.store.disk import LocalDisk

__all__ = ["opened"]


@contextmanager
def opened(settings: Settings | None = None) -> Iterator[Context]:
    """The context of the home, and of the database, that the settings name."""
    found = settings or read_settings()
    with open_context(
        found.home,
        disk=LocalDisk(),
        clock=SystemClock(),
        secrets=found.secret,
        database=found.database,
        bounds=found.bounds,
        mail=found.mail,
        public_url=found.public_url,
        embeddings=_embeddings(found),
    ) as context:
        yield context


def _embeddings(settings: Settings) -> EmbeddingModel | None:
    """The model that the settings name. UserError for half of one."""
    url, name = settings.embeddings, settings.embeddings_model
    if not (url or name):
        return None
    if not (url and name and url.startswith(("http://", "https://"))):
        hint = (
            "set PILOTBASE_EMBEDDINGS to the API's root, as https://models.example/v1, and PILOTBASE_EMBEDDINGS_MODEL to a model"
        )
        raise UserError("an embedding model is named in part", hint=hint)
    return EmbeddingModel(url=url, name=name, key=settings.secret("PILOTBASE_EMBEDDINGS_KEY") or "")
