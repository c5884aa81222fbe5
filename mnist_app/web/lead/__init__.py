"""Takes a visitor to what they asked for, where that is elsewhere on the page or the page is another one."""

from pathlib import Path

import streamlit as st

from mnist_app.web import session

_element = st.components.v2.component("lead", js=(Path(__file__).parent / "lead.js").read_text(), isolate_styles=False)


def lead() -> None:
    """At the end of every page, when all is there that session.lead_to() may have named."""
    _element(data=session.led(), key="lead")
