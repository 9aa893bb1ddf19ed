"""Small charts as inline SVG. Colours come from the page's style by class; each chart has a title and a description in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from pilotbase.dossier.figures import DASH, count, figure, number, share
from pilotbase.dossier.reading import CheckView
from pilotbase.dossier.words import word

__all__ = ["calibration_chart", "group_chart", "group_span", "histogram", "interval_chart", "span"]

_EDGE = 12.0  # room left and right of an axis, for arrows


def span(check: CheckView) -> tuple[float, float] | None:
    """The axis of a check: its value, bounds and threshold with room around, kept in [0, 1] for shares; None without a figure."""
    known = [x for x in (check.value, check.low, check.high) if x is not None]
    return _around([*known, *([check.threshold] if check.threshold is not None else [])], check.unit) if known else None


def group_span(check: CheckView) -> tuple[float, float] | None:
    """The axis that all groups of a check share; None without a figure."""
    known = [x for part in check.parts for k in ("value", "low", "high") if (x := figure(part.get(k))) is not None]
    return _around(known, check.unit) if known else None


def _around(points: Sequence[float], unit: str) -> tuple[float, float]:
    low, high = min(points), max(points)
    room = 0.18 * (high - low) or 0.1 * abs(low) or 0.1
    if not unit and low >= 0 and high <= 1:
        return max(0.0, low - room), min(1.0, high + room)
    return low - room, high + room


def _head(width: float, height: float, kind: str, uid: str, *, title: str, desc: str) -> Markup:
    return Markup(
        '<svg class="chart {kind}" viewBox="0 0 {w:g} {h:g}" width="{w:g}" height="{h:g}" role="img" '
        'aria-labelledby="{uid}-t {uid}-d">'
        '<title id="{uid}-t">{title}</title><desc id="{uid}-d">{desc}</desc>'
    ).format(kind=kind, w=width, h=height, uid=uid, title=title, desc=desc)


def _bar(x: Any, y: float, figures: tuple[float | None, float | None, float | None], verdict: str) -> Markup:
    """An interval with its value; an open end is an arrow to the edge of the axis."""
    low, high, value = figures
    left, right = x(None, False) if low is None else x(low), x(None, True) if high is None else x(high)
    parts = [
        Markup('<line class="bar {v}" x1="{a:.1f}" x2="{b:.1f}" y1="{y:g}" y2="{y:g}"/>').format(
            v=verdict, a=left, b=max(right, left + 0.5), y=y
        )
    ]
    for at, known, way in ((left, low is not None, 1), (right, high is not None, -1)):
        shape = "M{x:.1f} {top:g}V{bottom:g}" if known else "M{inner:.1f} {top:g}L{x:.1f} {y:g}L{inner:.1f} {bottom:g}"
        path = shape.format(x=at, y=y, top=y - 5, bottom=y + 5, inner=at + 6 * way)
        parts.append(Markup('<path class="end {v}" d="{d}"/>').format(v=verdict, d=path))
    if value is not None:
        parts.append(Markup('<circle class="dot {v}" cx="{x:.1f}" cy="{y:g}" r="4.5"/>').format(v=verdict, x=x(value), y=y))
    return Markup("").join(parts)


def _scale(low: float, high: float, width: float) -> Any:
    """Value -> x. `x(None, right)` is the open end on that side."""

    def x(value: float | None, right: bool = False) -> float:
        if value is None:
            return width - 2.0 if right else 2.0
        return _EDGE + (width - 2 * _EDGE) * (value - low) / (high - low)

    return x


def interval_chart(check: CheckView, uid: str, language: str) -> Markup:
    """The interval low..high with the value's dot, the threshold's line, and the side that passes shaded. Empty "
    "without a figure."""
    axis = span(check)
    if axis is None:
        return Markup("")
    width, height, y = 300.0, 54.0, 18.0
    x = _scale(*axis, width)
    text = _desc(check, language)
    drawn = [_head(width, height, "interval", uid, title=word("chart-title", language, check=check.title), desc=text)]
    if check.threshold is not None:
        at = x(check.threshold)
        if check.op in (">=", "<="):
            left, right = (at, width) if check.op == ">=" else (0.0, at)
            drawn.append(
                Markup('<rect class="side" x="{a:.1f}" y="2" width="{w:.1f}" height="32"/>').format(
                    a=left, w=max(0.0, right - left)
                )
            )
        drawn.append(Markup('<line class="axis" x1="0" x2="{w:g}" y1="34" y2="34"/>').format(w=width))
        drawn.append(Markup('<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="38"/>').format(x=at))
        shown = f"{check.op} {number(check.threshold, check.unit)}"
        drawn.append(_label(at, 50.0, shown, width, "limit-text"))
    else:
        drawn.append(Markup('<line class="axis" x1="0" x2="{w:g}" y1="34" y2="34"/>').format(w=width))
    drawn.append(_bar(x, y, (check.low, check.high, check.value), check.verdict))
    return Markup("").join([*drawn, Markup("</svg>")])


