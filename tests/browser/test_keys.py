"""Drawing with the keyboard."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from ..conftest import ONE
from .visitor import Visitor

START = [170, 85]  # canvas pixels
STEP, FINE = 10, 2
SCROLLING = 500  # ms that the page may go on scrolling after a key


class Typist:
    """A visitor without a mouse."""

    def __init__(self, visitor: Visitor) -> None:
        self.page, self.visitor = visitor.page, visitor
        self.pen = self.page.locator(".st-key-pad .keyboard-pen")

    def focus(self) -> None:
        """Come to the pad by Tab: from the top of the page, or from the pad itself if the mouse was used there."""
        if self.is_on_pad():
            self.press("Tab")
            self.press("Shift+Tab")
        for _ in range(20):
            if self.is_on_pad():
                return
            self.press("Tab")
        pytest.fail("the Tab key does not come to the pad")

    def is_on_pad(self) -> bool:
        return bool(self.visitor.canvas.evaluate("(canvas) => canvas.matches(':focus')"))

    def press(self, key: str, times: int = 1) -> None:
        for _ in range(times):
            self.page.keyboard.press(key)

    def diagonally(self, first: str, second: str) -> None:
        """Press a second arrow while the first is held: a step by the first alone, and one by both."""
        self.page.keyboard.down(first)
        self.page.keyboard.press(second)
        self.page.keyboard.up(first)

    def expect_pen_at(self, x: float, y: float) -> None:
        style = self.pen.evaluate("({ style }) => [style.left, style.top]")
        assert style == [f"{x}px", f"{y}px"]


@pytest.fixture
def typist(visitor: Visitor) -> Iterator[Typist]:
    yield Typist(visitor)
    assert visitor.errors == []


def test_a_digit_drawn_with_the_keyboard_is_read_and_survives_a_reload(typist: Typist) -> None:
    visitor = typist.visitor
    typist.focus()
    typist.press("ArrowLeft", 7)
    typist.press(" ")
    typist.press("ArrowRight", 14)
    for _ in range(7):
        typist.diagonally("ArrowDown", "ArrowLeft")
        typist.press("ArrowDown")
    expect(visitor.digit).to_have_text("7")  # before the pen is lifted
    typist.press(" ")
    visitor.settle()
    expect(visitor.digit).to_have_text("7")
    expect(typist.page.get_by_role("button", name="Undo")).to_be_enabled()
    ink = visitor.inked_pixels()
    typist.page.reload()
    expect(visitor.digit).to_have_text("7")
    visitor.expect_ink(ink)


def test_the_pen_moves_by_steps_and_stays_on_the_pad(typist: Typist) -> None:
    expect(typist.pen).to_have_count(0)
    typist.focus()
    x, y = START
    typist.expect_pen_at(x, y)
    typist.press("Shift+ArrowRight")
    typist.expect_pen_at(x + FINE, y)
    typist.diagonally("ArrowUp", "ArrowLeft")
    typist.expect_pen_at(x + FINE - STEP, y - 2 * STEP)
    typist.press("ArrowUp", 10)
    typist.expect_pen_at(x + FINE - STEP, 0)
    typist.press("ArrowRight", 20)
    typist.expect_pen_at(340, 0)
    assert typist.visitor.inked_pixels() == 0


def test_undo_leaves_the_focus_on_the_pad_and_the_next_stroke_may_begin_at_once(typist: Typist) -> None:
    visitor = typist.visitor
    visitor.draw(ONE)
    visitor.settle()
    typist.focus()
    typist.press(" ")
    typist.press("ArrowLeft", 8)
    typist.press(" ")
    visitor.settle()
    two_strokes = visitor.inked_pixels()
    typist.press("Control+z")
    typist.press(" ")  # the new canvas is still to come
    typist.press("ArrowRight", 8)
    typist.press(" ")
    visitor.expect_ink(two_strokes)
    visitor.settle()
    visitor.expect_ink(two_strokes)
    expect(typist.pen).to_have_count(1)


@pytest.mark.parametrize("key", ["Tab", "Control+z"])
def test_another_key_ends_the_stroke(typist: Typist, key: str) -> None:
    visitor = typist.visitor
    typist.focus()
    typist.press(" ")
    typist.press("ArrowDown", 15)
    expect(visitor.digit).to_have_text("1")
    typist.press(key)
    visitor.settle()
    expect(visitor.digit).to_have_text("1" if key == "Tab" else "?")
    expect(typist.pen).to_have_count(0 if key == "Tab" else 1)


def test_after_a_click_on_the_pad_the_arrow_keys_scroll_the_page(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 500})
    typist = Typist(Visitor(page).open(address))
    typist.visitor.draw(ONE)
    typist.visitor.settle()
    main = page.get_by_test_id("stMain")
    typist.press("ArrowDown", 3)
    expect(typist.pen).to_have_count(0)
    page.wait_for_function("(main) => main.scrollTop > 0", arg=main.element_handle())
    typist.focus()
    page.wait_for_timeout(SCROLLING)
    before = main.evaluate("(main) => main.scrollTop")
    typist.press("ArrowDown", 3)
    page.wait_for_timeout(SCROLLING)
    assert main.evaluate("(main) => main.scrollTop") == before
    expect(typist.pen).to_have_count(1)
