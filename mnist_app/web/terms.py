"""Glossary terms on the pages: a small ? that opens an explanation and a picture made by this app."""

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray
from torch import nn

from mnist_app.data.dataset import CLASSES, find_source
from mnist_app.errors import AppError
from mnist_app.explain.attacks import Attack
from mnist_app.explain.attribution import integrated_gradients
from mnist_app.explain.distortions import sheared, shifted
from mnist_app.explain.doctor import examine
from mnist_app.explain.feature_maps import LayerOutput, follow
from mnist_app.explain.glossary import GLOSSARY
from mnist_app.explore.predictions import predictions_of
from mnist_app.explore.projection import SIDE, known_tsne, pca
from mnist_app.models.networks import batch_of
from mnist_app.models.registry import DEFAULT_MODEL, ROBUST_MODEL
from mnist_app.reading.recognition import recognise
from mnist_app.training.augmentation import Augmentation, augment
from mnist_app.web import shared
from mnist_app.web.answer import bars_html, percent
from mnist_app.web.charts import evidence_rgb, findings_html, perturbation
from mnist_app.web.notice import problem_notice
from mnist_app.web.pictures import png_url, row_html

Pixels = NDArray[np.uint8]  # (28, 28)
SAMPLE = 3_507  # in the validation split: a plain seven


def terms(*names: str) -> None:
    """A ? for each of these glossary terms. What it opens is computed only when it is opened."""
    with st.container(horizontal=True, gap="small", key=f"terms_{'_'.join(names)}".replace(" ", "_")):
        for name in names:
            shown = st.popover(
                name, type="tertiary", icon=":material/help:", on_change="rerun", key=f"term_{name}".replace(" ", "_")
            )
            if shown.open:
                with shown:
                    st.write(f"**{name[0].upper()}{name[1:]}.** {GLOSSARY[name]}")
                    try:
                        st.html(f'<div class="term">{PICTURES[name](_sample())}</div>')
                    except AppError as error:
                        problem_notice(str(error))


def _sample() -> Pixels:
    return shared.split("validation", find_source()).images[SAMPLE]


def _layer_outputs(pixels: Pixels) -> tuple[LayerOutput, ...]:
    return follow(shared.model(DEFAULT_MODEL).network, pixels)


def _grey(values: NDArray[np.float32]) -> str:
    return png_url(np.round(values / max(float(values.max()), 1e-9) * 255).astype(np.uint8))


def _pixel(pixels: Pixels) -> str:
    return row_html([(png_url(pixels), "28 × 28"), (png_url(pixels[6:14, 10:18]), "8 × 8 of them, enlarged")])


def _mass(pixels: Pixels) -> str:
    aside = shifted(pixels, -3, 4)
    return row_html([(png_url(_crossed(aside)), "before"), (png_url(_crossed(pixels)), "moved to the middle")])


def _crossed(pixels: Pixels) -> Pixels:
    """The picture in colour with a cross at its centre of mass."""
    at = np.arange(28)
    row, column = (round(float(pixels.sum(axis=axis) @ at / pixels.sum())) for axis in (1, 0))
    rgb = np.repeat(pixels[..., None], 3, axis=2)
    rgb[row - 2 : row + 3, column] = rgb[row, column - 2 : column + 3] = (230, 159, 0)
    return rgb


def _some_of(split: str) -> str:
    """A few digits of a split, or of validation if that split is not available."""
    source = find_source()
    digits = shared.split(split if split in source.splits else "validation", source)
    found = [int(np.flatnonzero(digits.labels == digit)[5]) for digit in (0, 3, 5, 8)]  # plain ones in both splits
    return row_html([(png_url(digits.images[at]), str(digits.labels[at])) for at in found])


