"""Real ink to learn from: labelled drawings, and new pictures of them for every epoch."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mnist_app.data.dataset import Digits
from mnist_app.data.inkfiles import InkFileError, collections, read_records
from mnist_app.errors import AppError
from mnist_app.ink.nondigits import nondigit
from mnist_app.ink.preprocessing import PEN, pixels_of_drawing
from mnist_app.ink.restyling import Restyling, restyle
from mnist_app.ink.strokes import Drawing
from mnist_app.models.networks import NO_DIGIT

SOURCES = {
    "pendigits": "Pen-Based Recognition of Handwritten Digits, training set (Alpaydin and Alimoglu 1996; CC BY 4.0)",
    "unipen": "UNIPEN train_r01_v07, category 1a (Guyon et al. 1994; CC BY 4.0)",
}
THINNEST, THICKEST = 1.8, 4.1  # pixels on 28x28: the 5th and 95th percentile of MNIST's pens


@dataclass(frozen=True)
class InkConfig:
    """How much ink there is in an epoch, and how it is changed."""

    copies: int = 2  # of each drawing, each restyled anew
    nondigits: float = 0.25  # drawings that are no digit, as a share of the copies; 0 for a network that never refuses
    restyling: Restyling = field(default_factory=Restyling)
    without: tuple[str, ...] = ()  # collections that are kept out, to measure on

    def __post_init__(self) -> None:
        if not (isinstance(self.copies, int) and 1 <= self.copies <= 100):
            raise AppError(f"copies is a whole number between 1 and 100, not {self.copies!r}.")
        if not 0 <= self.nondigits <= 10:
            raise AppError(f"nondigits is between 0 and 10, not {self.nondigits!r}.")


@dataclass(frozen=True, eq=False)
class Ink:
    """Labelled drawings."""

    drawings: tuple[Drawing, ...]
    labels: NDArray[np.int64]  # (N,), 0 to 9
    names: tuple[str, ...]  # of the collections

    def __len__(self) -> int:
        return len(self.labels)


def load_ink(folder: Path, without: Collection[str] = ()) -> Ink:
    """Every labelled drawing of a folder's collections that is not blank, but for the collections ``without``.

    Raises InkFileError where a file fails, a collection kept out is not there, or no drawing is left.
    """
    found = collections(folder)
    for name in without:
        if name not in found:
            raise InkFileError(f"There is no collection {name!r} in {folder}. Collections: {', '.join(found)}.")
    drawings, labels = [], []
    for name, path in found.items():
        if name in without:
            continue
        for record in read_records(path):
            if record.label is not None and isinstance(record.drawing, Drawing) and not record.drawing.is_blank:
                drawings.append(record.drawing)
                labels.append(record.label)
    if not drawings:
        raise InkFileError(f"{folder} holds no labelled drawings to learn from.")
    return Ink(tuple(drawings), np.array(labels), tuple(name for name in found if name not in without))


def sources_of(names: Collection[str]) -> list[str]:
    """Who gathered collections, and their licence, as far as that is known by their names."""
    known = {source for name in names for start, source in SOURCES.items() if name.startswith(start)}
    others = [f"the collection {name}" for name in names if not name.startswith(tuple(SOURCES))]
    return [*sorted(known), *others]


def fresh_digits(ink: Ink, config: InkConfig, random: Generator) -> Digits:
    """Pictures for one epoch: every drawing restyled ``copies`` times, and drawings that are no digit (NO_DIGIT)."""
    pictures, labels = [], []
    for _ in range(config.copies):
        for drawing, label in zip(ink.drawings, ink.labels.tolist(), strict=True):
            pictures.append(_picture(restyle(drawing, label, config.restyling, random), random))
            labels.append(label)
    for _ in range(round(config.nondigits * len(pictures))):
        pictures.append(_picture(nondigit(ink.drawings, random), random))
        labels.append(NO_DIGIT)
    return Digits(np.stack(pictures), np.array(labels))


def _picture(drawing: Drawing, random: Generator) -> NDArray[np.uint8]:
    return pixels_of_drawing(drawing, pen=random.triangular(THINNEST, PEN, THICKEST))
