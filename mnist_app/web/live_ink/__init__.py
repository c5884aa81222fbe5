"""The browser's part of the Draw page: the answer changes while the pen moves."""

from pathlib import Path

import streamlit as st

from mnist_app.ink.strokes import Drawing
from mnist_app.reading.number import Reading

_element = st.components.v2.component(
    "live_ink",
    html='<p class="spoken" role="status"></p>',
    js=(Path(__file__).parent / "live_ink.js").read_text(),
    isolate_styles=False,
)


def live_ink(drawing: Drawing, version: int, reading: Reading | None, model: str, follows: bool) -> None:
    """Let the answer panel follow the pen.

    ``drawing`` and ``reading`` are what the script knows; ``version`` changes whenever ink was replaced rather than
    added to; ``model`` is the one that reads. Unless it ``follows``, the panel is left to the script: it shows a
    picture's answer.
    """
    base = str(st.get_option("server.baseUrlPath")).strip("/")
    data = {
        "url": f"/{base}/api/predict" if base else "/api/predict",
        "version": version,
        "strokes": drawing.to_points(),
        "answer": reading and reading.to_json(),
        "model": model,
        "follows": follows,
    }
    with st.container(key="live_ink", height="content"):
        _element(data=data, key="live_ink_element")
