"""A visitor in the browser: opens the page, draws with mouse, finger or pen, reads the answer."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from time import monotonic
from typing import Any, Self

import pytest
from playwright.sync_api import CDPSession, Download, Locator, Page, expect

from .runs import Runs

Stroke = list[list[float]]
HEADINGS = {
    "Draw": "Draw a digit",
    "Teach": "Teach it",
    "Train": "Train a network",
    "Lab": "The lab",
    "Models": "Models",
    "Data": "The digits",
}
SLOWEST = 10  # seconds that an expected change may take on a busy machine


def download(button: Locator, runs: Runs) -> Download:
    """Press a download button and return the file. All runs must end first: each gives the button another file."""
    runs.settle()
    with button.page.expect_download() as brought:
        button.click()
    return brought.value


class Visitor:
    """The actions and observations of a visitor on one page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self._runs = Runs(page)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.canvas = page.locator(".st-key-pad canvas.upper-canvas")
        self.digit = page.locator(".answer .digit")

    def open(self, address: str) -> Self:
        self.page.goto(address)
        self.wait_for_pad()
        expect(self.digit).to_have_text("?")
        self.page.wait_for_function("document.querySelector('.st-key-live_ink_element')")
        return self

    def wait_for_pad(self) -> None:
        """Wait until there is one canvas: when a drawing is restored, there are two for a moment."""
        expect(self.canvas).to_have_count(1)

    def draw(self, strokes: list[Stroke]) -> None:
        """Draw strokes, given in the canvas's pixels, with a mouse."""
        for stroke in strokes:
            first, *others = self._places(stroke)
            self.page.mouse.move(*first)
            self.page.mouse.down()
            for place in others:
                self.page.mouse.move(*place)  # a quick hand: each move takes a frame
            self.page.mouse.up()

    def upload(self, name: str, content: bytes) -> None:
        """Upload a picture to be read instead of the pad."""
        upload = self.page.locator(".st-key-upload input[type=file]")
        upload.set_input_files({"name": name, "mimeType": "image/png", "buffer": content})

    def press(self, point: list[float]) -> None:
        self.page.mouse.move(*self.at(point))
        self.page.mouse.down()

    def move(self, point: list[float], steps: int = 6) -> None:
        self.page.mouse.move(*self.at(point), steps=steps)

    def touch(self, strokes: list[Stroke]) -> None:
        """Draw strokes with a finger."""
        for stroke in strokes:
            for number, point in enumerate(stroke):
                self.put_fingers("touchMove" if number else "touchStart", {0: point})
            self.put_fingers("touchEnd", {})

    def put_fingers(self, kind: str, fingers: Mapping[int, Sequence[float]]) -> None:
        """Send a touch event: positions of the fingers that start, move or end; naming none lifts all of them."""
        places = [{"id": finger, **dict(zip("xy", self.at(at), strict=True))} for finger, at in fingers.items()]
        self._cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    def write(self, strokes: list[Stroke]) -> None:
        """Draw strokes with a pen."""
        for stroke in strokes:
            kinds = ["mousePressed", *["mouseMoved"] * (len(stroke) - 1), "mouseReleased"]
            places = self._places(stroke)
            for kind, place in zip(kinds, [*places, places[-1]], strict=True):
                self._put_pen(kind, place)

    def put_pen(self, kind: str, at: Sequence[float]) -> None:
        """Send a pen event, named like the mouse event of the same kind."""
        self._put_pen(kind, self.at(at))

    def _put_pen(self, kind: str, place: tuple[float, float]) -> None:
        pen = {"pointerType": "pen", "button": "left", "buttons": int(kind != "mouseReleased"), "clickCount": 1}
        self._cdp.send("Input.dispatchMouseEvent", {"type": kind, **dict(zip("xy", place, strict=True)), **pen})

    def click(self, name: str, times: int = 1) -> None:
        """Click a button several times at once, faster than any hand."""
        button = self.page.get_by_role("button", name=name)
        expect(button).to_be_enabled()
        button.evaluate("(button, times) => { while (times--) button.click(); }", times)

    def slow_down(self, factor: float) -> None:
        """Make the browser take ``factor`` times as long for everything."""
        self._cdp.send("Emulation.setCPUThrottlingRate", {"rate": factor})

    @cached_property
    def _cdp(self) -> CDPSession:
        """One session for all events: when a session ends, the browser forgets which fingers are down."""
        return self.page.context.new_cdp_session(self.page)

    def inked_pixels(self) -> int:
        """Count the dark pixels of the canvas; waits for one, as there is none between two versions."""
        dark = self.page.wait_for_function(
            """() => {
              const root = [...document.querySelectorAll('.st-key-pad *')].find((e) => e.shadowRoot)?.shadowRoot;
              const canvas = root?.querySelector('.dc-canvas.lower-canvas');
              if (!canvas) return null;
              const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
              let dark = 0;
              for (let i = 0; i < data.length; i += 4) dark += data[i] < 128 && data[i + 3] > 128;
              return {dark};
            }"""
        )
        return int(dark.json_value()["dark"])

    def expect_ink(self, pixels: int) -> None:
        """Wait until this number of the canvas's pixels, give or take 2%, are dark."""
        until = monotonic() + SLOWEST
        while (dark := self.inked_pixels()) != pytest.approx(pixels, rel=0.02):
            assert monotonic() < until, f"{dark} dark pixels instead of {pixels}"
            self.page.wait_for_timeout(50)

    def at(self, point: Sequence[float]) -> tuple[float, float]:
        """Return the position on the page of a point on the canvas."""
        (place,) = self._places([point])
        return place

    def width(self) -> int:
        """Return the width of the page with all its content, which scrolls within an element of Streamlit's."""
        parts = ("document.documentElement", "document.querySelector('[data-testid=stMain]')")
        return max(self.page.evaluate(f"{part}.scrollWidth") for part in parts)

    def settle(self) -> None:
        """Wait until the canvas has reported and the script has run."""
        self._runs.settle()

    def download(self, button: Locator) -> Download:
        return download(button, self._runs)

    def visit(self, title: str) -> None:
        self.page.get_by_role("link", name=title).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(HEADINGS[title])

    def _places(self, points: Iterable[Sequence[float]]) -> list[tuple[float, float]]:
        """Return positions on the page of points on the canvas, by the pad's: the canvas itself is remounted."""
        box: Any = self.page.locator(".st-key-pad").bounding_box()
        return [(box["x"] + x, box["y"] + y) for x, y in points]
