"""Pictures changed on purpose, each pixel by no more than a few levels, so that a network reads something else.

FGSM: Goodfellow, Shlens and Szegedy, arXiv:1412.6572. PGD: Madry et al., arXiv:1706.06083, begun at the picture itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mnist_app.data.dataset import Digits
from mnist_app.models.networks import batch_of
from mnist_app.models.registry import Model
from mnist_app.reading.recognition import digit_logits, recognise

STEPS = 20  # of PGD: with 40 hardly a picture more is misread
CHUNK = 50  # pictures attacked at once
STRIDE = 2.5  # times the whole way that all steps together could go, so that they can turn back


@dataclass(frozen=True)
class Attack:
    """How far pixels may be changed, and in how many steps."""

    levels: int  # of 255, each pixel at most
    steps: int = STEPS  # 1 is FGSM

    def run(
        self, model: Model, images: NDArray[np.uint8], labels: NDArray[np.int64], is_target: bool = False
    ) -> NDArray[np.uint8]:
        """The changed pictures (N, 28, 28): led away from their labels (N,), or towards them if they are targets."""
        picture = batch_of(torch.from_numpy(images.copy()))
        digits = torch.from_numpy(labels.copy())
        reach = self.levels / 255
        stride = reach if self.steps == 1 else STRIDE * reach / self.steps
        at = picture
        for _ in range(self.steps):
            slope = loss_slope(model, at, digits)
            at = at + (-stride if is_target else stride) * slope.sign()
            at = (picture + (at - picture).clamp(-reach, reach)).clamp(0, 1)
        return (at[:, 0] * 255).round().to(torch.uint8).numpy()


def accuracy_under(
    attack: Attack, model: Model, digits: Digits, progress: Callable[[float], None] = lambda share: None
) -> float:
    """The share of digits that is still read right when every one is attacked, 0 to 1; ``progress`` hears of each part.

    What is refused as no digit counts as it would have been read, so that models which never refuse compare.
    """
    right = 0
    for first in range(0, len(digits), CHUNK):
        part = digits[slice(first, first + CHUNK)]
        read = recognise(model, attack.run(model, part.images, part.labels))
        right += sum(each.digit == label for each, label in zip(read, part.labels.tolist(), strict=True))
        progress((first + len(part)) / len(digits))
    return right / len(digits)


def loss_slope(model: Model, pictures: Tensor, digits: Tensor) -> Tensor:
    """How the cross entropy of each picture's digit changes with its pixels (B, 1, 28, 28)."""
    at = pictures.detach().requires_grad_()
    loss = functional.cross_entropy(digit_logits(model, at), digits, reduction="sum")
    return torch.autograd.grad(loss, at)[0]
