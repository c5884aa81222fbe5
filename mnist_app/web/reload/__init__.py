"""Who reloads a page is the same visitor, with the same ink, at the same stop of the tour: their tab keeps it."""

from pathlib import Path

import streamlit as st

from mnist_app.web import session
from mnist_app.web.tour import resume

_KEY = "reload"

_element = st.components.v2.component(
    "reload", js=(Path(__file__).parent / "reload.js").read_text(), isolate_styles=False
)


def outlast_reloads() -> None:
    """On every page: have the tab keep who this is, what they drew, and at which stop they are; or, if they are new,
    take it up from there.
    """
    pad, at = session.pad(), st.session_state.get(session.TOUR)
    _element(
        data={"ink": pad.latest, "secret": session.secret(), "tour": at, "isUntouched": pad.is_untouched},
        on_kept_change=_take_up,
        key=_KEY,
    )


def _take_up() -> None:
    kept = session.sent(_KEY, "kept")
    resume(kept)
    session.come_back(kept)
