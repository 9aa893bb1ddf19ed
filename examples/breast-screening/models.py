"""Three candidates: a rule on one measurement, a logistic regression and a gradient boosting.

The two models are out-of-fold: a case says which fold it is in, and the model that answers it was trained on the other four only.
So what is tried is the *training procedure*, five models of it, and not one model that could be shipped.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from folds import FOLDS, fold_of
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

RADIUS = 15.0  # the unit of the table's mean radius; a round number, fitted to nothing
Answer = dict[str, Any]
Case = Mapping[str, Any]


def threshold(case: Case) -> Answer:
    """Malignant above a radius. A rule is always certain: its score is 1 or 0."""
    large = case["mean_radius"] > RADIUS
    return {"label": "malignant" if large else "benign", "score": float(large)}


def logistic(cases: Sequence[Case]) -> list[Answer]:
    """Logistic regression on standardised measurements."""
    return _answer(_logistic(), cases)


def boosting(cases: Sequence[Case]) -> list[Answer]:
    """Gradient boosting with scikit-learn's settings."""
    return _answer(_boosting(), cases)


@cache
def _logistic() -> list[Any]:
    return _train(lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)))


@cache
def _boosting() -> list[Any]:
    return _train(lambda: GradientBoostingClassifier(random_state=0))


def _train(make: Callable[[], Any]) -> list[Any]:
    """One model for each fold, trained on the rows of the others."""
    table = load_breast_cancer()
    malignant = table.target == list(table.target_names).index("malignant")
    fold = np.array([fold_of(row) for row in range(len(malignant))])
    return [make().fit(table.data[fold != k], malignant[fold != k]) for k in range(FOLDS)]


def _answer(models: Sequence[Any], cases: Sequence[Case]) -> list[Answer]:
    """Each case by the model that has not seen it; the score is the probability of malignant."""
    names = [str(n).replace(" ", "_") for n in load_breast_cancer().feature_names]
    values = np.array([[case[name] for name in names] for case in cases])
    fold = np.array([int(str(case["fold"]).removeprefix("fold-")) for case in cases])
    chance = np.empty(len(cases))
    for k in np.unique(fold):
        chance[fold == k] = models[k].predict_proba(values[fold == k])[:, 1]
    return [{"label": "malignant" if p >= 0.5 else "benign", "score": float(p)} for p in chance]
