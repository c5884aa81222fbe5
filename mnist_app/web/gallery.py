"""Pictures as HTML: a page of the gallery as one image sheet, and one picture with everything known about it."""

import html
import io
import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_app.data.corrections import Correction
from mnist_app.data.label_errors import DOUBTS
from mnist_app.explore.explorer import NAMES, Order, Readings
from mnist_app.explore.neighbours import Neighbours
from mnist_app.reading.recognition import CONFIDENT, RIVAL, Prediction
from mnist_app.web.answer import bars_html, percent
from mnist_app.web.pictures import png_url

BADGE = '<span class="badge" title="Label in doubt">?</span>'
ACROSS = 10  # pictures side by side on an image sheet


def image_sheet(images: NDArray[np.uint8], across: int = ACROSS) -> NDArray[np.uint8]:
    """Pictures (N, 28, 28) tiled row by row into one (28 * rows, 28 * across)."""
    down = max(1, math.ceil(len(images) / across))
    side = images.shape[1]
    sheet = np.zeros((down * across, side, side), np.uint8)
    sheet[: len(images)] = images
    return sheet.reshape(down, across, side, side).swapaxes(1, 2).reshape(down * side, across * side)


def sheet_png(images: NDArray[np.uint8]) -> bytes:
    """Pictures as one PNG, about as wide as it is high."""
    file = io.BytesIO()
    Image.fromarray(image_sheet(images, max(1, math.ceil(math.sqrt(len(images)))))).save(file, "PNG")
    return file.getvalue()


def described_html(words: str) -> str:
    """The heading over a gallery."""
    return f'<h2 class="described">{words}</h2>'


def gallery_html(readings: Readings, shown: Order, opened: int | None) -> str:
    """One page of pictures as buttons that carry their index; all pixels come as one image."""
    tiles = "".join(_tile(readings, index, at, len(shown), opened) for at, index in enumerate(shown.tolist()))
    url = png_url(image_sheet(readings.digits.images[shown]))
    return f'<div class="gallery" style="--sheet:url({url});--across:{ACROSS}">{tiles}</div>'


def _tile(readings: Readings, index: int, at: int, count: int, opened: int | None) -> str:
    label, read = int(readings.digits.labels[index]), int(readings.predictions.read[index])
    sure = percent(float(readings.predictions.confidence[index]))
    wrong, doubtful = label != read, bool(readings.doubtful[index])
    said = f"{label} read as {read}, {sure} sure" if wrong else f"{label}, {sure} sure"
    caption = f"{label}<span class='to'>→</span>{read}" if wrong else str(label)
    return (
        f'<button type="button" class="tile{" wrong" if wrong else ""}" data-pick="{index}" '
        f'aria-current="{str(index == opened).lower()}" '
        f'aria-label="Picture {index}: {said}{", label in doubt" if doubtful else ""}">'
        f'<span class="ink" style="{_position(at, count)}"></span>'
        f'<span class="caption"><b>{caption}</b> <span class="sure">{sure}</span></span>'
        f"{BADGE if doubtful else ''}</button>"
    )


def corrections_html(shown: Sequence[Correction], images: NDArray[np.uint8], chosen: Collection[int]) -> str:
    """Corrected drawings as buttons that carry their ids; ``images`` (N, 28, 28) are their pictures."""
    tiles = "".join(
        f'<button type="button" class="tile{" wrong" if each.is_misread else ""}" data-pick="{each.id}" '
        f'aria-pressed="{str(each.id in chosen).lower()}" '
        f'aria-label="{each.label}, read as {_said(each)} by {html.escape(each.model)}">'
        f'<span class="ink" style="{_position(at, len(shown))}"></span>'
        f'<span class="caption"><b>{each.label}</b> <span class="sure">read {_said(each)}</span></span></button>'
        for at, each in enumerate(shown)
    )
    url = png_url(image_sheet(images))
    return f'<div class="gallery" style="--sheet:url({url});--across:{ACROSS}">{tiles}</div>'


def _said(correction: Correction) -> str:
    return html.escape(correction.read or "none")


