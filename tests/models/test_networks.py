import itertools

import pytest
import torch

from mnist_app.errors import AppError
from mnist_app.models.networks import (
    ARCHITECTURES,
    CLASSES,
    NOT_A_DIGIT,
    REFUSING,
    Ensemble,
    batch_of,
    build,
    count_parameters,
    fold_batch_norm,
)


def test_the_convnet_has_72_666_parameters() -> None:
    # Six 3x3 convolutions without bias, a scale and a shift for each of their outputs, one linear layer.
    widths = [1, 16, 16, 32, 32, 64, 64]
    convolutions = sum(9 * a * b + 2 * b for a, b in itertools.pairwise(widths))
    assert count_parameters(build("convnet")) == convolutions + 64 * 10 + 10 == 72_666


@pytest.mark.parametrize(("architecture", "classes"), [("convnet", 10), ("inknet", 11), ("handnet", 11), ("trio", 11)])
def test_a_network_gives_finite_logits_for_each_picture(architecture: str, classes: int) -> None:
    logits = build(architecture).eval()(torch.rand(3, 1, 28, 28))
    assert logits.shape == (3, classes) and logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_folding_batch_norms_removes_layers_but_keeps_the_answers(architecture: str) -> None:
    network, pictures = build(architecture), torch.rand(64, 1, 28, 28)
    network.train()(pictures)  # so that the norms are not trivial
    folded = fold_batch_norm(network.eval())
    torch.testing.assert_close(folded(pictures), network(pictures), atol=1e-5, rtol=1e-4)
    norms = sum(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    after_pooling = {"quicknet": 2, "handnet": 2, "trio": 2}  # where a norm cannot be folded
    assert norms == after_pooling.get(architecture, 0)
    for block in folded.modules():
        if isinstance(block, torch.nn.Sequential):
            for first, second in itertools.pairwise(block):
                assert not (isinstance(first, torch.nn.Conv2d) and isinstance(second, torch.nn.BatchNorm2d))


def test_an_ensembles_first_member_has_half_the_vote_and_alone_decides_to_refuse() -> None:
    network, pictures = build("trio").eval(), torch.rand(5, 1, 28, 28)
    assert isinstance(network, Ensemble)
    first, *others = (member(pictures).softmax(dim=1) for member in network.members)
    which = (first[:, :CLASSES] / first[:, :CLASSES].sum(dim=1, keepdim=True) + sum(others) / len(others)) / 2
    said = network(pictures).exp()
    torch.testing.assert_close(said[:, NOT_A_DIGIT], first[:, NOT_A_DIGIT])
    torch.testing.assert_close(said[:, :CLASSES], which * (1 - first[:, NOT_A_DIGIT:]))
    torch.testing.assert_close(said.sum(dim=1), torch.ones(5))


def test_exactly_the_refusing_architectures_have_a_logit_for_it() -> None:
    picture = torch.rand(1, 1, 28, 28)
    assert [name for name in ARCHITECTURES if build(name).eval()(picture).shape[1] > NOT_A_DIGIT] == list(REFUSING)


def test_an_unknown_architecture_is_refused_naming_the_available_ones() -> None:
    with pytest.raises(AppError, match=r"No architecture 'perceptron'\. Available: .*convnet"):
        build("perceptron")


def test_a_batch_is_scaled_from_bytes_to_between_0_and_1() -> None:
    batch = batch_of(torch.tensor([[[0, 51], [102, 255]]], dtype=torch.uint8))
    torch.testing.assert_close(batch, torch.tensor([[[[0, 0.2], [0.4, 1]]]]))
