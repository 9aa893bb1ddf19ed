"""All pages of the console, in the order of the menu."""

from pilotbase.console.page import Page
from pilotbase.console.pages import (
    audit,
    cases,
    catalog,
    gateway,
    home,
    incidents,
    indicators,
    jobs,
    members,
    own,
    pilots,
    releases,
    runs,
    settings,
    tokens,
)

__all__ = ["PAGES"]

PAGES: tuple[Page, ...] = (
    *home.PAGES,
    *pilots.PAGES,
    *catalog.PAGES,
    *cases.PAGES,
    *runs.PAGES,
    *jobs.PAGES,
    *gateway.PAGES,
    *releases.PAGES,
    *incidents.PAGES,
    *indicators.PAGES,
    *members.PAGES,
    *audit.PAGES,
    *settings.PAGES,
    *own.PAGES,
    *tokens.PAGES,
)
