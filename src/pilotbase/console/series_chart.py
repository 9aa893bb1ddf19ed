"""A share over time as SVG: its points with their bounds, the lines to be reached, the projection. A table says the same."""

from collections.abc import Callable

from markupsafe import Markup

from pilotbase.domain.indicator import in_years
from pilotbase.flows.indicators import Series

__all__ = ["series_chart"]

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 640.0, 260.0, 44.0, 14.0, 14.0, 30.0
_MOST_YEARS = 8


def series_chart(series: Series, uid: str, t: Callable[[str], str]) -> Markup:
    """The chart; empty without a point. `uid` keeps the ids of one page apart."""
    if not series.points:
        return Markup("")
    times = [in_years(point.period) for point, _ in series.points]
    first, last = float(int(min(times))), max(float(series.projected[-1].year + 1), *times)

    def x(time: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (time - first) / max(last - first, 1.0)

    def y(share: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1.0 - share)

    parts = [*_axes(x, y, int(first), int(last)), *_lines(series, x, y), *_ahead(series, x, y)]
    for time, (_, share) in zip(times, series.points, strict=True):
        if share.value is None:
            continue
        if share.low is not None and share.high is not None and share.low < share.high:
            parts.append(_line("whisker", x(time), y(share.low), x(time), y(share.high)))
        parts.append(Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(x(time), y(share.value)))
    newest, share = series.points[-1]
    told = t("%(title)s: %(share)s in %(period)s") % {
        "title": series.indicator.title,
        "share": f"{100 * (share.value or 0.0):.1f} %",
        "period": newest.period,
    }
    head = Markup(
        '<svg class="chart series" viewBox="0 0 {w:g} {h:g}" width="{w:g}" height="{h:g}" role="img" aria-labelledby="{uid}-t">'
        '<title id="{uid}-t">{told}</title>'
    ).format(w=_WIDTH, h=_HEIGHT, uid=uid, told=told)
    return head + Markup("").join(parts) + Markup("</svg>")


Scale = Callable[[float], float]


def _axes(x: Scale, y: Scale, first: int, last: int) -> list[Markup]:
    parts = []
    for tenth in (0, 25, 50, 75, 100):
        parts.append(_line("grid", _LEFT, y(tenth / 100), _WIDTH - _RIGHT, y(tenth / 100)))
        parts.append(_text("axis-text", _LEFT - 6, y(tenth / 100) + 4, f"{tenth} %", "end"))
    step = max(1, -(-(last - first) // _MOST_YEARS))
    parts += [_text("axis-text", x(year + 0.5), _HEIGHT - 10, str(year), "middle") for year in range(first, last, step)]
    return parts


def _lines(series: Series, x: Scale, y: Scale) -> list[Markup]:
    """What is to be reached by the end of a year: a mark at that time, with its level."""
    parts = []
    for one in series.projected:
        end = x(one.year + 1.0)
        parts.append(_line("limit", _LEFT, y(one.line), end, y(one.line)))
        parts.append(_line("limit", end, y(one.line), end, y(0.0)))
        parts.append(_text("limit-text", end - 4, y(one.line) - 5, f"{100 * one.line:.0f} % · {one.year}", "end"))
    return parts


def _ahead(series: Series, x: Scale, y: Scale) -> list[Markup]:
    found = [(x(time), one.value, one.low, one.high) for time, one in series.ahead]
    whole = [(at, y(value), y(low), y(high)) for at, value, low, high in found if None not in (value, low, high)]  # type: ignore[arg-type]
    if len(whole) < 2:
        return []
    edge = [(at, low) for at, _, low, _ in whole] + [(at, high) for at, _, _, high in reversed(whole)]
    return [
        Markup('<polygon class="band" points="{}"/>').format(_points(edge)),
        Markup('<polyline class="trend" points="{}"/>').format(_points([(at, value) for at, value, _, _ in whole])),
    ]


def _points(places: list[tuple[float, float]]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in places)


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _text(kind: str, x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(kind, x, y, anchor, text)
