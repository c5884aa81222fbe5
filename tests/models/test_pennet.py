import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mnist_app.ink.strokes import Drawing
from mnist_app.ink.trajectory import POINTS, trajectory_of
from mnist_app.models.graph import CHUNK, GraphError, PenGraph, pen_to_graph, to_graph
from mnist_app.models.networks import count_parameters
from mnist_app.models.pennet import MEASURES, PenNet, measures_of

from ..conftest import SEVEN, TWO


@pytest.fixture
def pen() -> PenNet:
    torch.manual_seed(1)
    return PenNet().eval()


def measured(points: list[list[float]]) -> NDArray[np.float32]:
    """Return what is measured at each point of one stroke: (MEASURES, POINTS)."""
    way = torch.from_numpy(trajectory_of(Drawing.from_points([points])))
    return measures_of(way[None])[0, :, 0].numpy()


def test_measures_hold_the_pens_direction_and_the_line_regardless_of_direction() -> None:
    right, left = measured([[0, 0], [100, 0]]), measured([[100, 0], [0, 0]])
    assert right.shape == (MEASURES, POINTS)
    np.testing.assert_allclose(right[2:4, 5], [1, 0], atol=0.05)  # cosine and sine
    np.testing.assert_allclose(left[2:4, 5], [-1, 0], atol=0.05)
    np.testing.assert_allclose(right[4:6, 5], left[4:6, 5])  # of twice the angle
    down = measured([[0, 0], [0, 100]])
    np.testing.assert_allclose(down[2:6, 5], [0, 1, -1, 0], atol=0.07)


def test_a_pen_that_stands_still_has_no_direction_or_speed() -> None:
    dot = measured([[3, 3]])
    assert not dot[2:6].any() and not dot[7].any()


def test_the_pen_network_gives_eleven_logits_for_each_trajectory(pen: PenNet) -> None:
    assert pen(torch.zeros(4, POINTS, 3)).shape == (4, 11)


def test_the_pen_network_has_fewer_than_160_000_parameters(pen: PenNet) -> None:
    assert count_parameters(pen) < 160_000


def test_a_pen_graph_answers_like_its_network_beyond_one_chunk(pen: PenNet) -> None:
    ways = [trajectory_of(Drawing.from_points(strokes)) for strokes in (SEVEN, TWO)] * (CHUNK // 2 + 1)
    with torch.inference_mode():
        expected = pen(torch.from_numpy(np.stack(ways))).numpy()
    np.testing.assert_allclose(PenGraph(pen_to_graph(pen)).read(ways), expected, atol=1e-4)


def test_the_graph_of_an_image_network_is_refused_as_a_pen_graph(mean_digit: nn.Module) -> None:
    with pytest.raises(GraphError, match="not trajectories to logits"):
        PenGraph(to_graph(mean_digit))


def test_the_pen_network_tells_a_line_from_the_same_line_backwards(pen: PenNet) -> None:
    ways = [trajectory_of(Drawing.from_points([points])) for points in ([[0, 0], [9, 9]], [[9, 9], [0, 0]])]
    with torch.inference_mode():
        there, back = pen(torch.from_numpy(np.stack(ways)))
    assert math.dist(there.tolist(), back.tolist()) > 0.01
