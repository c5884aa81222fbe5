"""Every state key and every cached loader, in one place."""

from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, cast

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mnist_app.dataset import Digits, Source, load_split
from mnist_app.fetch import Download
from mnist_app.photo import open_image
from mnist_app.preprocessing import Prepared, prepare_image
from mnist_app.recognition import load_recogniser
from mnist_app.registry import Model
from mnist_app.strokes import Drawing, DrawingError

CANVASES = 8  # names in turn: Streamlit remembers each name for as long as the session lasts
PAD_SIDE = 340  # CSS pixels: as large as a 390 px wide phone has room for
PEN_WIDTHS, USUAL_PEN = (6, 40), 18  # CSS pixels

PEN_WIDTH = "pen_width"
UPLOAD = "upload"
_PAD = "pad"
_PAGE = "page"
_PREPARED = "prepared_upload"

_decoding = Lock()  # one picture at a time: decoded, a large one takes a quarter of a GB


@st.cache_resource(show_spinner=False)
def model(name: str) -> Model:
    """A model by its name, loaded once for all sessions. Raises ModelError."""
    return load_recogniser(name)


@st.cache_resource(show_spinner="Reading the digits")
def split(name: str, source: Source) -> Digits:
    """One split, read once for all sessions; ``source`` only says when to read again."""
    return load_split(name)


def prepared_upload(upload: UploadedFile) -> Prepared:
    """An uploaded picture ready to be read; worked out once, however often the page runs. Raises AppError."""
    kept = st.session_state.get(_PREPARED)
    if kept is None or kept[0] != upload.file_id:
        with _decoding:
            kept = upload.file_id, prepare_image(open_image(upload.getvalue()))
        st.session_state[_PREPARED] = kept
    return cast(Prepared, kept[1])


@st.cache_resource(show_spinner=False)
def downloads() -> list[Download]:
    """The download that is under way or ended last, if any: one for all visitors."""
    return []


@dataclass
class Pad:
    """One visitor's canvas. A new version is a new canvas, which starts with ``restored`` and then owns the ink."""

    version: int = 0
    restored: dict[str, Any] | None = None  # Fabric JSON that this version of the canvas started with
    latest: dict[str, Any] | None = None  # Fabric JSON as the canvas last sent it
    is_untouched: bool = True  # nothing was drawn, cleared or brought back yet: ink from before a reload is welcome

    @property
    def key(self) -> str:
        """The canvas's name; by the time it comes again, whatever the earlier one had to say has long been said."""
        return f"pad-{self.version % CANVASES}"

    def show(self, ink: dict[str, Any] | None) -> None:
        """Put ink on a new canvas; what is on the present one is given up."""
        self.version += 1
        self.restored = self.latest = ink

    def clear(self) -> None:
        """Start over on a blank canvas."""
        self.is_untouched = False
        self.show(None)

    def bring_back(self, ink: Any) -> None:
        """Show what the browser kept over a reload, if this visitor has drawn nothing since and it can be a drawing."""
        if self.is_untouched:
            with suppress(DrawingError):
                self.accept({"drawing": {"raw": ink}})
                self.show(self.latest)
        self.is_untouched = False

    def accept(self, state: Any) -> None:
        """Take over what the browser holds as the state of this canvas, if it can be that. Raises DrawingError."""
        try:
            drawing, fit = state.get("drawing"), state.get("backgroundFit")
            ink = drawing if drawing is None else drawing["raw"]
        except (AttributeError, KeyError, TypeError):
            raise DrawingError("The canvas sent something that is no drawing.") from None
        if fit is not None or not isinstance(ink, dict | None):
            raise DrawingError("The canvas sent something that is no drawing.")
        if ink is not None:
            Drawing.from_fabric(ink)
            self.latest = ink
            self.is_untouched = False

    def undo(self) -> None:
        """Take back the last stroke, even one that the canvas sent together with this."""
        with suppress(KeyError, DrawingError):  # nothing drawn on this canvas yet, or nothing that a canvas sends
            self.accept(st.session_state[self.key])
        if self.strokes:
            self.show({**(self.latest or {}), "objects": self.strokes[:-1]})

    @property
    def strokes(self) -> list[Any]:
        """The objects on the canvas."""
        return list((self.latest or {}).get("objects", []))


def pad() -> Pad:
    """This visitor's canvas."""
    return cast(Pad, st.session_state.setdefault(_PAD, Pad()))


def arrive_at(page: str) -> None:
    """Note which page this run shows. A canvas that was out of sight comes back with the ink it last had."""
    st.session_state[PEN_WIDTH] = st.session_state.get(PEN_WIDTH, USUAL_PEN)  # or a page without it forgets it
    if st.session_state.get(_PAGE) != page:
        st.session_state[_PAGE] = page
        pad().show(pad().latest)