def _desc(check: CheckView, language: str) -> str:
    def end(value: float | None) -> str:
        return word("chart-open", language) if value is None else share(value, check.threshold, check.unit)

    said = [word("chart-value", language, value=check.value_text)] if check.value is not None else []
    if check.low is not None or check.high is not None:
        said.append(word("chart-between", language, low=end(check.low), high=end(check.high)))
    if check.threshold is not None:
        said.append(word("chart-threshold", language, require=check.require))
    said.append(word(check.verdict, language))
    return " ".join(said)


def _label(x: float, y: float, text: str, width: float, kind: str) -> Markup:
    """A label under its mark, kept inside the drawing."""
    half = 3.6 * len(text)
    anchor, at = ("start", 0.0) if x < half else ("end", width) if x > width - half else ("middle", x)
    return Markup('<text class="{k}" x="{x:.1f}" y="{y:g}" text-anchor="{a}">{t}</text>').format(
        k=kind, x=at, y=y, a=anchor, t=text
    )


def group_chart(part: Mapping[str, Any], axis: tuple[float, float], unit: str, uid: str, language: str) -> Markup:
    """One group's interval on the axis that all groups of the check share."""
    low, high, value = (figure(part.get(k)) for k in ("low", "high", "value"))
    width, height = 220.0, 22.0
    group = str(part.get("group") or DASH)
    said = word("chart-group", language, group=group, value=number(value, unit), low=number(low, unit), high=number(high, unit))
    drawn = [
        _head(width, height, "group", uid, title=group, desc=said),
        Markup('<line class="axis" x1="0" x2="{w:g}" y1="11" y2="11"/>').format(w=width),
    ]
    if (low, high, value) != (None, None, None):
        drawn.append(_bar(_scale(*axis, width), 11.0, (low, high, value), "plain"))
    return Markup("").join([*drawn, Markup("</svg>")])


