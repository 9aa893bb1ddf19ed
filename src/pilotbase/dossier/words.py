"""Every word that a report shows, in English and Chinese, in one table; and the names of metrics in both."""

from collections.abc import Mapping
from typing import Any

__all__ = ["LANGUAGES", "METRIC_TITLES", "WORDS", "metric_title", "told", "word"]

LANGUAGES = ("en", "zh")

WORDS: dict[str, tuple[str, str]] = {
    # the page
    "switch": ("中文", "English"),
    "switch-label": ("Show this report in Chinese", "用英文显示本报告"),
    "dossier": ("Pilot dossier", "中试档案"),
    "skip": ("Skip to the verdict", "跳到结论"),
    "contents": ("Contents", "目录"),
    "none": ("none", "无"),
    "unknown": ("not recorded", "未记录"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "and": ("; ", "；"),
    "more": ("and {count} more", "另有 {count} 项"),
    # verdicts
    "pass": ("PASS", "通过"),
    "fail": ("FAIL", "未通过"),
    "inconclusive": ("INCONCLUSIVE", "未定"),
    "exploratory": ("EXPLORATORY", "探索性"),
    "confirmatory": ("CONFIRMATORY", "确证性"),
    "reference": ("REFERENCE", "参照"),
    "informs": ("informs only", "仅供参考"),
    "optional": ("optional gate", "可选关口"),
    "mandatory": ("mandatory gate", "必过关口"),
    "status-complete": ("complete", "完整"),
    "status-partial": ("partial", "不完整"),
    "status-interrupted": ("interrupted", "已中断"),
    # the verdict in sentences
    "verdict": ("What was decided", "结论"),
    "headline-pass": (
        "Candidates that met every mandatory check: {passed} of {judged}.",
        "满足全部必过检验项的被测应用：{judged} 个中有 {passed} 个。",
    ),
    "headline-fail": (
        "Candidates that met every mandatory check: none of {judged}.",
        "满足全部必过检验项的被测应用：{judged} 个中没有一个。",
    ),
    "headline-inconclusive": (
        "No candidate has passed: for {open} of {judged} the evidence does not decide.",
        "尚无被测应用通过：{judged} 个中有 {open} 个因证据不足而未定。",
    ),
    "about": ("About: {need}", "针对的需求：{need}"),
    "sentence-pass": (
        "{name} met all {count} mandatory checks, each at {confidence} confidence.",
        "{name} 满足全部 {count} 个必过检验项，每项置信度为 {confidence}。",
    ),
    "sentence-fail": (
        "{name} did not meet {failed} of {count} mandatory checks, each judged at {confidence} confidence: {checks}.",
        "{name} 有 {failed} 个必过检验项未满足（共 {count} 个，每项置信度为 {confidence}）：{checks}。",
    ),
    "sentence-inconclusive": (
        "The evidence does not decide whether {name} is ready: {open} of {count} mandatory checks are open at "
        "{confidence} confidence: {checks}.",
        "现有证据不能判定 {name} 是否就绪：{count} 个必过检验项中有 {open} 个未定（置信度 {confidence}）：{checks}。",
    ),
    "sentence-needed": (
        "About {needed} further cases would give an 80 % chance of a decision, if the true values are as estimated.",
        "如果真值与现有估计一致，约再增加 {needed} 个用例即有 80 % 的机会得出结论。",
    ),
    "sentence-withheld": (
        "{name} met all {count} mandatory checks, but the pass is withheld.",
        "{name} 满足全部 {count} 个必过检验项，但暂不予通过。",
    ),
    "sentence-partial": ("The run is {status}, and only a complete run can pass.", "本次运行{status}，只有完整的运行才能通过。"),
    "sentence-undeciding": ("No mandatory check decides about {name}.", "没有任何必过检验项可以判定 {name}。"),
    "sentence-reference": (
        "{name} was asked and scored for comparison; it is not judged.",
        "{name} 只用于比较：已询问并评分，不作判定。",
    ),
    "sentence-exploratory": (
        "This is exploratory: it may guide further work, and no release may rest on it.",
        "这是探索性结论：可指导后续工作，不得作为发布依据。",
    ),
    "reading": (
        "PASS: the evidence keeps every mandatory threshold. FAIL: it misses one. INCONCLUSIVE: it decides neither; "
        "that is an answer, not a defect.",
        "通过：证据满足全部必过阈值。未通过：证据表明至少一个阈值未满足。未定：证据两者都不能判定；这也是一种结论，不是缺陷。",
    ),
    # scenario
    "scenario": ("Scenario and need", "场景与需求"),
    "need": ("Need", "需求"),
    "owner": ("Owner of the need", "场景方"),
    "area": ("Area", "领域"),
    "field": ("Field", "细分领域"),
    "risk": ("Risk", "风险等级"),
    "authority": ("Who decides in use", "使用中的决定权"),
    "data": ("Test data", "测试数据"),
    "data-told": ("{name}: {count} cases", "{name}：{count} 个用例"),
    "custody": ("Custody", "数据保管"),
    "custody-open": ("open: rows may be shown", "开放：可以展示数据行"),
    "custody-held-out": ("held out: rows stay with the custodian", "保留：数据行只留在保管方"),
    "repairs": ("Repairs on reading", "读入时的修复"),
    "groups": ("Groups", "分组"),
    "group-count": ("{column} ({count} groups)", "{column}（{count} 组）"),
    "clusters": ("Clusters (units of the sample)", "聚类（抽样单位）"),
    "packs": ("Gate packs", "关口包"),
    "area-science": ("science", "科学技术"),
    "area-industry": ("industry", "产业发展"),
    "area-consumption": ("consumption", "消费提质"),
    "area-livelihood": ("livelihood", "民生福祉"),
    "area-governance": ("governance", "治理能力"),
    "area-cooperation": ("cooperation", "全球合作"),
    "risk-low": ("low", "低"),
    "risk-medium": ("medium", "中"),
    "risk-high": ("high", "高"),
    "authority-user-only": ("the user alone", "仅由使用者决定"),
    "authority-user-authorised": ("the application, within what the user authorised", "由应用在使用者授权范围内决定"),
    "authority-autonomous": ("the application by itself", "由应用自主决定"),
    # confirmatory or exploratory
    "standing": ("Confirmatory or exploratory", "确证性还是探索性"),
    "confirmatory-means": (
        "Confirmatory: by the record, the criteria were fixed before the first answer that this verdict uses. No "
        "threshold was chosen with results in sight.",
        "确证性：按记录，判定标准在所用的第一个回答之前已经固定，没有在看到结果之后选定阈值。",
    ),
    "exploratory-means": (
        "Exploratory: the criteria were not recorded before every answer that is used here, so they may have been "
        "chosen with results in sight.",
        "探索性：判定标准并非先于此处所用的全部回答记录，因此可能是在看到结果之后选定的。",
    ),
    "because": ("Because", "原因"),
    "recorded": ("Criteria recorded", "标准记录时间"),
    "witness": ("Witness", "见证方"),
    "witnessed": ("countersigned by key {signer} at {time}", "由密钥 {signer} 于 {time} 会签"),
    "self-declared-time": (
        "No witness: this time is self-declared. A local clock and one's own key prove no time.",
        "无见证方：该时间为自行声明。本机时钟与自有密钥不能证明时间。",
    ),
    # gates and checks
    "gates": ("Gates and checks", "关口与检验项"),
    "one-sided": (
        "Each bound is one-sided at {confidence}: together low and high make a {together} interval. "
        "A check passes only if the bound on the cautious side keeps the threshold.",
        "每个界限都是单侧的，置信度为 {confidence}；上下界合起来是 {together} 区间。只有保守一侧的界限满足阈值，检验项才算通过。",
    ),
    "one-sided-each": (
        "Each bound is one-sided at the confidence that its check names: together low and high make an interval at 1 − 2α. "
        "A check passes only if the bound on the cautious side keeps the threshold.",
        "每个界限都是单侧的，置信度见各检验项；上下界合起来是 1 − 2α 的区间。只有保守一侧的界限满足阈值，检验项才算通过。",
    ),
    "check": ("Check", "检验项"),
    "required": ("Required", "要求"),
    "measured": ("Measured", "测得"),
    "interval": ("Interval", "区间"),
    "against": ("Interval against the threshold", "区间与阈值"),
    "by-confidence": ("Verdict", "结论"),
    "by-literal": ("Literal rule", "字面规则"),
    "literal-note": (
        "The literal rule compares the measured value alone with the threshold and ignores chance; it decides nothing here. "
        "A dash: it has no complete sample to judge.",
        "字面规则只用测得值与阈值比较，不考虑偶然性；此处不作为依据。“—”表示没有完整样本可供判断。",
    ),
    "cases-used": ("{n} cases", "{n} 个用例"),
    "cases-planned": ("{n} of {planned} cases", "{n} / {planned} 个用例"),
    "why": ("Why", "理由"),
    "method": ("Method", "方法"),
    "confidence": ("Confidence", "置信度"),
    "needed": ("Further cases for an 80 % chance", "80 % 机会所需的追加用例"),
    "view-drop": ("{metric}: drop under {under}", "{metric}：{under} 下的下降"),
    "view-compare": ("{metric}: difference from {other}", "{metric}：与 {other} 之差"),
    "view-load": ("{metric} under load {load}", "{metric}（负载 {load}）"),
    "view-gap-by": ("{metric}: largest gap between groups of {by}", "{metric}：{by} 各组之间的最大差距"),
    "view-ratio-by": ("{metric}: least ratio between groups of {by}", "{metric}：{by} 各组之间的最小比值"),
    "view-worst-of": ("{metric}: the worst group of {by}", "{metric}：{by} 中最差的一组"),
    "no-gates": ("No gate was judged.", "没有判定任何关口。"),
    # groups
    "parts": ("Groups: {check}", "分组：{check}"),
    "group": ("Group", "组"),
    "parts-note": (
        "The bounds of a group are wider than those of a single check, because all groups are bounded at once.",
        "各组的界限比单个检验项更宽，因为要同时约束所有组。",
    ),
    # charts, told to those who do not see them
    "chart-title": ("{check}: interval against threshold", "{check}：区间与阈值"),
    "chart-value": ("Measured {value}.", "测得 {value}。"),
    "chart-between": ("The interval runs from {low} to {high}.", "区间从 {low} 到 {high}。"),
    "chart-threshold": ("Required {require}; the shaded side passes.", "要求 {require}；阴影一侧为通过。"),
    "chart-open": ("no bound", "无界限"),
    "chart-none": ("no interval", "无区间"),
    "chart-group": ("{group}: {value}, from {low} to {high}", "{group}：{value}，从 {low} 到 {high}"),
    # service
    "service": ("Service: time and cost", "服务：时间与费用"),
    "calls": ("Calls", "调用次数"),
    "p50": ("Half of the calls within", "半数调用不超过"),
    "p95": ("95 % of the calls within", "95 % 的调用不超过"),
    "cost": ("Cost", "费用"),
    "tokens-in": ("Tokens in", "输入词元"),
    "tokens-out": ("Tokens out", "输出词元"),
    "latency": ("How long calls took", "调用用时分布"),
    "latency-desc": (
        "{count} calls in {bins} ranges of time; most fell in {mode}.",
        "{count} 次调用分为 {bins} 个时间段；最多的一段为 {mode}。",
    ),
    "latency-axis": (
        "Time of one call; the height is the number of calls. Ranges need not be equally wide.",
        "单次调用用时；高度为调用次数。各段宽度可以不等。",
    ),
    "range": ("{low} to {high}", "{low} 至 {high}"),
    "range-open": ("over {low}", "超过 {low}"),
    # calibration
    "calibration": ("Calibration: do the scores mean what they say?", "校准：分数是否名副其实？"),
    "calibration-desc": (
        "{bins} ranges of score, {count} cases. On the diagonal, a score equals the share of positives seen.",
        "{bins} 个分数段，{count} 个用例。落在对角线上，表示分数等于实际阳性比例。",
    ),
    "table": ("As a table", "以表格显示"),
    "score": ("Mean score", "平均分数"),
    "positives": ("Share of positives", "阳性比例"),
    "cases": ("Cases", "用例"),
    # failures
    "failures": ("Failures", "失败与错误"),
    "category": ("Category", "类别"),
    "count": ("Count", "数量"),
    "examples": ("Examples", "示例"),
    "case": ("Case", "用例"),
    "input": ("Input", "输入"),
    "answer": ("Answer", "回答"),
    "truth": ("Truth", "真值"),
    "failed-raised": ("the application raised an error", "应用抛出错误"),
    "failed-timeout": ("no answer within the time limit", "超时未回答"),
    "failed-crashed": ("the application crashed", "应用崩溃"),
    "failed-shape": ("an answer of the wrong shape", "回答的形式不符"),
    "failed-too-large": ("an answer too large to keep", "回答过大，无法保留"),
    "failed-unreachable": ("the application could not be reached", "无法连接应用"),
    "failed-refused": ("the call was refused", "调用被拒绝"),
    "failed-unparseable": ("an answer that could not be read", "回答无法解析"),
    "wrong": ("wrong: {answer} for {truth}", "答错：将 {truth} 判为 {answer}"),
    "no-failures": ("No failure was recorded.", "没有记录到失败。"),
    "no-examples-note": (
        "This dossier encloses no data, so failures appear here as categories and counts only, and no answer is quoted.",
        "本档案未附数据，此处仅以类别和数量列出失败，不引用任何回答。",
    ),
    "held-out-note": (
        "The data are held out: rows stay with the custodian, so failures appear here as categories and counts only.",
        "数据为保留数据：数据行只留在保管方，此处仅以类别和数量列出失败。",
    ),
    # what was not tested
    "not-tested": ("What was not tested", "未测试的内容"),
    "not-tested-none": (
        "The record lists nothing here. That does not mean that everything was tested: only the checks above were.",
        "记录中没有列出内容。这不表示一切都已测试：只测试了上面的检验项。",
    ),
    # limits and accounting
    "accounting": ("Limits and accounting", "限额与核算"),
    "accounting-note": (
        "Every planned case is accounted for: planned = scored + failed + not asked. A failed case counts as the "
        "worst answer, never as absent.",
        "每个计划用例都有交代：计划 = 已评分 + 失败 + 未询问。失败的用例按最差回答计，绝不剔除。",
    ),
    "limits": ("Declared limits", "声明的限额"),
    "limit-calls": ("at most {value} calls", "最多 {value} 次调用"),
    "limit-spend": ("at most {value}", "最多花费 {value}"),
    "limit-time": ("at most {value} of time", "最长用时 {value}"),
    "planned": ("Planned", "计划"),
    "scored": ("Scored", "已评分"),
    "failed": ("Failed", "失败"),
    "not-asked": ("Not asked", "未询问"),
    "used": ("Used by the verdict", "用于结论"),
    "why-not-asked": ("Why some cases were not asked", "部分用例未询问的原因"),
    # family
    "family": ("Many checks, many tries", "多项检验与多次尝试"),
    "family-candidates": ("Candidates tried (K)", "被测应用数（K）"),
    "family-round": ("Round on this scenario and data (R)", "同一场景与数据上的轮次（R）"),
    "family-alpha": ("α left for each check", "每个检验项可用的 α"),
    "false-fail": ("Bound on any false FAIL: min(1, mα)", "任一误判“未通过”的概率上界：min(1, mα)"),
    "false-fail-told": ("{name}: {bound} (m = {count})", "{name}：{bound}（m = {count}）"),
    "false-pass": ("Bound on passing any unready candidate", "任一未就绪应用被判“通过”的概率上界"),
    "false-pass-corrected": (
        "{bound}: α is divided over candidates and rounds",
        "{bound}：α 已按被测应用数与轮次分摊",
    ),
    "false-pass-open": (
        "{bound}: min(1, K·R·α), as α is not divided here; one candidate in one round is bounded by α = {alpha}",
        "{bound}：min(1, K·R·α)，此处未分摊 α；单个应用单轮的上界为 α = {alpha}",
    ),
    # history
    "history": ("Earlier runs on the same data", "同一数据上的历次运行"),
    "history-none": ("No earlier run on this data is recorded in this home.", "本库中没有该数据上的更早运行记录。"),
    "run": ("Run", "运行"),
    "made": ("Report made", "报告生成"),
    "created": ("Started", "开始"),
    "finished": ("Finished", "结束"),
    "round": ("Round", "轮次"),
    "candidates": ("Candidates", "被测应用"),
    "same-criteria": ("Same criteria", "标准相同"),
    # identity
    "identity": ("Identity: what exactly was tried", "身份：究竟测试了什么"),
    "fingerprint": ("Fingerprint", "指纹"),
    "kind": ("Reached by", "接入方式"),
    "self-declared": ("self-declared: the provider could change it unseen", "自行声明：提供方可能在不可见的情况下更改"),
    "pinned": ("derived from the artefact itself", "由制品本身计算得出"),
    "derived": ("How it is known", "来源"),
    "digest-pilot": ("Pilot file", "中试声明"),
    "digest-criteria": ("Criteria", "判定标准"),
    "digest-data": ("Data", "数据"),
    "digest-order": ("Order of the cases", "用例顺序"),
    "commitments": ("Commitments to each case's input and answer", "对每个用例输入与回答的承诺"),
    "commitment-told": ("root {root} over {count} cases", "{count} 个用例的根 {root}"),
    # how to verify
    "verify": ("How to verify this dossier", "如何核验本档案"),
    "verify-note": (
        "This page is a view of the record and proves nothing by itself. The commands below re-derive every verdict "
        "from the enclosed scores, offline. "
        "Get the signer's fingerprint from the base itself, not from this folder.",
        "本页只是记录的展示，本身不能证明任何事。下列命令离线地由所附评分重新推出每个结论。"
        "签名者指纹应直接向中试基地索取，不要取自本文件夹。",
    ),
    "verify-1": ("Unchanged, signed by whom you trust, verdicts re-derived:", "核验未被更改、签名者可信、结论可重新推出："),
    "verify-2": ("Ask the candidate again on the same data and compare:", "在同一数据上重新询问被测应用并比较："),
    "verify-exit": (
        "`verify` ends with 0 (intact, re-derived, signer trusted), 1 (changed, or a verdict differs), 2 "
        "(unreadable) or 3 (intact, signer unknown).",
        "`verify` 的退出码：0 完好且结论一致、签名者可信；1 有更改或结论不同；2 无法读取；3 完好但签名者未知。",
    ),
    # environment and standards
    "environment": ("Environment", "运行环境"),
    "tool": ("Made with", "生成工具"),
    "platform": ("Platform", "平台"),
    "packages": ("Packages", "软件包"),
    "standards": ("Standards", "标准"),
    "standards-note": (
        "Metrics keep their usual definitions (for classification those of ISO/IEC TS 4213:2022). "
        "No conformity with any standard is claimed, and this report is neither a certificate nor a regulatory approval.",
        "指标采用通行定义（分类指标参照 ISO/IEC TS 4213:2022）。本报告不声明符合任何标准，也不是认证证书或监管批准。",
    ),
}

METRIC_TITLES: dict[str, tuple[str, str]] = {
    "accuracy": ("Accuracy", "准确率"),
    "sensitivity": ("Sensitivity", "灵敏度"),
    "specificity": ("Specificity", "特异度"),
    "precision": ("Precision", "精确率"),
    "f1": ("F1", "F1 值"),
    "balanced-accuracy": ("Balanced accuracy", "平衡准确率"),
    "auroc": ("AUROC", "ROC 曲线下面积"),
    "brier": ("Brier score", "Brier 分数"),
    "mae": ("Mean absolute error", "平均绝对误差"),
    "rmse": ("Root mean square error", "均方根误差"),
    "numeric": ("Number within tolerance", "数值在容差内"),
    "exact": ("Exact match", "完全一致"),
    "normalised": ("Match after normalising", "规范化后一致"),
    "contains": ("Contains the expected text", "包含期望文本"),
    "regex": ("Matches a pattern", "匹配模式"),
    "choice": ("Multiple choice", "选择题"),
    "rubric": ("Judged by rubric", "按评分细则评判"),
    "failure-rate": ("Failure rate", "失败率"),
    "failures": ("Failures", "失败数"),
    "regressions": ("Regression cases answered wrongly", "答错的回归用例数"),
    "labels": ("Answers within a set", "回答在集合内"),
    "stability": ("Stability", "稳定性"),
    "cost.per-case": ("Cost per case", "单例成本"),
    "tokens.input": ("Input tokens per case", "单例输入词元"),
    "tokens.output": ("Output tokens per case", "单例输出词元"),
    "tokens.total": ("Tokens per case", "单例词元"),
    "throughput": ("Throughput", "吞吐量"),
    **{f"latency.p{q}": (f"Latency p{q}", f"时延 p{q}") for q in (50, 90, 95, 99)},
    **{f"ttft.p{q}": (f"Time to first token p{q}", f"首词元时延 p{q}") for q in (50, 90, 95, 99)},
}


def word(key: str, language: str, **figures: object) -> str:
    """The text of `key` in `en` or `zh`, with figures put in. KeyError for a key or a figure that is missing."""
    english, chinese = WORDS[key]
    return (chinese if language == "zh" else english).format(**figures)


def metric_title(name: str, language: str) -> str:
    """A metric's name for readers; a metric from a plug-in keeps its own."""
    english, chinese = METRIC_TITLES.get(name, (name, name))
    return chinese if language == "zh" else english


def told(text: Any, language: str) -> str:
    """A text of the record, which is plain or a mapping `{en, zh}`; the other language where one is missing, "" "
    "where there is none."""
    if isinstance(text, Mapping):
        first, second = ("zh", "en") if language == "zh" else ("en", "zh")
        return str(text.get(first) or text.get(second) or "")
    return "" if text is None else str(text)
