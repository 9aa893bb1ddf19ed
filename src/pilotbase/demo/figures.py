"""The demonstration's indicator: made-up counts, and said so in its source."""

from pilotbase.context import Context
from pilotbase.demo.contents import contents
from pilotbase.domain.account import Member
from pilotbase.domain.indicator import Indicator, Point
from pilotbase.flows.indicators import declare, record

__all__ = ["add_figures"]


def add_figures(context: Context, operator: Member) -> int:
    """Declare the indicators with their points; how many indicators it were."""
    now, told = context.clock.now(), contents()["indicators"]
    for one in told:
        words = {name: value for name, value in one.items() if name != "points"}
        made = declare(context, operator, Indicator(id="", created=now, **words))
        for period, numerator, denominator in one["points"]:
            record(context, operator, made.id, Point(period=period, numerator=numerator, denominator=denominator, recorded=now))
    return len(told)
