import numpy as np
import pytest

from mnist_app.ink.strokes import MAX_STROKES, Drawing
from mnist_app.ink.trajectory import POINTS, SHOWN, painted, trajectory_of

from ..conftest import SEVEN


def drawing(*strokes: list[list[float]]) -> Drawing:
    return Drawing.from_points(list(strokes))


def test_the_points_follow_the_pen_in_the_order_of_writing() -> None:
    way = trajectory_of(drawing([[0, 0], [100, 0]], [[50, 100], [50, 0]]))
    assert way.shape == (POINTS, 3) and way.dtype == np.float32
    first, second = way[: POINTS // 2], way[POINTS // 2 :]
    np.testing.assert_allclose(first[:, 0], np.linspace(-1, 1, POINTS // 2), atol=1e-6)
    np.testing.assert_allclose(first[:, 1], -1)
    np.testing.assert_allclose(second[:, 0], 0)
    np.testing.assert_allclose(second[:, 1], np.linspace(1, -1, POINTS // 2), atol=1e-6)


def test_the_first_point_of_each_stroke_is_marked_as_reached_with_a_lifted_pen() -> None:
    way = trajectory_of(drawing([[0, 0], [100, 0]], [[50, 100], [50, 0]]))
    assert np.flatnonzero(way[:, 2] == 0).tolist() == [0, POINTS // 2]


def test_points_are_as_far_apart_on_a_short_stroke_as_on_a_long_one() -> None:
    way = trajectory_of(drawing([[0, 0], [300, 0]], [[0, 100], [100, 100]]))
    steps = np.hypot(*np.diff(way[:, :2], axis=0).T)[way[1:, 2] > 0]
    assert steps.max() / steps.min() < 1.1


def test_size_and_place_on_the_pad_make_no_difference() -> None:
    strokes = Drawing.from_points(SEVEN).strokes
    elsewhere = Drawing(tuple(stroke * 3.5 + [700, -20] for stroke in strokes))
    np.testing.assert_allclose(trajectory_of(Drawing(strokes)), trajectory_of(elsewhere), atol=1e-6)


@pytest.mark.parametrize(
    "strokes",
    [
        [[[5.0, 5.0]]],
        [[[5.0, 5.0]] * 3, [[5.0, 5.0]]],
        [[[0.0, 0.0], [5e-324, 0.0]]],
        [[[-8e307, 0.0], [8e307, 1.0]], [[0.0, -8e307]]],
        [[[at, 0.0], [at, 9.0]] for at in range(MAX_STROKES)],
    ],
    ids=["dot", "dots on one another", "smallest", "largest", "most strokes"],
)
def test_every_drawing_has_a_finite_trajectory_within_the_square(strokes: list[list[list[float]]]) -> None:
    way = trajectory_of(Drawing.from_points(strokes))
    assert way.shape == (POINTS, 3) and np.isfinite(way).all() and np.abs(way).max() <= 1
    assert painted(way).shape == (SHOWN, SHOWN)


def test_a_trajectorys_picture_grows_darker_and_omits_moves_of_the_lifted_pen() -> None:
    picture = painted(trajectory_of(drawing([[0, 0], [0, 100]], [[100, 0], [100, 100]])))
    middle = SHOWN // 2
    first, second = picture[middle, : SHOWN // 4].max(), picture[middle, -SHOWN // 4 :].max()
    assert 0.3 < first < 0.6 < second
    assert not picture[:, middle - 10 : middle + 10].any()
