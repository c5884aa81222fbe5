"""HTML whose buttons tell the script what was picked: the gallery, the confusion matrix, the neighbours."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from mnist_app.web.session import lead_to, sent

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
    """Show HTML of our own making; ``on_pick`` hears the ``data-pick`` of a button that is pressed.

    The buttons are one stop for the Tab key, and the arrow keys move between them; left and right are left to the page
    while it shows what the CSS selector ``steps_for`` finds. On a phone the page scrolls to what ``leads_to`` finds.
    Screen readers say what is ``said`` when it changes.
    """

    def heard() -> None:
        value = sent(key, "pick")
        if isinstance(value, str):
            on_pick(value)
            if leads_to:
                lead_to(leads_to)

    _element(data={"html": html, "stepsFor": steps_for, "said": said}, key=key, on_pick_change=heard)
