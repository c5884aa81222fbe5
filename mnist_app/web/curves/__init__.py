"""Ten probabilities as curves over a series of pictures, with a slider that works without asking the server."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import unescape
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mnist_app.reading.recognition import Prediction
from mnist_app.web.answer import percent
from mnist_app.web.charts import DIGIT_COLOURS
from mnist_app.web.gallery import image_sheet
from mnist_app.web.pictures import png_url

_element = st.components.v2.component(
    "curves",
    html='<section class="curves"></section>',
    js=(Path(__file__).parent / "curves.js").read_text(),
    isolate_styles=False,
)


@dataclass(frozen=True)
class Plot:
    """What one model reads in every picture."""

    title: str  # empty if it is the only plot
    probabilities: list[list[float]]  # (F, 10)
    doubts: list[float]  # (F,): probability that it is not a digit
    words: list[str]  # (F,)

    @classmethod
    def of(cls, title: str, read: Sequence[Prediction]) -> "Plot":
        probabilities = [[round(share, 4) for share in each.probabilities] for each in read]
        words = [
            f"{each.digit}, {unescape(percent(each.confidence))}" if each.is_digit else "not a digit" for each in read
        ]
        return cls(title, probabilities, [round(each.doubt, 4) for each in read], words)


@dataclass(frozen=True)
class Growth:
    """How much of the strokes on the pad each picture shows."""

    strokes: list[list[list[float]]]  # in writing order
    shares: list[float]  # (F,): of the pen's path, 0 to 1


def curves(
    name: str,
    pictures: NDArray[np.uint8],
    labels: Sequence[str],
    plots: Sequence[Plot],
    at: int,
    key: str,
    growth: Growth | None = None,
) -> None:
    """Show pictures (F, 28, 28), one at a time, with curves of what is read in each; ``at`` is shown first.

    ``name`` says what changes along the slider, and ``labels`` (F) how much of it there is in each picture. With
    ``growth`` the axis is time, and the pictures can be replayed at the pen's own pace, which only the browser knows.
    """
    data = {
        "name": name,
        "sheet": png_url(image_sheet(pictures, len(pictures))),
        "labels": list(labels),
        "plots": [asdict(plot) for plot in plots],
        "colours": list(DIGIT_COLOURS),
        "at": at,
        "growth": growth and asdict(growth),
    }
    _element(data=data, key=key)