def histogram(bins: Sequence[Any], uid: str, language: str) -> Markup:
    """Counts of calls by time, one bar of equal width for each range (`from`, `to` in seconds; `to` may be open)."""
    bins = [b for b in bins if isinstance(b, Mapping)]
    counts = [max(0, count(b.get("count")) or 0) for b in bins]
    if not counts or not max(counts):
        return Markup("")
    width, height, base = 520.0, 170.0, 140.0
    step, most = (width - 20) / len(bins), max(counts)
    names = [_range(b, language) for b in bins]
    desc = word("latency-desc", language, count=number(sum(counts)), bins=len(bins), mode=names[counts.index(most)])
    drawn = [_head(width, height, "histogram", uid, title=word("latency", language), desc=desc)]
    for i, seen in enumerate(counts):
        tall = (base - 22) * seen / most
        drawn.append(
            Markup(
                '<rect class="column" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"><title>{t}</title></rect>'
            ).format(x=10 + i * step + 1, y=base - tall, w=max(1.0, step - 2), h=tall, t=f"{names[i]}: {number(seen)}")
        )
        if len(bins) <= 16:
            drawn.append(_label(10 + (i + 0.5) * step, base - tall - 5, number(seen), width, "count-text"))
    drawn.append(Markup('<line class="axis" x1="0" x2="{w:g}" y1="{y:g}" y2="{y:g}"/>').format(w=width, y=base))
    every = max(1, -(-len(bins) // 4))  # five labels at most: more run into each other
    for i in range(0, len(bins), every):
        drawn.append(_label(10 + i * step, base + 16, number(bins[i].get("from"), "s"), width, "axis-text"))
    if bins[-1].get("to") is not None and (len(bins) % every == 0 or len(bins) <= 4):
        drawn.append(_label(width - 10, base + 16, number(bins[-1].get("to"), "s"), width, "axis-text"))
    return Markup("").join([*drawn, Markup("</svg>")])


def _range(given: Mapping[str, Any], language: str) -> str:
    low = number(given.get("from"), "s")
    return (
        word("range-open", language, low=low)
        if given.get("to") is None
        else word("range", language, low=low, high=number(given.get("to"), "s"))
    )


def calibration_chart(bins: Sequence[Any], uid: str, language: str) -> Markup:
    """Share of positives by mean score, with bounds, beside the diagonal of a perfectly calibrated score. Both "
    "axes run from 0 to 1."""
    points = [
        b
        for b in bins
        if isinstance(b, Mapping) and figure(b.get("mean_score")) is not None and figure(b.get("share_positive")) is not None
    ]
    if not points:
        return Markup("")
    size, left, top, plot = 272.0, 48.0, 8.0, 210.0
    desc = word("calibration-desc", language, bins=len(points), count=number(sum(count(b.get("n")) or 0 for b in points)))

    def at(value: Any, fallback: Any = None) -> float:
        known = figure(value)
        return min(1.0, max(0.0, float(fallback) if known is None else known)) * plot

    drawn = [
        _head(size, size, "calibration", uid, title=word("calibration", language), desc=desc),
        Markup('<rect class="frame" x="{x:g}" y="{y:g}" width="{p:g}" height="{p:g}"/>').format(x=left, y=top, p=plot),
        Markup('<line class="limit" x1="{a:g}" y1="{b:g}" x2="{c:g}" y2="{d:g}"/>').format(
            a=left, b=top + plot, c=left + plot, d=top
        ),
    ]
    for tick in (0, 0.5, 1):
        drawn.append(_text(left - 6, top + plot - at(tick) + 4, number(tick), "end"))
        drawn.append(_text(left + at(tick), top + plot + 16, number(tick), "middle"))
    drawn.append(_text(left + plot / 2, size - 10, word("score", language), "middle"))
    drawn.append(
        Markup('<text class="axis-text" transform="translate(14 {y:g}) rotate(-90)" text-anchor="middle">{t}</text>').format(
            y=top + plot / 2, t=word("positives", language)
        )
    )
    for b in points:
        x, y = left + at(b["mean_score"]), top + plot - at(b["share_positive"])
        low, high = top + plot - at(b.get("low"), b["share_positive"]), top + plot - at(b.get("high"), b["share_positive"])
        said = word(
            "chart-group",
            language,
            group=number(b["mean_score"]),
            value=number(b["share_positive"]),
            low=number(b.get("low")),
            high=number(b.get("high")),
        )
        drawn.append(
            Markup(
                '<g><title>{t}</title><path class="whisker" d="M{x:.1f} {a:.1f}V{b:.1f}"/>'
                '<circle class="dot plain" cx="{x:.1f}" cy="{y:.1f}" r="4"/></g>'
            ).format(t=said, x=x, y=y, a=high, b=low)
        )
    return Markup("").join([*drawn, Markup("</svg>")])


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text class="axis-text" x="{x:g}" y="{y:g}" text-anchor="{a}">{t}</text>').format(x=x, y=y, a=anchor, t=text)
