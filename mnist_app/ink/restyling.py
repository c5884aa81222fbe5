"""Augmentation: varies drawings as other people might have written them, because the training ink has few writers.

Augmenting strokes instead of pixels leaves the pen's width to preprocessing, and can change what pixels cannot: where
the pen was lifted, how often it was sampled, whether a zero is slashed. Everything here works on drawings whose longer
side is 1, centred at the origin, and takes a NumPy generator, so that a seed makes the result reproducible.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator

from mnist_app.ink.strokes import Drawing, Stroke, distance_along, resampled
from mnist_app.ink.styles import is_plain_line

Strokes = list[Stroke]

# Chances that a stroke is reversed, that the strokes change their order, and that they are cut into pieces. The first
# two occur now and then in real ink. Few people there lift the pen within a stroke, but many do on a screen, so half of
# the drawings are cut.
REVERSED, SHUFFLED, CUT = 0.08, 0.08, 0.5


@dataclass(frozen=True)
class Restyling:
    """How far a drawing may differ from the original. Lengths are shares of the longer side."""

    rotation: float = 9.0  # degrees, standard deviation; the app must tolerate 15
    slant: float = 0.18  # sideways shift per height, standard deviation
    aspect: float = 0.16  # logarithm of width over height, standard deviation
    warp: float = 0.035  # each of the slow waves that bend the whole drawing, standard deviation
    loosening: float = 0.02  # displacement of each stroke, standard deviation
    tremor: float = 0.012  # jitter as of a mouse, largest standard deviation
    habits: float = 1.0  # scales the chances of the writing habits below: slashes, bars, flags, feet, tails, joins …


def restyle(drawing: Drawing, label: int, restyling: Restyling, random: Generator) -> Drawing:
    """The same digit in another handwriting."""
    strokes = unit(drawing.strokes)
    for habit, chance in HABITS.get(label, ()) + COMMON_HABITS:
        if random.random() < chance * restyling.habits:
            strokes = habit(strokes, random)
    return Drawing(tuple(deform(strokes, restyling, random)))


def deform(strokes: Strokes, restyling: Restyling, random: Generator) -> Strokes:
    """Bend, slant, rotate and resample strokes at random, whatever they show."""
    if random.random() < 0.3:
        strokes = _resampled_sparsely(strokes, random)
    strokes = [stroke + random.normal(0, restyling.loosening, 2) for stroke in strokes]
    strokes = _warped(strokes, restyling.warp, random)
    matrix = _matrix(restyling, random)
    strokes = [stroke @ matrix for stroke in strokes]
    if random.random() < 0.3:
        shake = random.uniform(0, restyling.tremor)
        strokes = [stroke + random.normal(0, shake, stroke.shape) for stroke in strokes]
    return strokes


def reordered(strokes: Sequence[Stroke], random: Generator) -> Strokes:
    """The same strokes, written in an unusual way: some reversed, in another order, or cut into pieces."""
    strokes = [stroke[::-1] if random.random() < REVERSED else stroke for stroke in strokes]
    if random.random() < SHUFFLED:
        strokes = [strokes[at] for at in random.permutation(len(strokes))]
    if random.random() < CUT:
        strokes = [piece for stroke in strokes for piece in _pieces(stroke, random)]
    return strokes


def _pieces(stroke: Stroke, random: Generator) -> Strokes:
    """A stroke in one to three pieces, each of which begins where the last one ended; a short one stays whole."""
    dense = resampled(stroke, 0.03)  # of the longer side
    if len(dense) < 12:
        return [stroke]
    cuts = sorted(random.choice(np.arange(3, len(dense) - 3), int(random.integers(3)), replace=False).tolist())
    return [dense[start : end + 1] for start, end in itertools.pairwise([0, *cuts, len(dense) - 1])]


def unit(strokes: Sequence[Stroke]) -> Strokes:
    """The strokes scaled to a longer side of 1 and centred at the origin; a dot stays a dot."""
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    longer = (high - low).max() or 1.0
    return [(stroke - (low / 2 + high / 2)) / longer for stroke in strokes]


def _matrix(restyling: Restyling, random: Generator) -> Stroke:
    """Slant, aspect ratio and rotation as one matrix (2, 2), for points as rows."""
    angle = np.radians(random.normal(0, restyling.rotation))
    wider = np.exp(random.normal(0, restyling.aspect) / 2)
    lean = random.normal(0, restyling.slant)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[wider, 0], [0, 1 / wider]]) @ np.array([[1, 0], [lean, 1]]) @ np.array([[cos, sin], [-sin, cos]])


def _warped(strokes: Strokes, warp: float, random: Generator) -> Strokes:
    """Shift every point by three slow waves that run across the drawing, each in a direction of its own."""
    direction = random.normal(0, 1, (3, 2)) * 4.0  # radians over the drawing's side: about half a wave
    phase = random.uniform(0, 2 * np.pi, 3)
    push = random.normal(0, warp, (3, 2))
    return [stroke + np.sin(stroke @ direction.T + phase) @ push for stroke in strokes]


def _resampled_sparsely(strokes: Strokes, random: Generator) -> Strokes:
    """A sample every 4% to 14% of the side only: a slow device turns a quick curve into such corners."""
    step = random.uniform(0.04, 0.14)
    return [resampled(stroke, step) for stroke in strokes]


# Writing habits. Each takes a drawing's strokes and returns them as a writer with this habit draws them; y runs
# downwards.


def _slashed(strokes: Strokes, random: Generator) -> Strokes:
    """A zero with a slash, inside it or through it, from lower left to upper right; rarely the other diagonal."""
    points = np.concatenate(strokes)
    middle, half = (points.min(axis=0) + points.max(axis=0)) / 2, np.ptp(points, axis=0) / 2
    middle = middle + random.normal(0, 0.04, 2)
    reach = half * random.uniform(0.5, 1.25) * np.exp(random.normal(0, 0.15, 2))
    way = np.array([1.0, -1.0 if random.random() < 0.9 else 1.0])
    return [*strokes, np.stack([middle - reach * way, middle + reach * way])]


def _barred(strokes: Strokes, random: Generator) -> Strokes:
    """A seven with a bar across its stem, unless it has a second stroke already."""
    if len(strokes) > 1:
        return strokes
    stem = strokes[0]
    along = distance_along(stem) / max(distance_along(stem)[-1], 1e-9)
    share = random.uniform(0.55, 0.9)  # of its length: from the middle of the stem downwards
    middle = np.array([np.interp(share, along, stem[:, axis]) for axis in (0, 1)])
    half = np.array([random.uniform(0.12, 0.36), random.normal(0, 0.04)])
    return [*strokes, np.stack([middle - half, middle + half * random.uniform(0.7, 1.2)])]


def _hooked(strokes: Strokes, random: Generator) -> Strokes:
    """A seven whose roof begins with a tick from below."""
    roof = strokes[0]
    if roof[0, 1] > roof[:, 1].min() + 0.25:
        return strokes  # the pen did not start at the roof
    start = roof[0] + [random.normal(-0.02, 0.03), random.uniform(0.08, 0.25)]
    return [np.concatenate([start[None], roof]), *strokes[1:]]


def _flagged(strokes: Strokes, random: Generator) -> Strokes:
    """A one in one stroke with a flag, as in much of Europe: anything from a tick to long and nearly level.

    It replaces the flag that the one has, if any. Long flags are rare in real ink, so a network that sees far more
    sevens would take these ones for sevens.
    """
    if len(strokes) != 1:
        return strokes
    stem = strokes[0] if strokes[0][0, 1] < strokes[0][-1, 1] else strokes[0][::-1]
    stem = stem[stem[:, 1].argmin() :]
    if not is_plain_line(stem):
        return strokes
    length = random.uniform(0.12, 0.85)
    angle = np.radians(random.uniform(15, 68))  # from the vertical
    start = stem[0] + length * np.array([-np.sin(angle), np.cos(angle)])
    flag = np.stack([start, start + (stem[0] - start) * [0.5, 0.55], stem[0]])
    return [np.concatenate([flag, stem])]


def _footed(strokes: Strokes, random: Generator) -> Strokes:
    """A one, flagged or not, on a base line."""
    if len(strokes) > 1:
        return strokes
    lowest = strokes[0][strokes[0][:, 1].argmax()]
    half = random.uniform(0.12, 0.38)
    off = random.normal(0, 0.04, 2)
    tilt = np.array([half, random.normal(0, 0.03)])
    return [*strokes, np.stack([lowest + off - tilt, lowest + off + tilt * random.uniform(0.7, 1.3)])]


def _joined(strokes: Strokes, random: Generator) -> Strokes:
    """Two strokes joined because the pen was not lifted, as in a four or five in one stroke."""
    if len(strokes) < 2:
        return strokes
    at = int(random.integers(len(strokes) - 1))
    return [*strokes[:at], np.concatenate([strokes[at], strokes[at + 1]]), *strokes[at + 2 :]]


def _lifted(strokes: Strokes, random: Generator) -> Strokes:
    """A stroke split in two, with a small gap where the pen skipped."""
    at = int(random.integers(len(strokes)))
    stroke = resampled(strokes[at], 0.03)
    if len(stroke) < 12:
        return strokes
    cut = int(random.integers(4, len(stroke) - 4))
    gap = int(random.integers(0, 3))
    return [*strokes[:at], stroke[:cut], stroke[cut + gap :], *strokes[at + 1 :]]


def _trimmed(strokes: Strokes, random: Generator, most: float = 0.15) -> Strokes:
    """A stroke begun late or ended early, by at most the share ``most``: loops stay open, ends do not meet."""
    at = int(random.integers(len(strokes)))
    stroke = resampled(strokes[at], 0.03)
    cut = int(len(stroke) * random.uniform(0.02, most))
    if cut < 1 or len(stroke) < 12:
        return strokes
    kept = stroke[cut:] if random.random() < 0.5 else stroke[:-cut]
    return [*strokes[:at], kept, *strokes[at + 1 :]]


def _tailed(strokes: Strokes, random: Generator) -> Strokes:
    """A little hook where the pen came down or went up."""
    at = int(random.integers(len(strokes)))
    stroke = strokes[at]
    angle = random.uniform(0, 2 * np.pi)
    tail = random.uniform(0.03, 0.12) * np.array([np.cos(angle), np.sin(angle)])
    longer = [stroke[0] + tail, *stroke] if random.random() < 0.4 else [*stroke, stroke[-1] + tail]
    return [*strokes[:at], np.array(longer), *strokes[at + 1 :]]


Habit = Callable[[Strokes, Generator], Strokes]

# Each habit with its chance in a drawing. A digit's own habits are applied before the common ones.
HABITS: dict[int, tuple[tuple[Habit, float], ...]] = {
    0: ((_slashed, 0.15),),
    1: ((_flagged, 0.6), (_footed, 0.2)),
    7: ((_barred, 0.3), (_hooked, 0.15)),
    8: ((partial(_trimmed, most=0.28), 0.3),),  # left open at the top, more often and wider than other digits
    9: ((partial(_trimmed, most=0.2), 0.2),),  # the same, but less so
}
COMMON_HABITS: tuple[tuple[Habit, float], ...] = (
    (_joined, 0.06),
    (_lifted, 0.05),
    (_trimmed, 0.12),
    (_tailed, 0.12),
)
