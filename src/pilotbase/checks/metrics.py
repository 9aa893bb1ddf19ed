"""The table of metrics: one row each, pure functions only; and the rows of plug-ins beside them."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal

from pilotbase import plugins
from pilotbase.checks import labels, numbers, regressions, service, texts
from pilotbase.checks.metric import Kind, Metric, Needs
from pilotbase.errors import UserError

__all__ = ["METRICS", "merge", "metric", "metrics"]


def _row(
    name: str, english: str, chinese: str, kind: Kind, looks: Literal["any", "once"], *needs: Needs, **rest: object
) -> Metric:
    title = (english, chinese)
    return Metric(name=name, title=title, kind=kind, looks=looks, needs=frozenset(needs), **rest)  # type: ignore[arg-type]


# fmt: off
_LABELS = (
    _row("accuracy", "Accuracy", "准确率", "proportion", "any", "target", score=labels.correct, worst=labels.wrong,
         source="share of answers equal to the truth; ISO/IEC TS 4213:2022 6.2.5"),
    _row("sensitivity", "Sensitivity", "灵敏度", "proportion", "any", "target", "positive", score=labels.correct,
    worst=labels.wrong,
         denominator=labels.positives, source="TP / (TP + FN); ISO/IEC TS 4213:2022 6.2.6 (recall)"),
    _row("specificity", "Specificity", "特异度", "proportion", "any", "target", "positive", score=labels.not_positive,
    worst=labels.wrong,
         denominator=labels.negatives, source="TN / (TN + FP)"),
    _row("precision", "Precision", "精确率", "proportion", "any", "target", "positive", score=labels.precise,
         worst=labels.precise_failed, paired=False,
         source="TP / (TP + FP): binomial given the answers called positive, so sequential bounds hold on that subsequence"),
    _row("f1", "F1", "F1 值", "f1", "once", "target", "positive", score=labels.cell, worst=labels.cell_failed, paired=False,
         source="2 TP / (2 TP + FP + FN), van Rijsbergen 1979"),
    _row("balanced-accuracy", "Balanced accuracy", "平衡准确率", "balanced", "once", "target", score=labels.correct,
    worst=labels.wrong,
         paired=False, source="mean of the classes' recalls; Brodersen et al. 2010"),
    _row("auroc", "AUROC", "ROC 曲线下面积", "auroc", "once", "target", "positive", score=labels.score, worst=labels.ranked_last,
         paired=False, source="Mann-Whitney; Hanley and McNeil 1982, DeLong et al. 1988"),
    _row("brier", "Brier score", "Brier 分数", "mean", "any", "target", "positive", score=labels.brier, worst=labels.one,
         source="Brier 1950"),
)

_NUMBERS = (
    _row("mae", "Mean absolute error", "平均绝对误差", "loss", "once", "target", "number", score=numbers.absolute_error,
    upper=None),
    _row("rmse", "Root mean square error", "均方根误差", "root-mean-square", "once", "target", "number",
    score=numbers.squared_error,
         upper=None, paired=False),
    _row("numeric", "Number within tolerance", "数值在容差内", "proportion", "any", "target", score=numbers.within,
    worst=labels.wrong,
         source="|first number in the answer - truth| <= tolerance"),
)

_TEXTS = (
    _row("exact", "Exact match", "完全一致", "proportion", "any", "target", score=texts.exact, worst=labels.wrong),
    _row("normalised", "Match after normalising", "规范化后一致", "proportion", "any", "target", score=texts.normalised,
         worst=labels.wrong, source="full-width, traditional and simplified, case, white space and outer punctuation folded"),
    _row("contains", "Contains the expected text", "包含期望文本", "proportion", "any", "expected", score=texts.contains,
         worst=texts.worst),
    _row("regex", "Matches a pattern", "匹配模式", "proportion", "any", "pattern", score=texts.regex, worst=texts.worst),
    _row("choice", "Multiple choice", "选择题", "proportion", "any", "target", "choices", score=texts.choice, worst=labels.wrong),
    _row("rubric", "Judged by rubric", "按评分细则评判", "judged", "once", "judge", score=service.judged, worst=texts.worst,
         paired=False, source="Rogan and Gladen 1978 for the judge's error"),
)

_SERVICE = (
    _row("failure-rate", "Failure rate", "失败率", "proportion", "any", score=service.zero, worst=labels.one),
    _row("failures", "Failures", "失败数", "count", "once", score=service.zero, worst=labels.one, upper=None, paired=False,
         source="a census"),
    _row("regressions", "Regression cases answered wrongly", "答错的回归用例数", "count", "once", "target", "incident",
         score=regressions.regressed, worst=labels.one, denominator=regressions.regressions, upper=None, paired=False,
         empty=0.0, source="a census of the cases that came from incidents"),
    _row("labels", "Answers within a set", "回答在集合内", "members", "once", score=service.outside, worst=labels.one, upper=None,
         paired=False, source="a census"),
    _row("stability", "Stability", "稳定性", "proportion", "any", "repeat", score=service.zero, worst=labels.wrong, paired=False,
         source="share of cases whose repeated answers are all the same"),
    _row("cost.per-case", "Cost per case", "单例成本", "loss", "once", "price", score=service.cost, worst=service.cost,
    upper=None,
         unit="money"),
    _row("tokens.input", "Input tokens per case", "单例输入词元", "loss", "once", score=service.tokens_in,
    worst=service.tokens_in,
         upper=None, unit="tokens"),
    _row("tokens.output", "Output tokens per case", "单例输出词元", "loss", "once", score=service.tokens_out,
    worst=service.tokens_out,
         upper=None, unit="tokens"),
    _row("tokens.total", "Tokens per case", "单例词元", "loss", "once", score=service.tokens, worst=service.tokens, upper=None,
         unit="tokens"),
    _row("throughput", "Throughput", "吞吐量", "throughput", "once", "load", upper=None, unit="/s", paired=False,
         source="good answers that ended, in 20 slices of time; batch means"),
    *(
        _row(f"{name}.p{q}", f"{english} p{q}", f"{chinese} p{q}", "tail", "once", "load", upper=None, unit="s", paired=False,
             quantile=q / 100, source="share(seconds > T) <= 1 - q by batch means; VERDICT.md section 6")
        for name, english, chinese in (("latency", "Latency", "时延"), ("ttft", "Time to first token", "首词元时延"))
        for q in (50, 90, 95, 99)
    ),
)
# fmt: on

METRICS: dict[str, Metric] = {m.name: m for m in (*_LABELS, *_NUMBERS, *_TEXTS, *_SERVICE)}


def merge(rows: Mapping[str, Metric], found: Iterable[tuple[str, object]]) -> dict[str, Metric]:
    """Rows with those that plug-ins give: each (entry point, a Metric or several). UserError for anything else, or a name that
    is taken.
    """
    merged = dict(rows)
    for point, given in found:
        for row in given if isinstance(given, (list, tuple)) else (given,):
            where = f"entry point `{point}` of pilotbase.checks"
            if not isinstance(row, Metric):
                raise UserError(
                    f"found {type(row).__name__}, which is no Metric", where=where, hint="give a Metric or a list of them"
                )
            if row.name in merged:
                raise UserError(f"the metric `{row.name}` is already there", where=where, hint="give it another name")
            if row.kind in ("tail", "throughput", "judged", "members"):
                raise UserError(
                    f"the metric `{row.name}` is of kind {row.kind}", where=where, hint="only built-in metrics are of this kind"
                )
            merged[row.name] = row
    return merged


@cache
def metrics() -> Mapping[str, Metric]:
    """Every row by name: the built-in ones, and those of plug-ins, which are loaded when this is first asked."""
    return merge(METRICS, ((name, plugins.load("checks", name)) for name in plugins.names("checks")))


def metric(name: str) -> Metric:
    """The row called `name`. KeyError where there is none: specs are checked before."""
    return metrics()[name]
