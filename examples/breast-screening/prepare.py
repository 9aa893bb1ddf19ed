"""Write cases.csv from the table that scikit-learn ships: `python prepare.py`. The same bytes every time, nothing downloaded."""

import csv
from pathlib import Path

import numpy as np
from folds import fold_of
from sklearn.datasets import load_breast_cancer

FOLDER = Path(__file__).parent
TERCILES = ("small", "middle", "large")


def column(name: str) -> str:
    """`worst concave points` -> `worst_concave_points`."""
    return name.replace(" ", "_")


def write(path: Path) -> int:
    """Write the cases; how many there are."""
    table = load_breast_cancer()
    names = [column(str(name)) for name in table.feature_names]
    radius = table.data[:, names.index("mean_radius")]
    tercile = np.digitize(radius, np.quantile(radius, [1 / 3, 2 / 3]))
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["id", "fold", *names, "radius_tercile", "diagnosis"])
        for i, (values, kind) in enumerate(zip(table.data.tolist(), table.target.tolist(), strict=True)):
            diagnosis = str(table.target_names[kind])
            rows.writerow([f"wdbc-{i + 1:03d}", f"fold-{fold_of(i)}", *map(repr, values), TERCILES[tercile[i]], diagnosis])
    return len(table.target)


if __name__ == "__main__":
    print(f"wrote {write(FOLDER / 'cases.csv')} cases to {FOLDER / 'cases.csv'}")
