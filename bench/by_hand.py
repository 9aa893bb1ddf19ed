"""What the million-case bench is set against: the same function on the same frames, and scikit-learn's metrics, in one process.

    python bench/by_hand.py CASES.parquet FRAME

It prints the metrics as JSON. Intervals are by Clopper and Pearson's formula, as a person would take them from SciPy.
"""

import json
import sys

import numpy as np
import polars as pl
from models import by_frame
from scipy.stats import beta
from sklearn.metrics import accuracy_score, recall_score


def interval(hits: int, n: int, alpha: float = 0.05) -> list[float]:
    """Both exact one-sided bounds."""
    low = float(beta.ppf(alpha, hits, n - hits + 1)) if hits else 0.0
    return [low, float(beta.ppf(1 - alpha, hits + 1, n - hits)) if hits < n else 1.0]


def main(path: str, size: int) -> None:
    cases = pl.read_parquet(path)
    said = np.concatenate([by_frame(part)["label"] for part in cases.iter_slices(size)])
    truth, site = cases["truth"].to_numpy(), cases["site"].to_numpy()
    positive = truth == 1
    rates = {name: float(accuracy_score(truth[site == name], said[site == name])) for name in np.unique(site)}
    found = {
        "accuracy": float(accuracy_score(truth, said)),
        "accuracy_bounds": interval(int((said == truth).sum()), len(truth)),
        "sensitivity": float(recall_score(truth, said)),
        "sensitivity_bounds": interval(int((said[positive] == 1).sum()), int(positive.sum())),
        "gap": max(rates.values()) - min(rates.values()),
        "gap_parts": {n: interval(int((said == truth)[site == n].sum()), int((site == n).sum())) for n in rates},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
