"""How a digit was written, as far as counting strokes tells: what figures are broken down by."""

import numpy as np

from mnist_app.ink.strokes import Drawing, Stroke, distance_along

COUNTS = ("one stroke", "two strokes", "three strokes or more")


def style_of(drawing: Drawing, label: int) -> str:
    """The style of a drawing of a digit that has ink; of ones in one stroke also whether they are but a line."""
    if label == 1 and len(drawing.strokes) == 1:
        return "1, a plain line" if is_plain_line(drawing.strokes[0]) else "1 in one stroke, with a flag"
    return f"{label} in {COUNTS[min(len(drawing.strokes), len(COUNTS)) - 1]}"


def is_plain_line(stroke: Stroke) -> bool:
    """Hardly longer than the way from its start to its end, which is most of its longer side."""
    way = np.hypot(*(stroke[-1] - stroke[0]))
    longer = np.ptp(stroke, axis=0).max()
    return bool(way > 0.7 * longer and distance_along(stroke)[-1] < 1.1 * way)
