"""Records of dossiers for tests of what is made from them: a realistic one, and its variants."""

import copy
import hashlib
from collections.abc import Callable
from typing import Any

_NAMES = {"logistic", "threshold-rule", "assistant", "readers", "radius_tercile", "numpy", "tabular-basics@1", "mean_radius"}
HOSTILE = "<script>alert(1)</script>]]></style></title>\"'&|`*_[x](http://evil.example)\n# h --> {{7*7}}\x00\x1b\u202e\ud800"


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def check(gate: str, metric: str, require: str, verdict: str, value: Any, low: Any, high: Any, **rest: Any) -> dict[str, Any]:
    """One check's result; what is not given is as for a plain check on 569 cases."""
    made: dict[str, Any] = {
        "id": f"{gate}/{metric}",
        "metric": metric,
        "under": None,
        "by": None,
        "require": require,
        "role": "decide",
        "verdict": verdict,
        "literal": verdict if verdict != "inconclusive" else None,
        "value": value,
        "low": low,
        "high": high,
        "unit": "",
        "n": 569,
        "planned": 569,
        "failed": 0,
        "not_asked": 0,
        "method": "Clopper-Pearson",
        "needed": None,
        "confidence": 0.95,
        "parts": [],
    }
    bound = "low" if (">" in require) == (verdict == "pass") else "high"
    shown = low if bound == "low" else high
    told = {
        "pass": (f"{bound} {shown} keeps {require}", f"{bound} {shown} 满足 {require}"),
        "fail": (f"{bound} {shown} misses {require}", f"{bound} {shown} 不满足 {require}"),
        "inconclusive": (
            f"the interval [{low}, {high}] holds the threshold of {require}",
            f"区间 [{low}, {high}] 包含 {require} 的阈值",
        ),
    }[verdict]
    return made | {"reasons": [told[0]], "reasons_zh": [told[1]]} | rest


def _groups(*rows: tuple[str, int, Any, Any, Any]) -> list[dict[str, Any]]:
    return [{"group": g, "n": n, "value": v, "low": low, "high": high} for g, n, v, low, high in rows]


def _gates(kind: str) -> list[dict[str, Any]]:
    """Five gates as `pass`, `fail` or `inconclusive` sees them."""
    sens = {
        "pass": ("pass", 0.9858, 0.9636, 0.9956, {"n": 212, "planned": 212}),
        "fail": ("fail", 0.8726, 0.8284, 0.9088, {"n": 212, "planned": 212, "failed": 3}),
        "inconclusive": (
            "inconclusive",
            0.9604,
            0.9300,
            0.9798,
            {"n": 202, "planned": 212, "not_asked": 10, "needed": 1240, "literal": "pass"},
        ),
    }[kind]
    auroc = {
        "pass": ("pass", 0.9948, 0.9902, 0.9981),
        "fail": ("fail", 0.9203, 0.8984, 0.9391),
        "inconclusive": ("inconclusive", 0.9741, 0.9622, 0.9838),
    }[kind]
    capability = [
        check("capability", "sensitivity", ">= 0.95", *sens[:4], **sens[4]),
        check("capability", "auroc", ">= 0.97", *auroc, method="DeLong, logit scale"),
        check(
            "capability",
            "sensitivity",
            ">= -0.02",
            "pass",
            0.0142,
            -0.0052,
            0.0341,
            id="capability/sensitivity[compare-to readers]",
            under="compared to readers",
            n=212,
            planned=212,
            method="paired difference, betting confidence sequence",
        ),
    ]
    drop = check(
        "robustness",
        "accuracy",
        "<= 0.05",
        "pass",
        0.0088,
        0.0,
        0.0212,
        id="robustness/accuracy[drop-under gaussian-noise 0.1 sd]",
        under="gaussian-noise 0.1 sd",
        method="paired difference, betting confidence sequence",
        n=284,
        literal=None,
        reasons=["high 0.0212 keeps <= 0.05", "decided on the first 284 of 569 cases in the recorded order"],
        reasons_zh=["high 0.0212 满足 <= 0.05", "按记录的顺序，前 284 个（共 569 个）用例已得出结论"],
    )
    fair = check(
        "fairness",
        "sensitivity",
        "<= 0.10",
        "inconclusive",
        0.0612,
        0.0,
        0.1483,
        id="fairness/sensitivity[gap-by radius_tercile]",
        by="radius_tercile",
        method="Bonferroni over 3 groups",
        literal="pass",
        n=212,
        planned=212,
        parts=_groups(
            ("small", 31, 0.9355, 0.7942, 0.9911), ("middle", 52, 0.9615, 0.8757, 0.9953), ("large", 129, 0.9969, 0.9601, None)
        ),
    )
    slow = check(
        "performance",
        "latency.p95",
        "<= 50 ms",
        "fail" if kind == "fail" else "pass",
        0.0781 if kind == "fail" else 0.0213,
        0.0702 if kind == "fail" else 0.0188,
        None if kind == "fail" else 0.0261,
        unit="s",
        n=200,
        planned=200,
        literal=None,
        under="load 50/s for 5s (poisson)",
        method="share over threshold by batch means, inverted",
    )
    cost = check(
        "performance",
        "cost.per-case",
        "<= 0.01 CNY",
        "inconclusive",
        None,
        None,
        None,
        unit="CNY",
        n=0,
        literal=None,
        method="not estimated: needs the complete planned sample",
        reasons=["no price is declared for this candidate, and a missing price is never zero"],
        reasons_zh=["该被测应用未声明价格；缺失的价格绝不按零计"],
    )
    fairness = {"gate": "fairness", "mandatory": False, "verdict": "inconclusive", "checks": [fair]}
    informs = check(
        "capability",
        "failures",
        "= 0",
        "pass",
        0,
        0,
        0,
        role="inform",
        method="census",
        reasons=["counted on all 569 cases: 0"],
        reasons_zh=["在全部 569 个用例上统计：0"],
    )
    return [
        {"gate": "capability", "mandatory": True, "verdict": kind, "checks": [*capability, informs]},
        {"gate": "robustness", "mandatory": True, "verdict": "pass", "checks": [drop]},
        fairness,
        {
            "gate": "performance",
            "mandatory": False,
            "verdict": "fail" if kind == "fail" else "inconclusive",
            "checks": [slow, cost],
        },
    ]


