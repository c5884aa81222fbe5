"""The trajectory of the pen: what a drawing shows beyond its picture, as numbers for the pen network."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnist_app.ink.strokes import SMALLEST, Drawing, distance_along

POINTS = 64  # in a trajectory
SHOWN = 112  # pixels of a trajectory's picture, each way
FIRST, LAST = 0.3, 1.0  # ink of the first and the last point in that picture

Trajectory = NDArray[np.float32]  # (POINTS, 3)


def trajectory_of(drawing: Drawing) -> Trajectory:
    """The trajectory of a drawing that has ink: POINTS points in writing order, evenly spread over the ink.

    A point is x to the right and y downwards, measured from the drawing's middle so that its longer side spans -1 to 1;
    then 1 if the pen came there on paper, 0 if it had been lifted. Every stroke gets at least two points, so only the
    first POINTS / 2 strokes are followed.
    """
    points = np.concatenate(drawing.strokes)
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    longer = float(extent.max())
    scale = 2 / longer if longer > SMALLEST else 0.0
    strokes = [(stroke - low - extent / 2) * scale for stroke in drawing.strokes[: POINTS // 2]]
    lengths = np.array([distance_along(stroke)[-1] for stroke in strokes])
    shares = lengths / max(float(lengths.sum()), 1e-9)
    counts = 2 + (shares * (POINTS - 2 * len(strokes))).astype(int)
    counts[counts.argmax()] += POINTS - counts.sum()
    trajectory = np.ones((POINTS, 3), np.float32)
    first = 0
    for stroke, length, count in zip(strokes, lengths, counts.tolist(), strict=True):
        along, at = distance_along(stroke), np.linspace(0, length, count)
        for axis in (0, 1):
            trajectory[first : first + count, axis] = np.interp(at, along, stroke[:, axis])
        trajectory[first, 2] = 0
        first += count
    return trajectory


def painted(trajectory: Trajectory) -> NDArray[np.float32]:
    """A picture (SHOWN, SHOWN) of a trajectory, 0 = paper, 1 = ink; later points have more ink.

    A dot marks the beginning of each stroke. Nothing is drawn where the pen was lifted.
    """
    side = SHOWN * 4  # painted larger, for smooth edges
    sheet = Image.new("L", (side, side))
    brush = ImageDraw.Draw(sheet)
    places = (trajectory[:, :2] * 0.42 + 0.5) * side
    inks = np.round(255 * np.linspace(FIRST, LAST, len(trajectory))).astype(int).tolist()
    before = places[0]
    for place, ink, on_paper in zip(places, inks, trajectory[:, 2] > 0, strict=True):
        if on_paper:
            brush.line([*before.tolist(), *place.tolist()], fill=ink, width=16)
        x, y = place.tolist()
        radius = 8 if on_paper else 18
        brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
        before = place
    return np.asarray(sheet.resize((SHOWN, SHOWN), Image.Resampling.BOX), np.float32) / np.float32(255)
