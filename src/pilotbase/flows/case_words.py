"""Steps, states and parties of cases in two languages, for pages, letters and lists alike."""

from collections.abc import Mapping

from pilotbase.domain.admission import Party, State, StepName
from pilotbase.domain.scenario import Titles

__all__ = ["DONE", "PARTY", "STATE", "STEP"]


def _both(told: Mapping[str, tuple[str, str]]) -> Mapping[str, Titles]:
    return {word: Titles(en=en, zh=zh) for word, (en, zh) in told.items()}


STATE: Mapping[State, Titles] = _both(  # type: ignore[assignment]
    {
        "draft": ("draft", "草稿"),
        "submitted": ("submitted", "已提交"),
        "screened": ("screened", "已初审"),
        "matched": ("matched", "已对接"),
        "admitted": ("admitted", "已准入"),
        "provisioned": ("provisioned", "条件已落实"),
        "verifying": ("verifying", "验证中"),
        "review": ("in review", "评审中"),
        "passed": ("passed", "通过"),
        "conditional": ("passed with conditions", "有条件通过"),
        "failed": ("not passed", "未通过"),
        "withdrawn": ("withdrawn", "已撤回"),
        "published": ("published", "已公示"),
        "promoted": ("promoted", "已推广"),
        "retired": ("retired", "已退出"),
    }
)

STEP: Mapping[StepName, Titles] = _both(  # type: ignore[assignment]
    {
        "submit": ("Submit the application", "提交申请"),
        "screen": ("Record the screening", "登记初审结果"),
        "match": ("Match with the need, and propose criteria", "对接场景机会并提出判定准则"),
        "revise": ("Propose other criteria", "变更判定准则"),
        "agree": ("Agree to the criteria", "同意判定准则"),
        "countersign": ("Countersign the criteria", "会签判定准则"),
        "register": ("Fill in the trial-risk register", "填写中试风险登记"),
        "admit": ("Admit", "准予进入中试"),
        "provision": ("Record what was given", "登记已提供的条件"),
        "begin": ("Begin a round", "开始一轮验证"),
        "run": ("Link a run", "关联一次运行"),
        "review": ("Put the dossier to review", "提交档案评审"),
        "pass": ("Decide: passed", "评定：通过"),
        "condition": ("Decide: passed with conditions", "评定：有条件通过"),
        "fail": ("Decide: not passed", "评定：未通过"),
        "again": ("Prepare another round", "准备下一轮验证"),
        "withdraw": ("Withdraw the application", "撤回申请"),
        "publish": ("Publish the verdict", "公示结论"),
        "promote": ("Promote after a replication", "复现一致后推广"),
        "retire": ("Retire", "退出"),
        "comment": ("Write a comment", "发表意见"),
        "file": ("Attach a file", "上传附件"),
        "due": ("Set a due date", "设定期限"),
        "miss": ("Link a near miss", "关联未遂事件"),
        "settle": ("Record the settlement of a loss", "登记损失处理"),
    }
)

DONE: Mapping[str, Titles] = _both(
    {
        "open": ("opened as a draft", "建立草稿"),
        "submit": ("submitted", "已提交申请"),
        "screen": ("screened", "已完成初审"),
        "match": ("matched; criteria proposed", "已对接，提出判定准则"),
        "revise": ("other criteria proposed", "已变更判定准则"),
        "agree": ("criteria agreed", "已同意判定准则"),
        "countersign": ("criteria countersigned by the base", "基地已会签判定准则"),
        "register": ("trial-risk register changed", "已更新中试风险登记"),
        "admit": ("admitted", "已准予进入中试"),
        "provision": ("data and access given", "已提供数据与访问条件"),
        "begin": ("round begun", "已开始一轮验证"),
        "run": ("run linked", "已关联运行"),
        "review": ("dossier put to review", "档案已提交评审"),
        "pass": ("passed", "评定为通过"),
        "condition": ("passed with conditions", "评定为有条件通过"),
        "fail": ("not passed", "评定为未通过"),
        "again": ("another round prepared", "准备下一轮验证"),
        "withdraw": ("withdrawn", "已撤回"),
        "publish": ("verdict published", "结论已公示"),
        "promote": ("promoted", "已推广"),
        "retire": ("retired", "已退出"),
        "comment": ("comment", "意见"),
        "file": ("file attached", "已上传附件"),
        "due": ("due date set", "已设定期限"),
        "miss": ("near miss linked", "已关联未遂事件"),
        "settle": ("settlement of a loss recorded", "已登记损失处理"),
    }
)

PARTY: Mapping[Party, Titles] = _both(  # type: ignore[assignment]
    {"vendor": ("the vendor", "供应商"), "owner": ("the scenario’s owner", "场景方"), "base": ("the base", "基地")}
)
