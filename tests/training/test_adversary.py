import numpy as np
import pytest
import torch
from torch.nn import functional

from mnist_app.data.dataset import Digits
from mnist_app.models.networks import batch_of, build
from mnist_app.training.adversary import LONG_STEP, attacked

from ..linear import linear_model, softmax


def test_an_attack_is_one_long_step_from_a_random_start(tiny_digits: Digits) -> None:
    """Compares with Wong, Rice and Kolter's algorithm 3 in NumPy, on a network of one matrix."""
    model, matrix = linear_model()
    matrix = matrix * model.card.temperature  # the attack sees the network without temperature
    images, labels = torch.from_numpy(tiny_digits.images[:5].copy()), torch.from_numpy(tiny_digits.labels[:5])
    pictures, epsilon = batch_of(images), 40 / 255
    found = attacked(model.network, pictures, labels, 40, torch.Generator().manual_seed(3))
    noise = torch.rand(pictures.shape, generator=torch.Generator().manual_seed(3)).numpy() * 2 - 1
    for picture, label, start, changed in zip(pictures.numpy(), labels.tolist(), noise, found.numpy(), strict=True):
        x0 = picture.ravel().astype(np.float64)
        x = np.clip(x0 + epsilon * start.ravel(), 0, 1)
        slope = (softmax(matrix @ x) - np.eye(10)[label]) @ matrix
        by_hand = np.clip(np.clip(x + LONG_STEP * epsilon * np.sign(slope), x0 - epsilon, x0 + epsilon), 0, 1)
        np.testing.assert_allclose(changed.ravel(), by_hand, atol=1e-5)


@pytest.mark.parametrize("architecture", ["quicknet", "convnet"])
def test_an_attack_is_small_and_harmful_and_leaves_the_network_alone(architecture: str, tiny_digits: Digits) -> None:
    torch.manual_seed(0)
    network = build(architecture).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pictures, labels = batch_of(torch.from_numpy(tiny_digits.images.copy())), torch.from_numpy(tiny_digits.labels)
    changed = attacked(network, pictures, labels, 32, torch.Generator().manual_seed(0))
    assert network.training and not changed.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weights.grad is None for weights in network.parameters())
    assert (changed - pictures).abs().max() <= 32 / 255 + 1e-6
    assert changed.min() >= 0 and changed.max() <= 1
    network.eval()
    with torch.no_grad():
        assert functional.cross_entropy(network(changed), labels) > functional.cross_entropy(network(pictures), labels)
