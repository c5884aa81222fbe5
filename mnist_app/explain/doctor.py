"""The drawing doctor: what is unusual about a digit, and the smallest change that makes it read as the digit meant."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mnist_app.data.dataset import CLASSES, Digits
from mnist_app.explain.distortions import closed, sheared, shifted, thickened
from mnist_app.ink.morphometry import slant, thickness
from mnist_app.ink.preprocessing import SIDE, pixels_of_drawing
from mnist_app.ink.strokes import Drawing, Stroke, distance_along, resampled
from mnist_app.reading.recognition import Glyph, Prediction, Recogniser, recognise_glyphs

Images = NDArray[np.uint8]  # (N, 28, 28), 0 = paper, 255 = ink

MAX_MOVED, MAX_LEFT_OUT = 3, 12  # of the shortest strokes: trying all of a scribble's would take seconds
MAX_CHANGED_POINTS = 1_000  # of a drawing, because it is rendered two hundred times
USUAL = (5.0, 95.0)  # percentiles between which a value is called usual
LEANING = 3.0  # degrees; digits that lean less are not straightened
MARKED = 128  # level from which a pixel counts as ink: half of the darkest


# What is measured


@dataclass(frozen=True)
class Measure:
    """One property of a digit, its unit, and the words for values below and above the usual."""

    name: str
    unit: str  # written after the number
    decimals: int  # shown
    low: str
    high: str
    of: Callable[[Images], NDArray[np.float32]]  # one number for each


def aspect(images: Images) -> NDArray[np.float32]:
    """Width over height (N,) of the box around the ink; 0 where there is none."""
    boxes = [_extent(image) for image in images >= MARKED]
    return np.array([width / height if height else 0.0 for width, height in boxes], np.float32)


def spread(images: Images) -> NDArray[np.float32]:
    """How far the ink lies from its centre of mass (N,), root mean square, pixels."""
    ink = images.astype(np.float32)
    mass = np.maximum(ink.sum(axis=(1, 2)), 1e-9)
    at = np.arange(SIDE, dtype=np.float32)
    squares = np.zeros(len(images), np.float32)
    for axis in (1, 2):
        profile = ink.sum(axis=axis)  # (N, 28)
        middle = profile @ at / mass
        squares += (profile * (at - middle[:, None]) ** 2).sum(axis=1) / mass
    return np.sqrt(squares)


def amount(images: Images) -> NDArray[np.float32]:
    """The amount of ink (N,), in fully black pixels."""
    return (images.sum(axis=(1, 2), dtype=np.float64) / 255).astype(np.float32)


def enclosed(images: Images) -> NDArray[np.float32]:
    """The paper that is enclosed by ink (N,), pixels; 0 if every loop is open."""
    inside = [ndimage.binary_fill_holes(ink) & ~ink for ink in images >= MARKED]
    return np.array([hole.sum() for hole in inside], np.float32)


def _extent(ink: NDArray[np.bool_]) -> tuple[int, int]:
    """Width and height of the box around ink, pixels."""
    columns, rows = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
    return (int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1) if len(columns) else (0, 0)


MEASURES = (
    Measure("thickness", " px", 1, "thin", "thick", thickness),
    Measure("slant", "°", 0, "leaning to the left", "leaning to the right", slant),
    Measure("aspect", " × as wide as high", 2, "narrow", "wide", aspect),
    Measure("size", " px from the middle", 1, "crowded into the middle", "spread out", spread),
    Measure("ink", " px", 0, "short of ink", "full of ink", amount),
    Measure("closed in", " px of paper", 0, "open where others are closed", "roomy inside", enclosed),
)


@dataclass(frozen=True, eq=False)
class Norms:
    """What real digits are like: the values of every measure, by digit, sorted."""

    sorted: tuple[tuple[NDArray[np.float32], ...], ...]  # [digit][measure] -> (n,)
    averages: Images  # (10, 28, 28), by digit

    @classmethod
    def of(cls, digits: Digits) -> "Norms":
        by_digit = [digits.images[digits.labels == digit] for digit in range(CLASSES)]
        values = tuple(tuple(np.sort(measure.of(images)) for measure in MEASURES) for images in by_digit)
        averages = np.array([np.round(images.mean(axis=0)) for images in by_digit], np.uint8)
        return cls(values, averages)

    def percentile(self, digit: int, measure: int, value: float) -> float:
        """The percentage of real digits with a smaller value; those with an equal value count half."""
        known = self.sorted[digit][measure]
        below, upto = np.searchsorted(known, value, "left"), np.searchsorted(known, value, "right")
        return float(50 * (below + upto) / len(known))


@dataclass(frozen=True)
class Finding:
    """One measure of a picture, compared with real digits."""

    measure: Measure
    value: float
    usual: tuple[float, float]  # the values at the two percentiles of USUAL
    percentile: float

    @property
    def is_unusual(self) -> bool:
        """Also judged by the rounded values, so that the figures shown never contradict it."""
        low, shown, high = (round(value, self.measure.decimals) for value in (self.usual[0], self.value, self.usual[1]))
        return not USUAL[0] <= self.percentile <= USUAL[1] and not low <= shown <= high

    @property
    def word(self) -> str:
        """The word for a digit that is unusual in this way."""
        return self.measure.low if self.percentile < 50 else self.measure.high

    def in_words(self, value: float) -> str:
        """A value of this measure with its number of decimals, never a negative zero."""
        return f"{round(value, self.measure.decimals) + 0.0:.{self.measure.decimals}f}"


def examine(norms: Norms, pixels: NDArray[np.uint8], digit: int) -> tuple[Finding, ...]:
    """Every measure of a picture (28, 28), compared with real ``digit``s."""
    findings = []
    for at, measure in enumerate(MEASURES):
        value = float(measure.of(pixels[None])[0])
        low, high = np.percentile(norms.sorted[digit][at], USUAL).tolist()
        findings.append(Finding(measure, value, (low, high), norms.percentile(digit, at, value)))
    return tuple(findings)


# What would make it read the digit meant


@dataclass(frozen=True, eq=False)
class Change:
    """A changed picture, the changed drawing if it came from one, and what was done, in words."""

    what: str  # follows "If you"
    pixels: NDArray[np.uint8]  # (28, 28)
    drawing: Drawing | None = None

    @property
    def glyph(self) -> Glyph:
        return Glyph.seen(self.pixels, self.drawing)


@dataclass(frozen=True, eq=False)
class Remedy:
    """The smallest change found that makes a network read what was meant."""

    change: Change
    prediction: Prediction
    size: float  # of the change: the sum of the pixels' differences, over the ink there was


def smallest_change(model: Recogniser, pixels: NDArray[np.uint8], drawing: Drawing | None, digit: int) -> Remedy | None:
    """The change that alters the picture (28, 28) least and makes it read as ``digit``, or None if there is none.

    Strokes are changed if there is a ``drawing``, else pixels. Every change is tried, all in one batch.
    """
    changes = list(changes_of_picture(pixels) if drawing is None else changes_of_drawing(drawing))
    if not changes:
        return None
    after = np.stack([change.pixels for change in changes])
    sizes = np.abs(after.astype(np.float64) - pixels).sum(axis=(1, 2)) / max(1.0, float(pixels.sum(dtype=np.float64)))
    read = recognise_glyphs(model, [change.glyph for change in changes])
    fitting = [at for at, prediction in enumerate(read) if prediction.digit == digit and prediction.is_digit]
    fitting = [at for at in fitting if read[at].confidence >= 0.5 and sizes[at]]  # an invisible change does not count
    if not fitting:
        return None
    best = min(fitting, key=lambda at: float(sizes[at]))
    return Remedy(changes[best], read[best], float(sizes[best]))


def changes_of_picture(pixels: NDArray[np.uint8]) -> Iterator[Change]:
    """Possible changes to a picture whose strokes are not known."""
    for step in range(1, 9):
        radius = step / 4
        yield Change("draw it a little thicker" if radius < 1 else "draw it thicker", thickened(pixels, radius))
        yield Change("draw it a little thinner" if radius < 1 else "draw it thinner", thickened(pixels, -radius))
    if upright := _to_upright(pixels):
        yield Change("straighten it", sheared(pixels, upright))
    for degrees in range(5, 41, 5):
        yield Change(f"lean it {degrees}° more to the right", sheared(pixels, degrees))
        yield Change(f"lean it {degrees}° more to the left", sheared(pixels, -degrees))
    for distance in range(1, 4):
        for name, row, column in (("up", -1, 0), ("down", 1, 0), ("left", 0, -1), ("right", 0, 1)):
            yield Change(f"shift it {distance} px {name}", shifted(pixels, distance * row, distance * column))
    for reach in range(1, 4):
        yield Change("close the small gaps", closed(pixels, reach))
    parts, count = ndimage.label(pixels > 0, np.ones((3, 3)))
    for part in range(1, count + 1 if count > 1 else 1):
        yield Change("take one loose part away", np.where(parts == part, 0, pixels).astype(np.uint8))


def changes_of_drawing(drawing: Drawing) -> Iterator[Change]:
    """Possible changes to strokes: straightened, turned, stretched, joined, lengthened, shortened, moved or left out.

    Making them thicker or thinner, or moving the whole drawing, would not change the picture that the network sees.
    """
    points = np.concatenate(drawing.strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    size, middle = float((high - low).max()), (low + high) / 2
    if size <= 0:
        return
    upright = _to_upright(pixels_of_drawing(drawing))
    for what, strokes in _strokes_changed(drawing.subsampled(MAX_CHANGED_POINTS).strokes, size, middle, upright):
        changed = Drawing(tuple(strokes), drawing.pen_width)
        yield Change(what, pixels_of_drawing(changed), changed)


def _strokes_changed(
    strokes: tuple[Stroke, ...], size: float, middle: NDArray[np.float64], upright: float
) -> Iterator[tuple[str, Sequence[Stroke]]]:
    def matrix(m: list[list[float]]) -> list[Stroke]:
        return [(stroke - middle) @ np.array(m).T + middle for stroke in strokes]

    if upright:
        yield "straighten it", matrix([[1, -float(np.tan(np.radians(upright)))], [0, 1]])
    for degrees in range(5, 41, 5):
        lean = float(np.tan(np.radians(degrees)))
        yield f"lean it {degrees}° more to the right", matrix([[1, -lean], [0, 1]])
        yield f"lean it {degrees}° more to the left", matrix([[1, lean], [0, 1]])
    for degrees in range(5, 46, 5):
        cos, sin = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
        yield f"turn it {degrees}° clockwise", matrix([[cos, -sin], [sin, cos]])
        yield f"turn it {degrees}° anticlockwise", matrix([[cos, sin], [-sin, cos]])
    for percent in range(10, 61, 10):
        yield f"draw it {percent}% wider", matrix([[1 + percent / 100, 0], [0, 1]])
        yield f"draw it {percent}% narrower", matrix([[1 / (1 + percent / 100), 0], [0, 1]])
    shortest = sorted(range(len(strokes)), key=lambda at: float(distance_along(strokes[at])[-1]))
    if len(strokes) > 1:
        for at in shortest[:MAX_LEFT_OUT]:
            yield f"leave out {_which(at, len(strokes))}", [*strokes[:at], *strokes[at + 1 :]]
    for at in shortest[:MAX_MOVED]:
        if len(strokes) > 1:
            for share in (0.04, 0.08, 0.12, 0.16):
                for name, x, y in (("up", 0, -1), ("down", 0, 1), ("to the left", -1, 0), ("to the right", 1, 0)):
                    moved = strokes[at] + share * size * np.array([x, y])
                    yield f"move {_which(at, len(strokes))} {name}", [*strokes[:at], moved, *strokes[at + 1 :]]
        yield from _ends_changed(strokes, at, size)


def _ends_changed(strokes: tuple[Stroke, ...], at: int, size: float) -> Iterator[tuple[str, Sequence[Stroke]]]:
    """Changes to a stroke's ends: joined to the nearest ink, lengthened, or shortened."""
    for is_end, stroke in ((True, strokes[at]), (False, strokes[at][::-1])):
        along = distance_along(stroke)
        if along[-1] < size / 10:
            continue
        where = f"the {'end' if is_end else 'beginning'} of {_which(at, len(strokes))}"

        def put(changed: Stroke, is_end: bool = is_end) -> Sequence[Stroke]:
            return [*strokes[:at], changed if is_end else changed[::-1], *strokes[at + 1 :]]

        tip = stroke[-1]
        dense = [resampled(one, size / 60) for one in (*strokes[:at], *strokes[at + 1 :], stroke)]
        dense[-1] = dense[-1][distance_along(dense[-1]) < along[-1] - size / 3]  # of its own only what lies well behind
        ink = np.concatenate(dense)
        aside = ink[np.abs(ink[:, 1] - tip[1]) < size / 30]  # at the same height: closes the loop of a six
        for near in (ink, aside[aside[:, 0] < tip[0]], aside[aside[:, 0] > tip[0]]):
            gaps = np.hypot(*(near - tip).T)
            if len(near) and size / 60 < gaps.min() < 0.6 * size:
                yield f"close the gap at {where}", put(np.concatenate([stroke, near[gaps.argmin()][None]]))
        back = _point_at(stroke, along, along[-1] - size / 8)
        way = (tip - back) / max(float(np.hypot(*(tip - back))), 1e-9)
        for share in (0.05, 0.1, 0.2, 0.3):
            yield f"lengthen {where}", put(np.concatenate([stroke, (tip + share * size * way)[None]]))
        for share in (0.05, 0.1, 0.2, 0.3, 0.4):
            if along[-1] - share * size > size / 10:
                stop = along[-1] - share * size
                last = _point_at(stroke, along, stop)
                yield f"shorten {where}", put(np.concatenate([stroke[along < stop], last[None]]))


def _point_at(stroke: Stroke, along: NDArray[np.float64], distance: float) -> NDArray[np.float64]:
    """The point (2,) at a distance from a stroke's beginning; ``along`` holds the distances of its points (N,)."""
    return np.array([np.interp(distance, along, stroke[:, axis]) for axis in (0, 1)])


def _to_upright(pixels: NDArray[np.uint8]) -> float:
    """By how many degrees a picture must lean further to the right to be upright; 0 if it nearly is."""
    lean = float(slant(pixels[None])[0])
    return -lean if abs(lean) >= LEANING else 0.0


def _which(at: int, count: int) -> str:
    names = ("first", "second", "third", "fourth", "fifth")
    if count == 1:
        return "your stroke"
    return f"the {names[at]} stroke" if at < len(names) else f"stroke {at + 1}"
