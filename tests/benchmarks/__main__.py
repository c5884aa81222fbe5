"""``python -m tests.benchmarks [NAME …] [--json FILE]``: measure, print a table, save the figures as JSON.

INK_COLLECTIONS provides real strokes; MNIST_APP_DATA allows a network to train beside the class.
"""

import argparse
import json
import platform
from collections.abc import Callable, Iterable
from pathlib import Path

from . import browser, classroom, explore, reading, teach, training, why
from .figures import HEADING, Figure, as_json, line

BENCHMARKS: dict[str, Callable[[], Iterable[Figure]]] = {
    "reading": reading.measure,
    "browser": browser.measure,
    "explore": explore.measure,
    "why": why.measure,
    "panels": browser.measure_panels,
    "sketches": why.measure_sketches,
    "attacks": why.measure_attacks,
    "training": training.measure,
    "budgets": training.measure_budgets,
    "jobs": training.measure_jobs,
    "teach": teach.measure,
    "beside": browser.measure_beside_training,
    "classroom": classroom.measure,
    "memory": classroom.measure_memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the figures to this file")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {sorted(unknown)[0]!r}; choose from {', '.join(BENCHMARKS)}")
    kept = {}
    for name in arguments.names or BENCHMARKS:
        print(f"\n{name}\n{HEADING}", flush=True)
        figures: list[Figure] = []
        for figure in BENCHMARKS[name]():
            print(line(figure), flush=True)
            figures.append(figure)
        kept[name] = as_json(figures)
    if arguments.json:
        machine = {"machine": platform.platform(), "python": platform.python_version()}
        arguments.json.write_text(json.dumps({**machine, "benchmarks": kept}, indent=2) + "\n")


if __name__ == "__main__":
    main()
