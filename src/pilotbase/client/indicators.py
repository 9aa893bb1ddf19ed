"""Indicators, and what became of the cases."""

from collections.abc import Iterator
from typing import Literal

from pilotbase.client.catalogue_results import Funnel, Indicator, IndicatorRecord, Point
from pilotbase.client.http import Http
from pilotbase.client.reading import read

__all__ = ["Indicators"]


class Indicators:
    """Shares with what they are shares of."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __iter__(self) -> Iterator[Indicator]:
        return self.list()

    def list(self) -> Iterator[Indicator]:
        """What is counted, newest first."""
        return self._http.walk(Indicator, "/indicators")

    def get(self, indicator: str) -> IndicatorRecord:
        """One indicator with its points and projections."""
        return read(IndicatorRecord, self._http.get("/indicators/{indicator}", indicator=indicator))

    def declare(
        self,
        title: str,
        *,
        numerator: str,
        denominator: str,
        population: str,
        source: str,
        basis: Literal["census", "sample"] = "census",
    ) -> Indicator:
        """Say what is counted; it is never changed afterwards."""
        body = {"title": title, "numerator": numerator, "denominator": denominator, "population": population}
        return read(Indicator, self._http.post("/indicators", {**body, "source": source, "basis": basis}))

    def record(self, indicator: str, period: str, *, numerator: int, denominator: int) -> Point:
        """The counts of a period that has ended, as in `2026`, `2026-Q3` or `2026-06`, in place of those before."""
        body = {"numerator": numerator, "denominator": denominator}
        found = self._http.put("/indicators/{indicator}/points/{period}", body, indicator=indicator, period=period)
        return read(Point, found)

    def funnel(self) -> Funnel:
        """How far cases come, how fast, and what came of them."""
        return read(Funnel, self._http.get("/funnel"))
