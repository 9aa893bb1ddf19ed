"""Why a verdict is what it is, as a code with figures, told in English or Chinese."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["REASONS", "Reason"]

# code -> (English, Chinese). Figures are formatted by the caller, so that both tongues show the same ones.
REASONS: dict[str, tuple[str, str]] = {
    "met": ("{bound} {value} keeps {require}", "{bound} {value} 满足 {require}"),
    "missed": ("{bound} {value} misses {require}", "{bound} {value} 不满足 {require}"),
    "straddles": (
        "the interval [{low}, {high}] holds the threshold of {require}",
        "区间 [{low}, {high}] 包含 {require} 的阈值",
    ),
    "straddles-more": (
        "the interval [{low}, {high}] holds the threshold of {require}; "
        "about {needed} more cases would decide it with an 80 % chance",
        "区间 [{low}, {high}] 包含 {require} 的阈值；约再有 {needed} 个用例即有 80 % 的机会得出结论",
    ),
    "census": ("counted on all {n} cases: {value}", "在全部 {n} 个用例上统计：{value}"),
    "no-regressions": (
        "no regression case yet: no case of this data comes from an incident",
        "尚无回归用例：本数据中没有来自事件的用例",
    ),
    "decided-early": (
        "decided on the first {n} of {planned} cases in the recorded order",
        "按记录的顺序，前 {n} 个（共 {planned} 个）用例已得出结论",
    ),
    "no-cases": ("no case is in this metric's denominator", "没有用例属于该指标的分母"),
    "one-class": ("the cases hold one class only, and this metric compares two", "用例只含一个类别，而该指标需要两个类别"),
    "not-asked": (
        "{count} of {planned} planned cases were not asked ({why})",
        "{planned} 个计划用例中有 {count} 个未询问（{why}）",
    ),
    "count-mismatch": (
        "THE RECORDS DO NOT ADD UP: the run recorded {said} answers ({variant}) and {found} were read back, "
        "so scored + failed + not asked is not what was planned",
        "记录不符：运行时记录了 {said} 个回答（{variant}），读回 {found} 个；已评分 + 失败 + 未询问 不等于计划数",
    ),
    "no-worst-value": (
        "{failed} calls failed and {metric} has no worst value to give them; declare `bound: [least, most]`",
        "{failed} 次调用失败，而 {metric} 没有可赋的最差值；请声明 `bound: [最小, 最大]`",
    ),
    "small-group": (
        "group {group} has {n} cases in the denominator, under the minimum of {minimum}",
        "分组 {group} 的分母只有 {n} 个用例，低于下限 {minimum}",
    ),
    "one-group": (
        "the column `{column}` holds {count} group, and a comparison needs two",
        "分组列 `{column}` 只有 {count} 个分组，而比较需要两个",
    ),
    "ungrouped": (
        "{count} cases have no value in the group column `{column}`",
        "{count} 个用例在分组列 `{column}` 中没有值",
    ),
    "few-clusters": (
        "{clusters} clusters are too few for an interval that holds; at least {minimum} are needed",
        "{clusters} 个聚类太少，区间不可靠；至少需要 {minimum} 个",
    ),
    "no-price": (
        "no price is declared for this candidate, and a missing price is never zero",
        "该被测应用未声明价格；缺失的价格绝不按零计",
    ),
    "currency": ("the price is in {found} and the threshold in {wanted}", "价格以 {found} 计，而阈值以 {wanted} 计"),
    "no-usage": ("{count} answers came without a token count", "{count} 个回答没有给出词元数"),
    "generator-late": (
        "the load generator itself ran over 5 ms late for {share} of arrivals (limit 1 %), so the figures are about this machine",
        "负载发生器自身有 {share} 的到达晚于 5 毫秒（上限 1 %），数据反映的是本机而非被测应用",
    ),
    "few-arrivals": (
        "{n} arrivals after warm-up are too few for 20 batches",
        "预热后仅 {n} 次到达，不足以分成 20 批",
    ),
    "load-errors": (
        "{share} of the calls under load failed, over the limit of {limit}",
        "负载下有 {share} 的调用失败，超过上限 {limit}",
    ),
    "load-missing": ("the load was not run ({why})", "负载测试未执行（{why}）"),
    "no-first-content": (
        "{count} answers under load came without the moment of their first content",
        "负载下有 {count} 个回答没有首个内容的时刻",
    ),
    "judge-uncalibrated": (
        "the judge's own error has not been measured on this application's answers: it informs, and cannot gate; "
        "give `judge: {{labels: FILE}}`",
        "尚未在该应用的回答上测量评判者自身的误差：仅供参考，不能作为关口；请提供 `judge: {{labels: 文件}}`",
    ),
    "judge-weak": (
        "the judge is too weak for the interval to mean anything: sensitivity {sens}, specificity {spec} on {n} labels",
        "评判者过弱，区间没有意义：{n} 条标注上的灵敏度 {sens}，特异度 {spec}",
    ),
    "judge-corrected": (
        "corrected for the judge's error: sensitivity {sens}, specificity {spec} on {n} labels",
        "已按评判者误差校正：{n} 条标注上的灵敏度 {sens}，特异度 {spec}",
    ),
    "judge-clustered": (
        "a judged rate has no interval that allows for clusters; judge cases that are independent of one another",
        "评判率没有考虑聚类的区间；请评判相互独立的用例",
    ),
    "judge-failed": (
        "{count} cases have no readable judgement, or no answer to judge; each counts against the candidate",
        "{count} 个用例没有可读的判断，或没有可评判的回答；均按不利于被测应用计",
    ),
    "reference-itself": ("the candidate is the reference of this comparison", "该被测应用即为比较的参照"),
    "no-reference": (
        "{count} cases have no answer of `{reference}` to compare with",
        "{count} 个用例没有 `{reference}` 的回答可供比较",
    ),
    "members": (
        "{count} answers lie outside {require}, among them: {examples}",
        "{count} 个回答不在 {require} 之内，其中有：{examples}",
    ),
    "members-hidden": (
        "{count} answers lie outside {require}",
        "{count} 个回答不在 {require} 之内",
    ),
    "live-none": ("no live result counts yet", "尚无可计入的真实流量结果"),
    "live-weighed": (
        "a block of time counts as one, and of all requests the share is {value}, which misses {require}",
        "每个时间块计为一个单元；而按全部请求计，比例为 {value}，不满足 {require}",
    ),
    "live-window": (
        "{n} scored requests, and the first window needs {window}",
        "已有 {n} 个评分请求，首个窗口需要 {window} 个",
    ),
    "live-windows-spent": (
        "all {windows} windows declared beforehand are used: nothing more may be concluded on this rung",
        "事先声明的 {windows} 个窗口已全部用完：本级不能再得出结论",
    ),
    "members-kept": ("all {n} answers lie {require}", "全部 {n} 个回答都在 {require} 之内"),
}

_CHINESE = {"low": "下界", "high": "上界"}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason; `text` tells it."""

    code: str
    figures: Mapping[str, object] = field(default_factory=dict)

    def text(self, language: str = "en") -> str:
        """The reason in `en` or `zh`."""
        english, chinese = REASONS[self.code]
        if not language.startswith("zh"):
            return english.format(**self.figures)
        figures = {k: _CHINESE.get(str(v), v) if k == "bound" else v for k, v in self.figures.items()}
        return chinese.format(**figures)
