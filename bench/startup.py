"""Starting: `--version` and `--help` beside a bare interpreter, a whole pilot of 100 chat cases, and what an install weighs.

    python bench/startup.py [--times 20] [--install]

Bytecode is cached, as after any install. `--install` also builds a fresh environment (a minute, and a package index).
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from endpoint import chat_pilot, serving
from measure import bench_environment, footer, measure, median, table

ROOT = Path(__file__).resolve().parent.parent


def timed(command: list[str], folder: Path, times: int) -> tuple[float, float, float]:
    """Median wall and CPU seconds, and the most memory in MB, after one run that warms caches."""
    environment = bench_environment(folder / "home")
    measure(command, environment=environment, folder=folder)
    runs = [measure(command, environment=environment, folder=folder) for _ in range(times)]
    return median([r.wall for r in runs]), median([r.cpu for r in runs]), max(r.megabytes for r in runs)


def install_weight(folder: Path) -> tuple[float, int, list[tuple[str, float]]]:
    """(MB of a fresh environment's packages, number of packages, those over 20 MB) of a default install."""
    env = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", str(env)], check=True)
    site = next(env.glob("lib/*/site-packages"))
    before = weight(site)
    subprocess.run([str(env / "bin" / "pip"), "install", "-q", str(ROOT)], check=True)
    heavy = sorted(((p.name, weight(p)) for p in site.iterdir() if p.is_dir() and weight(p) > 20), key=lambda p: -p[1])
    packages = len(list(site.glob("*.dist-info"))) - 2  # pip and setuptools come with the environment
    return weight(site) - before, packages, heavy


def weight(folder: Path) -> float:
    """MB of files in a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--install", action="store_true", help="also weigh a default install")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-startup-") as name:
        folder = Path(name)
        bare = timed([sys.executable, "-c", "pass"], folder, given.times)
        rows = [("bare interpreter", *bare)]
        for word in ("--version", "--help"):
            rows.append((f"`pilotbase {word}`", *timed([sys.executable, "-m", "pilotbase", word], folder, given.times)))
        print(
            table(
                (f"command (median of {given.times})", "wall ms", "added ms", "CPU ms", "peak RSS MB"),
                ((n, f"{1000 * w:.0f}", f"{1000 * (w - bare[0]):.0f}", f"{1000 * c:.0f}", f"{m:.0f}") for n, w, c, m in rows),
            )
        )
        with serving() as server:
            chat_pilot(folder, server.url, 100)
            command = [sys.executable, "-m", "pilotbase", "run", "pilot.yaml", "-q", "--no-early-stop"]
            runs = [
                measure(command, environment=bench_environment(folder / f"home{i}"), folder=folder, codes=(0, 1, 3))
                for i in range(4)
            ][1:]
        print(
            f"\nA whole pilot of 100 chat cases: {median([r.wall for r in runs]):.2f} s wall, "
            f"{median([r.cpu for r in runs]):.2f} s CPU (median of 3)."
        )
        if given.install:
            size, packages, heavy = install_weight(folder)
            listed = ", ".join(f"{n} {m:.0f}" for n, m in heavy)
            print(f"\nA default install: {size:.0f} MB in {packages} packages, pilotbase included. Over 20 MB: {listed}.")
    print("\n" + footer())


if __name__ == "__main__":
    main()
