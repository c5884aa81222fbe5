"""Pictures changed on purpose, each pixel by no more than a few levels, so that a network reads something else.

FGSM: Goodfellow, Shlens and Szegedy, arXiv:1412.6572. PGD: Madry et al., arXiv:1706.06083, begun at the picture itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mnist_app.data.dataset import Digits
from mnist_app.models.networks import CLASSES, batch_of, logits_of
from mnist_app.models.registry import Model
from mnist_app.reading.recognition import digit_logits

STEPS = 20  # of PGD: with 40 hardly a picture more is misread
CHUNK = 50  # pictures attacked at once
STRIDE = 2.5  # times the whole way that all steps together could go, so that they can turn back

Logits = Callable[[Tensor], Tensor]  # of pictures (B, 1, 28, 28), 0 to 1


@dataclass(frozen=True)
class Attack:
    """How far pixels may be changed, and in how many steps."""

    levels: int  # of 255, each pixel at most
    steps: int = STEPS  # 1 is FGSM

    def run(
        self, model: Model, images: NDArray[np.uint8], labels: NDArray[np.int64], is_target: bool = False
    ) -> NDArray[np.uint8]:
        """The changed pictures (N, 28, 28): led away from their labels (N,), or towards them if they are targets."""
        pictures = at = batch_of(torch.from_numpy(images.copy()))
        digits, logits = torch.from_numpy(labels.copy()), partial(digit_logits, model)
        stride = -self.stride if is_target else self.stride
        for _ in range(self.steps):
            at = step(logits, pictures, at, digits, self.reach, stride)
        return _levels(at)

    @property
    def reach(self) -> float:
        """How far a pixel may be changed, 0 to 1."""
        return self.levels / 255

    @property
    def stride(self) -> float:
        """How far one step changes it."""
        return self.reach if self.steps == 1 else STRIDE * self.reach / self.steps

    def survivors(self, model: Model, digits: Digits) -> int:
        """How many of these digits are read right after every single step; the others are let go of once misread.

        What is refused as no digit counts as it would have been read, so that models which never refuse compare.
        """
        pictures = at = batch_of(torch.from_numpy(digits.images.copy()))
        labels = torch.from_numpy(digits.labels.copy())
        logits = partial(digit_logits, model)
        for _ in range(self.steps):
            at = step(logits, pictures, at, labels, self.reach, self.stride)
            read = logits_of(model.network, _levels(at))[:, :CLASSES].argmax(dim=1)
            pictures, at, labels = (each[read == labels] for each in (pictures, at, labels))
            if not len(labels):
                break
        return len(labels)


def accuracy_under(
    attack: Attack, model: Model, digits: Digits, progress: Callable[[float], None] = lambda share: None
) -> float:
    """The share of digits that is read right although each is attacked, 0 to 1; ``progress`` hears of every part."""
    right = 0
    for first in range(0, len(digits), CHUNK):
        right += attack.survivors(model, digits[slice(first, first + CHUNK)])
        progress(min(first + CHUNK, len(digits)) / len(digits))
    return right / len(digits)


def _levels(pictures: Tensor) -> NDArray[np.uint8]:
    """Pictures (N, 1, 28, 28), 0 to 1, as bytes (N, 28, 28)."""
    return (pictures[:, 0] * 255).round().to(torch.uint8).numpy()


def step(logits: Logits, pictures: Tensor, at: Tensor, digits: Tensor, reach: float, stride: float) -> Tensor:
    """Pictures (B, 1, 28, 28), 0 to 1, moved from ``at`` by a stride up the loss of their digits (B,), or down it where
    the stride is below 0; no pixel ends further than ``reach`` from where it was."""
    at = at + stride * loss_slope(logits, at, digits).sign()
    return (pictures + (at - pictures).clamp(-reach, reach)).clamp(0, 1)


def loss_slope(logits: Logits, pictures: Tensor, digits: Tensor) -> Tensor:
    """How the cross entropy of each picture's digit changes with its pixels (B, 1, 28, 28)."""
    at = pictures.detach().requires_grad_()
    loss = functional.cross_entropy(logits(at), digits, reduction="sum")
    return torch.autograd.grad(loss, at)[0]
