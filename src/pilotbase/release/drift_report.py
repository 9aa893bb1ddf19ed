"""What a comparison with the reference found, feature by feature, in English and in Chinese."""

from dataclasses import asdict, dataclass
from typing import Literal

from pilotbase.release.drift_reference import Kind, Side

__all__ = ["Aspect", "DriftReport", "FeatureDrift", "Silence", "report_document"]

Aspect = Literal["values", "missing", "new"]
Size = Literal["small", "moderate", "large"]

_ASPECTS = {"values": ("values", "取值"), "missing": ("missing values", "缺失值"), "new": ("new categories", "新类别")}
_SIDES = {"input": "输入", "output": "输出"}
_SIZES = {"small": "小", "moderate": "中等", "large": "大"}
# how a test's statistic reads; by its first word
_STATISTICS = {
    "Kolmogorov-Smirnov": ("largest gap {0:.3f}", "最大差距 {0:.3f}"),
    "chi-square": ("largest difference of shares {0:.3f}", "占比最大差 {0:.3f}"),
    "two": ("difference of shares {0:.3f}", "占比之差 {0:.3f}"),
    "one": ("one category", "仅一个类别"),
    "Fisher": ("difference of shares {0:+.3f}", "占比之差 {0:+.3f}"),
    "MMD": ("squared discrepancy {0:.5f}", "差异的平方 {0:.5f}"),
    "classifier": ("told apart in {0:.1%} (50% is chance)", "可区分 {0:.1%}（50% 即随机）"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDrift:
    """One test of one feature. `p` is its own; `adjusted` accounts for all tests of the look and for all looks.

    `m` and `n` are the cases of the reference and of the window behind it. `psi` is an effect size and never decides;
    `psi_chance` is what it is on average where nothing moved.
    """

    feature: str
    side: Side
    kind: Kind
    aspect: Aspect
    test: str
    statistic: float
    p: float
    adjusted: float
    drifted: bool
    m: int
    n: int
    psi: float | None = None
    psi_chance: float | None = None
    psi_size: Size | None = None

    @property
    def english(self) -> str:
        """The finding in one sentence."""
        said = "drifted" if self.drifted else "no drift shown"
        parts = [self._statistic(0), f"adjusted p {_figure(self.adjusted)}"]
        if self.psi is not None and self.psi_size:
            parts.append(f"PSI {self.psi:.3f} ({self.psi_size}; about {self.psi_chance:.3f} by chance alone)")
        return f"{self.side} `{self.feature}`, {_ASPECTS[self.aspect][0]}: {said} ({self.test}: {'; '.join(parts)})"

    @property
    def chinese(self) -> str:
        """The finding in one Chinese sentence."""
        said = "已漂移" if self.drifted else "未显示漂移"
        parts = [self._statistic(1), f"校正后 p {_figure(self.adjusted)}"]
        if self.psi is not None and self.psi_size:
            parts.append(f"PSI {self.psi:.3f}（{_SIZES[self.psi_size]}；仅因随机约为 {self.psi_chance:.3f}）")
        return f"{_SIDES[self.side]} `{self.feature}`，{_ASPECTS[self.aspect][1]}：{said}（{self.test}：{'；'.join(parts)}）"

    def _statistic(self, tongue: int) -> str:
        return _STATISTICS[self.test.replace(",", " ").split()[0]][tongue].format(self.statistic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A column about which nothing can be said: `m` of the reference's and `n` of the window's rows have a value."""

    feature: str
    m: int
    n: int
    least: int

    @property
    def english(self) -> str:
        """Why nothing is said."""
        return (
            f"`{self.feature}` says nothing: {self.m} values in the reference and {self.n} in the window, {self.least} are needed"
        )

    @property
    def chinese(self) -> str:
        """Why nothing is said, in Chinese."""
        return f"`{self.feature}` 无法判断：参考有 {self.m} 个值，窗口有 {self.n} 个值，各需至少 {self.least} 个"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """One look at one window. `rows` are those compared, `alpha` the look's share of 1 - `confidence`.

    `unknown` are columns of the window that the reference does not have; nothing is said about them.
    """

    look: int
    confidence: float
    alpha: float
    rows: int
    findings: tuple[FeatureDrift, ...]
    silent: tuple[Silence, ...]
    unknown: tuple[str, ...]

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """The findings that hold, the surest first."""
        return tuple(sorted((f for f in self.findings if f.drifted), key=lambda f: f.adjusted))

    @property
    def english(self) -> str:
        """The report in lines: what drifted, or that nothing did, and what says nothing."""
        head = f"look {self.look}, {self.rows} rows, confidence {self.confidence:g}: "
        found = [f.english for f in self.drifted] or [f"none of {len(self.findings)} tests shows drift"]
        return "\n".join([head + found[0], *found[1:], *(s.english for s in self.silent)])

    @property
    def chinese(self) -> str:
        """The report in Chinese lines."""
        head = f"第 {self.look} 次查看，{self.rows} 行，置信度 {self.confidence:g}："
        found = [f.chinese for f in self.drifted] or [f"{len(self.findings)} 项检验均未显示漂移"]
        return "\n".join([head + found[0], *found[1:], *(s.chinese for s in self.silent)])


def report_document(report: DriftReport) -> dict[str, object]:
    """A report as plain JSON data, with the words. It holds names and figures, never a value of a request."""
    return {**asdict(report), "english": report.english, "chinese": report.chinese}


def _figure(p: float) -> str:
    if p < 1e-12:
        return "< 1e-12"
    return f"{p:.4f}" if p >= 0.001 else f"{p:.1e}"
