"""The name of a home, by which rows in a shared database say where their files lie."""

from secrets import token_hex

from pilotbase.context import Context

__all__ = ["home_name"]


def home_name(context: Context) -> str:
    """8 hexadecimal digits, made once; the gateway of the home and its workers are named after it too."""
    path = context.home / "gateway" / "name"
    found = context.disk.find(path)
    if found is None:
        context.disk.make_folder(path.parent)
        context.disk.write_whole(path, token_hex(4).encode())
        found = context.disk.read(path)
    return found.decode("ascii", "replace").strip()
