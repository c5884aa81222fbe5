"""The image networks. Each turns float32 pictures (B, 1, 28, 28), 0 = paper, 1 = ink, into logits (B, 10), by digit.

A network that can refuse gives an eleventh logit: that the picture is not a digit.
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
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mnist_app.errors import AppError

CLASSES = 10  # digits
NOT_A_DIGIT = 10  # index of the logit, and the label, for "not a digit"
MEMBERS = ("handnet", "unpadded-3", "unpadded-5")  # of a trio, as keys of ARCHITECTURES


def conv(inputs: int, outputs: int, side: int = 3, padding: int = 1) -> nn.Sequential:
    """A convolution, then batch norm and ReLU; by default 3x3 and padded so that the picture keeps its size."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, padding=padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class ConvNet(nn.Module):
    """Three pairs of 3x3 convolutions, each pair at half the size of the one before, then one linear layer.

    The last feature maps are averaged rather than flattened, so there are fewer weights and none to memorise positions.
    """

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 64), classes: int = CLASSES) -> None:
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
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(third, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.features(pictures)))


def halving(inputs: int, outputs: int) -> list[nn.Module]:
    """A 3x3 convolution, pooling to half the width and height, batch norm on that quarter of the pixels, and ReLU."""
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


class HandNet(nn.Module):
    """A deeper ConvNet with more feature maps where they are small and fewer where they are large; it can refuse.

    Pooling the maps before they are normalised saves a sixth of the training time.
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
        self.classifier = nn.Linear(96, NOT_A_DIGIT + 1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.features(pictures)))


class UnpaddedNet(nn.Module):
    """Convolutions without padding or pooling, each of which cuts off the border, then a linear layer over positions.

    Two of the three kinds of An, Lee, Park, Yang and So 2020 (arXiv:2008.10400), half as wide: slow, but the most
    accurate on MNIST.
    """

    def __init__(self, side: int, widths: Sequence[int]) -> None:
        super().__init__()
        left = 28 - len(widths) * (side - 1)  # width and height of the last maps
        self.features = nn.Sequential(
            *(conv(inputs, outputs, side, padding=0) for inputs, outputs in itertools.pairwise((1, *widths)))
        )
        self.classifier = nn.Linear(widths[-1] * left * left, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures).flatten(1))


class Ensemble(nn.Module):
    """Networks that answer together: the first has learned from ink, the others from MNIST alone and share one vote.

    The first alone decides whether a picture is a digit. Which digit it is follows from the mean probabilities of the
    two votes.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.combined([member(pictures) for member in self.members])

    @staticmethod
    def combined(logits: Sequence[Tensor]) -> Tensor:
        """Log probabilities (B, 11) from the members' logits: of the first (B, 11), of the others (B, 10) each."""
        first = logits[0].log_softmax(dim=1)
        is_digit = first[:, :CLASSES].logsumexp(dim=1, keepdim=True)
        others = _mean([each.log_softmax(dim=1) for each in logits[1:]])
        return torch.cat([_mean([first[:, :CLASSES] - is_digit, others]) + is_digit, first[:, CLASSES:]], dim=1)


def _mean(logs: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of numbers, given their logarithms."""
    return torch.stack(list(logs)).logsumexp(dim=0) - math.log(len(logs))


class QuickNet(nn.Module):
    """As little work per picture as an accuracy of 99% allows: no convolution visits all 28x28 positions."""

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
    "inknet": partial(ConvNet, (24, 48, 96), NOT_A_DIGIT + 1),  # an earlier ink-cnn, kept for the models taught from it
    "handnet": HandNet,
    "unpadded-3": partial(UnpaddedNet, 3, range(16, 96, 8)),
    "unpadded-5": partial(UnpaddedNet, 5, range(16, 96, 16)),
    "trio": lambda: Ensemble([build(member) for member in MEMBERS]),
}

REFUSING = ("inknet", "handnet", "trio")  # those with a logit for "not a digit"


def build(architecture: str) -> nn.Module:
    """A network with fresh random weights. Raises AppError for a name that is not in ARCHITECTURES."""
    try:
        return ARCHITECTURES[architecture]()
    except KeyError:
        raise AppError(f"No architecture {architecture!r}. Available: {', '.join(ARCHITECTURES)}.") from None


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """A copy that gives the same answers faster: each batch norm right after a convolution is folded into it.

    The copy is for answering only: it cannot be trained, nor saved as the architecture it came from.
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
    """Network input, float32 (B, 1, 28, 28), 0 to 1, from uint8 pictures (B, 28, 28), 0 to 255."""
    return images.unsqueeze(1).float() / 255


@torch.inference_mode()
def logits_of(network: nn.Module, images: NDArray[np.uint8], batch_size: int = 500, device: str = "cpu") -> Tensor:
    """Logits (N, 10) for pictures (N, 28, 28), without gradients, the network in evaluation mode on its ``device``."""
    if network.training:  # asked first, because eval() visits every module: a tenth of the cost of one answer
        network.eval()
    parts = torch.from_numpy(images.copy()).to(device).split(batch_size)
    return torch.cat([network(batch_of(part)) for part in parts]).cpu()
