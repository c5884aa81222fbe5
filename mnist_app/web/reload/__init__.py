"""Who reloads a page is the same visitor, with the same ink: their tab keeps both."""

from pathlib import Path

import streamlit as st

from mnist_app.web import session

_KEY = "reload"

_element = st.components.v2.component(
    "reload", js=(Path(__file__).parent / "reload.js").read_text(), isolate_styles=False
)


def outlast_reloads() -> None:
    """On every page: have the tab keep who this is and what they drew, or take it up from there if they are new."""
    pad = session.pad()
    _element(
        data={"ink": pad.latest, "secret": session.secret(), "isUntouched": pad.is_untouched},
        on_kept_change=lambda: session.come_back(session.sent(_KEY, "kept")),
        key=_KEY,
    )
