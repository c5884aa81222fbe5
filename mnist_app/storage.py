"""Where this app keeps its files."""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

import platformdirs

SHIPPED_WEIGHTS = Path(__file__).parent.parent / "weights"
SHIPPED_LAB = SHIPPED_WEIGHTS / "lab"  # what the lab measured, and those of its models that are small enough
ABANDONED = 24 * 3600  # seconds after which nobody is still at what has a dot before its name


def home() -> Path:
    """The folder for everything users make or fetch: ``MNIST_APP_HOME``, else the platform's user data folder."""
    return Path(os.environ.get("MNIST_APP_HOME") or platformdirs.user_data_dir("mnist-app", appauthor=False))


def data_folder() -> Path:
    """Where a download of MNIST is kept."""
    return home() / "data"


def user_models_folder() -> Path:
    """Where models trained by users are kept; the shipped ones are read-only."""
    return home() / "models"


def lab_folder() -> Path:
    """Where this machine's own results of the lab are kept, with its models; they go before the shipped ones."""
    return home() / "lab"


def computed_folder() -> Path:
    """Where results that take time are kept; all of it may be deleted at any time."""
    return home() / "computed"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, in a folder that is made where there is none. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as workshop:
        part = Path(workshop, path.name)
        part.write_bytes(content)
        os.replace(part, path)


def clear_abandoned(folder: Path) -> None:
    """Remove what they have left in a folder who were killed while they wrote or deleted there."""
    for workshop in folder.glob(".*/"):
        with contextlib.suppress(OSError):
            if time.time() - workshop.stat().st_mtime > ABANDONED:
                shutil.rmtree(workshop)
