"""Undo, Clear, and strokes that are drawn at about the same time."""

from time import monotonic

import pytest
from playwright.sync_api import Page, expect

from ..conftest import ONE
from .cable import Cable
from .visitor import Stroke, Visitor

GIVEN_UP_AFTER = 8  # seconds that the pad waits for the answer to a press


def bar(y: float) -> Stroke:
    return [[100, y], [175, y], [250, y]]


def draw(visitor: Visitor, hand: str, stroke: Stroke, rest: int) -> None:
    """Draw with mouse, finger or pen, with a pause of some ms on the way."""
    if hand == "pen":
        visitor.write([stroke])
        return
    for number, point in enumerate(stroke):
        if hand == "finger":
            visitor.put_fingers("touchMove" if number else "touchStart", {0: point})
        elif number:
            visitor.move(point)
        else:
            visitor.press(point)
        if number == 1:
            visitor.page.wait_for_timeout(rest)
    if hand == "finger":
        visitor.put_fingers("touchEnd", {})
    else:
        visitor.page.mouse.up()


def test_undo_removes_one_stroke_and_clear_removes_all(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    one_stroke = visitor.inked_pixels()
    visitor.draw([[[100, 100], [250, 100]]])
    visitor.settle()
    visitor.page.get_by_role("button", name="Undo").click()
    expect(visitor.digit).to_have_text("1")
    visitor.settle()
    visitor.expect_ink(one_stroke)
    visitor.page.get_by_role("button", name="Clear").click()
    expect(visitor.digit).to_have_text("?", timeout=1000)
    visitor.settle()
    visitor.expect_ink(0)


@pytest.mark.parametrize("keys", ["Control+z", "button"])
def test_undo_right_after_pen_up_removes_that_stroke(visitor: Visitor, keys: str) -> None:
    visitor.draw(ONE)
    visitor.settle()
    one_stroke = visitor.inked_pixels()
    visitor.draw([[[100, 100], [250, 100]]])
    if keys == "button":
        visitor.page.get_by_role("button", name="Undo").click()
    else:
        visitor.page.keyboard.press(keys)
    visitor.settle()
    visitor.expect_ink(one_stroke)
    expect(visitor.digit).to_have_text("1")


def test_undos_in_a_slow_browser_each_remove_one_stroke(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    one_stroke = visitor.inked_pixels()
    visitor.slow_down(6)
    visitor.write([[[100, 100], [250, 100]], [[100, 200], [250, 200]]])
    visitor.click("Undo", times=2)
    visitor.slow_down(1)
    visitor.expect_ink(one_stroke)
    expect(visitor.digit).to_have_text("1")


def test_clear_drops_undos_that_are_still_waiting(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    visitor.slow_down(6)
    visitor.write([[[100, 100], [250, 100]], [[100, 200], [250, 200]]])
    visitor.click("Undo", times=3)
    visitor.click("Clear")
    visitor.slow_down(1)
    visitor.settle()
    visitor.page.wait_for_timeout(1000)  # enough time for a press that still waits
    visitor.settle()
    visitor.expect_ink(0)
    expect(visitor.digit).to_have_text("?")


@pytest.mark.parametrize(
    ("name", "keys"), [("Undo", None), ("Undo", "Control+z"), ("Clear", None), ("Clear", "Delete")]
)
def test_undo_or_clear_waits_until_the_script_knows_the_first_stroke(
    visitor: Visitor, name: str, keys: str | None
) -> None:
    visitor.slow_down(6)
    visitor.write(ONE)
    button = visitor.page.get_by_role("button", name=name)
    assert button.is_disabled()
    if keys:
        visitor.page.keyboard.press(keys)
    else:
        button.click(force=True)
    visitor.slow_down(1)
    visitor.settle()
    visitor.expect_ink(0)


def test_more_undos_than_strokes_do_not_block_later_ones(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    visitor.page.get_by_role("button", name="Undo").evaluate(
        """(button) => {  // as if it were not disabled yet when nothing is left
          new MutationObserver(() => (button.disabled = false)).observe(button, { attributes: true });
        }"""
    )
    visitor.click("Undo", times=3)
    visitor.settle()
    assert visitor.inked_pixels() == 0
    visitor.draw(ONE)
    visitor.settle()
    visitor.page.keyboard.press("Control+z")
    visitor.settle()
    assert visitor.inked_pixels() == 0


def test_undoing_clear_restores_a_stroke_the_script_had_not_seen(visitor: Visitor) -> None:
    bars: list[Stroke] = [[[100, 100], [250, 100]], [[100, 200], [250, 200]]]
    visitor.draw(bars)
    visitor.settle()
    both = visitor.inked_pixels()
    visitor.page.keyboard.press("Delete")
    visitor.settle()
    visitor.draw(bars[:1])
    visitor.settle()
    visitor.slow_down(6)
    visitor.write(bars[1:])
    visitor.page.keyboard.press("Delete")
    visitor.page.keyboard.press("Control+z")
    visitor.slow_down(1)
    visitor.expect_ink(both)
    visitor.settle()
    visitor.expect_ink(both)


def test_a_stroke_begun_just_after_clear_is_not_lost_with_the_old_canvas(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    visitor.page.mouse.move(*visitor.at([100, 100]))
    visitor.click("Clear")
    visitor.page.mouse.down()
    visitor.settle()
    visitor.page.mouse.up()
    visitor.settle()
    dot = visitor.inked_pixels()
    assert dot > 0
    visitor.draw(ONE)
    visitor.settle()
    assert visitor.inked_pixels() > dot
    visitor.page.get_by_role("button", name="Clear").click()
    visitor.settle()
    assert visitor.inked_pixels() == 0


def test_another_mouse_button_does_not_end_the_stroke(visitor: Visitor) -> None:
    visitor.press([100, 200])
    visitor.move([150, 200])
    visitor.page.mouse.down(button="right")
    visitor.page.mouse.up(button="right")
    visitor.move([250, 200])
    visitor.page.mouse.up()
    visitor.settle()
    bar = visitor.inked_pixels()
    visitor.draw([[[100, 100], [250, 100]]])
    visitor.settle()
    visitor.expect_ink(2 * bar)
    visitor.click("Undo")
    visitor.settle()
    visitor.expect_ink(bar)


def test_an_undo_while_the_pen_is_down_waits_for_the_stroke(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    one_stroke = visitor.inked_pixels()
    visitor.press([100, 100])
    visitor.move([180, 100])
    visitor.page.keyboard.press("Control+z")
    visitor.move([250, 100])
    visitor.page.mouse.up()
    visitor.settle()
    visitor.expect_ink(one_stroke)
    visitor.settle()
    visitor.expect_ink(one_stroke)


def test_the_undo_shortcut_also_waits_while_the_pen_width_slider_has_focus(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    one_stroke = visitor.inked_pixels()
    visitor.touch([[[100, 100], [250, 100]]])
    visitor.page.get_by_role("slider").focus()
    visitor.page.keyboard.press("Control+z")
    visitor.settle()
    visitor.expect_ink(one_stroke)


def test_a_second_clear_drops_an_undo_that_waits_for_the_first(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    expect(visitor.page.get_by_role("button", name="Clear")).to_be_enabled()
    visitor.page.evaluate(
        """() => {
          const [undo, clear] = ["undo", "clear"].map((name) => document.querySelector(`.st-key-${name} button`));
          clear.click();
          setTimeout(() => [undo, clear].forEach((button) => button.click()), 10);
        }"""
    )
    visitor.settle()
    visitor.page.wait_for_timeout(500)  # enough time for a press that still waits
    visitor.settle()
    assert visitor.inked_pixels() == 0


@pytest.mark.parametrize("name", ["Undo", "Clear"])
def test_lifting_the_pen_over_a_button_does_not_press_it(visitor: Visitor, name: str) -> None:
    pad, button = visitor.canvas.bounding_box(), visitor.page.get_by_role("button", name=name).bounding_box()
    assert pad and button
    beyond = [button["x"] + button["width"] / 2 - pad["x"], button["y"] + button["height"] / 2 - pad["y"]]
    visitor.slow_down(6)
    visitor.write([*ONE, [[60, 100], [60, 300], beyond]])  # so quickly that the buttons are still disabled
    visitor.slow_down(1)
    visitor.settle()
    visitor.page.wait_for_timeout(1000)  # enough time for a press that still waits
    visitor.settle()
    both = visitor.inked_pixels()
    assert both > 8000
    visitor.move([250, 60])
    visitor.settle()
    assert visitor.inked_pixels() == both  # the pen is up


def test_clear_waits_for_the_undo_before_it(visitor: Visitor) -> None:
    bars: list[Stroke] = [[[100, 100], [250, 100]], [[100, 200], [250, 200]]]
    visitor.draw(bars)
    visitor.settle()
    expect(visitor.page.get_by_role("button", name="Clear")).to_be_enabled()
    visitor.page.evaluate(
        """() => {
          const [undo, clear] = ["undo", "clear"].map((name) => document.querySelector(`.st-key-${name} button`));
          const canvases = () => [...document.querySelectorAll(".st-key-pad *")].filter((e) => e.shadowRoot);
          const [old] = canvases();
          document.addEventListener("click", ({target}) => {
            if (clear.contains(target)) window.isAnswered = canvases().some((canvas) => canvas !== old);
          });
          undo.click();
          setTimeout(() => clear.click(), 10);
        }"""
    )
    visitor.settle()
    visitor.expect_ink(0)
    assert visitor.page.evaluate("window.isAnswered")
    visitor.page.keyboard.press("Control+z")
    visitor.settle()
    one_bar = visitor.inked_pixels()
    assert one_bar > 0
    visitor.page.keyboard.press("Delete")
    visitor.settle()
    visitor.draw(bars[1:])
    visitor.settle()
    for keys in ("Control+z", "Delete", "Control+z"):  # the first leaves nothing to clear
        visitor.page.keyboard.press(keys)
    visitor.settle()
    visitor.expect_ink(one_bar)


@pytest.mark.parametrize(("name", "left"), [("Undo", 1), ("Clear", 0)])
def test_a_stroke_waits_for_an_undo_or_clear_that_is_itself_waiting(visitor: Visitor, name: str, left: int) -> None:
    bars: list[Stroke] = [[[100, 60], [250, 60]], [[100, 160], [250, 160]], [[100, 260], [250, 260]]]
    visitor.draw(bars[:1])
    visitor.settle()
    bar = visitor.inked_pixels()
    visitor.write(bars[1:2])
    visitor.click(name)
    visitor.press([100, 260])
    visitor.page.wait_for_timeout(1000)  # meanwhile the script receives the previous stroke
    visitor.move([250, 260])
    visitor.page.mouse.up()
    visitor.settle()
    visitor.expect_ink((left + 1) * bar)
    visitor.write(bars[1:2])
    visitor.click("Undo", times=2)
    visitor.settle()
    visitor.expect_ink(left * bar)


@pytest.mark.parametrize(
    ("keys", "left", "hand", "rest"),
    [
        ("Delete", 0, "mouse", 0),
        ("Control+z", 1, "mouse", 1500),
        ("Control+z", 1, "finger", 0),
        ("Delete", 0, "finger", 1500),
        ("Control+z", 1, "pen", 0),
    ],
)
def test_a_stroke_begun_before_the_next_canvas_arrives_is_drawn_on_it(
    page: Page, cable: Cable, keys: str, left: int, hand: str, rest: int
) -> None:
    visitor = Visitor(page).open(cable.address)
    draw(visitor, hand, bar(60), 0)
    visitor.settle()
    one_bar = visitor.inked_pixels()
    draw(visitor, hand, bar(120), 0)
    visitor.settle()
    cable.delay = 0.2
    page.keyboard.press(keys)
    draw(visitor, hand, bar(180), rest)
    visitor.expect_ink((left + 1) * one_bar)
    cable.delay = 0
    visitor.settle()
    draw(visitor, hand, bar(240), 0)  # drawing goes on as usual
    visitor.settle()
    visitor.expect_ink((left + 2) * one_bar)
    for strokes in (left + 1, left):
        page.keyboard.press("Control+z")
        visitor.settle()
        visitor.expect_ink(strokes * one_bar)
    assert not visitor.errors


@pytest.mark.parametrize("wait", [350, 400, 500])  # ms
def test_strokes_drawn_soon_after_clear_are_not_lost(page: Page, cable: Cable, wait: int) -> None:
    visitor = Visitor(page).open(cable.address)
    visitor.draw([bar(60)])
    visitor.settle()
    one_bar = visitor.inked_pixels()
    visitor.draw([bar(120)])
    visitor.settle()
    cable.delay = 0.2
    page.keyboard.press("Delete")
    page.wait_for_timeout(wait)
    visitor.write([bar(180), bar(240)])
    page.keyboard.press("Control+z")  # undoes the second of these
    visitor.settle()
    visitor.expect_ink(one_bar)
    page.keyboard.press("Delete")
    visitor.settle()
    visitor.expect_ink(0)


def two_bars(visitor: Visitor) -> int:
    """Draw two bars; return the number of pixels of one."""
    visitor.draw([bar(60)])
    visitor.settle()
    pixels = visitor.inked_pixels()
    visitor.draw([bar(120)])
    visitor.settle()
    return pixels


def test_a_second_finger_does_not_block_a_waiting_undo(visitor: Visitor) -> None:
    one_bar = two_bars(visitor)
    visitor.put_fingers("touchStart", {0: [100, 180]})
    visitor.put_fingers("touchMove", {0: [150, 180]})
    visitor.page.keyboard.press("Control+z")
    visitor.put_fingers("touchStart", {0: [150, 180], 1: [40, 300]})
    for x in (200, 250):
        visitor.put_fingers("touchMove", {0: [x, 180], 1: [40, 300]})
    visitor.put_fingers("touchEnd", {1: [40, 300]})
    visitor.put_fingers("touchEnd", {})
    visitor.settle()
    visitor.expect_ink(2 * one_bar)
    visitor.settle()
    visitor.expect_ink(2 * one_bar)


def test_a_palm_does_not_disturb_a_pen_stroke_that_waits(page: Page, cable: Cable) -> None:
    visitor = Visitor(page).open(cable.address)
    one_bar = two_bars(visitor)
    cable.delay = 0.2
    page.keyboard.press("Delete")
    visitor.put_pen("mousePressed", [100, 180])
    visitor.put_pen("mouseMoved", [150, 180])
    visitor.put_fingers("touchStart", {0: [40, 310]})
    visitor.put_pen("mouseMoved", [250, 180])
    visitor.put_pen("mouseReleased", [250, 180])
    visitor.put_fingers("touchEnd", {})
    visitor.expect_ink(one_bar)


def test_leaving_the_page_during_a_waiting_stroke_lifts_the_pen(page: Page, cable: Cable) -> None:
    visitor = Visitor(page).open(cable.address)
    one_bar = two_bars(visitor)
    cable.delay = 0.3
    page.keyboard.press("Delete")
    visitor.press([100, 180])
    visitor.move([175, 180])
    models, draw = (page.get_by_role("link", name=name, exact=True) for name in ("Models", "Draw"))
    models.evaluate("(link) => link.click()")
    expect(page.locator(".st-key-pad")).to_have_count(0)
    page.mouse.up()
    cable.delay = 0
    draw.evaluate("(link) => link.click()")  # not with the mouse, which the canvas would notice
    visitor.wait_for_pad()
    visitor.settle()
    visitor.expect_ink(0)
    page.keyboard.press("Control+z")  # a pen that is down would delay it
    visitor.settle()
    visitor.expect_ink(2 * one_bar)


def test_another_mouse_button_does_not_prolong_a_waiting_stroke(page: Page, cable: Cable) -> None:
    visitor = Visitor(page).open(cable.address)
    one_bar = two_bars(visitor)
    cable.delay = 0.2
    page.keyboard.press("Delete")
    visitor.press([100, 180])
    visitor.move([250, 180])
    page.mouse.down(button="right")
    page.mouse.up()
    page.mouse.up(button="right")
    visitor.expect_ink(one_bar)
    visitor.move([250, 300])
    visitor.draw([bar(240)])
    visitor.settle()
    visitor.expect_ink(2 * one_bar)


def test_strokes_drawn_while_undo_waits_for_the_network_appear_in_time(page: Page, cable: Cable) -> None:
    visitor = Visitor(page).open(cable.address)
    one_bar = two_bars(visitor)
    cable.pull_out()
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    page.keyboard.press("Control+z")
    visitor.draw([bar(160)])
    page.wait_for_timeout(2000)
    visitor.draw([bar(200)])  # before Streamlit covers the page with its network message
    since = monotonic()
    visitor.expect_ink(4 * one_bar)
    assert monotonic() - since < GIVEN_UP_AFTER  # the second stroke has delayed nothing


def test_a_stroke_that_waited_keeps_the_times_at_which_it_was_drawn(page: Page, cable: Cable) -> None:
    visitor = Visitor(page).open(cable.address)
    one_bar = two_bars(visitor)
    cable.delay = 0.2
    page.keyboard.press("Delete")
    visitor.press([100, 180])
    page.wait_for_timeout(300)
    visitor.move([250, 180])
    page.mouse.up()
    visitor.expect_ink(one_bar)
    timeline = page.evaluate(
        """() => {
          const detail = { strokes: [[[100, 180], [250, 180]]] };
          document.dispatchEvent(new CustomEvent("ink-timeline", { detail }));
          return detail.timeline;
        }"""
    )
    assert timeline[-1]["time"] - timeline[0]["time"] >= 300
