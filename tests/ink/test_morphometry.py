import math

import numpy as np
import pytest

from mnist_app.data.dataset import Digits
from mnist_app.ink.morphometry import LEFT, RIGHT, THICK, THIN, slant, thickness
from mnist_app.ink.preprocessing import centre, paint, quantise, shrink, stretch
from mnist_app.ink.strokes import Drawing

from ..conftest import SEVEN, TWO, ZERO, Strokes


def picture(strokes: Strokes, pen: float = 2.6) -> np.ndarray:
    return quantise(centre(stretch(shrink(paint(Drawing.from_points(strokes), pen)))))[None]


@pytest.mark.parametrize("pen", [1.8, 2.6, 4.1])
@pytest.mark.parametrize("strokes", [SEVEN, ZERO, TWO])
def test_the_measured_thickness_is_the_pens_width(strokes: Strokes, pen: float) -> None:
    assert thickness(picture(strokes, pen))[0] == pytest.approx(pen, rel=0.1)


@pytest.mark.parametrize("degrees", [-30, 0, 20, 40])
def test_the_measured_slant_is_the_angle_of_a_leaning_stroke(degrees: float) -> None:
    run = 100 * math.tan(math.radians(degrees))
    line = [[[run * t, 100.0 - 100.0 * t] for t in np.linspace(0, 1, 20).tolist()]]
    assert slant(picture(line))[0] == pytest.approx(degrees, abs=2)


def test_blank_paper_has_neither_thickness_nor_slant() -> None:
    blank = np.zeros((2, 28, 28), np.uint8)
    assert thickness(blank).tolist() == slant(blank).tolist() == [0, 0]


def test_about_a_tenth_of_the_digits_lies_beyond_each_limit(validation: Digits) -> None:
    measured, leaning = thickness(validation.images), slant(validation.images)
    for share in (measured < THIN, measured >= THICK, leaning < LEFT, leaning >= RIGHT):
        assert 0.06 < share.mean() < 0.14
