"""Networks of the lab: they have the known number of weights, and the app's own loop trains them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mnist_app.data.dataset import Digits
from mnist_app.lab.contender import Expected, TrainingData
from mnist_app.lab.contenders.lenet import LeNet5
from mnist_app.lab.contenders.mlp import MLP
from mnist_app.lab.contenders.one_convolution import OneConvolution
from mnist_app.lab.contenders.small_resnet import Residual, SmallResNet
from mnist_app.lab.contenders.tiny_cnn import TinyCNN
from mnist_app.lab.contenders.tutorial_cnn import TutorialCNN
from mnist_app.lab.networks import network
from mnist_app.models.graph import Graph
from mnist_app.models.networks import count_parameters
from mnist_app.models.registry import CURVES
from mnist_app.training.augmentation import STILL
from mnist_app.training.train import TrainConfig

TWO_EPOCHS = TrainConfig(epochs=2, batch_size=100, augmentation=STILL)


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (LeNet5, 61_706),  # with fully connected feature maps, the usual count
        (TutorialCNN, 1_199_882),  # as in PyTorch's example
        (lambda: MLP(128, 64), 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10),
        (lambda: MLP(128, dropout=0.2), 784 * 128 + 128 + 128 * 10 + 10),
        (OneConvolution, 32 * 9 + 32 + 32 * 14 * 14 * 10 + 10),
        (TinyCNN, 9_398),
        (SmallResNet, 9 * (16 + 32 * 48 + 64 * 96) + 16 * 32 + 32 * 64 + 2 * (16 + 3 * 32 + 3 * 64) + 650),
    ],
)
def test_each_network_has_the_known_number_of_weights_and_ten_outputs(
    build: Callable[[], nn.Module], count: int
) -> None:
    built = build().eval()
    assert count_parameters(built) == count
    assert built(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_a_residual_block_whose_change_is_zero_passes_its_input_on() -> None:
    block = Residual(4, 4, stride=1).eval()
    nn.init.zeros_(block.change[3].weight)  # type: ignore[arg-type]
    maps = torch.rand(2, 4, 8, 8)
    torch.testing.assert_close(block(maps), maps)


@pytest.fixture
def lessons_noted(few: Digits, others: Digits) -> tuple[TrainingData, list[float]]:
    """Data for a full training, and the progress reported during it."""
    noted: list[float] = []
    return TrainingData(few, others, is_quick=False, progress=noted.append), noted


def test_training_follows_the_config_and_the_graph_reads_like_the_network(
    lessons_noted: tuple[TrainingData, list[float]], others: Digits
) -> None:
    data, noted = lessons_noted
    contender = network("lenet", "LeNet", "Small.", LeNet5, TWO_EPOCHS, Expected(0.99, "a book"))
    fitted = contender.fit(data)
    assert [curve["passes"] for curve in fitted.curves] == [1, 2]
    assert all(set(curve) == set(CURVES) for curve in fitted.curves)
    assert noted == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert fitted.read
    logits, features = Graph(fitted.graph()).read(others.images)
    np.testing.assert_allclose(logits, fitted.read(others.images), atol=1e-4)
    assert features.shape == (len(others), 84)
    assert fitted.parameters == 61_706


def test_a_rehearsal_trains_for_one_epoch(short_data: TrainingData) -> None:
    contender = network("tiny", "Tiny", "Small.", TinyCNN, TWO_EPOCHS, Expected(0.99, "a book"))
    assert [curve["passes"] for curve in contender.fit(short_data).curves] == [1]


def test_another_layer_or_learning_rate_makes_another_recipe() -> None:
    def recipe(build: Callable[[], nn.Module] = LeNet5, config: TrainConfig = TWO_EPOCHS) -> str:
        return network("any", "Any", "Any.", build, config, Expected(0.9, "")).recipe

    assert recipe() == recipe()
    assert recipe(config=replace(TWO_EPOCHS, checks=3, architecture="quicknet")) == recipe()  # without effect
    others = [recipe(TinyCNN), recipe(config=replace(TWO_EPOCHS, learning_rate=0.02))]
    assert len({recipe(), *others}) == 3
