"""Real ink to learn from: labelled drawings, restyled for every epoch as pictures or trajectories."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from mnist_app.data.dataset import Digits
from mnist_app.data.inkfiles import InkFileError, collections, read_records
from mnist_app.errors import AppError
from mnist_app.ink.nondigits import SKELETONS, WRITTEN, Material, nondigit
from mnist_app.ink.preprocessing import PEN, pixels_of_drawing
from mnist_app.ink.restyling import Restyling, reordered, restyle
from mnist_app.ink.strokes import Drawing
from mnist_app.ink.tracing import traced
from mnist_app.ink.trajectory import trajectory_of
from mnist_app.models.networks import NOT_A_DIGIT

SOURCES = {
    "pendigits": "Pen-Based Recognition of Handwritten Digits, training set (Alpaydin and Alimoglu 1996; CC BY 4.0)",
    "unipen": "UNIPEN train_r01_v07, category 1a (Guyon et al. 1994; CC BY 4.0)",
}
THINNEST, THICKEST = 1.8, 4.1  # pixels on 28x28: the 5th and 95th percentile of MNIST's pen widths
AT_ONCE = 512  # drawings that a worker process hands over together


@dataclass(frozen=True)
class InkConfig:
    """How much ink an epoch has, and how it is changed."""

    copies: int = 2  # of each drawing per epoch, each restyled differently
    nondigits: float = 0.25  # drawings that are not digits, as a share of the copies; 0 if the network cannot refuse
    restyling: Restyling = field(default_factory=Restyling)
    without: tuple[str, ...] = ()  # collections left out, to measure on them

    def __post_init__(self) -> None:
        if not (isinstance(self.copies, int) and 1 <= self.copies <= 100):
            raise AppError(f"copies must be a whole number between 1 and 100, not {self.copies!r}.")
        if not 0 <= self.nondigits <= 10:
            raise AppError(f"nondigits must be between 0 and 10, not {self.nondigits!r}.")


@dataclass(frozen=True, eq=False)
class Ink:
    """Labelled drawings."""

    drawings: tuple[Drawing, ...]
    labels: NDArray[np.int64]  # (N,), 0 to 9
    names: tuple[str, ...]  # of the collections

    def __len__(self) -> int:
        return len(self.labels)


def traced_ink(digits: Digits) -> Ink:
    """Trace pictures of digits back to pen strokes, leaving out those whose tracing is blank."""
    drawings = list(traced(digits.images))
    drawn = [at for at, drawing in enumerate(drawings) if not drawing.is_blank]
    return Ink(tuple(drawings[at] for at in drawn), digits.labels[drawn], ())


def check_collections(folder: Path, names: Collection[str]) -> None:
    """Raise InkFileError if a collection is not in the folder."""
    found = collections(folder)
    for name in names:
        if name not in found:
            raise InkFileError(f"There is no collection {name!r} in {folder}. Collections: {', '.join(found)}.")


def load_ink(folder: Path, without: Collection[str] = ()) -> Ink:
    """Load every labelled drawing that is not blank from a folder's collections, except from those ``without``.

    Raises InkFileError if a file cannot be read, a collection to leave out does not exist, or no drawing is left.
    """
    found = collections(folder)
    check_collections(folder, without)
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
    """Return who gathered the collections, and the licence, as far as the names tell."""
    known = {source for name in names for start, source in SOURCES.items() if name.startswith(start)}
    others = [f"the collection {name}" for name in names if not name.startswith(tuple(SOURCES))]
    return [*sorted(known), *others]


def fresh_digits(ink: Ink, config: InkConfig, seed: int, epoch: int, workers: int = 0) -> Iterator[Digits]:
    """Return one epoch's pictures, in parts: each drawing restyled ``copies`` times, and drawings that are not digits.

    If there are ``workers``, these processes start painting at once. The pictures do not depend on their number.
    """
    return map(_to_digits, _fresh(ink, config, (seed, epoch), workers, _View(_painted, SKELETONS)))


def fresh_trajectories(
    ink: Ink, config: InkConfig, seed: int, epoch: int, workers: int = 0
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """The same as trajectories (N, POINTS, 3) with labels (N,): some strokes are reordered, reversed or cut."""
    return _fresh(ink, config, (seed, epoch), workers, _View(_followed, WRITTEN))


@dataclass(frozen=True)
class _View:
    """How a network sees a drawing, and which figures it learns to refuse."""

    of: Callable[[Drawing, Generator], NDArray[Any]]
    skeletons: Sequence[str]


def _fresh(
    ink: Ink, config: InkConfig, seed: tuple[int, int], workers: int, view: _View
) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
    everything = _Restyled(ink, config, seed, view)
    ahead = -(-len(everything) // (AT_ONCE * workers)) if workers else None
    return iter(DataLoader(everything, AT_ONCE, num_workers=workers, prefetch_factor=ahead, collate_fn=_stacked))


class _Restyled(Dataset[tuple[NDArray[Any], int]]):
    """A dataset of one epoch: each restyled drawing as the network sees it, with its label."""

    def __init__(self, ink: Ink, config: InkConfig, seed: tuple[int, int], view: _View) -> None:
        self._ink, self._config, self._seed, self._view = ink, config, seed, view
        self._digits = config.copies * len(ink)
        self._nonsense = Material(ink.drawings, view.skeletons)

    def __len__(self) -> int:
        return self._digits + round(self._config.nondigits * self._digits)

    def __getitem__(self, number: int) -> tuple[NDArray[Any], int]:
        if number >= self._digits:
            random = np.random.default_rng((*self._seed, number - self._digits))
            return self._view.of(nondigit(self._nonsense, random), random), NOT_A_DIGIT
        copy, at = divmod(number, len(self._ink))
        drawing, label = self._ink.drawings[at], int(self._ink.labels[at])
        # Seeded by the strokes, not by the index: twins that learn without other collections see the same copies.
        random = np.random.default_rng((*self._seed, copy, crc32(np.concatenate(drawing.strokes).tobytes())))
        return self._view.of(restyle(drawing, label, self._config.restyling, random), random), label


def _painted(drawing: Drawing, random: Generator) -> NDArray[np.uint8]:
    return pixels_of_drawing(drawing, pen=random.triangular(THINNEST, PEN, THICKEST))


def _followed(drawing: Drawing, random: Generator) -> NDArray[np.float32]:
    return trajectory_of(Drawing(tuple(reordered(drawing.strokes, random))))


def _stacked(items: Sequence[tuple[NDArray[Any], int]]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    return np.stack([seen for seen, _ in items]), np.array([label for _, label in items])


def _to_digits(part: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> Digits:
    return Digits(*part)
