"""Where this app keeps its files."""

import os
from pathlib import Path

import platformdirs

SHIPPED_WEIGHTS = Path(__file__).parent.parent / "weights"


def home() -> Path:
    """The folder for everything users make or fetch: ``MNIST_APP_HOME``, else the platform's user data folder."""
    return Path(os.environ.get("MNIST_APP_HOME") or platformdirs.user_data_dir("mnist-app", appauthor=False))


def data_folder() -> Path:
    """Where a download of MNIST is kept."""
    return home() / "data"


def user_models_folder() -> Path:
    """Where models trained by users are kept; the shipped ones are read-only."""
    return home() / "models"


def computed_folder() -> Path:
    """Where results that take time are kept; all of it may be deleted at any time."""
    return home() / "computed"
