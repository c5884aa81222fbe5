"""Drawings, digits and folders that tests share."""

import gc
import hashlib
import os
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mnist_app.data.dataset import FILES, Digits, load_split
from mnist_app.ink.strokes import Drawing
from mnist_app.models.networks import logits_of
from mnist_app.models.registry import DEFAULT_MODEL, find_model, load_model
from mnist_app.reading.recognition import Recogniser, load_recogniser
from mnist_app.storage import lab_folder

from .toy_lab import figures, mean_digits, put

Strokes = list[list[list[float]]]

# As a pen might write them, on a pad of 340 by 340 pixels.
SEVEN: Strokes = [
    [[95, 80], [150, 78], [240, 80], [205, 140], [170, 210], [145, 280]],
    [[130, 180], [175, 176], [220, 175]],
]
ONE: Strokes = [[[170, 60], [170, 120], [169, 180], [170, 285]]]
ZERO: Strokes = [
    [[170, 60], [120, 90], [95, 160], [105, 240], [150, 285], [205, 275], [245, 210], [240, 120], [210, 72], [170, 60]]
]
TWO: Strokes = [
    [[100, 120], [120, 80], [170, 62], [220, 85], [225, 130], [190, 185], [140, 235], [95, 280], [160, 278], [245, 280]]
]


def pytest_collection_finish() -> None:
    """Freeze what is imported by now, so that later garbage collections skip its hundreds of thousands of objects."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Wait for running computations: native code on a daemon thread can crash the interpreter while it shuts down."""
    for thread in threading.enumerate():
        if thread.name == "work":
            thread.join(60)


@pytest.fixture
def a_seven() -> Drawing:
    return Drawing.from_points(SEVEN)


@pytest.fixture
def blank_drawing() -> Drawing:
    return Drawing.from_points([])


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test gets its own MNIST_APP_HOME, so that none sees the files of another or of the developer."""
    monkeypatch.setenv("MNIST_APP_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def no_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which MNIST was never downloaded."""
    monkeypatch.delenv("MNIST_APP_DATA", raising=False)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def validation(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    """All 5,000 validation digits, which are on every machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MNIST_APP_DATA", raising=False)
        # Session fixtures are set up before own_home, so this one needs a home of its own.
        patch.setenv("MNIST_APP_HOME", str(tmp_path_factory.mktemp("home")))
        return load_split("validation")


@pytest.fixture(scope="session")
def said_of_validation(validation: Digits) -> Callable[[str], NDArray[np.float32]]:
    """The logits (5000, 11) of a shipped model's image network for all validation digits."""
    return cache(lambda model: logits_of(load_model(find_model(model)).network, validation.images).numpy())


@pytest.fixture
def tiny_digits() -> Digits:
    """Sixty-four pictures that are easy to tell apart: digit n is a bar two pixels thick, 2 + 2n rows from the top."""
    labels = np.arange(64) % 10
    images = np.zeros((64, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 + 2 * label : 4 + 2 * label, 4:24] = 255
    return Digits(images, labels.astype(np.int64))


@pytest.fixture
def toy_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_mnist: None) -> Path:
    """A folder like MNIST's with a few digits; during the test its files pass for the originals."""
    folder, rng = tmp_path / "toy", np.random.default_rng(0)
    (folder / "MNIST" / "raw").mkdir(parents=True)
    files = {}
    for name, (_, shape) in FILES.items():
        shape = (30, *shape[1:])
        values = rng.integers(0, 256, shape) if len(shape) == 3 else np.arange(30) % 10
        # IDX: two zeros, 8 for unsigned bytes, the number of dimensions, then one big-endian size for each.
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        content = header + values.astype(np.uint8).tobytes()
        (folder / "MNIST" / "raw" / name).write_bytes(content)
        files[name] = (hashlib.md5(content, usedforsecurity=False).hexdigest(), shape)
    monkeypatch.setattr("mnist_app.data.dataset.FILES", files)
    return folder


@pytest.fixture(scope="session")
def shipped_model() -> Recogniser:
    return load_recogniser(DEFAULT_MODEL)


@pytest.fixture
def nothing_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app that ships no lab results; returns the folder where they would be."""
    for module in ("lab.figures", "lab.studies", "models.registry", "models.shelf"):
        monkeypatch.setattr(f"mnist_app.{module}.SHIPPED_LAB", tmp_path / "shipped")
    return tmp_path / "shipped"


@pytest.fixture(scope="session")
def mean_digit(validation: Digits) -> nn.Module:
    """A network of one layer that finds which of ten average digits a picture is most like."""
    return mean_digits(validation[:: len(validation) // 500])


@pytest.fixture
def a_toy(own_home: Path, mean_digit: nn.Module) -> Path:
    """The folder of a lab model that was measured on this machine and is only an ONNX graph."""
    return put(lab_folder(), figures("toy"), mean_digit)


def full_mnist() -> Path:
    """Return the folder with all of MNIST, or skip a test that needs it."""
    folder = os.environ.get("MNIST_APP_DATA")
    if not folder:
        pytest.skip("needs all of MNIST: set MNIST_APP_DATA")
    return Path(folder)
