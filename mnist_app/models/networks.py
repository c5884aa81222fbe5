"""The networks. Each takes float32 pictures (B, 1, 28, 28), 0 = paper, 1 = ink, and gives logits (B, 10), by digit.

One that has learned to refuse gives an eleventh logit: that the picture is no digit.
"""

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mnist_app.errors import AppError

CLASSES = 10  # digits
NO_DIGIT = 10  # index of the logit, and the label, of what is no digit
MEMBERS = 3  # of an ensemble
TURN = 12  # degrees to either side that an ensemble turns a picture: as far as training has turned digits


def conv(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution that keeps the picture's size, normalised over the batch and rectified."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class ConvNet(nn.Module):
    """Three pairs of 3x3 convolutions, each pair at half the size of the one before, then one linear layer.

    The last feature maps are averaged rather than flattened: fewer weights, and nothing to memorise positions with.
    """

    def __init__(
        self, widths: tuple[int, int, int] = (16, 32, 64), classes: int = CLASSES, dropout: float = 0.2
    ) -> None:
        super().__init__()
        first, second, third = widths
        self.features = nn.Sequential(
            conv(1, first),  # (B, 16, 28, 28)
            conv(first, first),
            nn.MaxPool2d(2),  # (B, 16, 14, 14)
            conv(first, second),  # (B, 32, 14, 14)
            conv(second, second),
            nn.MaxPool2d(2),  # (B, 32, 7, 7)
            conv(second, third),  # (B, 64, 7, 7)
            conv(third, third),
            nn.AdaptiveAvgPool2d(1),  # (B, 64, 1, 1)
            nn.Flatten(),  # (B, 64)
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(third, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.features(pictures)))


def halving(inputs: int, outputs: int) -> list[nn.Module]:
    """A 3x3 convolution, then a picture half as wide and high; normalised only then, on a quarter of the pixels."""
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


class HandNet(nn.Module):
    """What ConvNet does, deeper, with more maps where they are small and fewer where they are large; it may refuse.

    Halved before they are normalised, the maps cost a sixth less time to learn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv(1, 16),  # (B, 16, 28, 28)
            *halving(16, 16),  # (B, 16, 14, 14)
            conv(16, 48),  # (B, 48, 14, 14)
            conv(48, 48),
            *halving(48, 48),  # (B, 48, 7, 7)
            conv(48, 96),  # (B, 96, 7, 7)
            conv(96, 96),
            conv(96, 96),
            nn.AdaptiveAvgPool2d(1),  # (B, 96, 1, 1)
            nn.Flatten(),  # (B, 96)
        )
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(96, NO_DIGIT + 1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.features(pictures)))


class Ensemble(nn.Module):
    """Networks that answer together for a picture as it is and turned a little to either side.

    Its logits are the logarithm of the mean of all their probabilities.
    """

    grids: Tensor  # (2, 28, 28, 2), where the turned pictures look

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("grids", torch.cat([_turned_grid(angle) for angle in (-TURN, TURN)]), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.together([member(view) for view in self.views(pictures) for member in self.members])

    def views(self, pictures: Tensor) -> list[Tensor]:
        """The pictures (B, 1, 28, 28), then turned to the left, then to the right; paper comes in from outside."""
        grids = [grid.expand(pictures.shape[0], -1, -1, -1) for grid in self.grids.unbind()]
        return [pictures, *(functional.grid_sample(pictures, grid, align_corners=False) for grid in grids)]

    @staticmethod
    def together(logits: Sequence[Tensor]) -> Tensor:
        """What answers with these logits, each (B, C), come to together."""
        return torch.stack([each.log_softmax(dim=1) for each in logits]).logsumexp(dim=0) - math.log(len(logits))


def _turned_grid(degrees: float) -> Tensor:
    """Where each pixel of a picture that is turned clockwise looks in the picture as it was: (1, 28, 28, 2)."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return functional.affine_grid(torch.tensor([[[cos, sin, 0], [-sin, cos, 0]]]), [1, 1, 28, 28], align_corners=False)


class QuickNet(nn.Module):
    """As little work a picture as 99% allow: no convolution sees all 28x28 positions."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2),  # (B, 16, 14, 14)
            nn.ReLU(inplace=True),
            *halving(16, 32),  # (B, 32, 7, 7)
            *halving(32, 64),  # (B, 64, 3, 3)
        )
        self.classifier = nn.Linear(576, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures).flatten(1))


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "convnet": ConvNet,
    "quicknet": QuickNet,
    "inknet": partial(ConvNet, (24, 48, 96), NO_DIGIT + 1),  # of an earlier ink-cnn: what was taught it goes on
    "handnet": HandNet,
    "ensemble": lambda: Ensemble([HandNet() for _ in range(MEMBERS)]),
}

REFUSING = ("inknet", "handnet", "ensemble")  # those with a logit for what is no digit


def build(architecture: str) -> nn.Module:
    """A network with fresh random weights. Raises AppError for a name that is not in ARCHITECTURES."""
    try:
        return ARCHITECTURES[architecture]()
    except KeyError:
        raise AppError(f"No architecture {architecture!r}. Available: {', '.join(ARCHITECTURES)}.") from None


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """A copy that answers the same and sooner: each batch norm is folded into the convolution before it.

    For answering only; the copy cannot be trained, nor saved as the architecture it came from.
    """
    folded = copy.deepcopy(network).eval()
    for block in folded.modules():
        if isinstance(block, nn.Sequential):
            for at, (first, second) in enumerate(itertools.pairwise(block)):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    block[at], block[at + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return folded


def count_parameters(network: nn.Module) -> int:
    return sum(weights.numel() for weights in network.parameters())


def batch_of(images: Tensor) -> Tensor:
    """uint8 pictures (B, 28, 28), 0 to 255, as a network wants them: float32 (B, 1, 28, 28), 0 to 1."""
    return images.unsqueeze(1).float() / 255


@torch.inference_mode()
def logits_of(network: nn.Module, images: NDArray[np.uint8], batch_size: int = 500, device: str = "cpu") -> Tensor:
    """Logits (N, 10) for pictures (N, 28, 28), without gradients, the network in evaluation mode on its ``device``."""
    if network.training:  # asked first: eval() visits every module, a tenth of what one answer costs
        network.eval()
    parts = torch.from_numpy(images.copy()).to(device).split(batch_size)
    return torch.cat([network(batch_of(part)) for part in parts]).cpu()
