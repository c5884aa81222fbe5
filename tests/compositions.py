"""Drawings composed by rules, for tests and benchmarks: numbers from real digits, and drawings that are not digits.

The latter differ from those of mnist_app/ink/nondigits.py, which the networks have learned from: other letters in other
shapes, a heart from its formula, other scribbles.
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from mnist_app.ink.strokes import Drawing, Stroke

Strokes = list[Stroke]


def placed(drawing: Drawing, size: float, left: float, middle: float) -> Strokes:
    """Scale the drawing's longer side to ``size``, and move its left edge to ``left`` and its middle to ``middle``."""
    points = np.concatenate(drawing.strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = size / max((high - low).max(), 1e-9)
    corner = np.array([left, middle - scale * (high - low)[1] / 2])
    return [(stroke - low) * scale + corner for stroke in drawing.strokes]


def number(digits: Sequence[Drawing], random: Generator) -> Drawing:
    """Put digits side by side: sizes vary by 10%, gaps by 8 to 40% of the height, and they are not quite on a line."""
    strokes: Strokes = []
    left = 0.0
    for digit in digits:
        part = placed(digit, 100 * random.uniform(0.9, 1.1), left, random.normal(0, 5))
        left = np.concatenate(part)[:, 0].max() + random.uniform(8, 40)
        strokes += part
    return Drawing(tuple(strokes))


def _turned(strokes: Strokes, random: Generator) -> Drawing:
    """Make strokes look hand-drawn: turned by up to 10°, up to 20% narrower or wider, with a little tremor."""
    angle, wide = np.radians(random.uniform(-10, 10)), np.exp(random.uniform(-0.2, 0.2))
    matrix = np.array([[wide, 0], [0, 1]]) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return Drawing(tuple(stroke @ matrix + random.normal(0, 0.6, stroke.shape) for stroke in strokes))


def _line(*corners: tuple[float, float]) -> Stroke:
    """Draw straight lines from corner to corner, a point every few units; the paper is 100 × 100."""
    points = np.array(corners, float)
    along = np.linspace(0, len(points) - 1, 12 * (len(points) - 1) + 1)
    return np.stack([np.interp(along, range(len(points)), points[:, axis]) for axis in (0, 1)], axis=1)


def _arc(x: float, y: float, wide: float, high: float, start: float, end: float) -> Stroke:
    """Draw part of an ellipse around (x, y), between two angles in degrees clockwise from the right."""
    at = np.radians(np.linspace(start, end, 24))
    return np.stack([x + wide * np.cos(at), y + high * np.sin(at)], axis=1)


LETTERS: dict[str, Strokes] = {
    "A": [_line((0, 100), (45, 0), (90, 100)), _line((20, 62), (72, 62))],
    "E": [_line((0, 0), (0, 100)), _line((0, 0), (65, 0)), _line((0, 50), (50, 50)), _line((0, 100), (65, 100))],
    "F": [_line((60, 0), (0, 0), (0, 100)), _line((0, 45), (45, 45))],
    "H": [_line((0, 0), (0, 100)), _line((70, 0), (70, 100)), _line((0, 50), (70, 50))],
    "K": [_line((0, 0), (0, 100)), _line((60, 0), (0, 55), (65, 100))],
    "M": [_line((0, 100), (10, 0), (45, 60), (80, 0), (90, 100))],
    "N": [_line((0, 100), (0, 0), (65, 100), (65, 0))],
    "P": [_line((0, 100), (0, 0)), _arc(0, 26, 50, 26, -90, 90)],
    "R": [_line((0, 100), (0, 0)), _arc(0, 26, 50, 26, -90, 90), _line((5, 52), (55, 100))],
    "W": [_line((0, 0), (22, 100), (45, 30), (68, 100), (90, 0))],
    "X": [_line((0, 0), (70, 100)), _line((70, 0), (0, 100))],
    "a": [np.concatenate([_arc(35, 60, 32, 38, -30, -330), _line((63, 25), (64, 85), (80, 98))])],
    "e": [np.concatenate([_line((5, 52), (66, 50)), _arc(36, 52, 31, 45, -5, -310)])],
    "k": [_line((0, 0), (0, 100)), _line((45, 35), (2, 68)), _line((15, 60), (50, 100))],
    "m": [_line((0, 40), (0, 100)), _arc(20, 60, 20, 22, -180, 0), _line((40, 60), (40, 100)),
          _arc(60, 60, 20, 22, -180, 0), _line((80, 60), (80, 100))],
    "w": [np.concatenate([_arc(20, 60, 20, 38, 180, 0), _arc(60, 60, 20, 38, 180, 0)])],
    "x": [_line((0, 20), (60, 90)), _line((62, 18), (2, 92))],
}  # fmt: skip


def letter(_: Sequence[Drawing], random: Generator) -> Drawing:
    return _turned(list(LETTERS.values())[int(random.integers(len(LETTERS)))], random)


def heart(_: Sequence[Drawing], random: Generator) -> Drawing:
    """Draw the usual parametric heart, in one stroke that starts at its dent."""
    at = np.linspace(0, 2 * np.pi, 60)
    y = -(13 * np.cos(at) - 5 * np.cos(2 * at) - 2 * np.cos(3 * at) - np.cos(4 * at))
    return _turned([np.stack([16 * np.sin(at) ** 3, y], axis=1) * 3], random)


def scribble(_: Sequence[Drawing], random: Generator) -> Drawing:
    """Draw independent slow waves on both axes, with three to nine turns."""
    at = np.linspace(0, 1, 150)[:, None]
    turns, phase = random.uniform(3, 9, (3, 2)), random.uniform(0, 2 * np.pi, (3, 2))
    waves = [np.sin(2 * np.pi * at * turn + start) for turn, start in zip(turns, phase, strict=True)]
    return _turned([np.sum(waves, axis=0) * 30], random)


def line_across(_: Sequence[Drawing], random: Generator) -> Drawing:
    """Draw one line, level to within 15 degrees."""
    return Drawing((_line((0, 0), (100, float(100 * np.tan(np.radians(random.uniform(-15, 15)))))),))


def two_digits(real: Sequence[Drawing], random: Generator) -> Drawing:
    """Draw two real digits into one another: they share a third of the first one's width."""
    first, second = (real[int(at)] for at in random.integers(len(real), size=2))
    under = placed(first, 100, 0, 0)
    right = np.concatenate(under)[:, 0].max()
    return Drawing((*under, *placed(second, 100, right * 0.67 + 8, random.normal(0, 5))))


def one_dot(_: Sequence[Drawing], random: Generator) -> Drawing:
    return Drawing((random.uniform(0, 300, (1, 2)),))


NONDIGITS = (letter, heart, scribble, line_across, two_digits, one_dot)
