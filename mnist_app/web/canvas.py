"""The ink on one visitor's pad: accepted from the canvas, undone, cleared, replaced and brought back."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import streamlit as st

from mnist_app.ink.strokes import Drawing, DrawingError

CANVASES = 8  # widget keys used in turn, because Streamlit remembers every key until the session ends
PAD_SIDE = 340  # CSS pixels: fits a phone 375 px wide; style.css shrinks it on smaller ones
INK = "#1a1a1a"  # in both themes, like the paper
PEN_WIDTHS, USUAL_PEN = (6, 40), 18  # CSS pixels


@dataclass
class Pad:
    """One visitor's pad. Each version mounts a new canvas, which starts with ``restored`` and then owns the ink."""

    version: int = 0
    restored: dict[str, Any] | None = None  # Fabric JSON that this version's canvas started with
    latest: dict[str, Any] | None = None  # Fabric JSON as the canvas last sent it
    covered: tuple[int, dict[str, Any] | None] | None = None  # number of strokes put over the ink, and that ink
    ahead: Drawing | None = None  # ink that was read before this version's canvas sent it
    is_untouched: bool = True  # nothing drawn, cleared or brought back yet, so ink from before a reload is accepted

    @property
    def key(self) -> str:
        """The widget key. By the time it is used again, the canvas that had it before has sent its last message."""
        return f"pad-{self.version % CANVASES}"

    def show(self, ink: dict[str, Any] | None) -> None:
        """Show ink on a new canvas, and discard what is on the present one."""
        self.version += 1
        self.restored = self.latest = ink
        self.ahead = None

    def put(self, drawing: Drawing) -> None:
        """Replace the ink with a drawing. Undo brings the ink back, including a stroke that came with the press."""
        self.catch_up()
        self.is_untouched = False
        self.covered = len(drawing.strokes), self.latest
        pen = drawing.pen_width or USUAL_PEN
        self.show(drawing.moved_onto(PAD_SIDE, pen / 2).to_fabric(pen, INK))

    def clear(self) -> None:
        """Start over on a blank canvas. Undo brings the ink back, including a stroke that came with the press."""
        self.catch_up()
        if not self.strokes:  # a second press must not replace what the first one covered
            return
        self.is_untouched = False
        self.covered = 0, self.latest
        self.show(None)

    def restore(self, ink: Any) -> None:
        """Show ink from before a reload, if there was any and it is a valid drawing."""
        if ink is not None:
            with suppress(DrawingError):
                self.accept({"drawing": {"raw": ink}})
                self.show(self.latest)
        self.is_untouched = False

    def accept(self, state: Any) -> None:
        """Accept the canvas state sent by the browser. Raises DrawingError if it is malformed."""
        try:
            drawing, fit = state.get("drawing"), state.get("backgroundFit")
            ink = drawing if drawing is None else drawing["raw"]
        except (AttributeError, KeyError, TypeError):
            raise DrawingError("The canvas sent something that is not a drawing.") from None
        if fit is not None or not isinstance(ink, dict | None):
            raise DrawingError("The canvas sent something that is not a drawing.")
        if ink is not None:
            Drawing.from_fabric(ink)
            self.latest = ink
            self.is_untouched = False

    def catch_up(self) -> None:
        """Accept what the canvas sent together with the press that this run answers, before it is replaced."""
        with suppress(KeyError, DrawingError):  # nothing drawn on this canvas yet, or malformed
            self.accept(st.session_state[self.key])

    @property
    def can_undo(self) -> bool:
        """Whether there is anything to undo."""
        return bool(self.strokes or self.covered)

    def undo(self) -> None:
        """Remove the last stroke, even one that came with the press; or undo put() or clear()."""
        self.catch_up()
        if self.covered and len(self.strokes) == self.covered[0]:
            ink, self.covered = self.covered[1], None
            self.show(ink)
        elif self.strokes:
            self.show({**(self.latest or {}), "objects": self.strokes[:-1]})

    @property
    def strokes(self) -> list[Any]:
        """The Fabric objects on the canvas."""
        return list((self.latest or {}).get("objects", []))

    @property
    def drawing(self) -> Drawing:
        """The ink as the canvas last sent it."""
        return Drawing.from_fabric(self.latest or {})

    @property
    def drawn(self) -> list[list[list[float]]]:
        """The ink in whole pixels: the same after show(), even if the new canvas sends slightly other points."""
        return in_whole_pixels(self.drawing)


def in_whole_pixels(drawing: Drawing) -> list[list[list[float]]]:
    return [stroke.round().tolist() for stroke in drawing.strokes]
