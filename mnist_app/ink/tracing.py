"""From a picture of a digit back to strokes as a pen might have drawn them, so that pen networks can learn from MNIST.

The picture is thinned to lines one pixel wide, and a pen follows them as straight ahead as it can. A picture does not
show the order or direction in which the digit was written, so the pen begins at free ends, the top left one first.
"""

import functools
import math
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mnist_app.ink.strokes import Drawing, Stroke

LARGER = 3  # factor by which a picture is enlarged before it is thinned, for smoother lines
MARGIN = 2  # pixels of paper added around it, or lines along the edge would be thinned away
AT_ONCE = 200  # pictures that are thinned together
BEHIND = 6  # steps back from which the pen's direction is measured
ACROSS = 3  # pixels that the pen may jump to cross a line it has drawn …
STRAIGHT = 0.85  # … and the cosine of the largest angle by which it may turn there
TOUCHING = 2.9  # pixels: a stroke that ends this close to another was drawn up to it
SHORTEST = 6  # pixels of a stroke: shorter ones are left over from thinning a rough edge
SMOOTHING = 2.0  # pixels, standard deviation: smooths the steps of a line

Pictures = NDArray[np.uint8]  # (N, 28, 28), 0 = paper, 255 = ink
Mask = NDArray[np.bool_]
_Pixel = tuple[int, int]  # row, column

_AROUND = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]  # clockwise from above
_REACH = range(-ACROSS, ACROSS + 1)
_FURTHER = [(down, right) for down in _REACH for right in _REACH if max(abs(down), abs(right)) > 1]


def traced(pictures: Pictures) -> Iterator[Drawing]:
    """A drawing of each picture, in pixels of the enlarged one; blank if there is no ink or only a speck."""
    for first in range(0, len(pictures), AT_ONCE):
        for skeleton in skeletonised(_ink_of(pictures[first : first + AT_ONCE])):
            yield Drawing(tuple(_strokes_along(skeleton)))


def skeletonised(ink: Mask) -> Mask:
    """Ink (N, H, W), none of it on the border, thinned to lines one pixel wide; lines that are joined stay joined.

    Pixels at the edge of the ink are removed until none can be, in two alternating passes so that the line stays in the
    middle (Zhang and Suen, doi 10.1145/357994.358023). A square of two by two pixels vanishes.
    """
    ink = ink.copy()
    while True:
        before = int(ink.sum())
        for is_second in (False, True):
            ring = [np.roll(ink, (-down, -right), (1, 2)) for down, right in _AROUND]
            neighbours = _counted(ring)
            beginnings = _counted(~one & following for one, following in zip(ring, ring[1:] + ring[:1], strict=True))
            above, right, below, left = ring[0::2]
            kept = (above & left & (right | below)) if is_second else (right & below & (above | left))
            ink &= ~((neighbours >= 2) & (neighbours <= 6) & (beginnings == 1) & ~kept)
        if ink.sum() == before:
            return ink


def _counted(masks: Iterable[Mask]) -> NDArray[np.int8]:
    return functools.reduce(np.add, (mask.view(np.int8) for mask in masks))


def _ink_of(pictures: Pictures) -> Mask:
    """Where each picture, enlarged, has more than half of its strongest ink."""
    padded = np.pad(pictures, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))).astype(np.float32)
    enlarged = ndimage.zoom(padded, (1, LARGER, LARGER), order=1)
    return enlarged > enlarged.max(axis=(1, 2), keepdims=True) / 2


def _strokes_along(skeleton: Mask) -> list[Stroke]:
    """Strokes that cover every line of a skeleton (H, W); those below SHORTEST are dropped if there are longer ones."""
    paths = _paths(skeleton)
    whole = [path for path in paths if len(path) >= SHORTEST] or sorted(paths, key=len)[-1:]
    return [_smoothed(_drawn_up_to(path, paths)) for path in whole]


def _paths(skeleton: Mask) -> list[Stroke]:
    """The pixels of each stroke (P, 2), as x and y, in the order in which the pen passes them."""
    left = {(row, column) for row, column in np.argwhere(skeleton).tolist()}
    paths = []
    while left:
        free = [pixel for pixel in left if len(_among(left, pixel, _AROUND)) <= 1]
        path = [min(free or left, key=lambda pixel: (pixel[0] + 0.3 * pixel[1], pixel))]
        left.remove(path[0])
        while following := _following(path, left):
            path.append(following)
            left.remove(following)
        paths.append(np.array(path, np.float64)[:, ::-1])
    return paths


def _following(path: Sequence[_Pixel], left: Collection[_Pixel]) -> _Pixel | None:
    """The pen's next pixel: as straight ahead as possible, or beyond a line that it crosses; None at the end."""
    row, column = path[-1]
    before = path[max(0, len(path) - 1 - BEHIND)]
    down, right = row - before[0], column - before[1]
    gone = math.hypot(down, right)

    def straightness(pixel: _Pixel) -> float:
        ahead = pixel[0] - row, pixel[1] - column
        return (down * ahead[0] + right * ahead[1]) / (gone * math.hypot(*ahead)) if gone else 1.0

    def distance(pixel: _Pixel) -> float:
        return math.dist(pixel, path[-1])

    if near := _among(left, path[-1], _AROUND):
        return max(near, key=lambda pixel: straightness(pixel) - distance(pixel) / 10)
    beyond = [pixel for pixel in _among(left, path[-1], _FURTHER) if straightness(pixel) > STRAIGHT]
    return min(beyond, key=lambda pixel: distance(pixel) - straightness(pixel), default=None)


def _among(pixels: Collection[_Pixel], pixel: _Pixel, ways: Sequence[_Pixel]) -> list[_Pixel]:
    row, column = pixel
    return [place for down, right in ways if (place := (row + down, column + right)) in pixels]


def _drawn_up_to(path: Stroke, paths: Sequence[Stroke]) -> Stroke:
    """A path extended to the longer paths that its ends nearly touch: thinning and crossing left gaps there."""
    first, last = (_touched(end, path, paths) for end in (path[0], path[-1]))
    return np.concatenate([first, path, last])


def _touched(end: Stroke, path: Stroke, paths: Sequence[Stroke]) -> Stroke:
    """The nearest pixel (1, 2) of the first path at least as long that comes within TOUCHING; (0, 2) if none does."""
    for other in paths:
        if other is not path and len(other) >= len(path):
            distances = np.hypot(*(other - end).T)
            if distances.min() <= TOUCHING:
                return other[distances.argmin()][None]
    return np.empty((0, 2))


def _smoothed(path: Stroke) -> Stroke:
    """A path smoothed and reduced to every second point; its ends stay where they are."""
    if len(path) < SHORTEST:
        return path
    smooth = ndimage.gaussian_filter1d(path, SMOOTHING, axis=0, mode="nearest")
    return np.concatenate([path[:1], smooth[2:-1:2], path[-1:]])
