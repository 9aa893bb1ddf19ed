"""The secret of a run, from which every salt of its dossiers comes. The custodian keeps it."""

from pilotbase.context import Context
from pilotbase.dossier.commitments import new_secret

__all__ = ["run_secret"]


def run_secret(context: Context, run: str) -> bytes:
    """32 bytes in the run's folder, mode 0600, made when first asked for."""
    path = context.run_folder(run) / "secret"
    found = context.disk.find(path)
    if found is None:
        context.disk.write_whole(path, new_secret(), 0o600)
        found = context.disk.read(path)
    return found
