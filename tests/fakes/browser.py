"""Debian's Chromium as one test file's browser, and a record of what went wrong in it and of whom it asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tests.fakes.patience import PATIENCE

__all__ = ["BROWSER", "MISSING", "Watch", "chromium", "watched_context"]

BROWSER = Path("/usr/bin/chromium")
MISSING = f"NO BROWSER: {BROWSER} is missing, so the console was not tried in one"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@dataclass
class Watch:
    """What a browser said and asked. `faults` are errors of scripts, of the policy and of loading; `asked` are addresses."""

    host: str
    faults: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    expected: tuple[int, ...] = ()
    """Statuses whose message of the console (`Failed to load resource`) is no fault."""

    @property
    def elsewhere(self) -> list[str]:
        """Requests to any other host."""
        return [url for url in self.asked if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != self.host]

    def look_at(self, page: Page) -> None:
        """Watch one page of the browser."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _said(self, message: Any) -> None:
        if message.type not in ("error", "warning"):
            return
        if any(f"status of {status} " in message.text for status in self.expected):
            return
        self.faults.append(f"{message.type}: {message.text}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(BROWSER), args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_context(browser: Browser, url: str, **options: Any) -> Iterator[tuple[BrowserContext, Watch]]:
    """A browser of somebody's own: no cookies yet, and everything it asks for is written down."""
    context = browser.new_context(base_url=url, **options)
    watch = Watch(urlsplit(url).netloc)
    context.on("request", lambda request: watch.asked.append(request.url))
    context.on("page", watch.look_at)
    context.set_default_timeout(PATIENCE * 1000)
    try:
        yield context, watch
    finally:
        context.close()
