"""All pages of the console, in the order of the menu."""

from pilotbase.console.page import Page
from pilotbase.console.pages import audit, gateway, home, incidents, jobs, members, own, pilots, releases, runs

__all__ = ["PAGES"]

PAGES: tuple[Page, ...] = (
    *home.PAGES,
    *pilots.PAGES,
    *runs.PAGES,
    *jobs.PAGES,
    *gateway.PAGES,
    *releases.PAGES,
    *incidents.PAGES,
    *members.PAGES,
    *audit.PAGES,
    *own.PAGES,
)