def _loss(pixels: Pixels) -> str:
    pictures = np.stack([sheared(pixels, degrees) for degrees in (0, -30, -50)])
    read = recognise(shared.model(DEFAULT_MODEL), pictures)
    return row_html(
        [
            (png_url(picture), f"7 with {percent(one.probabilities[7])}: {max(0.0, -np.log(one.probabilities[7])):.2f}")
            for picture, one in zip(pictures, read, strict=True)
        ]
    )


def _augmented(pixels: Pixels) -> str:
    four = batch_of(torch.from_numpy(np.repeat(pixels[None], 4, axis=0)))
    changed = augment(four, Augmentation(), torch.Generator().manual_seed(1)).numpy()[:, 0]
    return row_html([(_grey(picture), "") for picture in changed])


def _precision(_: Pixels) -> str:
    """Misread validation digits that lower precision or recall, for the digit with many misreadings of both kinds."""
    digits = shared.split("validation", find_source())
    read = predictions_of(DEFAULT_MODEL, "validation", digits)[0].read
    wrong = np.flatnonzero(read != digits.labels)
    counts = [np.bincount(each[wrong], minlength=CLASSES) for each in (read, digits.labels)]
    digit = int(np.minimum(*counts).argmax())
    shown = []
    for figure, which in (("precision", read), ("recall", digits.labels)):
        for at in wrong[which[wrong] == digit][:2].tolist():
            shown.append((png_url(digits.images[at]), f"a {digits.labels[at]} read as {read[at]}: lowers {figure}"))
    return f"<p>For the digit {digit}:</p>{row_html(shown)}"


def _projection(_: Pixels) -> str:
    """The validation pictures on both maps, as small dots."""
    digits = shared.split("validation", find_source())
    found = predictions_of(DEFAULT_MODEL, "validation", digits)[0]
    maps = [("PCA", pca(found.features)[0]), ("t-SNE", known_tsne(DEFAULT_MODEL, "validation", digits))]
    dots = [
        (name, np.histogram2d(places[:, 1], places[:, 0], 100, [[0, SIDE], [0, SIDE]])[0])
        for name, places in maps
        if places is not None
    ]
    return row_html([(_grey(np.minimum(counts, 3).astype(np.float32)), name) for name, counts in dots], "large")


def _convolution(pixels: Pixels) -> str:
    layers = shared.model(DEFAULT_MODEL).network.modules()
    layer = next(part for part in layers if isinstance(part, nn.Conv2d))
    first = _layer_outputs(pixels)[0]
    channel = int(first.strongest(3)[2])
    weights = layer.weight[channel, 0].detach().numpy()
    pattern = np.round(128 + 127 * weights / np.abs(weights).max()).astype(np.uint8)
    return row_html(
        [
            (png_url(pixels), "a picture"),
            (png_url(pattern), "a pattern, 3 × 3"),
            (_grey(first.maps[channel]), "where it was found"),
        ]
    )


def _maps(pixels: Pixels) -> str:
    first = _layer_outputs(pixels)[0]
    return row_html([(_grey(first.maps[channel]), f"map {channel}") for channel in first.strongest(4).tolist()])


def _pooling(pixels: Pixels) -> str:
    first = _layer_outputs(pixels)[0]
    before = first.maps[int(first.strongest(1)[0])]
    after = before.reshape(14, 2, 14, 2).max(axis=(1, 3))
    return row_html([(_grey(before), "28 × 28"), (_grey(after), "14 × 14")])


def _features(pixels: Pixels) -> str:
    values = _layer_outputs(pixels)[-1].maps[:, 0, 0]
    return row_html([(_grey(values.reshape(8, -1)), f"the {len(values)} features of a seven")])


def _bars(pixels: Pixels) -> str:
    shares = recognise(shared.model(DEFAULT_MODEL), pixels[None])[0].probabilities
    return _of(shares)


def _of(shares: Sequence[float]) -> str:
    return f'<div class="picture alone">{bars_html(shares)}</div>'


