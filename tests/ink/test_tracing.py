import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.ink.tracing import skeletonised, traced

from ..conftest import ONE, SEVEN, TWO, ZERO

ROUND = np.ones((3, 3))  # the eight neighbours


def picture_of(strokes: list[list[list[float]]]) -> NDArray[np.uint8]:
    return pixels_of_drawing(Drawing.from_points(strokes))


def drawing_of(picture: NDArray[np.uint8]) -> Drawing:
    (drawing,) = traced(picture[None])
    return drawing


@pytest.mark.parametrize("strokes", [ZERO, ONE, TWO, SEVEN])
def test_a_traced_drawing_looks_like_its_picture(strokes: list[list[list[float]]]) -> None:
    picture = picture_of(strokes)
    again = pixels_of_drawing(drawing_of(picture))
    inked, inked_again = (np.argwhere(pixels > 127) for pixels in (picture, again))
    apart = cdist(inked, inked_again)
    assert apart.min(axis=0).max() < 2  # pixels
    assert apart.min(axis=1).max() <= 3  # thinning shortens thick lines a little


def test_lines_that_cross_at_right_angles_are_traced_straight_through() -> None:
    drawing = drawing_of(picture_of([[[50, 0], [50, 100]], [[0, 45], [95, 50]]]))
    assert len(drawing.strokes) == 2
    for stroke in drawing.strokes:
        chord = np.hypot(*(stroke[-1] - stroke[0]))
        assert chord > 0.95 * np.hypot(*np.diff(stroke, axis=0).T).sum()


def test_a_line_is_traced_as_one_stroke_from_the_top() -> None:
    drawing = drawing_of(picture_of([[[20, 100], [50, 0]]]))
    (stroke,) = drawing.strokes
    assert stroke[0, 1] < stroke[-1, 1]


def test_a_traced_stroke_reaches_the_stroke_that_it_touched() -> None:
    stem, bar = [[50.0, 0.0], [50.0, 100.0]], [[0.0, 50.0], [50.0, 50.0]]
    first, second = sorted(drawing_of(picture_of([stem, bar])).strokes, key=len, reverse=True)
    assert min(cdist(first, second[[0, -1]]).min(axis=0)) < 2


def test_thinning_keeps_the_number_of_pieces_and_of_holes() -> None:
    ink = np.zeros((2, 40, 40), bool)
    ink[0, 5:35, 5:35] = True
    ink[0, 12:28, 12:28] = False  # a ring
    ink[1, 4:10, 4:36] = ink[1, 20:30, 4:36] = True  # two bars
    lines = skeletonised(ink)
    assert (lines <= ink).all()
    for before, after in zip(ink, lines, strict=True):
        assert ndimage.label(before, ROUND)[1] == ndimage.label(after, ROUND)[1]
        assert ndimage.label(~before)[1] == ndimage.label(~after)[1]  # as many holes
    assert not (lines[:, 1:, 1:] & lines[:, 1:, :-1] & lines[:, :-1, 1:] & lines[:, :-1, :-1]).any()


def test_a_blank_picture_gives_a_blank_drawing_and_a_dot_gives_one_stroke() -> None:
    pictures = np.stack([np.zeros((28, 28), np.uint8), picture_of([[[5, 5]]])])
    blank, dot = traced(pictures)
    assert blank.is_blank
    assert len(dot.strokes) == 1


def test_each_of_many_pictures_is_traced_as_if_it_were_alone() -> None:
    pictures = np.stack([picture_of(strokes) for strokes in (ZERO, ONE) * 150])
    alone = [next(iter(traced(picture[None]))).to_points() for picture in pictures[:2]]
    assert alone[0] != alone[1]
    assert [drawing.to_points() for drawing in traced(pictures)] == alone * 150
