"""Generated drawings that are not digits, from which a network learns to refuse.

They are letters and shapes from small skeletons, scribbles from random walks, and real digits combined wrongly.
Figures that some people write for a digit are left out: O, I, l, S, Z, B, b, q, g, and lines that lean like a one.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from mnist_app.ink.restyling import Restyling, Strokes, deform, unit
from mnist_app.ink.strokes import Drawing, Stroke

WILDER = Restyling(warp=0.045, loosening=0.03)  # rules repeat themselves more than people do

# Skeletons on a grid of 0 to 4 across and 0 to 4 down. Spaces separate strokes, hyphens separate points "xy". A stroke
# that begins with ~ is drawn as a smooth curve through its points.
SKELETONS: tuple[str, ...] = (
    "04-20-44 12-32",  # A
    "40-00-04-44 02-32",  # E
    "40-00-04 02-32",  # F
    "00-04 40-44 02-42",  # H
    "00-04 40-02-44",  # K
    "00-04-44",  # L
    "04-00-22-40-44",  # M
    "04-00-44-40",  # N
    "04-00 ~00-30-41-32-02",  # P
    "04-00 ~00-30-41-32-02 22-44",  # R
    "00-40 20-24",  # T
    "00-24-40",  # V
    "00-14-22-34-40",  # W
    "00-44 40-04",  # X
    "00-22-40 22-24",  # Y
    "~42-21-02-13-34-42 40-44",  # d
    "~02-42-31-11-03-24-43",  # e
    "~40-30-21-24 02-42",  # f
    "00-04 ~03-12-32-44",  # h
    "20-24 ~40-32-22 22-44",  # k
    "01-04 ~03-12-23-24 ~23-32-43-44",  # m
    "01-04 ~03-12-32-43-44",  # n
    "01-04 ~03-12-22-32",  # r
    "20-23-34 01-41",  # t
    "~40-10-01-03-14-44 43-44",  # C with a tail: a hook with a serif
    "00-40-44-04-00",  # square
    "20-44-04-20",  # triangle
    "20-42-24-02-20",  # diamond
    "14-20-34-01-41-14",  # star
    "~24-02-00-10-21 ~21-30-40-42-24",  # heart
    "02-42 32-42 31-42-33",  # arrow
    "20-24 02-42",  # plus
    "02-14-40",  # check
    "~22-21-32-23-12-11-20-41-43-34",  # spiral
    "~02-10-22-34-42",  # wave
    "00-11-20-31-40",  # zigzag, flat
    "04-02-20-42-44-04",  # house
    "10-14 30-34 01-41 03-43",  # hash
    "~20-02-24-42-20 11-11 31-31 ~13-24-33",  # face
    "~01-10-30-41-22-23 24-24",  # question mark
    "01-41 03-43",  # equals
    "20-23 24-24",  # exclamation mark
    "24-24 21-21",  # colon
    "~10-00-02-12-10 40-04 ~32-34-44-42-32",  # per cent
    "~02-11-22-33-42-31-22-13-02",  # infinity
    "24-20-31 20-11",  # arrow, upwards
    "~00-04-24 ~24-20-40-44",  # a cursive u and n
)
# Also the letter a, which looks most like a digit: only the pen network learns to refuse it, by how it is written.
WRITTEN: tuple[str, ...] = (
    *SKELETONS,
    "~42-21-02-13-34-42 41-44",  # a
    "~41-20-02-14-34-41-43-54",  # a, without lifting the pen
    "~00-20-31-44 ~32-12-03-14-34-42",  # a, as it is printed
)


@dataclass(frozen=True)
class Material:
    """What a drawing that is not a digit can be made from."""

    digits: Sequence[Drawing]  # real drawings
    skeletons: Sequence[str]


def nondigit(material: Material, random: Generator) -> Drawing:
    """A random drawing that is not a digit."""
    kinds, chances = zip(*KINDS, strict=True)
    make = kinds[int(random.choice(len(kinds), p=chances))]
    return Drawing(tuple(make(material, random)))


def _figure(material: Material, random: Generator) -> Strokes:
    """A letter or a shape."""
    strokes = _strokes_of(material.skeletons[int(random.integers(len(material.skeletons)))])
    return deform(unit(strokes), WILDER, random)


def _strokes_of(skeleton: str) -> Strokes:
    strokes = []
    for word in skeleton.split():
        points = np.array([[float(axis) for axis in point] for point in word.lstrip("~").split("-")])
        strokes.append(_smooth(points) if word.startswith("~") else _straight(points))
    return strokes


def _smooth(points: Stroke, between: int = 8) -> Stroke:
    """A Catmull-Rom curve through the points (Catmull and Rom, 1974)."""
    before, after = 2 * points[0] - points[1], 2 * points[-1] - points[-2]
    knots = np.concatenate([before[None], points, after[None]])
    t = np.linspace(0, 1, between, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate([*pieces, points[-1:]])


def _straight(points: Stroke) -> Stroke:
    """Straight lines through the points, with points added so that the lines can be bent."""
    share = np.linspace(0, 1, 6, endpoint=False)[:, None]
    pieces = [start + (end - start) * share for start, end in itertools.pairwise(points)]
    return np.concatenate([*pieces, points[-1:]])


def _scribble(_: Material, random: Generator) -> Strokes:
    """A pen that wanders at random, smoothly or jaggedly, in one to three strokes."""
    return unit([_wander(random) for _stroke in range(int(random.choice([1, 1, 2, 3])))])


def _wander(random: Generator) -> Stroke:
    steps, smooth = int(random.integers(18, 90)), random.uniform(0, 0.95)
    pushes = random.normal(0, 1, (steps, 2))
    way = np.array(list(itertools.accumulate(pushes, lambda last, push: smooth * last + push)))
    home = np.exp(-np.arange(steps) / (steps * random.uniform(0.2, 2)))[:, None]  # otherwise it would leave the paper
    return np.cumsum(way, axis=0) * home + random.normal(0, 1, 2)


def _hatching(_: Material, random: Generator) -> Strokes:
    """A line to and fro between at least five points, as people fill an area or strike something out."""
    turns = int(random.integers(5, 14))
    across = np.linspace(0, random.uniform(0.5, 2.0), turns)
    down = np.where(np.arange(turns) % 2, 1.0, 0.0) + random.normal(0, 0.1, turns)
    stroke = np.stack([across + random.normal(0, 0.04, turns), down], axis=1)
    angle = random.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    curve = _smooth(stroke) if random.random() < 0.5 else _straight(stroke)
    return deform(unit([curve @ turn]), WILDER, random)


def _line_across(_: Material, random: Generator) -> Strokes:
    """One line, within 25 degrees of level: too flat for a one."""
    angle = np.radians(random.uniform(-25, 25))
    line = np.linspace(-0.5, 0.5, 12)[:, None] * np.array([np.cos(angle), np.sin(angle)])
    bow = random.normal(0, 0.03) * np.sin(np.linspace(0, np.pi, 12))
    return [line + np.stack([np.zeros(12), bow], axis=1) + random.normal(0, 0.004, line.shape)]


def _dots(_: Material, random: Generator) -> Strokes:
    """One to four separate dots."""
    return [random.uniform(0, 1, (1, 2)) for _ in range(int(random.choice([1, 2, 3, 4])))]


def _blob(_: Material, random: Generator) -> Strokes:
    """A scribbled dot, nearly all ink once it is enlarged."""
    turns = np.linspace(0, random.uniform(4, 16) * np.pi, 60)
    radius = np.linspace(0.05, 0.5, 60) if random.random() < 0.5 else random.uniform(0, 0.5, 60)
    return [np.stack([np.cos(turns), np.sin(turns)], axis=1) * radius[:, None] + random.normal(0, 0.02, (60, 2))]


def _some_digit(material: Material, random: Generator) -> Strokes:
    return unit(material.digits[int(random.integers(len(material.digits)))].strokes)


def _side_by_side(material: Material, random: Generator) -> Strokes:
    """Two or three digits in a row, or two one above the other."""
    first, second = _some_digit(material, random), _some_digit(material, random)
    upright = random.random() < 0.2
    strokes, end = first, np.concatenate(first).max(axis=0)
    for following in [second] if upright or random.random() < 0.8 else [second, _some_digit(material, random)]:
        size = np.exp(random.normal(0, 0.15))
        points = np.concatenate(following) * size
        place = random.normal(0, 0.08, 2)
        axis = 1 if upright else 0
        place[axis] = end[axis] - points[:, axis].min() + random.uniform(0.03, 0.5)
        moved = [stroke * size + place for stroke in following]
        strokes = strokes + moved
        end = np.concatenate(moved).max(axis=0)
    return deform(unit(strokes), Restyling(rotation=5.0), random)


def _overlaid(material: Material, random: Generator) -> Strokes:
    """Two digits on top of one another."""
    second = _some_digit(material, random)
    away = random.uniform(0.3, 0.6) * np.array([random.choice([-1, 1]), random.normal(0, 0.5)])
    return _some_digit(material, random) + [stroke * random.uniform(0.6, 1.3) + away for stroke in second]


def _struck_out(material: Material, random: Generator) -> Strokes:
    """A digit with hatching or a cross over it."""
    if random.random() < 0.5:
        over = [stroke * random.uniform(0.8, 1.3) for stroke in _hatching(material, random)]
    else:
        over = [
            stroke * random.uniform(0.8, 1.2) for stroke in deform(unit(_strokes_of("00-44 40-04")), WILDER, random)
        ]
    return _some_digit(material, random) + over


Kind = Callable[[Material, Generator], Strokes]

KINDS: tuple[tuple[Kind, float], ...] = (
    (_figure, 0.45),
    (_scribble, 0.12),
    (_hatching, 0.06),
    (_line_across, 0.05),
    (_dots, 0.03),
    (_blob, 0.03),
    (_side_by_side, 0.16),
    (_overlaid, 0.06),
    (_struck_out, 0.04),
)
