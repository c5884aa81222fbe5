"""The drawing pad: the canvas component with its traps disarmed, its ink kept over reruns and page changes."""

from pathlib import Path

import streamlit as st
from streamlit_drawable_canvas import st_canvas

from mnist_app.strokes import Drawing, DrawingError
from mnist_app.web.session import PAD_SIDE, Pad

PAPER, INK = "#ffffff", "#1a1a1a"  # the same in both themes: another background would wipe the drawing

_guard = st.components.v2.component(
    "pad_guard", js=(Path(__file__).parent / "guard.js").read_text(), isolate_styles=False
)


def drawing_pad(pad: Pad, pen_width: int) -> Drawing:
    """Show the canvas and return what is on it. Raises DrawingError on ink that the canvas cannot have made."""
    # Whatever the browser sent is in the state before the canvas reads it; the component itself trusts it.
    if not _is_canvas_state(st.session_state.get(pad.key)):
        pad.show(pad.latest)
    with st.container(key="pad", width="content", height=PAD_SIDE + 2, border=False):
        canvas = st_canvas(
            stroke_width=pen_width,
            stroke_color=INK,
            background_color=PAPER,
            width=PAD_SIDE,
            height=PAD_SIDE,
            initial_drawing=pad.restored,
            key=pad.key,
        )
        _guard(key="pad_guard")
    try:
        drawing = Drawing.from_fabric(canvas.json_data or {})
    except DrawingError:
        pad.clear()
        raise
    pad.latest = canvas.json_data
    return drawing


def _is_canvas_state(state: object) -> bool:
    """Whether the canvas component can read this state of its own without falling over."""
    if state is None:
        return True
    drawing = state.get("drawing") if hasattr(state, "get") else ""
    fit = state.get("backgroundFit") if hasattr(state, "get") else ""
    return fit is None and (drawing is None or (hasattr(drawing, "get") and isinstance(drawing.get("raw"), dict)))
