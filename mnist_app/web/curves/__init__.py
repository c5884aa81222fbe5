"""Ten probabilities as curves over a row of pictures, and a slider that goes through them without asking the server."""

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

    title: str  # empty where there is only one
    probabilities: list[list[float]]  # (F, 10)
    doubts: list[float]  # (F,): how probable it is that it is no digit
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
    """Strokes on the pad of which each picture shows the beginning."""

    strokes: list[list[list[float]]]  # in writing order
    shares: list[float]  # (F,), of the pen's way


def curves(
    name: str,
    pictures: NDArray[np.uint8],
    labels: Sequence[str],
    plots: Sequence[Plot],
    at: int,
    key: str,
    growth: Growth | None = None,
) -> None:
    """Show pictures (F, 28, 28), one at a time, over what is read in each; ``at`` is the first to be shown.

    ``name`` says what changes along the slider, ``labels`` (F) how much of it there is in each picture.
    With ``growth`` they stand where the time was, and can be replayed at the pace at which the strokes were drawn: that
    only the browser knows.
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
