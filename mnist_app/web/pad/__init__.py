"""The drawing pad: the canvas with workarounds for its pitfalls and with ink that survives reruns and page changes."""

import time
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit_drawable_canvas import st_canvas

from mnist_app.ink.strokes import DrawingError
from mnist_app.web.canvas import INK, PAD_SIDE, Pad
from mnist_app.web.session import sent

PAPER = "#ffffff"  # the same in both themes: another background would wipe the drawing
SENDING = 0.02  # seconds to send what a panel has just answered: a page rerun drops what is not sent yet
_GUARD = "pad_guard"

_guard = st.components.v2.component(_GUARD, js=(Path(__file__).parent / "guard.js").read_text(), isolate_styles=False)
_keys = st.components.v2.component("pad_keys", js=(Path(__file__).parent / "keys.js").read_text(), isolate_styles=False)


def drawing_pad(pad: Pad, pen_width: int) -> tuple[str | None, DeltaGenerator]:
    """Show the canvas with the ink of ``pad``. Returns what was wrong with ink it sent, if anything, and an overlay.

    Ink that cannot be read, or exceeds the limits of a drawing, is replaced by what was there before.
    """
    problem = None
    if pad.key in st.session_state:  # before the canvas reads it: the widget trusts what it finds there
        try:
            pad.accept(st.session_state[pad.key])
        except DrawingError as error:
            problem = str(error)
            pad.show(pad.latest)
    with st.container(key="pad", width="content"):
        _canvas(pad, pen_width, _said(pad))
        overlay = st.empty()
    return problem, overlay


@st.fragment
def _canvas(pad: Pad, pen_width: int, known: object) -> None:
    """The canvas; reruns the whole page if its state is no longer the ``known`` one.

    It is a fragment because a message from outside a fragment would interrupt the panel that answers ahead of the
    canvas, and that panel would start over.
    """
    if _said(pad) != known:
        time.sleep(SENDING)
        st.rerun()
    st_canvas(
        stroke_width=pen_width,
        stroke_color=INK,
        background_color=PAPER,
        width=PAD_SIDE,
        height=PAD_SIDE,
        initial_drawing=pad.restored,
        key=pad.key,
    )
    _guard(
        data={"version": pad.version, "canvas": pad.key, "strokes": len(pad.strokes), "canUndo": pad.can_undo},
        key=_GUARD,
        on_remounted_change=lambda: _put_back(pad),
    )
    _keys(key="pad_keys")


def _put_back(pad: Pad) -> None:
    """Restore the ink that a canvas has lost by being remounted."""
    if sent(_GUARD, "remounted") == pad.key:
        pad.catch_up()
        pad.show(pad.latest)


def _said(pad: Pad) -> object:
    """The version of the canvas, and the state that the browser last sent for it."""
    return pad.version, st.session_state.get(pad.key)
