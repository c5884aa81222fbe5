"""When a network decided: a drawing is replayed and read again after every bit of ink."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnist_app.ink.strokes import Drawing, Stroke, distance_along
from mnist_app.models.networks import CLASSES
from mnist_app.reading.recognition import Glyph, Prediction, Recogniser, recognise_glyphs

MAX_REPLAYED_POINTS = 1_000  # ten seconds of a quick mouse; to render more in every frame would take seconds
FRAMES = 48  # as many as fit on a phone; each costs half a millisecond


@dataclass(frozen=True, eq=False)
class Frame:
    """The drawing when a share of its ink had been written."""

    share: float  # of the pen's path on paper, 0 to 1
    pixels: NDArray[np.uint8]  # (28, 28)
    prediction: Prediction


@dataclass(frozen=True, eq=False)
class Replay:
    """The frames of a drawing as it grew, at least one."""

    frames: tuple[Frame, ...]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(F, 10), by frame and digit."""
        return np.array([frame.prediction.probabilities for frame in self.frames]).reshape(-1, CLASSES)

    @property
    def decided(self) -> Frame:
        """The first frame from which the digit read stays that of the last frame."""
        last = self.frames[-1].prediction
        at = len(self.frames) - 1
        while at and _is_like(self.frames[at - 1].prediction, last):
            at -= 1
        return self.frames[at]

    @property
    def before(self) -> int | None:
        """The digit that was read just before the decision; None if there was none."""
        at = self.frames.index(self.decided)
        return self.frames[at - 1].prediction.digit if at and self.frames[at - 1].prediction.is_digit else None


def replay(model: Recogniser, drawing: Drawing, count: int = FRAMES) -> Replay:
    """Read a drawing at ``count`` moments, all in one batch. Raises BlankError.

    The moments are evenly spaced along the pen's path, because the canvas reports where the pen was, but not when. Only
    the browser knows the times, and they stay there.
    """
    few = drawing.subsampled(MAX_REPLAYED_POINTS)
    lengths = [max(float(distance_along(stroke)[-1]), 1e-9) for stroke in few.strokes]
    total = sum(lengths)
    shares = np.arange(1, count + 1) / count
    prefixes = [*(_prefix(few, lengths, share * total) for share in shares[:-1]), drawing]
    glyphs = [Glyph.of(prefix) for prefix in prefixes]
    read = recognise_glyphs(model, glyphs)
    return Replay(tuple(Frame(float(s), g.pixels, r) for s, g, r in zip(shares, glyphs, read, strict=True)))


def _prefix(drawing: Drawing, lengths: list[float], way: float) -> Drawing:
    """What is on the paper once the pen has travelled ``way``, in the drawing's unit."""
    strokes: list[Stroke] = []
    for stroke, length in zip(drawing.strokes, lengths, strict=True):
        if way >= length * (1 - 1e-9):
            strokes.append(stroke)
        elif way > 0 or not strokes:
            along = distance_along(stroke)
            tip = [np.interp(way, along, stroke[:, axis]) for axis in (0, 1)]
            strokes.append(np.concatenate([stroke[along < way], [tip]]))
        way -= length
        if way <= 0:
            break
    return Drawing(tuple(strokes), drawing.pen_width)


def _is_like(read: Prediction, last: Prediction) -> bool:
    return read.is_digit == last.is_digit and (read.digit == last.digit or not last.is_digit)