def before_after_html(
    images: NDArray[np.uint8], labels: Sequence[int], before: Sequence[str | None], after: Sequence[str | None]
) -> str:
    """Pictures (N, 28, 28), each with what was read before and what is read now, and its label if not read before."""
    tiles = ""
    for at, (label, was, is_now) in enumerate(zip(labels, before, after, strict=True)):
        first, then = (html.escape(read or "none") for read in (was, is_now))
        shown_label = "" if was == str(label) else f"{label}: "
        tiles += (
            f'<span class="tile{" wrong" if is_now != str(label) else ""}" role="img" '
            f'aria-label="{label}, read as {first} before, as {then} now">'
            f'<span class="ink" style="{_position(at, len(images))}"></span>'
            f'<span class="caption">{shown_label}<b>{first}<span class="to">→</span>{then}</b></span></span>'
        )
    return f'<div class="gallery" style="--sheet:url({png_url(image_sheet(images))});--across:{ACROSS}">{tiles}</div>'


def _position(at: int, count: int) -> str:
    """A picture's place on the sheet in CSS: in percent of the amount by which the sheet is larger than the tile."""
    down = max(1, math.ceil(count / ACROSS))
    row, column = divmod(at, ACROSS)
    return f"background-position:{100 * column / (ACROSS - 1):.3f}% {100 * row / max(down - 1, 1):.3f}%"


def picture_html(readings: Readings, index: int) -> str:
    """One enlarged picture with its reading, the probabilities, its measures, and the average picture of its digit."""
    label = int(readings.digits.labels[index])
    found = readings.predictions
    prediction = Prediction(tuple(found.probabilities[index].tolist()), "")
    wrong = prediction.digit != label
    bars = bars_html(prediction.probabilities, label)
    verdict = (
        f"{NAMES[label].capitalize()}, read as {NAMES[prediction.digit]}"
        if wrong
        else (f"{NAMES[label].capitalize()}, read right")
    )
    doubt = DOUBTS[index].reason if readings.doubtful[index] else ""
    badge = f'<p class="doubt">{BADGE} Label in doubt. {html.escape(doubt)}</p>' if doubt else ""
    pictures = _figure(readings.averages[label], f"The average {NAMES[label]}")
    if wrong:
        pictures += _figure(readings.averages[prediction.digit], f"The average {NAMES[prediction.digit]}")
    facts = (
        f"Picture {index:,} of the {readings.split} split. Loss {readings.losses[index]:.2f} nats, strokes "
        f"{readings.thickness[index]:.1f} pixels thick, leaning {_lean(float(readings.slant[index]))}."
    )
    return (
        f'<section class="picture{" wrong" if wrong else ""}" aria-label="Picture {index}">'
        f'<img class="large" src="{png_url(readings.digits.images[index])}" alt="A handwritten {NAMES[label]}">'
        f'<div class="told"><h2>{verdict}</h2><p>{certainty_sentence(prediction)}</p>{bars}</div>{badge}'
        f'<div class="averages">{pictures}<p class="facts">{facts}</p></div></section>'
    )


def certainty_sentence(prediction: Prediction) -> str:
    """How sure the network was, and of which digits, in a sentence."""
    second = prediction.runner_up
    sure, other = percent(prediction.confidence), percent(prediction.probabilities[second])
    if prediction.probabilities[second] >= RIVAL:
        return f"Torn between {prediction.digit} ({sure}) and {second} ({other})."
    how = "Sure" if prediction.is_certain else "Fairly sure" if prediction.confidence >= CONFIDENT else "Hardly sure"
    return f"{how} of {prediction.digit} ({sure}); next comes {second} ({other})."


def _lean(degrees: float) -> str:
    return f"{abs(degrees):.0f}° to the {'right' if degrees >= 0 else 'left'}"


def _figure(pixels: NDArray[np.uint8], caption: str) -> str:
    return f'<figure><img src="{png_url(pixels)}" alt=""><figcaption>{caption}</figcaption></figure>'


def neighbours_html(images: NDArray[np.uint8], labels: NDArray[np.int64], near: Neighbours, are_buttons: bool) -> str:
    """The nearest pictures with their labels and distances, as buttons if they can be opened."""
    url = png_url(image_sheet(images))
    tiles = ""
    for at, (index, distance) in enumerate(zip(near.indices[0].tolist(), near.distances[0].tolist(), strict=True)):
        inside = (
            f'<span class="ink" style="{_position(at, len(images))}"></span>'
            f'<span class="caption"><b>{labels[at]}</b> <span class="sure">{distance:.2f}</span></span>'
        )
        words = f'aria-label="Picture {index}: {labels[at]}, distance {distance:.2f}"'
        tiles += (
            f'<button type="button" class="tile" data-pick="{index}" {words}>{inside}</button>'
            if are_buttons
            else f'<span class="tile" role="img" {words}>{inside}</span>'
        )
    return f'<div class="gallery near" style="--sheet:url({url});--across:{ACROSS}">{tiles}</div>'
