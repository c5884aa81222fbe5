"""Where this app keeps its files."""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

import platformdirs

SHIPPED_WEIGHTS = Path(__file__).parent.parent / "weights"
SHIPPED_LAB = SHIPPED_WEIGHTS / "lab"  # the lab's measurements, and those of its models that are small enough
ABANDONED = 24 * 3600  # seconds after which nobody can still be writing in a folder whose name starts with a dot


def home() -> Path:
    """The folder for everything users make or fetch: ``MNIST_APP_HOME``, else the platform's user data folder."""
    return Path(os.environ.get("MNIST_APP_HOME") or platformdirs.user_data_dir("mnist-app", appauthor=False))


def data_folder() -> Path:
    """The folder for downloaded MNIST files."""
    return home() / "data"


def user_models_folder() -> Path:
    """The folder for models trained by users; the shipped ones are read-only."""
    return home() / "models"


def lab_folder() -> Path:
    """The folder for this machine's own lab results and models; they take precedence over the shipped ones."""
    return home() / "lab"


def computed_folder() -> Path:
    """The folder for cached results of slow computations; all of it may be deleted at any time."""
    return home() / "computed"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file completely or not at all, and create its folder if it is missing. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as workshop:
        part = Path(workshop, path.name)
        part.write_bytes(content)
        os.replace(part, path)


def clear_abandoned(folder: Path) -> None:
    """Remove what processes left in a folder when they were killed while writing or deleting there."""
    for workshop in folder.glob(".*/"):
        with contextlib.suppress(OSError):
            if time.time() - workshop.stat().st_mtime > ABANDONED:
                shutil.rmtree(workshop)
