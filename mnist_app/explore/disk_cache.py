"""A disk cache of arrays that are slow to compute, keyed by a hash of what they were computed from."""

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

MAX_KEPT = 512 * 2**20  # bytes; one model takes about 30 MB
FORMAT = 2  # increase when the same weights and data give other arrays, apart from rounding
LONGEST_NAME = 64  # characters of a model's name that go into a file name

# What reading a damaged archive raises; RuntimeError comes from an entry that cannot be unpacked.
_BROKEN = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error, LZMAError)

Arrays = Mapping[str, NDArray[Any]]


class CacheError(AppError):
    """Arrays could not be written to disk; the message says where and why."""


@dataclass(frozen=True)
class Origin:
    """What arrays were computed from. The key is a hash of weights and data, so new weights give a new key."""

    model: str
    split: str
    key: str

    @classmethod
    def of(cls, model: str, split: str, *parts: bytes | memoryview) -> "Origin":
        """The origin of arrays computed from these parts: a model's weights and some data."""
        digest = hashlib.sha256(f"{FORMAT}".encode())
        for part in parts:
            digest.update(hashlib.sha256(part).digest())
        return cls(model, split, digest.hexdigest()[:16])

    def file(self, kind: str) -> str:
        """The name of the file for one kind of arrays."""
        return f"{self.model[:LONGEST_NAME]}.{self.split}.{kind}.{self.key}.npz"


@dataclass(frozen=True, eq=False)
class CachedArrays:
    """Arrays, and why they could not be kept on disk, if that failed."""

    arrays: Arrays
    problem: str | None = None


def look_up(kind: str, origin: Origin, shapes: Mapping[str, tuple[int | None, ...]]) -> Arrays | None:
    """Arrays that were shipped or kept, or None if they are missing, damaged or of other shapes (None: any length)."""
    for folder in (SHIPPED_WEIGHTS, computed_folder()):
        if (arrays := _read(folder / origin.file(kind), shapes)) is not None:
            return arrays
    return None


def look_up_or_compute(
    kind: str, origin: Origin, shapes: Mapping[str, tuple[int | None, ...]], compute: Callable[[], Arrays]
) -> CachedArrays:
    """The arrays of one kind. ``compute`` is called only if they are not kept yet, and by one caller at a time.

    If they cannot be written to disk, they are returned all the same, and the next caller computes them again.
    """
    if (arrays := look_up(kind, origin, shapes)) is not None:
        return CachedArrays(arrays)
    path = computed_folder() / origin.file(kind)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        return CachedArrays(compute(), _problem(path, error))
    try:
        if (arrays := look_up(kind, origin, shapes)) is not None:  # another caller was quicker
            return CachedArrays(arrays)
        arrays = compute()
        try:
            keep(path, arrays)
        except CacheError as error:
            return CachedArrays(arrays, str(error))
        _make_room(path)
        return CachedArrays(arrays)
    finally:
        lock.release()


def keep(path: Path, arrays: Arrays, compression: int = zipfile.ZIP_DEFLATED) -> None:
    """Write arrays whole or not at all. Raises CacheError.

    With ``zipfile.ZIP_LZMA``, files are a seventh smaller and take four times as long to write.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:  # like np.savez_compressed, which has only DEFLATE
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)
    try:
        write_whole(path, packed.getvalue())
    except OSError as error:
        raise CacheError(_problem(path, error)) from None


def _make_room(newest: Path) -> None:
    """Delete the oldest files beyond MAX_KEPT bytes in total; their models may be gone by now."""
    clear_abandoned(newest.parent)
    with suppress(OSError):  # the next caller tries again
        others = {path: path.stat() for path in newest.parent.glob("*.npz") if path != newest}
        total = newest.stat().st_size
        for path in sorted(others, key=lambda path: others[path].st_mtime, reverse=True):
            total += others[path].st_size
            if total > MAX_KEPT:
                path.unlink()
                path.with_suffix(".lock").unlink(missing_ok=True)


def _read(path: Path, shapes: Mapping[str, tuple[int | None, ...]]) -> Arrays | None:
    try:
        # Opened here because np.load leaves a file open that is not an archive.
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
    return f"The results could not be saved in {path.parent}: {reason}. They will be computed again next time."