def _histogram(peak: int) -> list[dict[str, Any]]:
    edges = [0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
    counts = [max(0, 240 - 55 * abs(i - peak)) for i in range(len(edges))]
    return [{"from": a, "to": b, "count": c} for a, b, c in zip(edges, [*edges[1:], None], counts, strict=True)]


def _calibration(bend: float) -> list[dict[str, Any]]:
    rows = []
    for i in range(10):
        score, n = (i + 0.5) / 10, 20 + 11 * abs(5 - i)
        seen = min(1.0, max(0.0, score + bend * (score - 0.5)))
        rows.append(
            {
                "from": i / 10,
                "to": (i + 1) / 10,
                "n": n,
                "mean_score": score,
                "share_positive": seen,
                "low": max(0.0, seen - 0.12),
                "high": min(1.0, seen + 0.12),
            }
        )
    return rows


def record() -> dict[str, Any]:
    """Three candidates (one passes, one fails, one is open) beside a reference, complete and confirmatory."""
    kinds = {"logistic": "pass", "threshold-rule": "fail", "assistant": "inconclusive"}
    results = [
        {
            "id": name,
            "role": "candidate",
            "fingerprint": f"sha256:{_hex(name)}",
            "verdict": kind,
            "gates": _gates(kind),
            "reasons": [] if kind == "pass" else [f"capability/sensitivity: {kind}"],
        }
        for name, kind in kinds.items()
    ]
    reference = {
        "id": "readers",
        "role": "reference",
        "fingerprint": f"sha256:{_hex('readers')}",
        "verdict": "pass",
        "gates": _gates("pass")[:1],
        "reasons": [],
    }
    everyone = [*results, reference]
    titles = {
        "logistic": "Logistic regression",
        "threshold-rule": "Threshold on mean radius",
        "assistant": "对话助手",
        "readers": "Two readers",
    }
    return {
        "schema": "pilotbase.dossier/1",
        "tool": {"name": "pilotbase", "version": "0.1.0"},
        "made": "2026-11-21T18:44:08+00:00",
        "run": {
            "id": "20261121-184001-7f3a",
            "created": "2026-11-21T18:40:01+00:00",
            "finished": "2026-11-21T18:43:12.500000+00:00",
            "status": "complete",
            "options": {},
        },
        "pilot": {
            "pilot": "breast-screening",
            "title": {"en": "Mass triage in breast screening", "zh": "乳腺筛查肿块分诊"},
            "scenario": {
                "area": "livelihood",
                "field": "medical",
                "owner": "District hospital",
                "risk": "medium",
                "authority": "user-only",
                "need": {
                    "en": "Rank aspirates so that malignant ones are read first.",
                    "zh": "对穿刺样本排序，使恶性样本优先阅片。",
                },
            },
            "data": {
                "test": {
                    "path": "test.csv",
                    "inputs": ["mean_radius", "mean_texture"],
                    "target": "diagnosis",
                    "positive": "malignant",
                }
            },
            "candidates": [{"id": name} for name in titles],
            "gates": [],
            "limits": {"calls": 20000, "spend": "10 CNY", "time": "10m"},
            "seed": 7,
            "confidence": None,
        },
        "pilot_digest": f"sha256:{_hex('pilot')}",
        "packs": {"tabular-basics@1": f"sha256:{_hex('pack')}"},
        "criteria": {
            "digest": f"sha256:{_hex('criteria')}",
            "recorded": "2026-11-21T18:39:58+00:00",
            "witness": None,
            "document": {},
        },
        "confirmatory": True,
        "exploratory_because": [],
        "data": {
            "digest": f"sha256:{_hex('data')}",
            "order": f"sha256:{_hex('order')}",
            "count": 569,
            "custody": "open",
            "name": "Wisconsin diagnostic table",
            "repairs": ["read as GB18030 and kept as UTF-8"],
            "groups": {"radius_tercile": 3},
            "clusters": None,
        },
        "candidates": [
            {
                "id": name,
                "role": "reference" if name == "readers" else "candidate",
                "kind": "openai" if name == "assistant" else "python",
                "fingerprint": f"sha256:{_hex(name)}",
                "self_declared": name == "assistant",
                "parts": {},
                "title": title,
            }
            for name, title in titles.items()
        ],
        "result": {
            "schema": "pilotbase.run/1",
            "run": "20261121-184001-7f3a",
            "pilot": "breast-screening",
            "verdict": "pass",
            "status": "complete",
            "confirmatory": True,
            "confidence": 0.95,
            "family": {"candidates": 3, "round": 2, "alpha": 0.05, "corrected": False},
            "candidates": everyone,
        },
        "plan": {"variants": [], "checks": [], "columns": {}},
        "scores": {},
        "cases": {"file": "cases.parquet", "digest": f"sha256:{_hex('cases')}"},
        "loads": [],
        "account": {
            name: {
                "answered": {"0": 569},
                "why": "the spend limit of 10 CNY was reached" if name == "assistant" else "",
                "currency": None,
                "judges": {},
                "load_missing": {},
            }
            for name in titles
        },
        "commitments": {
            name: {
                "root": _hex("root" + name),
                "count": 569,
                "file": f"commitments/{name}.parquet",
                "digest": f"sha256:{_hex('c' + name)}",
                "algorithm": "sha256 salted leaves, RFC 6962 hashing",
            }
            for name in kinds
        },
        "failures": {
            "logistic": [
                {
                    "category": "wrong: benign for malignant",
                    "count": 3,
                    "examples": [
                        {
                            "case": "87139402",
                            "input": {"mean_radius": 12.32, "mean_texture": 12.39},
                            "answer": "benign",
                            "truth": "malignant",
                        }
                    ],
                }
            ],
            "threshold-rule": [
                {"category": "wrong: benign for malignant", "count": 24, "examples": []},
                {"category": "timeout", "count": 3, "examples": []},
            ],
            "assistant": [
                {
                    "category": "unparseable",
                    "count": 4,
                    "examples": [
                        {
                            "case": "91789",
                            "input": "Case: 11.22, 33.81. Answer malignant or benign.",
                            "answer": "I cannot say | without `more`",
                            "truth": "benign",
                        }
                    ],
                }
            ],
        },
        "service": {
            name: {
                "calls": 1138,
                "seconds_p50": 0.0041 * (i + 1),
                "seconds_p95": 0.0213 * (i + 1),
                "cost": "0.12 CNY" if i == 2 else None,
                "tokens_in": 52311 if i == 2 else None,
                "tokens_out": 1707 if i == 2 else None,
                "latency_histogram": _histogram(2 + 2 * i),
            }
            for i, name in enumerate(kinds)
        },
        "calibration": {"logistic": _calibration(0.15), "assistant": _calibration(-0.6)},
        "not_tested": [
            {
                "en": "Patients of any other hospital: the table comes from one clinic.",
                "zh": "其他医院的患者：数据表来自同一家诊所。",
            },
            {"en": "What readers do with the ranking.", "zh": "阅片医生如何使用该排序。"},
        ],
        "history": [
            {
                "run": "20261120-101500-11ab",
                "created": "2026-11-20T10:15:00+00:00",
                "round": 1,
                "verdict": "inconclusive",
                "candidates": ["logistic", "assistant"],
                "same_criteria": False,
            }
        ],
        "environment": {
            "python": "3.11.11",
            "platform": "Linux x86_64",
            "packages": {"numpy": "2.4.6", "polars": "2.1.0", "pydantic": "2.14.3"},
        },
    }


def exploratory() -> dict[str, Any]:
    """The same figures, concluded at another confidence afterwards."""
    made = record()
    made["confirmatory"] = made["result"]["confirmatory"] = False
    made["exploratory_because"] = ["the confidence 0.9 is not the recorded one"]
    return made


def held_out() -> dict[str, Any]:
    """The same pilot on held-out data; a witness signed the criteria. Examples are left in, as a careless builder might."""
    made = record()
    made["data"]["custody"] = "held-out"
    made["criteria"]["witness"] = {"key_id": "SHA256:base-key", "signature": "AAAA", "time": "2026-11-21T18:39:59+00:00"}
    return made


def only_failures() -> dict[str, Any]:
    """One candidate that answered nothing; the run was cut."""
    made = record()
    one = made["result"]["candidates"][1]
    gates = [
        {
            "gate": "capability",
            "mandatory": True,
            "verdict": "fail",
            "checks": [
                check(
                    "capability", "accuracy", ">= 0.9", "fail", 0.0, 0.0, 0.0135, n=220, failed=220, not_asked=349, literal=None
                )
            ],
        }
    ]
    made["result"] |= {"verdict": "fail", "status": "interrupted", "candidates": [one | {"gates": gates}]}
    made["run"]["status"] = "interrupted"
    made["failures"] = {one["id"]: [{"category": "unreachable", "count": 220, "examples": []}]}
    made["service"] = {
        one["id"]: {
            "calls": 220,
            "seconds_p50": None,
            "seconds_p95": None,
            "cost": None,
            "tokens_in": None,
            "tokens_out": None,
            "latency_histogram": [],
        }
    }
    made["calibration"], made["not_tested"], made["history"] = {}, [], []
    return made


def extreme() -> dict[str, Any]:
    """40 checks, long Chinese texts, many groups, figures at their edges, and nulls wherever there may be any."""
    made = record()
    long = "在真实业务环境中对跨地区多中心多机型采集的影像进行分诊并保证不同人群之间没有显著差异" * 4
    made["pilot"]["title"] = {"en": None, "zh": long}
    made["pilot"]["scenario"] = {"need": long, "owner": long, "area": "somewhere", "risk": None, "authority": None}
    checks = []
    for i in range(40):
        verdict = ("pass", "fail", "inconclusive")[i % 3]
        figures = (
            (0.9500001, 0.94999996, None),
            (1e-9, 0.0, 3e-7),
            (123456789.123, None, None),
            (None, None, None),
            (0, 0, 0),
            (1, 1, 1),
        )[i % 6]
        checks.append(
            check(
                "能力关口",
                "plugin-metric" if i % 2 else "accuracy",
                ">= 0.95" if i % 4 else "in [甲, 乙]",
                verdict,
                *figures,
                id=f"能力关口/{long[:30]}#{i}",
                n=None if i % 5 == 0 else 10**9,
                planned=None if i % 5 == 0 else 10**9 + 1,
                confidence=None if i % 7 == 0 else 0.99,
                reasons=[long, "why"],
                reasons_zh=[long],
            )
        )
    checks[1]["by"] = long[:20]
    checks[1]["parts"] = _groups(*((f"{long[:24]}{i}", 30 + i, 0.9, 0.8 - i / 100, None if i % 2 else 0.97) for i in range(25)))
    one = made["result"]["candidates"][0] | {
        "id": "x" * 64,
        "gates": [{"gate": "能力关口", "mandatory": True, "verdict": "fail", "checks": checks}],
        "verdict": "fail",
    }
    made["result"] |= {"verdict": "fail", "candidates": [one]}
    made["data"] |= {"groups": {long[:20]: 25}, "clusters": 400, "name": None}
    return made


def empty() -> dict[str, Any]:
    """Every part is null."""
    return dict.fromkeys(record())


VARIANTS: dict[str, Callable[[], dict[str, Any]]] = {
    "record": record,
    "exploratory": exploratory,
    "held-out": held_out,
    "only-failures": only_failures,
    "extreme": extreme,
    "empty": empty,
}


def nulled(given: Any) -> list[dict[str, Any]]:
    """The record once for each place below two levels of which the value is null."""
    found: list[dict[str, Any]] = []

    def walk(node: Any, path: tuple[Any, ...]) -> None:
        children = node.items() if isinstance(node, dict) else enumerate(node[:1]) if isinstance(node, list) else ()
        for key, child in children:
            made = copy.deepcopy(given)
            at = made
            for step in path:
                at = at[step]
            at[key] = None
            found.append(made)
            walk(child, (*path, key))

    walk(given, ())
    return found


def hostile(given: Any, text: str = HOSTILE) -> Any:
    """The same record with `text` after every string and every key that names a candidate, a group, a package or an input."""
    fixed = {"pass", "fail", "inconclusive", "decide", "inform", "candidate", "reference", "held-out", "open", "complete"}
    if isinstance(given, str):
        return given if given in fixed else given + text
    if isinstance(given, dict):
        return {key + text if key in _NAMES else key: hostile(value, text) for key, value in given.items()}
    return [hostile(value, text) for value in given] if isinstance(given, list) else given
