"""Drawing with the keyboard."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from ..conftest import ONE
from .visitor import Visitor

START = [170, 85]  # canvas pixels
STEP, FINE, RADIUS = 10, 2, 9
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
    typist.expect_pen_at(x + FINE - STEP, RADIUS)
    typist.press("ArrowRight", 20)
    typist.expect_pen_at(340 - RADIUS, RADIUS)
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


@pytest.mark.parametrize("key", ["Tab", "Control+z", "Delete"])
def test_leaving_the_pad_undo_and_clear_end_the_stroke(typist: Typist, key: str) -> None:
    visitor = typist.visitor
    typist.focus()
    typist.press(" ")
    typist.press("ArrowDown", 15)
    expect(visitor.digit).to_have_text("1")
    typist.press("Control")
    expect(typist.pen).to_have_class("keyboard-pen down")
    typist.press(key)
    visitor.settle()
    expect(visitor.digit).to_have_text("1" if key == "Tab" else "?")
    if key == "Tab":
        expect(typist.pen).to_have_count(0)
    else:
        expect(typist.pen).to_have_class("keyboard-pen")


def test_a_mouse_that_moves_while_the_keyboard_draws_leaves_no_ink(typist: Typist) -> None:
    visitor = typist.visitor
    typist.focus()
    typist.press(" ")
    typist.press("ArrowDown", 15)
    visitor.move([300, 300])
    typist.press("ArrowDown", 5)
    typist.press(" ")
    visitor.settle()
    expect(visitor.digit).to_have_text("1")


def test_a_mouse_that_draws_after_an_unfinished_stroke_of_the_keyboard_ends_it(typist: Typist) -> None:
    visitor = typist.visitor
    visitor.draw([[[60, 40], [280, 40]], [[60, 120], [280, 120]]])
    visitor.settle()
    two_bars = visitor.inked_pixels()
    typist.focus()
    typist.press("Control+z")
    typist.press(" ")  # so early that the stroke is held
    typist.press("ArrowDown", 5)
    visitor.settle()
    visitor.draw([[[60, 300], [280, 300]]])
    visitor.settle()
    expect(typist.pen).to_have_count(0)
    three_strokes = visitor.inked_pixels()
    assert three_strokes > two_bars
    visitor.click("Undo")
    visitor.settle()
    assert two_bars > visitor.inked_pixels() > two_bars / 2


def test_leaving_the_page_with_the_pen_down_leaves_nothing_behind(typist: Typist) -> None:
    visitor = typist.visitor
    visitor.visit("Models")
    visitor.visit("Draw")
    visitor.wait_for_pad()
    visitor.settle()
    typist.focus()
    typist.press(" ")
    typist.press("ArrowDown", 5)
    typist.page.go_back()
    expect(typist.page.get_by_role("heading", level=1)).to_have_text("Models")
    typist.page.go_forward()
    visitor.wait_for_pad()
    visitor.settle()
    expect(typist.pen).to_have_count(0)
    assert not typist.is_on_pad()


def test_an_arrow_key_whose_release_went_unreported_is_forgotten(typist: Typist) -> None:
    typist.focus()
    typist.page.keyboard.down("ArrowDown")
    typist.press("Meta")
    typist.press("ArrowRight")
    typist.expect_pen_at(START[0] + STEP, START[1] + STEP)


def test_after_a_click_on_the_pad_the_arrow_keys_scroll_the_page(typist: Typist) -> None:
    page = typist.page
    page.set_viewport_size({"width": 1280, "height": 500})
    typist.visitor.draw(ONE)
    typist.visitor.settle()
    main = page.get_by_test_id("stMain")
    typist.press("ArrowDown", 3)
    expect(typist.pen).to_have_count(0)
    assert typist.visitor.canvas.evaluate("(canvas) => getComputedStyle(canvas).outlineWidth") == "1px"
    page.wait_for_function("(main) => main.scrollTop > 0", arg=main.element_handle())
    typist.focus()
    page.wait_for_timeout(SCROLLING)
    before = main.evaluate("(main) => main.scrollTop")
    typist.press("ArrowDown", 3)
    page.wait_for_timeout(SCROLLING)
    assert main.evaluate("(main) => main.scrollTop") == before
    expect(typist.pen).to_have_count(1)
    assert typist.visitor.canvas.evaluate("(canvas) => getComputedStyle(canvas).outlineWidth") == "3px"
