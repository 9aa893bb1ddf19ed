"""Charts of the console: the dossier's own, of what is measured live. The figures stand in a table beside each."""

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from pilotbase.domain.quantity import parse_require
from pilotbase.dossier.charts import interval_chart
from pilotbase.dossier.figures import interval, share
from pilotbase.dossier.reading import CheckView
from pilotbase.dossier.words import metric_title

__all__ = ["live_chart", "live_view"]


def live_view(check: Mapping[str, Any], language: str) -> CheckView:
    """A check of what was seen last (`flows.release_sight`), as the dossier's charts take it."""
    require = parse_require(check["require"])
    low, high, value = (_finite(check[word]) for word in ("low", "high", "value"))
    threshold = require.value if require.op in (">=", "<=") else None
    unit = str(check["unit"])
    return CheckView(
        id=str(check["id"]),
        title=metric_title(str(check["metric"]), language),
        require=str(check["require"]),
        op=require.op,
        threshold=threshold,
        unit=unit,
        verdict=str(check["verdict"]),
        literal="",
        decides=bool(check["mandatory"] and check["role"] == "decide"),
        role=str(check["role"]),
        value=value,
        low=low,
        high=high,
        value_text=share(value, threshold, unit),
        interval_text=interval(low, high, threshold, unit),
        confidence=check["confidence"],
        n=check["n"],
        planned=None,
        scored=None,
        failed=None,
        not_asked=None,
        method=str(check["method"]),
        needed=None,
        reasons=tuple(reason[language == "zh"] for reason in check["reasons"]),
        parts=(),
    )


def live_chart(view: CheckView, uid: str, language: str) -> Markup:
    """The interval against its threshold as SVG with title and description; empty without a figure."""
    return interval_chart(view, uid, language)


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
