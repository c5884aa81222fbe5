"""Digits as others might have written them: a whole batch turned, moved, zoomed and sheared in one call."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mnist_app.errors import AppError

SIDE = 28


@dataclass(frozen=True)
class Augmentation:
    """How far a digit may stray from what was written, each way; 0 switches a change off."""

    rotation: float = 12.0  # degrees; beyond 15 a 7 starts to be a 1, and a 6 a 5
    shift: float = 1.5  # pixels; centring by mass is never off by more than a pixel or two
    zoom: float = 0.12  # share of the size
    shear: float = 0.2  # sideways pixels per pixel of height: handwriting leans

    def __post_init__(self) -> None:
        for name, most in (("rotation", 180.0), ("shift", 14.0), ("zoom", 0.9), ("shear", 2.0)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise AppError(f"{name} is between 0 and {most:g}, not {value!r}.")


def augment(pictures: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Each picture of a batch (B, 1, 28, 28) changed at random within the limits; paper comes in from outside."""
    count = len(pictures)

    def uniform(most: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * most

    angle, lean = uniform(math.radians(augmentation.rotation)), uniform(augmentation.shear)
    wide, high = 1 + uniform(augmentation.zoom), 1 + uniform(augmentation.zoom)
    right, down = uniform(augmentation.shift), uniform(augmentation.shift)
    cos, sin = torch.cos(angle), torch.sin(angle)
    # Where in the old picture each new pixel looks, in grid units: -1 to 1 over SIDE pixels.
    rows = [
        torch.stack([cos / wide, (lean * cos - sin) / wide, right * 2 / SIDE], dim=1),
        torch.stack([sin / high, (lean * sin + cos) / high, down * 2 / SIDE], dim=1),
    ]
    grid = functional.affine_grid(torch.stack(rows, dim=1), [count, 1, SIDE, SIDE], align_corners=False)
    return functional.grid_sample(pictures, grid, align_corners=False)
