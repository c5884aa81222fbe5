"""Points, strokes and drawings: what a pen did, validated once on input."""

import contextlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_app.errors import AppError

MAX_STROKES = 200
MAX_POINTS = 20_000  # over all strokes; a digit drawn with a mouse has about 100
SMALLEST = np.finfo(np.float64).tiny / np.finfo(np.float64).eps  # dividing by a smaller extent overflows
WIDEST_PEN = 10_000  # canvas pixels: less than this
BLOT = 0.5  # of the pen's width: a stroke that spans less looks like a dot and is read as one

Stroke = NDArray[np.float64]


class DrawingError(AppError):
    """The input is not a valid drawing; the message says why in one sentence."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """Strokes in writing order, each float64 of shape (points, 2): x to the right, y downwards, any unit.

    Every coordinate is finite, no stroke is empty, and the limits on strokes and points hold.
    """

    strokes: tuple[Stroke, ...]
    pen_width: float | None = None  # as drawn, in the unit of the points; None if unknown

    @classmethod
    def from_points(cls, strokes: object) -> "Drawing":
        """A drawing from plain lists ``[[[x, y], ...], ...]``. Raises DrawingError."""
        return cls(_checked(_stroke_from_points(points) for points in _sequence(strokes, "strokes")))

    @classmethod
    def from_fabric(cls, canvas: object) -> "Drawing":
        """A drawing from the canvas's Fabric.js JSON, ``{"objects": [{"type": "Path", ...}]}``. Raises DrawingError."""
        if not isinstance(canvas, Mapping):
            raise DrawingError(f"A canvas must be a JSON object with a list of objects, not {type(canvas).__name__}.")
        paths = [_mapping(path) for path in _sequence(canvas.get("objects", []), "objects")]
        known = [width for path in paths if (width := _pen_width_of(path))]
        return cls(_checked(_stroke_from_path(path) for path in paths), float(np.median(known)) if known else None)

    def to_points(self) -> list[list[list[float]]]:
        """The strokes as plain lists, ready for JSON."""
        return [stroke.tolist() for stroke in self.strokes]

    def to_fabric(self, pen_width: float, colour: str) -> dict[str, Any]:
        """The canvas's Fabric.js JSON for these strokes: what ``from_fabric`` reads."""
        look = {"type": "Path", "fill": None, "stroke": colour, "strokeWidth": pen_width}
        ends = {"strokeLineCap": "round", "strokeLineJoin": "round"}
        return {"objects": [{**look, **ends, "path": _path_of(stroke, pen_width)} for stroke in self.strokes]}

    def moved_onto(self, side: float, margin: float) -> "Drawing":
        """The drawing moved onto a square pad, and shrunk if it is too large for it. It must have a stroke."""
        points = np.concatenate(self.strokes)
        low, extent = points.min(axis=0), np.ptp(points, axis=0)
        scale = min(1.0, (side - 2 * margin) / max(float(extent.max()), 1e-9))
        corner = np.clip(low, margin, side - margin - scale * extent)
        return Drawing(tuple((stroke - low) * scale + corner for stroke in self.strokes), self.pen_width)

    def subsampled(self, most: int) -> "Drawing":
        """The drawing with evenly fewer points, about ``most``, if it has more: painting each one takes time."""
        step = -(-sum(map(len, self.strokes)) // most)
        if step <= 1:
            return self
        strokes = (np.concatenate([stroke[:-1:step], stroke[-1:]]) for stroke in self.strokes)
        return Drawing(tuple(strokes), self.pen_width)

    @property
    def is_blank(self) -> bool:
        return not self.strokes


def distance_along(stroke: Stroke) -> NDArray[np.float64]:
    """Arc length from a stroke's start to each of its points (P,), in their unit."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])


def resampled(stroke: Stroke, step: float) -> Stroke:
    """The stroke as points that are about ``step`` apart."""
    along = distance_along(stroke)
    if along[-1] == 0:
        return stroke[:1]
    at = np.linspace(0, along[-1], max(2, round(along[-1] / step) + 1))
    return np.stack([np.interp(at, along, stroke[:, axis]) for axis in (0, 1)], axis=1)


def _checked(strokes: Iterable[Stroke]) -> tuple[Stroke, ...]:
    kept: list[Stroke] = []
    points = 0
    for stroke in strokes:
        if not len(stroke):
            continue  # the pen never touched the pad
        kept.append(stroke)
        points += len(stroke)
        if len(kept) > MAX_STROKES:
            raise DrawingError(f"A drawing has at most {MAX_STROKES} strokes, and this one has more.")
        if points > MAX_POINTS:
            raise DrawingError(f"A drawing has at most {MAX_POINTS:,} points, and this one has more.")
    if kept:
        with np.errstate(over="ignore", invalid="ignore"):
            extent = np.ptp(np.concatenate(kept), axis=0)
        if not np.isfinite(extent).all():
            raise DrawingError("Every coordinate of a drawing, and its extent, must be a finite number.")
    return tuple(kept)


def _sequence(value: object, name: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise DrawingError(f"A drawing's {name} must be a list, not {type(value).__name__}.")
    return value


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DrawingError(f"Each object on the canvas must be a JSON object, not {type(value).__name__}.")
    return value


def _stroke_from_points(points: object) -> Stroke:
    if not isinstance(points, list | tuple):
        raise DrawingError(f"A stroke must be a list of points, not {type(points).__name__}.")
    if len(points) > MAX_POINTS:
        raise DrawingError(f"A drawing has at most {MAX_POINTS:,} points, and this one has more.")
    if not points:
        return np.empty((0, 2))
    # Check the types before NumPy sees the points: it would silently turn "1", True and None into floats, and would
    # reserve the length of the longest text among them for every number.
    is_pairs = {*map(type, points)} <= {list, tuple} and {*map(len, points)} == {2}
    if is_pairs and {*map(type, itertools.chain.from_iterable(points))} <= {int, float}:
        with contextlib.suppress(OverflowError):
            return np.array(points, np.float64)
    raise DrawingError("A stroke must be a list of points, each of them a pair of numbers [x, y].")


# The index of the pointer's position in each Fabric path command. A Q's control point is the sample, its end only a
# midpoint.
_SAMPLE_AT = {"M": 1, "Q": 1, "L": 1}


def _path_of(stroke: Stroke, pen_width: float) -> list[list[Any]]:
    """A stroke as the canvas itself writes it: curves through the midpoints between samples; a dot is a hair wide."""
    hair = np.array([[0.0, 0.0], [pen_width / 500, 0.0]])
    first, *middle, last = (stroke if len(stroke) > 1 else stroke + hair).tolist()
    path: list[list[Any]] = [["M", *first]]
    for (x, y), (next_x, next_y) in itertools.pairwise([*middle, last]):
        path.append(["Q", x, y, (x + next_x) / 2, (y + next_y) / 2])
    return [*path, ["L", *last]]


def _stroke_from_path(path: Mapping[str, Any]) -> Stroke:
    kind = path.get("type")
    if not isinstance(kind, str) or kind.lower() != "path":
        raise DrawingError(f"Only pen strokes can be read from a canvas, not an object of type {str(kind)[:40]!r}.")
    points = []
    for command in _sequence(path.get("path"), "paths"):
        command = _sequence(command, "path commands")
        at = _SAMPLE_AT.get(command[0]) if command and isinstance(command[0], str) else None
        if at is None:
            raise DrawingError("A pen stroke on the canvas may only contain the path commands M, Q and L.")
        points.append(list(command[at : at + 2]))
    stroke = _stroke_from_points(points)
    with np.errstate(over="ignore"):  # such coordinates are rejected later
        is_blot = len(stroke) > 0 and bool(np.ptp(stroke, axis=0).max() / BLOT < _pen_width_of(path))
    return stroke[:1] if is_blot else stroke


def _pen_width_of(path: Mapping[str, Any]) -> float:
    """The pen's width in canvas pixels; 0 if it is missing or impossible."""
    width = path.get("strokeWidth")
    return float(width) if isinstance(width, int | float) and 0 < width < WIDEST_PEN else 0.0
