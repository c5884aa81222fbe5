"""How a digit was written, judged mostly by counting strokes; accuracy is broken down by these styles."""

import numpy as np

from mnist_app.ink.strokes import Drawing, Stroke, distance_along

COUNTS = ("1 stroke", "2 strokes", "3 strokes or more")


def style_of(drawing: Drawing, label: int) -> str:
    """The style of a digit's drawing that is not blank. Ones in one stroke are split into plain lines and others."""
    if label == 1 and len(drawing.strokes) == 1:
        return "1, a plain line" if is_plain_line(drawing.strokes[0]) else "1 in 1 stroke, flagged or bent"
    return f"{label} in {COUNTS[min(len(drawing.strokes), len(COUNTS)) - 1]}"


def is_plain_line(stroke: Stroke) -> bool:
    """Whether a stroke is less than 10% longer than the straight line between its ends; a dot is not a line."""
    way = np.hypot(*(stroke[-1] - stroke[0]))
    return bool(distance_along(stroke)[-1] < 1.1 * way)
