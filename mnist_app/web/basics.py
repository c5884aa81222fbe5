"""What is done to digits before a model sees them, shown on real samples together with the code that does it."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from mnist_app.data.dataset import CLASSES, Digits, find_source, load_split, rows_of
from mnist_app.models.networks import batch_of
from mnist_app.training.augmentation import Augmentation, augment
from mnist_app.training.train import TrainConfig, train
from mnist_app.web import shared
from mnist_app.web.pictures import png_url, row_html

SAMPLE = 5  # the digit that is shown: the third of its kind
PART = slice(8, 16)  # rows and columns that are shown as numbers
COPIES = 6
SMOOTHING = TrainConfig().label_smoothing
SHARES = {"train": 55, "validation": 5, "test": 10}  # thousands of digits


def basics() -> None:
    """Five tabs, each with a text, pictures and code."""
    digits = shared.split("validation", find_source())
    at = int(np.flatnonzero(digits.labels == SAMPLE)[2])
    parts: dict[str, Callable[[Digits, int], None]] = {
        "Normalising": _normalising,
        "Flattening": _flattening,
        "One-hot labels": _one_hot,
        "Splits": _splits,
        "Augmentation": _augmentation,
    }
    for tab, show in zip(st.tabs(list(parts)), parts.values(), strict=True):
        with tab:
            show(digits, at)


def _normalising(digits: Digits, at: int) -> None:
    pixels = digits.images[at]
    st.write(
        "A pixel is a whole number from 0 (paper) to 255 (ink). Networks learn best from numbers around 1, so each "
        "pixel is divided by 255. Here is the same part of a picture before and after:"
    )
    st.html(row_html([(png_url(pixels), "28 × 28"), (png_url(pixels[PART, PART]), "8 × 8 of them")]))
    before, after = st.columns(2)
    before.code(_numbers(pixels[PART, PART], "{:>4}"), language=None)
    after.code(_numbers(pixels[PART, PART] / 255, "{:>6.2f}"), language=None)
    _code(batch_of)


def _flattening(digits: Digits, at: int) -> None:
    pixels = digits.images[at]
    st.write(
        "A convolution slides over the picture as it is. A fully connected layer, a tree or a nearest neighbour takes "
        "784 numbers in a row, one line of pixels after another, and does not know which pixels were neighbours."
    )
    st.html(
        row_html([(png_url(pixels), "28 × 28")]) + f'<img class="flat" src="{png_url(_strip(pixels))}" alt="A row">'
    )
    _code(rows_of)


def _strip(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """All pixels in one row, drawn 24 pixels high so that it can be seen."""
    return np.repeat(pixels.reshape(1, -1), 24, axis=0)


def _one_hot(digits: Digits, at: int) -> None:
    label = int(digits.labels[at])
    hot = np.eye(CLASSES)[label]
    smooth = hot * (1 - SMOOTHING) + SMOOTHING / CLASSES
    st.write(
        f"A network gives a number for each of the ten digits, so the right answer is ten numbers, too: 1 for "
        f"{label}, 0 for the others. With label smoothing, which this app's own networks use, it is a little less sure:"
    )
    st.html(row_html([(png_url(digits.images[at]), f"label: {label}")]))
    st.code(
        f"{'digit':>9} {_row(range(CLASSES), '{:>6}')}\n{'one-hot':>9} {_row(hot, '{:>6.3f}')}\n"
        f"{'smoothed':>9} {_row(smooth, '{:>6.3f}')}",
        language=None,
    )
    st.write("Nobody has to write these numbers down: PyTorch's loss takes the label and does the rest.")
    st.code(next(line for line in inspect.getsource(train).splitlines() if "label_smoothing=" in line).strip())


def _splits(digits: Digits, at: int) -> None:
    st.write(
        "Many courses learn from 80 of 100 digits and measure on the other 20. But if you try twenty recipes and keep "
        "the one that does best on those 20, they flatter it, because you chose by them. So this app has three parts: "
        "one to learn from, one to choose by, and one to measure on once, at the end."
    )
    total = sum(SHARES.values())
    st.html(_bar({"to learn from": 80, "to measure on": 20}, 100, "80 / 20"))
    st.code("learn, measure = train_test_split(digits, test_size=0.2)  # scikit-learn's; not used here")
    st.html(_bar({f"{name} {count},000": count for name, count in SHARES.items()}, total, "55 / 5 / 10, as here"))
    source = find_source()
    for split in source.splits:
        some = shared.split(split, source)
        first = [int(np.flatnonzero(some.labels == digit)[0]) for digit in range(CLASSES)]
        st.html(row_html([(png_url(some.images[at]), "") for at in first]))
        st.caption(f"The first of each digit in the {split} split, which has {len(some):,} digits.")
    _code(load_split)


def _bar(parts: dict[str, int], total: int, title: str) -> str:
    cells = "".join(f'<span style="flex:{count / total:.4f}">{name}</span>' for name, count in parts.items())
    return f'<p class="splits"><b>{title}</b><span class="parts">{cells}</span></p>'


def _augmentation(digits: Digits, at: int) -> None:
    st.write(
        "A digit that is turned, moved or stretched a little is still the same digit. Every picture is changed "
        "differently in every epoch, so none is ever seen twice, and there is little to learn by heart."
    )
    batch = batch_of(torch.from_numpy(np.repeat(digits.images[at][None], COPIES, axis=0)))
    changed = augment(batch, Augmentation(), torch.Generator().manual_seed(1)).numpy()[:, 0]
    pictures = [(png_url(digits.images[at]), "as it was written")]
    pictures += [(png_url(np.round(255 * picture).astype(np.uint8)), "") for picture in changed]
    st.html(row_html(pictures))
    _code(augment)


def _numbers(values: NDArray[Any], form: str) -> str:
    return "\n".join(_row(line, form) for line in values)


def _row(values: Any, form: str) -> str:
    return "".join(form.format(value) for value in values)


def _code(function: Callable[..., Any]) -> None:
    """Show the source of a function, as it runs here."""
    with st.expander(f"The code: `{function.__module__.removeprefix('mnist_app.')}.{function.__name__}`"):
        st.code(inspect.getsource(function), language="python")
