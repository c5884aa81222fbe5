"""The visitor's own drawing where models read it that know of no numbers."""

import streamlit as st

from mnist_app.reading.recognition import Glyph
from mnist_app.web import session


def own_digit() -> Glyph | None:
    """What is on this visitor's pad, of a number its first digit, which is said; None of a blank pad."""
    digits = session.own_digits()
    if len(digits) > 1:
        st.caption("On the pad is a number. Here one digit is read at a time: its first.")
    return digits[0].glyph if digits else None
