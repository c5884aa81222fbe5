"""A prediction as HTML: the digit in large type, the confidence in words, ten bars."""

import math

from mnist_app.recognition import Prediction

DIGITS = range(10)
INVITATION = "Draw a digit"


def answer_html(prediction: Prediction | None) -> str:
    """The answer panel; without a prediction it invites and claims nothing."""
    if prediction is None:
        digit, words = "?", INVITATION
        probabilities: tuple[float, ...] = (0.0,) * len(DIGITS)
    else:
        digit, words = str(prediction.digit), f"{prediction.words} · {percent(prediction.confidence)}"
        probabilities = prediction.probabilities
    state = "blank" if prediction is None else "read"
    bars = "".join(
        f'<li class="bar{" read" if prediction and n == prediction.digit else ""}" style="--share:{p:.4f}">'
        f'<span class="name">{n}</span><span class="track"><span class="fill"></span></span>'
        f'<span class="share">{percent(p) if prediction else ""}</span></li>'
        for n, p in zip(DIGITS, probabilities, strict=True)
    )
    return (
        f'<section class="answer {state}" aria-label="Answer" data-invitation="{INVITATION}">'
        f'<p class="digit">{digit}</p><p class="words">{words}</p>'
        f'<ol class="bars" aria-label="Probability of each digit">{bars}</ol></section>'
    )


def percent(share: float) -> str:
    """A probability in whole percent, as HTML, never rounded up to certainty or down to none."""
    if 0.995 <= share < 1:
        return "&gt;99%"
    # Half a percent counts up, as in live_ink.js; format() would take it to the nearest even number, and 0.5 to none.
    return "&lt;1%" if 0 < share < 0.005 else f"{math.floor(share * 100 + 0.5)}%"
