from collections import Counter

import numpy as np
import pytest

from mnist_app.ink import nondigits
from mnist_app.ink.nondigits import KINDS, WRITTEN, Material, nondigit
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing

from ..conftest import ONE, SEVEN, TWO, ZERO

REAL = Material([Drawing.from_points(strokes) for strokes in (ZERO, ONE, TWO, SEVEN)], WRITTEN)


def test_the_chances_of_the_kinds_sum_to_1() -> None:
    assert sum(chance for _, chance in KINDS) == pytest.approx(1)


@pytest.mark.parametrize("kind", [kind for kind, _ in KINDS], ids=lambda kind: kind.__name__)
def test_every_kind_of_non_digit_can_be_painted_and_varies(kind: nondigits.Kind) -> None:
    random = np.random.default_rng(0)
    pictures = [pixels_of_drawing(Drawing(tuple(kind(REAL, random)))) for _ in range(50)]
    assert all(picture.max() == 255 for picture in pictures)
    assert Counter(picture.tobytes() for picture in pictures).most_common(1)[0][1] < 25


@pytest.mark.parametrize("skeleton", WRITTEN)
def test_every_skeleton_lies_on_the_grid(skeleton: str) -> None:
    points = np.concatenate(nondigits._strokes_of(skeleton))
    assert points.min() >= -1
    assert points.max() <= 5


def test_a_curve_passes_through_its_knots() -> None:
    knots = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]])
    curve = nondigits._smooth(knots, between=8)
    np.testing.assert_allclose(curve[[0, 8, 16]], knots, atol=1e-12)


def test_lines_across_are_too_flat_for_a_one() -> None:
    for seed in range(100):
        (line,) = nondigits._line_across(REAL, np.random.default_rng(seed))
        width, height = np.ptp(line, axis=0)
        assert height < width * 0.6


def test_the_same_seed_gives_the_same_drawing() -> None:
    once, again = (nondigit(REAL, np.random.default_rng(3)).to_points() for _ in range(2))
    assert once == again
