"""Digits changed as if others had written them: a whole batch is turned, moved, bent and thickened in a few calls."""

import math
from dataclasses import astuple, dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mnist_app.errors import FieldError
from mnist_app.ink.preprocessing import SIDE

KNOTS = 5  # of the elastic field per side: bends are as long as a stroke, not as short as a pixel
LIMITS = {"rotation": 180.0, "shift": 14.0, "zoom": 0.9, "shear": 2.0, "thickness": 2.0, "elastic": 4.0}


@dataclass(frozen=True)
class Augmentation:
    """The largest change of each kind, in either direction; 0 switches a change off."""

    rotation: float = 12.0  # degrees; beyond 15 a 7 starts to look like a 1, and a 6 like a 5
    shift: float = 1.5  # pixels; centring by mass is never off by more than a pixel or two
    zoom: float = 0.12  # share of the size
    shear: float = 0.2  # sideways pixels per pixel of height: handwriting leans
    thickness: float = 0.0  # pixels of a stroke's width: pens differ
    elastic: float = 0.0  # pixels by which parts of a digit may be displaced: hands tremble

    def __post_init__(self) -> None:
        for name, most in LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= most:
                raise FieldError(name, f"must be between 0 and {most:g}, not {value!r}.")


STILL = Augmentation(rotation=0, shift=0, zoom=0, shear=0)  # no change: digits as they were written


def augment(pictures: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Return the pictures (B, 1, 28, 28), each changed at random within the limits; paper comes in from outside.

    Elastic and thickness draw no random numbers while they are off, so recipes without them give the same weights.
    """
    if not any(astuple(augmentation)):
        return pictures
    count = len(pictures)

    def uniform(most: float) -> Tensor:
        return (torch.rand(count, generator=generator, device=generator.device) * 2 - 1) * most

    angle, lean = uniform(math.radians(augmentation.rotation)), uniform(augmentation.shear)
    wide, high = 1 + uniform(augmentation.zoom), 1 + uniform(augmentation.zoom)
    right, down = uniform(augmentation.shift), uniform(augmentation.shift)
    cos, sin = torch.cos(angle), torch.sin(angle)
    # Maps each new pixel to its source in the old picture, in grid units: -1 to 1 over SIDE pixels.
    rows = [
        torch.stack([cos / wide, (lean * cos - sin) / wide, right * 2 / SIDE], dim=1),
        torch.stack([sin / high, (lean * sin + cos) / high, down * 2 / SIDE], dim=1),
    ]
    grid = functional.affine_grid(torch.stack(rows, dim=1), [count, 1, SIDE, SIDE], align_corners=False)
    if augmentation.elastic:
        field = torch.rand(count, 2, KNOTS, KNOTS, generator=generator, device=generator.device)
        knots = (field * 2 - 1) * augmentation.elastic * 2 / SIDE
        bends = functional.interpolate(knots, (SIDE, SIDE), mode="bicubic", align_corners=True)
        grid = grid + bends.permute(0, 2, 3, 1)
    moved = functional.grid_sample(pictures, grid, align_corners=False)
    return thicken(moved, uniform(augmentation.thickness)) if augmentation.thickness else moved


def thicken(pictures: Tensor, pixels: Tensor) -> Tensor:
    """Make the strokes of each picture (B, 1, 28, 28) wider by ``pixels`` (B,), or thinner if negative."""
    wider = functional.max_pool2d(pictures, 3, 1, 1)  # by one pixel on either side
    thinner = -functional.max_pool2d(-pictures, 3, 1, 1)
    share = (pixels / 2).view(-1, 1, 1, 1)
    return pictures + share.clamp(min=0) * (wider - pictures) + share.clamp(max=0) * (pictures - thinner)
