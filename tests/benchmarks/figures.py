"""A figure: what was measured, in which unit, over how many samples."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Figure:
    """Samples of one quantity in short."""

    what: str
    unit: str
    samples: int
    median: float
    p95: float

    @classmethod
    def of(cls, what: str, values: Sequence[float], unit: str = "ms") -> "Figure":
        return cls(what, unit, len(values), float(np.median(values)), float(np.percentile(values, 95)))


def timed(what: str, work: Callable[[Any], object], subjects: Iterable[Any]) -> Figure:
    """How long ``work`` takes on each subject, the first five as a warm-up that does not count."""
    times = []
    for subject in subjects:
        began = time.perf_counter()
        work(subject)
        times.append((time.perf_counter() - began) * 1000)
    return Figure.of(what, times[5:])


def table(figures: Iterable[Figure]) -> str:
    """Figures for people."""
    lines = [f"{'':<66}{'median':>10}{'p95':>10}  unit  samples"]
    lines += [f"{f.what:<66}{f.median:>10.2f}{f.p95:>10.2f}  {f.unit:<5} {f.samples:>6}" for f in figures]
    return "\n".join(lines)


def as_json(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    return [asdict(figure) for figure in figures]
