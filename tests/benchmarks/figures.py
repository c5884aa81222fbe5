"""The figures of a benchmark: what was measured, in which unit, over how many samples."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Figure:
    """A summary of the samples of one quantity."""

    what: str
    unit: str
    samples: int
    median: float
    p95: float

    @classmethod
    def of(cls, what: str, values: Sequence[float], unit: str = "ms") -> "Figure":
        return cls(what, unit, len(values), float(np.median(values)), float(np.percentile(values, 95)))


def timed(what: str, work: Callable[[Any], object], subjects: Iterable[Any]) -> Figure:
    """Measure how long ``work`` takes on each subject; the first five are a warm-up and do not count."""
    times = []
    for subject in subjects:
        began = time.perf_counter()
        work(subject)
        times.append((time.perf_counter() - began) * 1000)
    return Figure.of(what, times[5:])


HEADING = f"{'':<66}{'median':>10}{'p95':>10}  unit  samples"


def line(figure: Figure) -> str:
    """Format a figure as a line of the table under HEADING."""
    return f"{figure.what:<66}{figure.median:>10.2f}{figure.p95:>10.2f}  {figure.unit:<5} {figure.samples:>6}"


def as_json(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    return [asdict(figure) for figure in figures]
