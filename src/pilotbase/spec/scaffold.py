"""`pilotbase init`: a commented pilot with working candidates and made-up data, to run at once and then replace."""

import csv
import random
import runpy
from pathlib import Path
from typing import Any

from pilotbase.errors import UserError

__all__ = ["scaffold", "scaffold_files"]

TEMPLATES = Path(__file__).with_name("templates")
FILES = {"pilot.yaml": "pilot.yaml", "models.py": "models.txt"}  # the latter is no module of ours
CASES = 200
SEED = 7
LINES = ("A", "B")


def scaffold(folder: Path) -> list[Path]:
    """Write pilot.yaml, models.py and test.csv into `folder`, making it; the files written.

    Raises UserError, having written nothing, where one of them exists or the folder cannot be made.
    """
    contents = scaffold_files()
    paths = {name: folder / name for name in contents}
    there = [name for name, path in paths.items() if path.exists() or path.is_symlink()]
    if there:
        raise UserError(f"{', '.join(there)} already there", where=str(folder), hint="name another folder; nothing was written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in paths.items():
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(contents[name])
    except OSError as error:
        raise UserError(f"cannot write here: {error.strerror}", where=str(error.filename or folder)) from None
    return list(paths.values())


def scaffold_files(*, code: bool = True) -> dict[str, str]:
    """The texts of the template by name. Without `code` its candidates are answers that were recorded before, one file each."""
    contents = {name: (TEMPLATES / file).read_text(encoding="utf-8") for name, file in FILES.items()}
    contents["test.csv"] = cases()
    if code:
        return contents
    rules = runpy.run_path(str(TEMPLATES / FILES["models.py"]))
    del contents["models.py"]
    for name in ("threshold", "centroid"):
        contents[f"{name}.csv"] = _answers(rules[name], contents["test.csv"])
        contents["pilot.yaml"] = contents["pilot.yaml"].replace(f'{{python: "models:{name}"}}', f"{{recorded: {name}.csv}}")
    told = "# module:callable beside this file"
    contents["pilot.yaml"] = contents["pilot.yaml"].replace(told, "# answers given before, one a case")
    return contents


def _answers(rule: Any, table: str) -> str:
    lines = ["id,answer"]
    for row in csv.DictReader(table.splitlines()):
        said = rule({name: float(row[name]) for name in ("vibration", "temperature")})
        lines.append(f"{row['id']},{said['label'] if isinstance(said, dict) else said}")
    return "\n".join(lines) + "\n"


def cases() -> str:
    """CSV of 200 made-up pumps: half faulty, two readings, two production lines; the same on every machine.

    A faulty pump's readings are normal around 2, a sound one's around 0, with standard deviation 0.5, to three decimals.
    """
    draw = random.Random(SEED)
    rows = ["id,vibration,temperature,line,state"]
    for i in range(CASES):
        state = "fault" if i % 2 else "normal"
        centre = 2.0 if state == "fault" else 0.0
        readings = [f"{draw.gauss(centre, 0.5):.3f}" for _ in range(2)]
        rows.append(",".join((f"p{i + 1:03d}", *readings, LINES[draw.random() < 0.5], state)))
    return "\n".join(rows) + "\n"
