"""How a digit was written, as far as counting strokes tells: what figures are broken down by."""

import numpy as np

from mnist_app.ink.strokes import Drawing, Stroke, distance_along

COUNTS = ("1 stroke", "2 strokes", "3 strokes or more")


def style_of(drawing: Drawing, label: int) -> str:
    """The style of a drawing of a digit that has ink; of ones in one stroke also whether they are but a line."""
    if label == 1 and len(drawing.strokes) == 1:
        return "1, a plain line" if is_plain_line(drawing.strokes[0]) else "1 in 1 stroke, flagged or bent"
    return f"{label} in {COUNTS[min(len(drawing.strokes), len(COUNTS)) - 1]}"


def is_plain_line(stroke: Stroke) -> bool:
    """Hardly longer than the way from its start to its end; a dot is none."""
    way = np.hypot(*(stroke[-1] - stroke[0]))
    return bool(distance_along(stroke)[-1] < 1.1 * way)
