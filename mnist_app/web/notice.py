"""What went wrong, as a person is told."""

import re

import streamlit as st


def problem_notice(sentence: str) -> None:
    """Show a sentence as it stands: file names and the like in it may not act as Markdown."""
    st.warning(plain(sentence), icon=":material/error:")


def plain(text: str) -> str:
    """Text as Markdown that shows just that text."""
    return re.sub(r"([\\`*_{}\[\]<>$~#|:])", r"\\\1", text)
