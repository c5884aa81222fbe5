import numpy as np
import pytest

from mnist_app.ink.strokes import Drawing
from mnist_app.ink.styles import style_of

from ..conftest import ONE, SEVEN

FLAGGED = [[30, 60], [60, 10], [60, 150]]
SMALL = [[x / 1000, y / 1000] for x, y in FLAGGED]


@pytest.mark.parametrize(
    ("strokes", "label", "style"),
    [
        (ONE, 1, "1, a plain line"),
        ([FLAGGED], 1, "1 in 1 stroke, flagged or bent"),
        ([SMALL], 1, "1 in 1 stroke, flagged or bent"),
        ([FLAGGED, [[30, 150], [90, 150]]], 1, "1 in 2 strokes"),
        ([[[5, 5]]], 1, "1 in 1 stroke, flagged or bent"),
        (SEVEN[:1], 7, "7 in 1 stroke"),
        (SEVEN, 7, "7 in 2 strokes"),
        (SEVEN * 5, 7, "7 in 3 strokes or more"),
    ],
)
def test_the_style_is_the_number_of_strokes_and_for_a_one_whether_it_is_plain(
    strokes: list[list[list[float]]], label: int, style: str
) -> None:
    assert style_of(Drawing(tuple(np.array(stroke, float) for stroke in strokes)), label) == style
