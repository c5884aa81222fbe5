"""From an image file to ink: open the file safely, find the paper, keep the rest."""

import io
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from mnist_app.errors import AppError

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_BYTES = 8 * 2**20  # a phone's photograph has 3 to 6 MB
MAX_PIXELS = 64_000_000  # a large camera's picture
WORKING_SIDE = 1024  # pixels of the longer side that are kept; the result needs only 28
FAINT = 0.08  # of full contrast: with less between ink and paper, the sheet is blank
EVEN_PAPER = 0.02  # of full contrast: with a larger standard deviation along the border, it is a photograph
COARSE_SIDE = 96  # pixels of the longer side that are enough to see how the paper is lit
JOINED = 4  # pixels: marks on a photograph that are closer than twice this count as one
FRAME = 0.03  # of the longer side: marks that stay this close to a photograph's edge are fading light
MIN_INK_SIDE = 1 / 60  # of the longer side: ink on a photograph with no more area than a square of this side is noise
SPECK = 0.04  # of the largest mark's area: smaller marks on a photograph are dust and texture

_decoding = Lock()  # one picture at a time: decoding a large one and converting it to grey takes 0.6 GB

Ink = NDArray[np.float32]


class ImageError(AppError):
    """The file is not a readable picture; the message says why in one sentence."""


def open_image(content: bytes) -> Image.Image:
    """Decode a PNG, JPEG or WebP, upright and at most WORKING_SIDE pixels wide or high. Raises ImageError.

    The header is read first, so that a small file that unpacks into gigabytes is rejected before it is decoded.
    """
    if len(content) > MAX_BYTES:
        raise ImageError(f"The image file is larger than {MAX_BYTES // 2**20} MB.")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError  # as Pillow does above its own limit
        image.draft("L", (WORKING_SIDE, WORKING_SIDE))  # lets the JPEG decoder skip what would be shrunk away
        with _decoding:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # otherwise an upright image is copied
            return _shrunk(image)
    except UnidentifiedImageError:
        raise ImageError(f"This is not an image that can be read. Use one of: {', '.join(FORMATS)}.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # the latter if warnings are errors
        raise ImageError(f"The image has more than {MAX_PIXELS // 1_000_000} million pixels.") from None
    except ImageError:
        raise
    except Exception:  # on broken files Pillow's decoders raise OSError, SyntaxError, struct.error, IndexError and more
        raise ImageError("The image file is broken or incomplete.") from None


def read_image(path: Path) -> Image.Image:
    """Open an image file by its path. Raises ImageError."""
    try:
        with path.open("rb") as file:
            return open_image(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}.") from None


def ink_of_image(image: Image.Image) -> Ink:
    """How much ink lies on each pixel, float32 (height, width), 0 = paper, 1 = the strongest ink; all 0 if blank.

    The border shows the paper, and the ink is what differs most from it, whether darker or lighter. Even paper is
    simply subtracted, so drawn pictures keep their grey levels. The uneven paper of a photograph is estimated from
    each pixel's surroundings, and marks no stronger than its texture are dropped.
    """
    grey = _grey(image)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = np.median(border)
    darker, lighter = paper - grey.min(), grey.max() - paper
    signed = paper - grey if darker >= lighter else grey - paper
    if _spread(border) > EVEN_PAPER:
        return _ink_on_photographed_paper(grey if darker >= lighter else 1 - grey)
    ink = np.clip(signed, 0, None)
    return ink / ink.max() if ink.max() > FAINT else np.zeros_like(ink)


def _spread(border: Ink) -> float:
    # Ink that runs over the edge of a drawing is not texture, so only the middle nine tenths of the values count.
    low, high = np.percentile(border, (5, 95))
    return float(border[(border >= low) & (border <= high)].std())


def _ink_on_photographed_paper(grey: Ink) -> Ink:
    """The ink of a photograph: dark ink on unevenly lit paper."""
    smooth = ndimage.gaussian_filter(grey, max(grey.shape) / 500)
    darkness = (1 - smooth / np.maximum(_paper(smooth), 0.05)).astype(np.float32)
    noise = 1.4826 * np.median(np.abs(darkness - np.median(darkness)))  # a robust standard deviation
    full = np.percentile(darkness, 99.9)  # a thin digit covers this little of a large sheet
    threshold = max(5 * noise, full / 3)
    smallest = (MIN_INK_SIDE * max(grey.shape)) ** 2
    marked = darkness > threshold
    marks, count = ndimage.label(ndimage.binary_dilation(marked, iterations=JOINED))
    height, width = grey.shape
    frame = min(round(FRAME * max(grey.shape)), min(grey.shape) // 4)  # else a closely cut out 1 is all frame
    inner = (slice(frame, height - frame), slice(frame, width - frame))
    areas = np.bincount(marks[inner][marked[inner]], minlength=count + 1)
    areas[marks[[0, 0, -1, -1], [0, -1, 0, -1]]] = 0  # not ink: dark corners
    edge = np.unique(np.concatenate([marks[0], marks[-1], marks[:, 0], marks[:, -1]]))
    if np.delete(areas, edge).max(initial=0) > smallest:  # the table's edge, unless there is nothing else
        areas[edge] = 0
    if full < FAINT or areas.max() <= smallest:
        return np.zeros_like(darkness)
    kept = ndimage.binary_dilation((areas >= SPECK * areas.max())[marks], iterations=2)
    low = threshold / 2
    ink = np.clip((darkness - low) / max(full - low, 1e-6), 0, 1)
    return np.where(kept, ink, 0).astype(np.float32)


def _paper(grey: Ink) -> Ink:
    """How bright the bare paper is at each pixel: the median of a neighbourhood wider than any stroke, smoothed."""
    height, width = grey.shape
    factor = COARSE_SIDE / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    coarse = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))
    paper = ndimage.gaussian_filter(ndimage.median_filter(coarse, COARSE_SIDE // 3), 3)
    return np.asarray(Image.fromarray(paper).resize((width, height), Image.Resampling.BICUBIC))


def _grey(image: Image.Image) -> Ink:
    """Brightness, float32, 0 = black, 1 = white. Transparent parts are taken for paper."""
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits a pixel: Pillow would clip them to 8
        values = np.asarray(image, np.float32)
        return np.clip(values / (65535 if values.max() > 255 else 255), 0, 1)
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"), np.float32) / np.float32(255)
    layered = np.asarray(image.convert("LA"), np.float32) / np.float32(255)
    shade, cover = layered[..., 0], layered[..., 1]
    if not cover.any():
        return np.ones_like(shade)
    opaque = cover > 0.9
    if opaque.any() and np.ptp(shade[opaque]) > 0.5:  # a sheet with transparent margins, or with its paper cut out
        rim = opaque & ndimage.binary_dilation(~opaque)
        paper = np.median(shade[rim if rim.any() else opaque])  # it continues as it is at its rim
    else:  # only ink: black or white paper, whichever shows it best
        paper = np.float32(np.average(shade, weights=cover) <= 0.5)
    return shade * cover + paper * (1 - cover)


def _shrunk(image: Image.Image) -> Image.Image:
    """The image, shrunk by area averaging to at most WORKING_SIDE pixels wide or high."""
    if max(image.size) <= WORKING_SIDE:
        return image
    if image.mode == "P":
        image = image.convert("RGBA")
    if image.mode == "1":  # Pillow would only pick single pixels of it, whatever the filter
        image = image.convert("L")
    if image.mode.startswith("I"):
        image = Image.fromarray(np.asarray(image, np.float32))
    factor = WORKING_SIDE / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX)
