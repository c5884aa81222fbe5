"""Read several digits side by side as one number, by grouping strokes into the digits that read best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mnist_app.errors import AppError
from mnist_app.ink.preprocessing import MAX_PAINTED_POINTS
from mnist_app.ink.strokes import Drawing, Stroke
from mnist_app.reading.recognition import Glyph, Prediction, Recogniser, readable, recognise_each, recognise_glyphs

MAX_NUMBER_STROKES = 20  # in a number: ten digits of two each. Each stroke takes up to 5 ms more of everybody's time
MAX_IN_A_DIGIT = 5  # strokes; in real ink no digit has more
MAX_WIDTH = 1.6  # width of a digit, over the height of the number
MIN_HEIGHT = 0.4  # height of a digit, over that of the number
OVERLAP = 0.25  # share of the narrower neighbour's width that two digits may have in common
DOUBTFUL = 0.05  # doubt about a single digit from which we look for a number
WIDE = 1.3  # width over height above which a number is likelier, however well a single digit reads
MIN_LOG_LIKELIHOOD = math.log(0.3)  # log likelihood, in nats, that each digit of a number must reach
# Nats by which a number must beat one digit that is not wide: splitting a digit is worse than joining two.
SPLITTING = 1.0


Readable = Drawing | NDArray[np.uint8] | AppError  # a drawing, a picture (28, 28) of one digit, or why there is none
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, eq=False)
class ReadDigit:
    """One digit: what was read, its picture, and where it is in the drawing."""

    prediction: Prediction
    pixels: NDArray[np.uint8]  # (28, 28)
    box: Box | None = None  # in the drawing's units; None for an image
    drawing: Drawing | None = None  # the strokes of this digit, in writing order; None for an image

    @property
    def glyph(self) -> Glyph:
        return Glyph.seen(self.pixels, self.drawing)


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read: one digit, or several from left to right."""

    digits: tuple[ReadDigit, ...]

    @property
    def is_number(self) -> bool:
        return len(self.digits) > 1

    @property
    def weakest(self) -> Prediction:
        """The digit that was read with the least confidence, which is the confidence of the whole number."""
        return min((digit.prediction for digit in self.digits), key=lambda read: read.confidence)

    @property
    def text(self) -> str | None:
        """The digits as text; None if a single digit was refused."""
        if not self.is_number and not self.weakest.is_digit:
            return None
        return "".join(str(digit.prediction.digit) for digit in self.digits)

    @property
    def words(self) -> str:
        """The confidence as a person would say it."""
        weakest = self.weakest
        if not self.is_number:
            return weakest.words
        if not weakest.is_certain:
            return f"Least sure of the {weakest.digit}"
        is_only = sum(digit.prediction.digit == weakest.digit for digit in self.digits) == 1
        return f"I am sure, even of the {weakest.digit}" if is_only else "I am sure"

    def to_json(self) -> dict[str, object]:
        """The answer for the API, the command line and the page's scripts: the weakest digit, then all digits."""
        return {
            **self.weakest.to_json(),
            "is_digit": self.text is not None,
            "text": self.text,
            "words": self.words,
            "digits": [
                {
                    "digit": read.prediction.digit,
                    "is_digit": read.prediction.is_digit,
                    "confidence": read.prediction.confidence,
                    "box": read.box,
                }
                for read in self.digits
            ],
        }


_Span = tuple[int, int]  # of strokes ordered from left to right: first, and one past the last


@dataclass(frozen=True, eq=False)
class _Group:
    """Neighbouring strokes that may be one digit."""

    strokes: tuple[Stroke, ...]

    @cached_property
    def box(self) -> Box:
        points = np.concatenate(self.strokes)
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return left, top, right, bottom

    @property
    def is_wide(self) -> bool:
        left, top, right, bottom = self.box
        return right - left > WIDE * (bottom - top)


def read_drawing(model: Recogniser, drawing: Drawing) -> Reading:
    """Read a drawing as one digit or as a number, whichever is likelier. Raises BlankError."""
    glyph = Glyph.of(drawing)
    return _reading(model, drawing, glyph, recognise_glyphs(model, [glyph])[0])


def read_picture(model: Recogniser, pixels: NDArray[np.uint8]) -> Reading:
    """Read a picture (28, 28), 0 = paper, 255 = ink, as one digit."""
    return Reading((ReadDigit(recognise_glyphs(model, [Glyph(pixels)])[0], pixels),))