def _softmax(_: Pixels) -> str:
    numbers = np.array([0.5, 0, 1, 2, 0, 0, 0, 4, 1, 3])
    powers = np.exp(numbers)
    said = " ".join(f"{number:g}" for number in numbers)
    return f"<p>The numbers {said} become:</p>{_of((powers / powers.sum()).tolist())}"


def _calibration(pixels: Pixels) -> str:
    """The probabilities of a leaning seven before and after its logits are divided by the temperature."""
    model = shared.model(DEFAULT_MODEL)
    after = np.array(recognise(model, sheared(pixels, -35)[None])[0].probabilities)
    before = after**model.card.temperature
    before /= before.sum()
    return f"<p>Before:</p>{_of(before.tolist())}<p>Divided by {model.card.temperature:.2f}:</p>{_of(after.tolist())}"


def _scribble(_: Pixels) -> str:
    scribble = np.zeros((28, 28), np.uint8)
    scribble[5:23:4, 5:23] = scribble[5:23, 5:23:6] = 255
    doubt = recognise(shared.model(DEFAULT_MODEL), scribble[None])[0].doubt
    return row_html([(png_url(scribble), f"no digit: {percent(doubt)}")])


def _evidence(pixels: Pixels) -> str:
    [found] = integrated_gradients(shared.model(DEFAULT_MODEL), pixels, 7)
    picture = evidence_rgb(found.values, pixels, float(np.abs(found.values).max()))
    return row_html([(png_url(picture), "blue: for 7, amber: against")], "large")


def _faded(pixels: Pixels) -> str:
    return row_html([(png_url((pixels * share).astype(np.uint8)), f"{share:.0%}") for share in (0.1, 0.4, 0.7, 1.0)])


def _percentile(pixels: Pixels) -> str:
    return findings_html(examine(shared.norms(), pixels, 7)[:3])


def _slant(pixels: Pixels) -> str:
    return row_html([(png_url(sheared(pixels, degrees)), f"{degrees}°") for degrees in (-25, 0, 25)])


def _attacked(levels: int, steps: int) -> Callable[[Pixels], str]:
    def show(pixels: Pixels) -> str:
        changed, after = _after(DEFAULT_MODEL, Attack(levels, steps), pixels)
        change = perturbation(changed.astype(np.int64) - pixels)
        return row_html([(png_url(pixels), "before"), (png_url(change), "the change"), (png_url(changed), after)])

    return show


def _hardened(pixels: Pixels) -> str:
    """The seven after an attack on each of two models."""
    found = [(name, *_after(name, Attack(48), pixels)) for name in (DEFAULT_MODEL, ROBUST_MODEL)]
    return row_html([(png_url(changed), f"{name}, attacked: {after}") for name, changed, after in found])


def _after(name: str, attack: Attack, pixels: Pixels) -> tuple[Pixels, str]:
    """The seven after an attack on a model, and what that model then reads."""
    model = shared.model(name)
    changed = attack.run(model, pixels[None], np.array([7]))[0]
    read = recognise(model, changed[None])[0]
    return changed, f"read as {read.digit}" if read.is_digit else "read as no digit"


PICTURES: dict[str, Callable[[Pixels], str]] = {
    "pixel": _pixel,
    "centre of mass": _mass,
    "training picture": lambda _: _some_of("train"),
    "validation": lambda _: _some_of("validation"),
    "loss": _loss,
    "augmentation": _augmented,
    "precision and recall": _precision,
    "projection": _projection,
    "convolution": _convolution,
    "feature map": _maps,
    "pooling": _pooling,
    "features": _features,
    "softmax": _softmax,
    "probability": _bars,
    "calibration": _calibration,
    "no digit": _scribble,
    "evidence": _evidence,
    "integrated gradients": _faded,
    "percentile": _percentile,
    "slant": _slant,
    "perturbation": _attacked(24, 20),
    "FGSM": _attacked(48, 1),
    "PGD": _attacked(48, 20),
    "adversarial training": _hardened,
}
