"""Adversarial training: digits changed to mislead the very network that is learning from them.

Madry et al., arXiv:1706.06083, with a random start and one long step as in Wong, Rice and Kolter, arXiv:2001.03994.
"""

import torch
from torch import Tensor, nn

from mnist_app.explain.attacks import step

LONG_STEP = 1.25  # times the reach: the step that Wong et al. found best


def attacked(network: nn.Module, pictures: Tensor, labels: Tensor, levels: int, generator: torch.Generator) -> Tensor:
    """Return pictures (B, 1, 28, 28), 0 to 1, led away from their labels (B,), each pixel by at most ``levels`` of 255.

    The network's weights do not change; it is left in training mode.
    """
    network.eval()  # attack it as it will read: without dropout and batch statistics
    reach = levels / 255
    noise = (torch.rand(pictures.shape, generator=generator, device=generator.device) * 2 - 1) * reach
    changed = step(network, pictures, (pictures + noise).clamp(0, 1), labels, reach, LONG_STEP * reach)
    network.train()
    return changed
