"""A reading as HTML: the digit in large type, the confidence in words, ten bars, and boxes around several digits."""

import math
from collections.abc import Sequence

import numpy as np

from mnist_app.data.dataset import CLASSES
from mnist_app.reading.number import Reading

INVITATION = "Draw a digit"


def answer_html(reading: Reading | None) -> str:
    """The answer panel. Without a reading it shows an invitation; if the model refuses, it shows no digit.

    The bars, like the words, are about the digit read with the least confidence. live_ink.js fills it in the same way.
    """
    state, text, words, bars = "blank", "?", INVITATION, bars_html(None)
    if reading and reading.text:
        state, text = "read", reading.text
        words = f"{reading.words} · {percent(reading.weakest.confidence)}"
        bars = bars_html(reading.weakest.probabilities)
    elif reading:
        state, words = "refused", reading.words
    return (
        f'<section class="answer {state}" aria-label="Answer" data-invitation="{INVITATION}">'
        f'<p class="digit" style="--length:{len(text)}">{text}</p><p class="words">{words}</p>{bars}</section>'
    )


def bars_html(probabilities: Sequence[float] | None, label: int | None = None) -> str:
    """Ten bars, one per digit, blue for the one read; empty without probabilities. A ``label`` is noted at its bar."""
    read = None if probabilities is None else int(np.argmax(probabilities))
    note = '<span class="note">label</span>'
    bars = "".join(
        f'<li class="bar{" read" if digit == read else ""}" style="--share:{share:.4f}">'
        f'<span class="name">{digit}</span><span class="track"><span class="fill"></span></span>'
        f'<span class="share">{"" if read is None else percent(share)}</span>{note if digit == label else ""}</li>'
        for digit, share in enumerate(probabilities or [0] * CLASSES)
    )
    return f'<ol class="bars" aria-label="Probability of each digit">{bars}</ol>'


def boxes_html(reading: Reading | None, side: int) -> str:
    """A box around each digit if a number is read; the pad is ``side`` pixels wide and high."""
    return f'<div class="boxes" data-side="{side}" aria-hidden="true">{_boxes(reading, side)}</div>'


def _boxes(reading: Reading | None, side: int) -> str:
    if reading is None or not reading.is_number:
        return ""
    boxes = ""
    for read in reading.digits:
        if read.box:
            left, top, right, bottom = (100 * edge / side for edge in read.box)
            said = f"{read.prediction.digit} {percent(read.prediction.confidence)}"
            boxes += (
                f'<span class="box" data-label="{said}" style="left:{left:.2f}%;top:{top:.2f}%;'
                f'width:{right - left:.2f}%;height:{bottom - top:.2f}%"></span>'
            )
    return boxes


def percent(share: float) -> str:
    """A probability in whole percent, as HTML, never rounded up to certainty or down to none."""
    if 0.995 <= share < 1:
        return "&gt;99%"
    # Half a percent rounds up, as in live_ink.js; format() would round it to the nearest even number, and 0.5 to 0.
    return "&lt;1%" if 0 < share < 0.005 else f"{math.floor(share * 100 + 0.5)}%"


def a_digit(digit: int) -> str:
    """A digit with its article."""
    return f"{'an' if digit == 8 else 'a'} {digit}"
