"""A visitor who reloads a page stays the same, with the same ink and the same stop of the tour: the tab keeps them."""

from pathlib import Path

import streamlit as st

from mnist_app.web import session
from mnist_app.web.tour import resume

_KEY = "reload"

_element = st.components.v2.component(
    "reload", js=(Path(__file__).parent / "reload.js").read_text(), isolate_styles=False
)


def outlast_reloads() -> None:
    """Keep the visitor's secret, ink and stop of the tour in their tab, or take them back while the pad is untouched.

    To be called on every page.
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
