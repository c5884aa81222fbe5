import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from mnist_app.errors import AppError
from mnist_app.models.networks import (
    ARCHITECTURES,
    NO_DIGIT,
    REFUSING,
    TURN,
    Ensemble,
    batch_of,
    build,
    count_parameters,
    fold_batch_norm,
)


def test_the_shipped_architecture_has_the_parameters_it_is_known_for() -> None:
    # Six 3x3 convolutions without bias, a scale and a shift for each of their outputs, one linear layer.
    widths = [1, 16, 16, 32, 32, 64, 64]
    convolutions = sum(9 * a * b + 2 * b for a, b in itertools.pairwise(widths))
    assert count_parameters(build("convnet")) == convolutions + 64 * 10 + 10 == 72_666


@pytest.mark.parametrize(
    ("architecture", "classes"), [("convnet", 10), ("inknet", 11), ("handnet", 11), ("ensemble", 11)]
)
def test_a_network_gives_finite_logits_for_each_picture(architecture: str, classes: int) -> None:
    logits = build(architecture).eval()(torch.rand(3, 1, 28, 28))
    assert logits.shape == (3, classes) and logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_folding_changes_the_layers_but_not_the_answers(architecture: str) -> None:
    network, pictures = build(architecture), torch.rand(64, 1, 28, 28)
    network.train()(pictures)  # so that the norms have something to do
    folded = fold_batch_norm(network.eval())
    torch.testing.assert_close(folded(pictures), network(pictures), atol=1e-5, rtol=1e-4)
    norms = sum(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    after_pooling = {"quicknet": 2, "handnet": 2, "ensemble": 6}  # where a norm cannot be folded
    assert norms == after_pooling.get(architecture, 0)
    for block in folded.modules():
        if isinstance(block, torch.nn.Sequential):
            for first, second in itertools.pairwise(block):
                assert not (isinstance(first, torch.nn.Conv2d) and isinstance(second, torch.nn.BatchNorm2d))


def test_an_ensemble_answers_with_the_mean_of_probabilities() -> None:
    network, pictures = build("ensemble").eval(), torch.rand(5, 1, 28, 28)
    assert isinstance(network, Ensemble) and len(network.members) == 3
    answers = [member(view).softmax(dim=1) for member in network.members for view in network.views(pictures)]
    assert len(answers) == 9
    torch.testing.assert_close(network(pictures).exp(), torch.stack(answers).mean(dim=0))


def test_an_ensemble_looks_at_a_picture_as_it_is_and_turned_to_the_left_and_to_the_right() -> None:
    network, picture = build("ensemble"), torch.zeros(2, 1, 28, 28)
    assert isinstance(network, Ensemble)
    picture[:, :, 3:25, 10:14] = 1
    straight, *turned = network.views(picture)
    assert torch.equal(straight, picture)
    for view, degrees in zip(turned, (TURN, -TURN), strict=True):  # SciPy turns to the left
        expected = ndimage.rotate(picture[0, 0].numpy(), degrees, reshape=False, order=1)
        np.testing.assert_allclose(view[1, 0].numpy(), expected, atol=1e-4)


def test_those_that_refuse_have_a_logit_for_it() -> None:
    picture = torch.rand(1, 1, 28, 28)
    assert [name for name in ARCHITECTURES if build(name).eval()(picture).shape[1] > NO_DIGIT] == list(REFUSING)


def test_an_unknown_architecture_is_answered_with_those_there_are() -> None:
    with pytest.raises(AppError, match=r"No architecture 'perceptron'\. Available: .*convnet"):
        build("perceptron")


def test_a_batch_is_scaled_from_bytes_to_ink() -> None:
    batch = batch_of(torch.tensor([[[0, 51], [102, 255]]], dtype=torch.uint8))
    torch.testing.assert_close(batch, torch.tensor([[[[0, 0.2], [0.4, 1]]]]))
