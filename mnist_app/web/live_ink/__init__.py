"""The browser's part of the Draw page: the answer changes while the pen moves."""

from pathlib import Path

import streamlit as st

from mnist_app.ink.strokes import Drawing, DrawingError
from mnist_app.reading.number import Reading
from mnist_app.web.session import Pad, sent

_KEY = "live_ink_element"

_element = st.components.v2.component(
    "live_ink",
    html='<p class="spoken" role="status"></p>',
    js=(Path(__file__).parent / "live_ink.js").read_text(),
    isolate_styles=False,
)


def live_ink(
    drawing: Drawing, version: int, reading: Reading | None, model: str, *, follows: bool, is_awaited: bool
) -> None:
    """Let the answer panel follow the pen.

    ``drawing`` is what the canvas has told the script, and ``reading`` what the script reads; ``version`` changes
    whenever ink was replaced rather than added to; ``model`` is the one that reads. Unless it ``follows``, the panel is
    left to the script: it shows a picture's answer. Where the script ``is_awaited``, for it shows more than the
    answer, it is told of the ink as the pen goes up: the canvas keeps it for 200 ms, see `ink_ahead`.
    """
    base = str(st.get_option("server.baseUrlPath")).strip("/")
    data = {
        "url": f"/{base}/api/predict" if base else "/api/predict",
        "version": version,
        "strokes": drawing.to_points(),
        "answer": reading and reading.to_json(),
        "model": model,
        "follows": follows,
        "isAwaited": is_awaited,
    }
    with st.container(key="live_ink", height="content"):
        _element(data=data, key=_KEY, on_pen_up_change=lambda: None)


def ink_ahead(pad: Pad) -> Drawing | None:
    """The ink that lies on the pad by now, in the run that the pen's going up has called for; None in any other."""
    try:
        said = sent(_KEY, "pen_up")
        drawing = Drawing.from_points(said["strokes"]) if said and said["version"] == pad.version else None
    except (DrawingError, KeyError, TypeError):  # the canvas will tell
        return None
    return drawing if drawing and len(drawing.strokes) > len(pad.strokes) else None