def read_each(model: Recogniser, batch: Sequence[Readable]) -> list[Reading | AppError]:
    """Read a whole batch at once; an item that is an error or cannot be read becomes an error in its place."""
    glyphs = [Glyph(item) if isinstance(item, np.ndarray) else readable(item) for item in batch]
    readings: list[Reading | AppError] = []
    for item, glyph, answer in zip(batch, glyphs, recognise_each(model, glyphs), strict=True):
        if isinstance(answer, AppError):
            readings.append(answer)
            continue
        assert not isinstance(glyph, AppError)  # otherwise the answer would be that error
        single = Reading((ReadDigit(answer, glyph.pixels),))
        readings.append(_reading(model, item, glyph, answer) if isinstance(item, Drawing) else single)
    return readings


def _reading(model: Recogniser, drawing: Drawing, glyph: Glyph, single: Prediction) -> Reading:
    """Read the drawing as a number if that is likelier than the ``single`` digit that it was read as.

    We look for a number only if that digit is doubtful or the drawing wide, so most drawings take no longer.
    """
    whole = _Group(drawing.strokes)
    alone = Reading((ReadDigit(single, glyph.pixels, whole.box, drawing),))
    if not 2 <= len(drawing.strokes) <= MAX_NUMBER_STROKES or (single.doubt < DOUBTFUL and not whole.is_wide):
        return alone
    number = _best_number(model, drawing.subsampled(MAX_PAINTED_POINTS))  # each stroke is painted up to fifteen times
    if number is None or min(_log_likelihood(digit.prediction) for digit in number.digits) < MIN_LOG_LIKELIHOOD:
        return alone
    ahead = _score(number) - _score(alone)
    return number if ahead > (0 if whole.is_wide else SPLITTING) else alone


def _best_number(model: Recogniser, drawing: Drawing) -> Reading | None:
    """The likeliest grouping of strokes into two digits or more, or None if no grouping is plausible."""
    groups = _plausible_groups(drawing)
    if not groups:
        return None
    written = {span: _as_written(drawing, group) for span, group in groups.items()}
    glyphs = {span: Glyph.of(part) for span, part in written.items()}
    read = dict(zip(groups, recognise_glyphs(model, list(glyphs.values())), strict=True))
    # The best path to each group: its score, and the groups before it and itself. Groups come in the order of their
    # starts, so that all paths to a group are known when it is reached.
    best: dict[_Span, tuple[float, tuple[_Span, ...]]] = {}
    for span, prediction in read.items():
        ways = [way for last, way in best.items() if last[1] == span[0] and _are_apart(groups[last], groups[span])]
        if span[0] == 0:
            ways = [(0.0, ())]
        if ways:
            score, passed = max(ways)
            best[span] = score + _log_likelihood(prediction), (*passed, span)
    complete = [way for span, way in best.items() if span[1] == len(drawing.strokes)]
    if not complete:
        return None
    return Reading(
        tuple(ReadDigit(read[span], glyphs[span].pixels, groups[span].box, written[span]) for span in max(complete)[1])
    )


def _as_written(drawing: Drawing, group: _Group) -> Drawing:
    """The strokes of a group in the order in which they were written."""
    return Drawing(tuple(stroke for stroke in drawing.strokes if any(stroke is one for one in group.strokes)))


def _plausible_groups(drawing: Drawing) -> dict[_Span, _Group]:
    """Runs of neighbouring strokes, from left to right, with a plausible size for one of several digits."""
    ordered = sorted(drawing.strokes, key=lambda stroke: float(stroke[:, 0].min() / 2 + stroke[:, 0].max() / 2))
    height = float(np.ptp(np.concatenate(ordered)[:, 1]))
    spans = [
        (start, end)
        for start in range(len(ordered))
        for end in range(start + 1, min(start + MAX_IN_A_DIGIT, len(ordered)) + 1)
        if end - start < len(ordered)
    ]
    groups = {span: _Group(tuple(ordered[slice(*span)])) for span in spans}
    return {span: group for span, group in groups.items() if _may_be_a_digit(group, height)}


def _log_likelihood(read: Prediction) -> float:
    """How well a group reads as one digit, in nats."""
    return math.log(max(read.confidence * (1 - read.doubt), 1e-12))


def _score(reading: Reading) -> float:
    return sum(_log_likelihood(digit.prediction) for digit in reading.digits)


def _may_be_a_digit(group: _Group, height: float) -> bool:
    left, top, right, bottom = group.box
    return right - left <= MAX_WIDTH * height and bottom - top >= MIN_HEIGHT * height


def _are_apart(first: _Group, second: _Group) -> bool:
    """Whether two groups stand side by side rather than on top of one another."""
    narrower = min(first.box[2] - first.box[0], second.box[2] - second.box[0])
    return first.box[2] - second.box[0] <= OVERLAP * narrower
