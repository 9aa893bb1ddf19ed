"""Where pages are whose path holds a name with signs of its own."""

from urllib.parse import quote, unquote

__all__ = ["ROUTE_PATH", "route_link", "route_named"]

ROUTE_PATH = "/console/gateway/routes/{route}"


def route_link(name: str) -> str:
    """Where a route's page is. Its name may hold slashes, which a path keeps only where they are quoted once more."""
    return ROUTE_PATH.replace("{route}", quote(quote(name, safe=""), safe=""))


def route_named(part: str) -> str:
    """The name in the last part of such a path, however often it was unquoted before: no route's name has a per cent sign."""
    return unquote(unquote(part))
