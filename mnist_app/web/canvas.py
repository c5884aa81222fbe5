"""What is on one visitor's canvas: undone, cleared, put over and brought back."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import streamlit as st

from mnist_app.ink.strokes import Drawing, DrawingError

CANVASES = 8  # names in turn: Streamlit remembers each name for as long as the session lasts
PAD_SIDE = 340  # CSS pixels: as large as a 375 px wide phone has room for; style.css makes it smaller on smaller ones
INK = "#1a1a1a"  # the same in both themes, as the paper is
PEN_WIDTHS, USUAL_PEN = (6, 40), 18  # CSS pixels


@dataclass
class Pad:
    """One visitor's canvas. A new version is a new canvas, which starts with ``restored`` and then owns the ink."""

    version: int = 0
    restored: dict[str, Any] | None = None  # Fabric JSON that this version of the canvas started with
    latest: dict[str, Any] | None = None  # Fabric JSON as the canvas last sent it
    covered: tuple[int, dict[str, Any] | None] | None = None  # strokes of what was put over the ink, and that ink
    ahead: Drawing | None = None  # the ink as it was read before this version of the canvas told of it
    is_untouched: bool = True  # nothing was drawn, cleared or brought back yet: ink from before a reload is welcome

    @property
    def key(self) -> str:
        """The canvas's name; by the time it comes again, whatever the earlier one had to say has long been said."""
        return f"pad-{self.version % CANVASES}"

    def show(self, ink: dict[str, Any] | None) -> None:
        """Put ink on a new canvas; what is on the present one is given up."""
        self.version += 1
        self.restored = self.latest = ink
        self.ahead = None

    def put(self, drawing: Drawing) -> None:
        """Show a drawing in place of what is on the canvas, which Undo brings back, even what came with the press."""
        self.catch_up()
        self.is_untouched = False
        self.covered = len(drawing.strokes), self.latest
        pen = drawing.pen_width or USUAL_PEN
        self.show(drawing.moved_onto(PAD_SIDE, pen / 2).to_fabric(pen, INK))

    def clear(self) -> None:
        """Start over on a blank canvas; Undo brings back what was on this one, even what came with the press."""
        self.catch_up()
        if not self.strokes:  # a second press, which is not to take the first one's place
            return
        self.is_untouched = False
        self.covered = 0, self.latest
        self.show(None)

    def bring_back(self, ink: Any) -> None:
        """Show ink from before a reload, if there was any and it can be a drawing."""
        if ink is not None:
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

    def catch_up(self) -> None:
        """Take over what the canvas sent together with what this run answers, if anything, before it is shown anew."""
        with suppress(KeyError, DrawingError):  # nothing drawn on this canvas yet, or nothing that a canvas sends
            self.accept(st.session_state[self.key])

    @property
    def can_undo(self) -> bool:
        """Whether there is anything to take back."""
        return bool(self.strokes or self.covered)

    def undo(self) -> None:
        """Take back the last stroke, even one that the canvas sent together with this; or what was put on the pad."""
        self.catch_up()
        if self.covered and len(self.strokes) == self.covered[0]:
            ink, self.covered = self.covered[1], None
            self.show(ink)
        elif self.strokes:
            self.show({**(self.latest or {}), "objects": self.strokes[:-1]})

    @property
    def strokes(self) -> list[Any]:
        """The objects on the canvas."""
        return list((self.latest or {}).get("objects", []))

    @property
    def drawing(self) -> Drawing:
        """The ink as the canvas last sent it."""
        return Drawing.from_fabric(self.latest or {})

    @property
    def drawn(self) -> list[list[list[float]]]:
        """The ink in whole pixels: the same after the canvas was shown anew, whatever else it then says of it."""
        return in_whole_pixels(self.drawing)


def in_whole_pixels(drawing: Drawing) -> list[list[list[float]]]:
    return [stroke.round().tolist() for stroke in drawing.strokes]
