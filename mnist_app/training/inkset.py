"""Real ink to learn from: labelled drawings, and new pictures of them for every epoch."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

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
AT_ONCE = 512  # pictures that a process hands over together


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


def fresh_digits(ink: Ink, config: InkConfig, seed: int, epoch: int, workers: int = 0) -> Iterator[Digits]:
    """Pictures for one epoch, in parts: every drawing restyled ``copies`` times, and drawings that are no digit.

    Begun at once by processes beside this one if there are ``workers``. Whoever paints them, they are the same.
    """
    everything = _Pictures(ink, config, seed, epoch)
    ahead = -(-len(everything) // (AT_ONCE * workers)) if workers else None
    return iter(DataLoader(everything, AT_ONCE, num_workers=workers, prefetch_factor=ahead, collate_fn=_together))


class _Pictures(Dataset[tuple[NDArray[np.uint8], int]]):
    """Each picture of an epoch with its label, by number."""

    def __init__(self, ink: Ink, config: InkConfig, seed: int, epoch: int) -> None:
        self._ink, self._config, self._seed = ink, config, (seed, epoch)
        self._digits = config.copies * len(ink)

    def __len__(self) -> int:
        return self._digits + round(self._config.nondigits * self._digits)

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], int]:
        if number >= self._digits:
            random = np.random.default_rng((*self._seed, number - self._digits))
            return _picture(nondigit(self._ink.drawings, random), random), NO_DIGIT
        copy, at = divmod(number, len(self._ink))
        drawing, label = self._ink.drawings[at], int(self._ink.labels[at])
        # By what was drawn, not by its place: it looks the same to networks that learn without some of the others.
        random = np.random.default_rng((*self._seed, copy, crc32(np.concatenate(drawing.strokes).tobytes())))
        return _picture(restyle(drawing, label, self._config.restyling, random), random), label


def _picture(drawing: Drawing, random: Generator) -> NDArray[np.uint8]:
    return pixels_of_drawing(drawing, pen=random.triangular(THINNEST, PEN, THICKEST))


def _together(pictures: Sequence[tuple[NDArray[np.uint8], int]]) -> Digits:
    return Digits(np.stack([picture for picture, _ in pictures]), np.array([label for _, label in pictures]))
