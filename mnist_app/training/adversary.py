"""Digits changed against the very network that learns from them, so that it learns to read them all the same.

Madry et al., arXiv:1706.06083, with a start at random and one long step as in Wong, Rice and Kolter, arXiv:2001.03994.
"""

import torch
from torch import Tensor, nn

from mnist_app.explain.attacks import step

LONG_STEP = 1.25  # times the reach: from any start to the far side, as Wong et al. found best


def attacked(network: nn.Module, pictures: Tensor, labels: Tensor, levels: int, generator: torch.Generator) -> Tensor:
    """Pictures (B, 1, 28, 28), 0 to 1, each pixel changed by at most ``levels`` of 255, away from their labels (B,).

    The network is left as it is, but for being in training mode.
    """
    network.eval()  # or dropout and batch statistics would be attacked, which are not there when it reads
    reach = levels / 255
    noise = (torch.rand(pictures.shape, generator=generator, device=generator.device) * 2 - 1) * reach
    changed = step(network, pictures, (pictures + noise).clamp(0, 1), labels, reach, LONG_STEP * reach)
    network.train()
    return changed
