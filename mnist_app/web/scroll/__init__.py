"""Shows what a visitor asked for, elsewhere on the page or on another one: scrolls there, closes the menu of pages."""

from pathlib import Path

import streamlit as st

from mnist_app.web import session

_element = st.components.v2.component(
    "scroll", js=(Path(__file__).parent / "scroll.js").read_text(), isolate_styles=False
)


def scroll() -> None:
    """Call this at the end of every page, once everything that session.scroll_to() may name is there."""
    _element(data=session.scroll_target(), key="scroll")
