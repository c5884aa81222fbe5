"""How thick a digit's strokes are and how far it leans.

The measures follow Morpho-MNIST (Castro et al., JMLR 20, 2019), computed for many pictures at once. The slant is the
same, from the picture's moments. The thickness is a stroke's area over half its outline instead of a mean along its
skeleton; this needs no skeleton and recovers the width of a known pen.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Measure = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # ink (N, 28, 28), 0 to 1 -> (N,)

CHUNK = 2000  # pictures at a time, which takes 60 MB
# A tenth of MNIST's training pictures lies below the first value of each pair, a tenth above the second.
THIN, THICK = 1.9, 3.4  # pixels
LEFT, RIGHT = -13.0, 25.0  # degrees: people lean to the right


def thickness(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean stroke thickness (N,) of pictures (N, 28, 28), in pixels; 0 for a blank picture."""
    return _in_chunks(_thickness, images)


def slant(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Slant (N,) of pictures (N, 28, 28): degrees from upright, positive to the right; 0 for ink without height."""
    return _in_chunks(_slant, images)


def _thickness(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    area = ink.sum(axis=(1, 2))
    padded = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    # Differences at the corners where four pixels meet, so that both directions are known at the same points.
    across = (padded[:, 1:, 1:] - padded[:, 1:, :-1] + padded[:, :-1, 1:] - padded[:, :-1, :-1]) / 2
    down = (padded[:, 1:, 1:] - padded[:, :-1, 1:] + padded[:, 1:, :-1] - padded[:, :-1, :-1]) / 2
    outline = np.sqrt(across**2 + down**2).sum(axis=(1, 2))  # grey edges count in proportion
    return np.divide(2 * area, outline, out=np.zeros_like(area), where=outline > 0)


def _slant(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    mass = np.maximum(ink.sum(axis=(1, 2)), 1e-9)
    at = np.arange(ink.shape[1], dtype=np.float32)
    x = at - ((ink.sum(axis=1) @ at) / mass)[:, None]  # (N, 28), from the centre of mass
    y = at - ((ink.sum(axis=2) @ at) / mass)[:, None]
    mixed = np.einsum("nyx,ny,nx->n", ink, y, x)
    vertical = np.einsum("nyx,ny->n", ink, y**2)
    shear = np.divide(-mixed, vertical, out=np.zeros_like(mixed), where=vertical > 0)  # y runs downwards
    return np.degrees(np.arctan(shear))


def _in_chunks(measure: Measure, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    parts = [
        measure(images[first : first + CHUNK].astype(np.float32) / np.float32(255))
        for first in range(0, len(images), CHUNK)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)
