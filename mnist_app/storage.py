"""Where this app keeps its files, and how a file appears there whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import platformdirs

SHIPPED_WEIGHTS = Path(__file__).parent.parent / "weights"


def home() -> Path:
    """The folder for everything users make or fetch: ``MNIST_APP_HOME``, else the platform's user data folder."""
    return Path(os.environ.get("MNIST_APP_HOME") or platformdirs.user_data_dir("mnist-app", appauthor=False))


def cache_folder() -> Path:
    """For files that can be made again at any time."""
    return home() / "cache"


def data_folder() -> Path:
    """Where a download of MNIST is kept."""
    return home() / "data"


def user_models_folder() -> Path:
    """Where models trained by users are kept; the shipped ones are read-only."""
    return home() / "models"


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes its place at ``path`` in one step when the block ends, and never if the block fails.

    Readers and other writers see the old file or the new one. Missing parent folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The same folder, because a rename is atomic only within one file system.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
