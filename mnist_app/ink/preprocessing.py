"""From ink to the 28x28 pixels a network trained on MNIST expects, the way MNIST's own pictures were made.

LeCun, Cortes and Burges (http://yann.lecun.com/exdb/mnist/) fitted each digit into a 20x20 box, keeping its aspect
ratio, and centred it by mass on 28x28 paper. Yadav and Bottou reconstructed the details (QMNIST, arXiv:1905.10498):
area coverage, peak ink stretched to 255, whole-pixel shifts. Everything here is float32, 0 = paper, 1 = ink, until
the last step, which is uint8 like MNIST.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from mnist_app.errors import AppError
from mnist_app.ink.photo import ink_of_image
from mnist_app.ink.strokes import SMALLEST, Drawing

VERSION = 1  # raised whenever the same ink would give other pixels; a model's card names the version it learned with

SIDE = 28  # pixels of the finished picture, each way
BOX = 20  # pixels of the box that the ink is fitted into
CENTRE = 14.0  # index of MNIST's centre of mass, to within half a pixel
PEN = 2.6  # MNIST's median stroke thickness on 28x28, pixels (5th to 95th percentile: 1.8 to 4.1)
HAIRLINE = 1.2  # stroke thickness on 28x28, pixels; only one MNIST digit in a hundred is thinner
SAMPLES = 8  # painted samples per pixel, each way: area coverage in 64 levels
MAX_PAINTED_POINTS = 2_000  # painted per drawing, because each takes time; three times as many as any real digit has
FAINTEST = 0.3  # share of the peak above which an image's pixels are ink; restores enlarged MNIST digits best

Ink = NDArray[np.float32]


class BlankError(AppError):
    """There is no ink to read."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step on the way from ink to pixels, kept so that it can be shown."""

    name: str
    why: str
    picture: Ink  # (height, width)


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the network sees, and how it came to be."""

    pixels: NDArray[np.uint8]  # (28, 28), 0 = paper, 255 = ink
    steps: tuple[Step, ...]


def paint(drawing: Drawing, pen: float) -> Ink:
    """Paint a drawing with a round pen so that its longer side spans BOX pixels, at SAMPLES samples per pixel.

    ``pen`` is the thickness in the same pixels, whatever the size of the drawing: a fixed brush is fat on a small
    digit and spidery on a large one. Ink starts at the upper left corner. Raises BlankError.
    """
    if drawing.is_blank:
        raise BlankError("There is no ink to read yet.")
    drawing = drawing.subsampled(MAX_PAINTED_POINTS)
    points = np.concatenate(drawing.strokes)
    corner = points.min(axis=0)
    extent = np.ptp(points, axis=0)
    longer = extent.max()
    # A single dot has no size of its own: it stays a dot instead of filling the box.
    scale = (BOX - pen) / longer if longer > SMALLEST else 0.0
    width, height = np.ceil(extent * scale + pen - 1e-6).astype(int) * SAMPLES
    sheet = Image.new("L", (int(width), int(height)))
    brush = ImageDraw.Draw(sheet)
    radius = pen * SAMPLES / 2
    for stroke in drawing.strokes:
        at = (((stroke - corner) * scale + pen / 2) * SAMPLES - 0.5).tolist()
        if len(at) > 1:
            brush.line([tuple(point) for point in at], fill=255, width=round(2 * radius))
        for x, y in at:  # round caps and joints; Pillow's own joints cost ten times as much
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(sheet, np.float32) / np.float32(255)


def crop(ink: Ink) -> Ink:
    """The smallest rectangle that holds all ink above FAINTEST of the peak. Raises BlankError."""
    peak = ink.max(initial=0)
    if peak <= 0:
        raise BlankError("This picture looks empty: there is no ink in it.")
    marked = ink > FAINTEST * peak
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def thicken(ink: Ink) -> tuple[Ink, bool]:
    """Redraw cropped ink as thick as MNIST's pen if it would be thinner than HAIRLINE on 28x28; return whether it was.

    A ballpoint pen's digit on a large sheet would fade to nothing when it is shrunk. Redrawn or not, the ink is
    returned with no more pixels than are needed.
    """
    height, width = ink.shape
    scale = BOX * SAMPLES / max(height, width)
    if scale < 1:  # more pixels than are needed
        size = max(1, round(width * scale)), max(1, round(height * scale))
        ink = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BOX))
    pixel = max(ink.shape) / BOX  # the side of one pixel of the finished picture
    inside = ink > FAINTEST * ink.max()
    ring = ndimage.binary_dilation(np.pad(inside, 1)).sum() - inside.sum()
    thickness = 2 * inside.sum() / ring / pixel  # a line's area over half of the ring around it
    if thickness >= HAIRLINE:
        return ink, False
    grow = (PEN - thickness) / 2 * pixel
    distance = ndimage.distance_transform_edt(~np.pad(inside, int(grow) + 2))
    return np.clip(grow + 1 - distance, 0, 1).astype(np.float32), True


def fit(ink: Ink) -> Ink:
    """Scale to a longer side of 20 pixels by area coverage, keeping the aspect ratio; round the shorter side up."""
    height, width = ink.shape
    longer = max(height, width)
    rows, columns = (-(-side * BOX // longer) for side in (height, width))
    # Add paper below and to the right: the shorter side may end within a pixel and must not be stretched to its edge.
    padded = np.zeros((-(-rows * longer // BOX), -(-columns * longer // BOX)), np.float32)
    padded[:height, :width] = ink
    window = (0.0, 0.0, columns * longer / BOX, rows * longer / BOX)
    # Area coverage works for shrinking only; interpolate to enlarge.
    how = Image.Resampling.BOX if longer >= BOX else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(padded).resize((columns, rows), how, box=window))


def stretch(ink: Ink) -> Ink:
    """Scale the darkness so that the peak is 1."""
    return ink / ink.max()


def centre(ink: Ink) -> Ink:
    """Place the ink on 28x28 paper by whole pixels, so that its centre of mass lies at index 14 if the paper allows."""
    height, width = ink.shape
    mass = ink.sum(dtype=np.float64)
    row = (ink.sum(axis=1) @ np.arange(height)) / mass
    column = (ink.sum(axis=0) @ np.arange(width)) / mass
    top = int(np.clip(np.round(CENTRE - row), 0, SIDE - height))
    left = int(np.clip(np.round(CENTRE - column), 0, SIDE - width))
    paper = np.zeros((SIDE, SIDE), np.float32)
    paper[top : top + height, left : left + width] = ink
    return paper


def quantise(ink: Ink) -> NDArray[np.uint8]:
    """The same picture in 256 levels, like MNIST."""
    return np.round(ink * 255).astype(np.uint8)


def pixels_of_drawing(drawing: Drawing, pen: float = PEN) -> NDArray[np.uint8]:
    """The (28, 28) picture of a drawing, without the steps that prepare_drawing keeps. Raises BlankError."""
    return quantise(centre(stretch(shrink(paint(drawing, pen)))))


def shrink(painting: Ink) -> Ink:
    """Average each SAMPLES x SAMPLES block: the area coverage of a painting that already has the box's size."""
    height, width = painting.shape
    return painting.reshape(height // SAMPLES, SAMPLES, width // SAMPLES, SAMPLES).mean(axis=(1, 3))


def prepare_drawing(drawing: Drawing) -> Prepared:
    """A drawing with every step on its way to 28x28. Raises BlankError."""
    repainted = paint(drawing, PEN)
    fitted = stretch(shrink(repainted))
    centred = centre(fitted)
    steps = (
        Step("Your ink", "The strokes as you drew them.", paint(drawing, _share_of_pen(drawing))),
        Step("MNIST's pen", "Redrawn as thick as the pens that MNIST was written with.", repainted),
        Step(
            "20 × 20", "Shrunk until the longer side is 20 pixels. The more ink in a pixel, the brighter it is.", fitted
        ),
        Step("28 × 28", "Moved so that the centre of mass is in the middle: the picture the network reads.", centred),
    )
    return Prepared(quantise(centred), steps)


def _share_of_pen(drawing: Drawing) -> float:
    """The pen's width as drawn, in pixels of the 20x20 box; half of MNIST's if unknown."""
    extent = max(float(np.ptp(np.concatenate(drawing.strokes), axis=0).max()), 1e-9)
    width = drawing.pen_width
    return PEN / 2 if width is None else max(0.25, BOX * width / (extent + width))


def prepare_image(image: Image.Image) -> Prepared:
    """A picture of a digit, photographed or drawn, with every step on its way to 28x28. Raises BlankError."""
    ink = ink_of_image(image)
    cropped = crop(ink)
    thick, is_redrawn = thicken(cropped)
    fitted = stretch(fit(crop(thick)))
    centred = centre(fitted)
    redrawn = Step("MNIST's pen", "Hairlines redrawn as thick as the pens that MNIST was written with.", thick)
    steps = (
        Step("Your ink", "The picture with its paper removed.", ink),
        Step("Cropped", "Cut down to the ink.", cropped),
        *([redrawn] if is_redrawn else []),
        Step(
            "20 × 20", "Shrunk until the longer side is 20 pixels. The more ink in a pixel, the brighter it is.", fitted
        ),
        Step("28 × 28", "Moved so that the centre of mass is in the middle: all that the network sees.", centred),
    )
    return Prepared(quantise(centred), steps)
