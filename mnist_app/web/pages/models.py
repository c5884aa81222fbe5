"""The models there are, with what may be said of them."""

import streamlit as st

from mnist_app.errors import AppError
from mnist_app.registry import DEFAULT_MODEL, ModelCard, load_card, model_folders
from mnist_app.web.notice import plain, problem_notice
from mnist_app.web.terms import terms

SPLITS = {"validation": "5,000 validation digits", "test": "10,000 test digits"}


def page() -> None:
    st.title("Models", anchor=False)
    terms("calibration")
    for name, folder in model_folders().items():
        with st.container(border=True):
            st.subheader(plain(name) + (" · in use" if name == DEFAULT_MODEL else ""), anchor=False)
            try:
                _show(load_card(folder))
            except AppError as error:
                problem_notice(str(error))


def _show(card: ModelCard) -> None:
    st.write(plain(card.summary))
    with st.container(horizontal=True, gap="large"):
        for split, measures in card.metrics.items():
            st.metric(f"read right of {SPLITS.get(split, split)}", f"{measures['accuracy']:.2%}", width="content")
        st.metric("parameters", f"{card.parameters:,}", width="content")
    st.caption(f"Learned from {plain(card.data)}, in {card.seconds / 60:.0f} minutes. Seed {card.config.get('seed')}.")
    with st.expander("How to make it again"):
        st.code(card.command, language="bash")
        st.json(dict(card.config), expanded=False)
