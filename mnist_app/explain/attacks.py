"""Adversarial attacks: pictures whose pixels are changed by a few levels at most, so that a network misreads them.

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

STEPS = 20  # of PGD; with 40, hardly any more pictures are misread
CHUNK = 50  # pictures attacked at once
STRIDE = 2.5  # times the reach: how far all steps together could go, so that they can turn back

Logits = Callable[[Tensor], Tensor]  # of pictures (B, 1, 28, 28), 0 to 1


@dataclass(frozen=True)
class Attack:
    """How far pixels may be changed, and in how many steps."""

    levels: int  # of 255, the most that a pixel may change
    steps: int = STEPS  # 1 is FGSM

    def run(
        self, model: Model, images: NDArray[np.uint8], labels: NDArray[np.int64], is_target: bool = False
    ) -> NDArray[np.uint8]:
        """Change pictures (N, 28, 28) so that they are not read as ``labels`` (N,), or, with ``is_target``, are."""
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
        """How far one step changes a pixel."""
        return self.reach if self.steps == 1 else STRIDE * self.reach / self.steps

    def survivors(self, model: Model, digits: Digits) -> int:
        """How many of these digits are read right after every single step; the others are dropped once misread.

        A refusal is ignored in favour of the most likely digit, so that models that never refuse can be compared.
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
    """The share of attacked digits that are still read right, 0 to 1; ``progress`` is called with the share done."""
    right = 0
    for first in range(0, len(digits), CHUNK):
        right += attack.survivors(model, digits[slice(first, first + CHUNK)])
        progress(min(first + CHUNK, len(digits)) / len(digits))
    return right / len(digits)


def _levels(pictures: Tensor) -> NDArray[np.uint8]:
    """Pictures (N, 1, 28, 28), 0 to 1, as bytes (N, 28, 28)."""
    return (pictures[:, 0] * 255).round().to(torch.uint8).numpy()


def step(logits: Logits, pictures: Tensor, at: Tensor, digits: Tensor, reach: float, stride: float) -> Tensor:
    """Move pictures from ``at`` by one stride up the loss of their digits (B,), or down it if the stride is negative.

    Pictures are (B, 1, 28, 28), 0 to 1; no pixel ends further than ``reach`` from its value in ``pictures``.
    """
    at = at + stride * loss_slope(logits, at, digits).sign()
    return (pictures + (at - pictures).clamp(-reach, reach)).clamp(0, 1)


def loss_slope(logits: Logits, pictures: Tensor, digits: Tensor) -> Tensor:
    """The gradient of each picture's cross entropy with respect to its pixels (B, 1, 28, 28)."""
    at = pictures.detach().requires_grad_()
    loss = functional.cross_entropy(logits(at), digits, reduction="sum")
    return torch.autograd.grad(loss, at)[0]
