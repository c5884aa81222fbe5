"""The visitor's own drawing, for pages where models read single digits only."""

import streamlit as st

from mnist_app.reading.recognition import Glyph
from mnist_app.web import session


def own_digit() -> Glyph | None:
    """The digit on this visitor's pad; of a number the first digit, with a caption; None if the pad is blank."""
    digits = session.own_digits()
    if len(digits) > 1:
        st.caption("There is a number on the pad. Only its first digit is read here.")
    return digits[0].glyph if digits else None
