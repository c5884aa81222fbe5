"""Pictures distorted more and more: turned, scaled, shifted, blurred, thinned, faded, covered, shaken."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mnist_app.ink.preprocessing import BOX, PEN, SIDE, pixels_of_drawing
from mnist_app.ink.strokes import Drawing, resampled

Picture = NDArray[np.uint8]  # (28, 28), 0 = paper, 255 = ink

FINE = 4  # samples per pixel and axis for moving outlines
FINER = 16  # the same for measuring areas
SEED = 0  # of all noise: the same slider position gives the same picture


def turned(pixels: Picture, degrees: float) -> Picture:
    """Turned about the middle of the paper, clockwise."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return _moved(pixels, np.array([[cos, -sin], [sin, cos]]))


def scaled(pixels: Picture, factor: float) -> Picture:
    """Made larger or smaller about the middle of the paper. Shrinking averages areas, or thin strokes would vanish."""
    if factor >= 1:
        return _moved(pixels, np.eye(2) / factor)
    middle = SIDE / 2
    seen = np.floor(((np.arange(SIDE * FINER) + 0.5) / FINER - middle) / factor + middle)  # old pixels
    paper = (seen < 0) | (seen >= SIDE)
    at = np.where(paper, 0, seen).astype(int)
    fine = np.where(paper[:, None] | paper, 0, pixels[np.ix_(at, at)])
    return _levels(fine.reshape(SIDE, FINER, SIDE, FINER).mean(axis=(1, 3)))


def sheared(pixels: Picture, degrees: float) -> Picture:
    """Sheared about the middle of the paper, to the right."""
    return _moved(pixels, np.array([[1, 0], [np.tan(np.radians(degrees)), 1]]))


def shifted(pixels: Picture, down: float, right: float) -> Picture:
    """Moved down and to the right by a number of pixels."""
    return _moved(pixels, np.eye(2), np.array([-down, -right]))


def noisy(pixels: Picture, levels: float) -> Picture:
    """With Gaussian noise on every pixel, of a standard deviation of ``levels``."""
    noise = np.random.default_rng(SEED).normal(0, 1, pixels.shape)
    return _levels(pixels + levels * noise)


def blurred(pixels: Picture, radius: float) -> Picture:
    """Smoothed by a Gaussian with a standard deviation of ``radius`` pixels."""
    return _levels(ndimage.gaussian_filter(pixels.astype(np.float64), radius))


def thickened(pixels: Picture, distance: float) -> Picture:
    """With the outline of the ink moved outwards by ``distance`` pixels, or inwards if that is negative."""
    if distance == 0:
        return pixels
    fine = ndimage.zoom(pixels.astype(np.float32), FINE, order=1, grid_mode=True, mode="grid-constant")
    inside = fine >= 128
    if not inside.any():
        return pixels
    beyond = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)  # fine samples
    beyond -= np.sign(beyond) / 2  # now from the outline, which runs between two samples
    side = len(pixels)
    ink = (beyond < distance * FINE).reshape(side, FINE, side, FINE).mean(axis=(1, 3))
    return _levels(ink * 255.0)


def closed(pixels: Picture, reach: int) -> Picture:
    """With gaps of up to twice ``reach`` pixels in the ink filled in."""
    at = np.arange(-reach, reach + 1)
    disc = at[:, None] ** 2 + at**2 <= reach**2 + 0.5
    padded = np.pad(pixels, 2 * reach)
    return np.asarray(ndimage.grey_closing(padded, footprint=disc)[2 * reach : -2 * reach, 2 * reach : -2 * reach])


def faded(pixels: Picture, contrast: float) -> Picture:
    """With a share ``contrast`` of its darkness left, 0 to 1."""
    return _levels(pixels * contrast)


def covered(pixels: Picture, side: float) -> Picture:
    """With the middle covered by a square of paper of ``side`` pixels."""
    edge, half = len(pixels), side / 2
    at = np.arange(edge)
    shares = np.clip(np.minimum(at + 1, edge / 2 + half) - np.maximum(at, edge / 2 - half), 0, 1)  # of each row
    return _levels(pixels * (1 - np.outer(shares, shares)))


