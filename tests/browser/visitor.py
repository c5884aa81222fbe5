"""What a visitor does: open the page, draw with mouse or finger, read the answer."""

from functools import cached_property
from typing import Any, Self

from playwright.sync_api import CDPSession, Page, expect

Stroke = list[list[float]]
HEADINGS = {
    "Draw": "Draw a digit",
    "Teach": "Teach it",
    "Train": "Train a network",
    "Models": "Models",
    "Data": "The digits",
}


class Visitor:
    """Hands and eyes on one page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.canvas = page.locator(".st-key-pad canvas.upper-canvas")
        self.digit = page.locator(".answer .digit")

    def open(self, address: str) -> Self:
        self.page.goto(address)
        self.canvas.wait_for()
        expect(self.digit).to_have_text("?")
        self.page.wait_for_function("document.querySelector('.st-key-live_ink_element')")
        return self

    def draw(self, strokes: list[Stroke]) -> None:
        """Draw strokes given in the canvas's pixels."""
        for stroke in strokes:
            self.press(stroke[0])
            for point in stroke[1:]:
                self.move(point)
            self.page.mouse.up()

    def press(self, point: list[float]) -> None:
        self.page.mouse.move(*self._at(point))
        self.page.mouse.down()

    def move(self, point: list[float], steps: int = 6) -> None:
        self.page.mouse.move(*self._at(point), steps=steps)

    def touch(self, strokes: list[Stroke]) -> None:
        """Draw strokes with a finger."""
        for stroke in strokes:
            for number, point in enumerate(stroke):
                self.put_fingers("touchMove" if number else "touchStart", point)
            self.put_fingers("touchEnd")

    def put_fingers(self, kind: str, *points: list[float]) -> None:
        """One event of all fingers that are on the canvas, in the order in which they came."""
        places = [dict(zip("xy", self._at(point), strict=True)) for point in points]
        self._cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    def write(self, strokes: list[Stroke]) -> None:
        """Draw strokes with a pen."""
        for stroke in strokes:
            kinds = ["mousePressed", *["mouseMoved"] * (len(stroke) - 1), "mouseReleased"]
            for kind, point in zip(kinds, [*stroke, stroke[-1]], strict=True):
                x, y = self._at(point)
                pen = {"pointerType": "pen", "button": "left", "buttons": int(kind != "mouseReleased"), "clickCount": 1}
                self._cdp.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **pen})

    @cached_property
    def _cdp(self) -> CDPSession:
        """One for all events: the browser forgets with a session which fingers are down."""
        return self.page.context.new_cdp_session(self.page)

    def inked_pixels(self) -> int:
        """How many pixels of the canvas are dark."""
        return int(
            self.page.evaluate(
                """() => {
                  const root = [...document.querySelectorAll('.st-key-pad *')].find((e) => e.shadowRoot).shadowRoot;
                  const canvas = root.querySelector('.dc-canvas.lower-canvas');
                  if (!canvas) return 0; // between an old canvas and the next there is none
                  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                  let dark = 0;
                  for (let i = 0; i < data.length; i += 4) dark += data[i] < 128 && data[i + 3] > 128;
                  return dark;
                }"""
            )
        )

    def settle(self) -> None:
        """Until the canvas has spoken and the script has run."""
        self.page.wait_for_timeout(500)
        expect(self.page.locator("[data-testid=stStatusWidget]")).to_have_count(0)

    def visit(self, title: str) -> None:
        self.page.get_by_role("link", name=title).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(HEADINGS[title])

    def _at(self, point: list[float]) -> tuple[float, float]:
        box: Any = self.canvas.bounding_box()
        return box["x"] + point[0], box["y"] + point[1]
