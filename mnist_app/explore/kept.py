"""Arrays that took time to compute, kept on disk by the hash of what they came from, so that nobody computes twice."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from mnist_app.errors import AppError
from mnist_app.storage import SHIPPED_WEIGHTS, clear_abandoned, computed_folder, write_whole

MOST_KEPT = 512 * 2**20  # bytes; all that is kept of one model takes about 30 MB
FORMAT = 2  # raised whenever the same weights and data would give other arrays, but for rounding
LONGEST_NAME = 64  # characters of a model's name that a file's name has room for

# What reading an archive says that is none, or not a whole one; RuntimeError of an entry that it cannot unpack.
_BROKEN = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error, LZMAError)

Arrays = Mapping[str, NDArray[Any]]


class KeepError(AppError):
    """Arrays could not be written where they were to be kept; the message says where and why."""


@dataclass(frozen=True)
class Origin:
    """What arrays were computed from. The key is a hash of weights and data: other weights, another key."""

    model: str
    split: str
    key: str

    @classmethod
    def of(cls, model: str, split: str, *parts: bytes | memoryview) -> "Origin":
        """The origin of what is computed from these parts: a model's weights and some data."""
        digest = hashlib.sha256(f"{FORMAT}".encode())
        for part in parts:
            digest.update(hashlib.sha256(part).digest())
        return cls(model, split, digest.hexdigest()[:16])

    def file(self, kind: str) -> str:
        """The name of the file that keeps one kind of arrays."""
        return f"{self.model[:LONGEST_NAME]}.{self.split}.{kind}.{self.key}.npz"


@dataclass(frozen=True, eq=False)
class Kept:
    """Arrays, and why they could not be kept for the next time, if they could not."""

    arrays: Arrays
    problem: str | None = None


def look_up(kind: str, origin: Origin, shapes: Mapping[str, tuple[int | None, ...]]) -> Arrays | None:
    """Arrays that were shipped or kept, or None. What is broken or of other shapes (None: any length) is not there."""
    for folder in (SHIPPED_WEIGHTS, computed_folder()):
        if (arrays := _read(folder / origin.file(kind), shapes)) is not None:
            return arrays
    return None


def look_up_or_compute(
    kind: str, origin: Origin, shapes: Mapping[str, tuple[int | None, ...]], compute: Callable[[], Arrays]
) -> Kept:
    """The arrays of one kind; ``compute`` is called only if nobody has them, and by one caller at a time.

    A disk that takes nothing costs only the next caller's time: the arrays are given all the same.
    """
    if (arrays := look_up(kind, origin, shapes)) is not None:
        return Kept(arrays)
    path = computed_folder() / origin.file(kind)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        return Kept(compute(), _problem(path, error))
    try:
        if (arrays := look_up(kind, origin, shapes)) is not None:  # somebody else was quicker
            return Kept(arrays)
        arrays = compute()
        try:
            keep(path, arrays)
        except KeepError as error:
            return Kept(arrays, str(error))
        _make_room(path)
        return Kept(arrays)
    finally:
        lock.release()


def keep(path: Path, arrays: Arrays, compression: int = zipfile.ZIP_DEFLATED) -> None:
    """Write arrays whole or not at all. Raises KeepError.

    With ``zipfile.ZIP_LZMA`` files are a seventh smaller, and take four times as long to write.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:  # as NumPy does, which knows but one
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)
    try:
        write_whole(path, packed.getvalue())
    except OSError as error:
        raise KeepError(_problem(path, error)) from None


def _make_room(newest: Path) -> None:
    """Delete what was kept longest ago, where that is more than MOST_KEPT: of models, perhaps, that are gone by now."""
    clear_abandoned(newest.parent)
    with suppress(OSError):  # the next one tries again
        others = {path: path.stat() for path in newest.parent.glob("*.npz") if path != newest}
        total = newest.stat().st_size
        for path in sorted(others, key=lambda path: others[path].st_mtime, reverse=True):
            total += others[path].st_size
            if total > MOST_KEPT:
                path.unlink()
                path.with_suffix(".lock").unlink(missing_ok=True)


def _read(path: Path, shapes: Mapping[str, tuple[int | None, ...]]) -> Arrays | None:
    try:
        # Opened here: where the content is no archive, np.load would leave the file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in shapes}
    except _BROKEN:
        return None
    for name, shape in shapes.items():
        found = arrays[name].shape
        if len(found) != len(shape) or any(want not in (None, size) for want, size in zip(shape, found, strict=True)):
            return None
    return arrays


def _problem(path: Path, error: OSError) -> str:
    reason = error.strerror or error
    return f"What was computed could not be kept in {path.parent}: {reason}. It is computed again next time."
