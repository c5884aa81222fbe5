"""From an image file to ink: open it safely, find the paper, keep what is not paper."""

import io
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from mnist_app.errors import AppError

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_BYTES = 8 * 2**20  # a phone's photograph has 3 to 6 MB
MOST_PIXELS = 64_000_000  # a large camera's picture
WORKING_SIDE = 1024  # pixels of the longer side that is looked at; 28 are wanted in the end
FAINT = 0.08  # of full contrast: less than this between ink and paper is an empty sheet
EVEN_PAPER = 0.02  # standard deviation along the border, of full contrast, above which paper is a photograph's
COARSE_SIDE = 96  # pixels of the longer side that are enough to see where the light falls
JOINED = 4  # pixels: marks on a photograph that are closer than twice that count as one
FRAME = 0.03  # of the longer side: what reaches no further into a photograph is fading light
LEAST = 1 / 60  # of the longer side: ink on a photograph that would fit into a square of this size is noise
SPECK = 0.04  # of the largest mark's area: smaller marks on a photograph are dust and texture

_decoding = Lock()  # one picture at a time: decoded and turned to grey, a large one takes 0.6 GB

Ink = NDArray[np.float32]


class ImageError(AppError):
    """The file is no picture that can be read; the message says why in one sentence."""


def open_image(content: bytes) -> Image.Image:
    """Decode a PNG, JPEG or WebP upright, at most WORKING_SIDE pixels wide or high. Raises ImageError.

    The header is read first, so that a small file that unpacks into gigabytes is refused before it is decoded.
    """
    if len(content) > MOST_BYTES:
        raise ImageError(f"The image file is larger than {MOST_BYTES // 2**20} MB.")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        if image.width * image.height > MOST_PIXELS:
            raise Image.DecompressionBombError  # as Pillow does of more
        image.draft("L", (WORKING_SIDE, WORKING_SIDE))  # lets the JPEG decoder skip what would be shrunk away
        with _decoding:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # which else would copy an image that is upright
            return _shrunk(image)
    except UnidentifiedImageError:
        raise ImageError(f"This is no image of a known kind. Kinds: {', '.join(FORMATS)}.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # a warning, where these are errors
        raise ImageError(f"The image has more than {MOST_PIXELS // 1_000_000} million pixels.") from None
    except ImageError:
        raise
    except Exception:  # on broken files Pillow's decoders raise OSError, SyntaxError, struct.error, IndexError and more
        raise ImageError("The image file is broken or incomplete.") from None


def read_image(path: Path) -> Image.Image:
    """Open an image file by its path. Raises ImageError."""
    try:
        with path.open("rb") as file:
            return open_image(file.read(MOST_BYTES + 1))
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}.") from None


def ink_of_image(image: Image.Image) -> Ink:
    """How much ink lies on each pixel, float32 (height, width), 0 = paper, 1 = the strongest ink; all 0 if blank.

    Dark on light or light on dark is told by what differs most from the paper along the border. Even paper is
    subtracted and nothing else happens, so drawn pictures keep their grey levels; the uneven paper of a photograph is
    estimated from its surroundings, and marks no stronger than its texture are dropped.
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
    # Ink that runs over the edge of a drawing is no texture: judge by the middle nine tenths.
    low, high = np.percentile(border, (5, 95))
    return float(border[(border >= low) & (border <= high)].std())


def _ink_on_photographed_paper(grey: Ink) -> Ink:
    """Dark ink on paper whose light changes from place to place."""
    smooth = ndimage.gaussian_filter(grey, max(grey.shape) / 500)
    darkness = (1 - smooth / np.maximum(_paper(smooth), 0.05)).astype(np.float32)
    noise = 1.4826 * np.median(np.abs(darkness - np.median(darkness)))  # a robust standard deviation
    full = np.percentile(darkness, 99.9)  # a thin digit on a large sheet covers that little
    threshold = max(5 * noise, full / 3)
    smallest = (LEAST * max(grey.shape)) ** 2
    marked = darkness > threshold
    marks, count = ndimage.label(ndimage.binary_dilation(marked, iterations=JOINED))
    height, width = grey.shape
    frame = min(round(FRAME * max(grey.shape)), min(grey.shape) // 4)  # a one that is cut out closely is all frame
    inner = (slice(frame, height - frame), slice(frame, width - frame))
    areas = np.bincount(marks[inner][marked[inner]], minlength=count + 1)
    areas[marks[[0, 0, -1, -1], [0, -1, 0, -1]]] = 0  # dark corners
    edge = np.unique(np.concatenate([marks[0], marks[-1], marks[:, 0], marks[:, -1]]))
    if np.delete(areas, edge).max(initial=0) > smallest:  # the table's edge, not ink, unless there is nothing else
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
    """Brightness, float32, 0 = black, 1 = white. What shows through is taken for paper, unlike what is drawn on it."""
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
        paper = np.median(shade[rim if rim.any() else opaque])  # it goes on as it is where it ends
    else:  # ink alone: whatever paper shows it best
        paper = np.float32(np.average(shade, weights=cover) <= 0.5)
    return shade * cover + paper * (1 - cover)


def _shrunk(image: Image.Image) -> Image.Image:
    """The image, by area coverage at most WORKING_SIDE pixels wide or high."""
    if max(image.size) <= WORKING_SIDE:
        return image
    if image.mode == "P":
        image = image.convert("RGBA")
    if image.mode == "1":  # of which Pillow would keep every so many pixels, whatever it is asked for
        image = image.convert("L")
    if image.mode.startswith("I"):
        image = Image.fromarray(np.asarray(image, np.float32))
    factor = WORKING_SIDE / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX)
