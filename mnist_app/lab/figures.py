"""What was measured of each contender, and its folder on disk: `figures.json`, model card and graph."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any

import numpy as np

from mnist_app.data.dataset import CLASSES
from mnist_app.errors import AppError
from mnist_app.lab.contender import FAMILIES, Contender, Expected
from mnist_app.models.registry import CARD, CURVES, GRAPH
from mnist_app.storage import SHIPPED_LAB, lab_folder, write_whole

FIGURES, PROBLEM = "figures.json", "problem.json"
SHIPPED_UP_TO = 800_000  # bytes of a compressed graph; larger ones are not shipped, and rebuilt by their command
TOLERANCE = 0.003  # how far a contender's accuracy may fall short of what is expected


@dataclass(frozen=True)
class Latency:
    """Milliseconds per picture on one thread, from pixels to probabilities, or to scores in `Figures.own`."""

    median: float
    p95: float


@dataclass(frozen=True)
class Figures:
    """A row of the table. Shares are from 0 to 1, and measured on the test split unless stated otherwise."""

    name: str
    title: str
    family: str
    idea: str
    recipe: str
    expected: Expected | None
    accuracy: float
    precision: float  # the mean over the ten digits, as for the next two
    recall: float
    f1: float
    calibration_error: float | None  # before any calibration; None for scores
    calibrated_error: float  # with the temperature fitted on validation digits
    confusion: Sequence[Sequence[int]]  # (10, 10): rows are the labels, columns what was read
    validation_accuracy: float
    ink: float | None  # accuracy on real ink, the mean over collections; None if there was none, or it learned from it
    ink_collections: Mapping[str, float]
    parameters: int
    bytes: int  # of the graph
    zipped: int  # of the graph compressed with gzip, as it is stored
    seconds: float  # of processor time to learn, including what it is made from
    memory: float | None  # peak MB of the process that learned; None for this app's own models
    own: Latency | None  # by the library that trained it, right after that; None if that is ONNX Runtime
    latency: Latency  # by ONNX Runtime, as this app reads
    throughput: float  # pictures per second, a hundred at once, by ONNX Runtime
    curves: Sequence[Mapping[str, float]]
    machine: str

    def __post_init__(self) -> None:
        """Check what came from a file. Raises TypeError, ValueError or KeyError if a page could not show a field."""
        for part in filter(None, (self, self.latency, self.own, self.expected)):
            _check_kinds(part)
        if self.family not in FAMILIES:
            raise ValueError(f"unknown family {self.family!r}")
        counts = np.array(self.confusion)
        if counts.shape != (CLASSES, CLASSES) or counts.dtype.kind != "i":
            raise ValueError("the confusion matrix is not one")
        check_curves(self.curves)

    @property
    def falls_short(self) -> bool:
        return self.expected is not None and self.accuracy < self.expected.accuracy - TOLERANCE

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Figures":
        """Figures from parsed JSON. Raises TypeError, ValueError or KeyError."""
        parts = {"own": Latency, "latency": Latency, "expected": Expected}
        return cls(**{**content, **{name: content[name] and kind(**content[name]) for name, kind in parts.items()}})


def check_curves(curves: Sequence[Mapping[str, float]]) -> None:
    """Raises TypeError, ValueError or KeyError if a curve cannot be drawn."""
    if not all(math.isfinite(report[name]) for report in curves for name in CURVES):
        raise ValueError("a curve has a value that is not finite")


def _check_kinds(part: Any) -> None:
    """Raises TypeError if a field of a dataclass has another type than declared, or is not a finite number."""
    for field in fields(part):
        value, kind = getattr(part, field.name), field.type
        if kind in (float, float | None) and isinstance(value, int):  # as JSON may write a round number
            continue
        is_known = not isinstance(kind, type | UnionType) or isinstance(value, kind)
        if not is_known or (isinstance(value, float) and not math.isfinite(value)):
            raise TypeError(f"{field.name} has the wrong type")


def read_figures(folder: Path) -> Figures | None:
    """The figures in a contender's folder; None if they are missing or unreadable."""
    try:
        return Figures.from_json(json.loads((folder / FIGURES).read_text()))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def problem_of(folder: Path) -> str | None:
    """Why a contender could not be measured; None if no failure was recorded."""
    try:
        return str(json.loads((folder / PROBLEM).read_text())["problem"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def table() -> list[Figures]:
    """Every contender's figures; those measured on this machine replace those that came with the app."""
    found: dict[str, Figures] = {}
    for parent in (lab_folder(), SHIPPED_LAB):
        for path in sorted(parent.glob(f"*/{FIGURES}")):
            figures = read_figures(path.parent)
            if figures:
                found.setdefault(figures.name, figures)
    return list(found.values())


def problems() -> dict[str, str]:
    """Why contenders without figures could not be measured on this machine, by name."""
    return _problems_in(lab_folder())


def missing() -> list[str]:
    """Contenders that have no figures because they failed elsewhere, and that were not tried on this machine."""
    here = problems()
    return [name for name in _problems_in(SHIPPED_LAB) if name not in here]


def _problems_in(folder: Path) -> dict[str, str]:
    known = {figures.name for figures in table()}
    tried = [path.parent for path in sorted(folder.glob(f"*/{PROBLEM}")) if path.parent.name not in known]
    return {each.name: problem for each in tried if (problem := problem_of(each))}


def is_up_to_date(figures: Figures | None, contender: Contender, *, with_ink: bool = False) -> bool:
    """Whether figures are up to date: of the contender's recipe and, if ``with_ink``, measured on real ink."""
    lacks_ink = with_ink and not contender.knows_ink and figures is not None and figures.ink is None
    return figures is not None and figures.recipe == contender.recipe and not lacks_ink


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file whole or not at all. Raises OSError."""
    write_whole(path, json.dumps(content, indent=1).encode())


def ship(name: str) -> Path | None:
    """Copy a contender's figures into weights/, and its model if it is small enough. Returns the folder.

    Returns None if it has no figures here but was shipped with figures before, which stay. Raises AppError.
    """
    here, there = lab_folder() / name, SHIPPED_LAB / name
    figures = read_figures(here)
    if figures is None and problem_of(here) is None:
        raise AppError(f"{name!r} has not been measured yet: python -m mnist_app lab --models {name}")
    if figures is None and read_figures(there):
        return None
    try:
        SHIPPED_LAB.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=SHIPPED_LAB, prefix=".") as workshop:
            copied = Path(workshop, name)
            copied.mkdir()
            for part in (FIGURES, PROBLEM, *((CARD, GRAPH) if figures and figures.zipped <= SHIPPED_UP_TO else ())):
                if (here / part).exists():
                    shutil.copy(here / part, copied / part)
            shutil.rmtree(there, ignore_errors=True)
            os.replace(copied, there)
    except OSError as error:
        raise AppError(f"{there} could not be written: {error.strerror}.") from None
    return there