def shaken(pixels: Picture, distance: float) -> Picture:
    """As if drawn by a trembling hand: every part moved at random, by ``distance`` pixels root mean square."""
    random = np.random.default_rng(SEED)
    moves = np.stack([ndimage.gaussian_filter(random.normal(0, 1, pixels.shape), 1.5) for _ in range(2)])
    moves *= distance / np.sqrt((moves**2).sum(axis=0).mean())
    places = np.stack(np.meshgrid(*map(np.arange, pixels.shape), indexing="ij")) + moves
    return _levels(ndimage.map_coordinates(pixels.astype(np.float64), places, order=1))


def trembled(drawing: Drawing, distance: float) -> Picture:
    """As if drawn by a trembling hand: each point of the strokes moved, by ``distance`` pixels root mean square."""
    if distance == 0:
        return pixels_of_drawing(drawing)
    random = np.random.default_rng(SEED)
    pixel = max(float(np.ptp(np.concatenate(drawing.strokes), axis=0).max()), 1e-9) / (BOX - PEN)
    strokes = [resampled(stroke, pixel) for stroke in drawing.strokes]
    moves = [ndimage.gaussian_filter1d(random.normal(0, 1, stroke.shape), 1.5, axis=0) for stroke in strokes]
    strength = distance * pixel / np.sqrt((np.concatenate(moves) ** 2).sum(axis=1).mean())
    return pixels_of_drawing(
        Drawing(tuple(stroke + move * strength for stroke, move in zip(strokes, moves, strict=True)))
    )


@dataclass(frozen=True)
class Distortion:
    """One way to distort a picture, and its range."""

    name: str
    unit: str  # written after the amount
    least: float
    none: float  # the amount that changes nothing
    most: float
    apply: Callable[[Picture, float], Picture]
    write: Callable[[Drawing, float], Picture] | None = None  # used instead if the strokes are known

    def sweep(
        self, pixels: Picture, count: int, drawing: Drawing | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """``count`` amounts from the least to the most, and the picture with each (count, 28, 28).

        ``drawing`` holds the strokes that the picture was made from, if they are known.
        """
        amounts = np.linspace(self.least, self.most, count)
        amounts[np.abs(amounts - self.none).argmin()] = self.none  # the unchanged picture is among them
        if drawing and self.write:
            return amounts, np.stack([self.write(drawing, float(amount)) for amount in amounts])
        return amounts, np.stack([self.apply(pixels, float(amount)) for amount in amounts])


DISTORTIONS = (
    Distortion("Rotation", "°", -90, 0, 90, turned),
    Distortion("Scale", "×", 0.3, 1, 1.7, scaled),
    Distortion("Shift to the right", " px", -10, 0, 10, lambda pixels, amount: shifted(pixels, 0, amount)),
    Distortion("Shift downwards", " px", -10, 0, 10, lambda pixels, amount: shifted(pixels, amount, 0)),
    Distortion("Noise", " levels", 0, 0, 200, noisy),
    Distortion("Blur", " px", 0, 0, 5, blurred),
    Distortion("Thickness", " px", -2, 0, 4, lambda pixels, amount: thickened(pixels, amount / 2)),
    Distortion("Contrast", "×", 0, 1, 1, faded),
    Distortion("Occlusion", " px", 0, 0, 20, covered),
    Distortion("Jitter", " px", 0, 0, 4, shaken, trembled),
)


def _moved(
    pixels: Picture, matrix: NDArray[np.float64], offset: NDArray[np.float64] | tuple[float, float] = (0.0, 0.0)
) -> Picture:
    """Look each new pixel up in the old picture, at ``matrix`` times its place from the middle plus ``offset``."""
    middle = (np.array(pixels.shape) - 1) / 2
    return _levels(
        ndimage.affine_transform(pixels.astype(np.float64), matrix, middle - matrix @ middle + offset, order=1)
    )


def _levels(values: NDArray[np.floating]) -> Picture:
    """Rounded to 256 levels, like MNIST."""
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
