"""Every state key and every cached loader, in one place."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import streamlit as st

from mnist_app.dataset import Digits, Source, load_split
from mnist_app.recognition import load_recogniser
from mnist_app.registry import Model

PAD_SIDE = 340  # CSS pixels: as large as a 390 px wide phone has room for
PEN_WIDTHS, USUAL_PEN = (6, 40), 18  # CSS pixels

PEN_WIDTH = "pen_width"
UPLOAD = "upload"
_PAD = "pad"
_PAGE = "page"


@st.cache_resource(show_spinner=False)
def model(name: str) -> Model:
    """A model by its name, loaded once for all sessions. Raises ModelError."""
    return load_recogniser(name)


@st.cache_resource(show_spinner="Reading the digits")
def split(name: str, source: Source) -> Digits:
    """One split, read once for all sessions; ``source`` only says when to read again."""
    return load_split(name)


@dataclass
class Pad:
    """One visitor's canvas. A new version is a new canvas, which starts with ``restored`` and then owns the ink."""

    version: int = 0
    restored: dict[str, Any] | None = None  # Fabric JSON that this version of the canvas started with
    latest: dict[str, Any] | None = None  # Fabric JSON as the canvas last sent it

    @property
    def key(self) -> str:
        return f"pad-{self.version}"

    def show(self, ink: dict[str, Any] | None) -> None:
        """Put ink on a new canvas; what is on the present one is given up."""
        self.version += 1
        self.restored = self.latest = ink

    def clear(self) -> None:
        """Start over on a blank canvas."""
        self.show(None)

    def undo(self) -> None:
        """Take back the last stroke, even one that the canvas sent together with this."""
        with suppress(KeyError, TypeError):  # nothing drawn on this canvas yet, or nothing that a canvas sends
            newest = st.session_state[self.key]["drawing"]["raw"]
            self.latest = newest if isinstance(newest, dict) else self.latest
        strokes = self.strokes
        if strokes:
            self.show({**(self.latest or {}), "objects": strokes[:-1]})

    @property
    def strokes(self) -> list[Any]:
        """The objects on the canvas."""
        objects = (self.latest or {}).get("objects", [])
        return objects if isinstance(objects, list) else []


def pad() -> Pad:
    """This visitor's canvas."""
    return cast(Pad, st.session_state.setdefault(_PAD, Pad()))


def arrive_at(page: str) -> None:
    """Note which page this run shows. A canvas that was out of sight comes back with the ink it last had."""
    if st.session_state.get(_PAGE) != page:
        st.session_state[_PAGE] = page
        pad().show(pad().latest)
