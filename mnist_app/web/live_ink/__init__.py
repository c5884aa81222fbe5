"""The browser's part of the Draw page: the answer changes while the pen moves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import streamlit as st

from mnist_app.ink.strokes import Drawing, DrawingError
from mnist_app.reading.number import Reading
from mnist_app.web import shared
from mnist_app.web.canvas import Pad
from mnist_app.web.session import PEN_WIDTH, sent

_KEY, _EAR = "live_ink_element", "pen_up_element"
NEAR = 4.0  # canvas pixels, as in live_ink.js

_element = st.components.v2.component(
    "live_ink",
    html='<p class="spoken" role="status"></p>',
    js=(Path(__file__).parent / "live_ink.js").read_text(),
    isolate_styles=False,
)
_ear = st.components.v2.component("pen_up", js=(Path(__file__).parent / "pen_up.js").read_text(), isolate_styles=False)


def live_ink(
    drawing: Drawing, version: int, reading: Reading | None, model: str, *, follows: bool, is_awaited: bool
) -> None:
    """Let the answer panel follow the pen.

    ``drawing`` is the ink that the canvas has sent to the script, and ``reading`` what the script reads with ``model``.
    ``version`` changes whenever ink was replaced rather than added to. Unless it ``follows`` the pen, the panel is left
    to the script and shows a picture's answer. If the first stroke ``is_awaited``, the page reruns as soon as it ends.
    """
    data = {
        "url": shared.path_of("api/predict"),
        "version": version,
        "strokes": drawing.to_points(),
        "answer": reading and reading.to_json(),
        "model": model,
        "penWidth": st.session_state[PEN_WIDTH],
        "follows": follows,
    }
    with st.container(key="live_ink", height="content"):
        _element(data=data, key=_KEY)
        if is_awaited:
            hear_pen_up()


def hear_pen_up() -> None:
    """Rerun the fragment or page that contains this as soon as the pen goes up; the canvas reports it 200 ms later."""
    _ear(key=_EAR, on_pen_up_change=lambda: None)


def ink_ahead(pad: Pad, known: Drawing, pen_width: float) -> Drawing:
    """The ink on the pad; in a rerun caused by pen-up it is ahead of ``known``, the ink that the canvas has sent.

    When the canvas sends the same strokes later, its points differ slightly: the points already read stay in use.
    """
    try:
        said = sent(_EAR, "pen_up")
        if said and said["version"] == pad.version and len(said["strokes"]) > len(known.strokes):
            ink = Drawing.from_points(said["strokes"])
            pad.ahead = replace(ink, pen_width=known.pen_width or pen_width)
            return pad.ahead
    except (DrawingError, KeyError, TypeError):  # the canvas will send it
        pass
    return pad.ahead if pad.ahead and _is_same(pad.ahead, known) else known


def _is_same(ahead: Drawing, known: Drawing) -> bool:
    """Whether these are the same strokes, judged by where they begin and end."""
    return len(ahead.strokes) == len(known.strokes) and all(
        np.abs(one[[0, -1]] - other[[0, -1]]).max() <= NEAR
        for one, other in zip(ahead.strokes, known.strokes, strict=True)
    )
