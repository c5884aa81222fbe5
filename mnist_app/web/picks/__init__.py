"""HTML whose buttons tell the script what was picked: the gallery, the confusion matrix, the neighbours."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from mnist_app.web.session import scroll_to, sent

_element = st.components.v2.component(
    "picks",
    html='<p class="spoken" role="status"></p><div class="picks"></div>',
    js=(Path(__file__).parent / "picks.js").read_text(),
    isolate_styles=False,
)


def picks(
    html: str,
    key: str,
    on_pick: Callable[[str], None],
    leads_to: str = "",
    steps_for: str | None = None,
    said: str = "",
) -> None:
    """Show HTML that the app itself made; ``on_pick`` gets the ``data-pick`` of a pressed button.

    The buttons are one stop for the Tab key, and the arrow keys move between them. While the CSS selector ``steps_for``
    matches something, the left and right keys are left to the page. After a press, a phone scrolls to what the selector
    ``leads_to`` matches. Screen readers announce ``said`` when it changes.
    """

    def heard() -> None:
        value = sent(key, "pick")
        if isinstance(value, str):
            on_pick(value)
            if leads_to:
                scroll_to(leads_to)

    _element(data={"html": html, "stepsFor": steps_for, "said": said}, key=key, on_pick_change=heard)
