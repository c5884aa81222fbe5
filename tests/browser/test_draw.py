"""The Draw page, where tests need a real browser."""

import gzip
import io
import json
import math
import os
import re
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, Route, expect

from ..conftest import ONE, SEVEN, TWO, ZERO
from .visitor import Stroke, Visitor

BOX_SIDE = 220  # size of real ink, canvas pixels


def picture_of(strokes: list[Stroke], kind: str = "PNG") -> bytes:
    image = Image.new("RGB", (400, 400), "white")
    for stroke in strokes:
        ImageDraw.Draw(image).line([tuple(point) for point in stroke], fill="black", width=20, joint="curve")
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(("strokes", "digit"), [(ZERO, "0"), (ONE, "1"), (TWO, "2"), (SEVEN, "7")])
def test_a_digit_drawn_with_the_mouse_is_read(visitor: Visitor, strokes: list[Stroke], digit: str) -> None:
    visitor.draw(strokes)
    expect(visitor.digit).to_have_text(digit)
    visitor.settle()
    expect(visitor.digit).to_have_text(digit)
    expect(visitor.page.locator(".steps figure")).to_have_count(5)  # the steps to 28 by 28, and the pen's trajectory
    assert not visitor.errors


def thinned(stroke: Stroke) -> Stroke:
    """Keep points at least ten pixels apart, and the last: fewer mouse events for practically the same ink."""
    kept = stroke[:1]
    for point in stroke[1:]:
        if math.dist(kept[-1], point) >= 10:
            kept.append(point)
    return kept if kept[-1] == stroke[-1] else [*kept, stroke[-1]]


def test_real_pen_strokes_are_read(visitor: Visitor) -> None:
    folder = os.environ.get("INK_COLLECTIONS")
    if not folder:
        pytest.skip("needs real pen strokes: set INK_COLLECTIONS")
    with gzip.open(Path(folder) / "unipen-syn.jsonl.gz") as file:
        records = [json.loads(line) for line in file][:2400:400]
    right = 0
    for record in records:
        scale = BOX_SIDE / 1000
        strokes = [[[60 + x * scale, 60 + y * scale] for x, y in stroke] for stroke in record["strokes"]]
        visitor.write([thinned(stroke) for stroke in strokes])
        visitor.settle()
        right += visitor.digit.inner_text() == str(record["label"])
        visitor.page.get_by_role("button", name="Clear").click()
        expect(visitor.digit).to_have_text("?")
        visitor.settle()  # the next canvas is here
    assert (len(records), right) == (6, 6)


def test_a_blank_pad_invites_to_draw_and_predicts_nothing(visitor: Visitor) -> None:
    expect(visitor.page.locator(".answer .words")).to_have_text("Draw a digit")
    assert visitor.page.locator(".answer .share").all_inner_texts() == [""] * 10
    expect(visitor.page.get_by_role("button", name="Undo")).to_be_disabled()


def test_a_digit_is_read_before_the_pen_is_lifted(visitor: Visitor) -> None:
    visitor.press(ONE[0][0])
    for point in ONE[0][1:]:
        visitor.move(point)
    expect(visitor.digit).to_have_text("1")


def test_a_tap_that_slips_is_refused_both_before_and_after_pen_up(visitor: Visitor) -> None:
    words = visitor.page.locator(".answer .words")
    visitor.press([170, 170])
    visitor.move([172, 176], steps=3)
    expect(words).to_have_text("Not a digit I know")
    visitor.page.mouse.up()
    visitor.settle()
    expect(words).to_have_text("Not a digit I know")


def test_a_screen_reader_announces_an_answer_once_at_pen_up(visitor: Visitor) -> None:
    visitor.page.evaluate(
        """() => {
          window.said = [];
          const status = document.querySelector(".st-key-live_ink .spoken");
          new MutationObserver(() => window.said.push(status.textContent)).observe(status, {childList: true});
        }"""
    )
    visitor.press(ONE[0][0])
    for point in ONE[0][1:]:
        visitor.move(point)
    expect(visitor.digit).to_have_text("1")
    assert visitor.page.evaluate("window.said") == []
    visitor.page.mouse.up()
    visitor.settle()
    said = visitor.page.evaluate("window.said")
    assert len(said) == 1
    assert said[0].startswith("I read 1.")


def test_shortcuts_undo_and_clear(visitor: Visitor) -> None:
    visitor.draw(SEVEN)
    visitor.settle()
    before = visitor.inked_pixels()
    visitor.page.keyboard.press("Control+z")
    visitor.settle()
    assert 0 < visitor.inked_pixels() < before
    visitor.page.keyboard.press("Delete")
    expect(visitor.digit).to_have_text("?")
    visitor.settle()
    visitor.page.keyboard.press("Control+z")
    visitor.settle()
    assert visitor.inked_pixels() > 0


def test_the_tab_title_names_the_page(visitor: Visitor) -> None:
    expect(visitor.page).to_have_title("Draw a digit")
    visitor.visit("Models")
    expect(visitor.page).to_have_title("Models · Draw a digit")
    visitor.visit("Draw")
    expect(visitor.page).to_have_title("Draw a digit")


def test_the_canvas_toolbar_cannot_erase_the_drawing(visitor: Visitor) -> None:
    visitor.draw(TWO)
    visitor.settle()
    for x in range(200, 340, 14):
        visitor.draw([[[x, 6]]])
    visitor.settle()
    assert visitor.inked_pixels() > 2000


@pytest.mark.parametrize("delay", [0, 180])  # ms; the canvas reports a stroke after 200
def test_a_link_followed_right_after_pen_up_leads_on_and_loses_no_stroke(visitor: Visitor, delay: int) -> None:
    link = visitor.page.get_by_role("link", name="Models").bounding_box()
    assert link
    visitor.draw(ONE)
    visitor.settle()
    one = visitor.inked_pixels()
    visitor.draw([[[60, 320], [180, 320], [300, 320]]])
    visitor.page.wait_for_timeout(delay)
    visitor.page.mouse.click(link["x"] + link["width"] / 2, link["y"] + link["height"] / 2)
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Models")
    visitor.visit("Draw")
    visitor.wait_for_pad()
    visitor.settle()
    assert visitor.inked_pixels() > 1.3 * one
    assert visitor.errors == []


def test_the_drawing_survives_a_visit_to_another_page(visitor: Visitor) -> None:
    visitor.draw(SEVEN)
    visitor.settle()
    drawn = visitor.inked_pixels()
    visitor.visit("Models")
    expect(visitor.page.get_by_text("72,666")).to_be_visible()
    visitor.visit("Draw")
    visitor.wait_for_pad()
    visitor.settle()
    visitor.expect_ink(drawn)
    expect(visitor.digit).to_have_text("7")
    visitor.draw([[[60, 320], [300, 320]]])  # the restored ink can be drawn on
    visitor.settle()
    visitor.page.get_by_role("button", name="Undo").click()
    visitor.settle()
    visitor.expect_ink(drawn)


def test_the_drawing_survives_reloads_until_it_is_cleared(visitor: Visitor) -> None:
    visitor.draw(SEVEN)
    visitor.settle()
    drawn = visitor.inked_pixels()
    for _ in range(2):
        visitor.page.reload()
        visitor.wait_for_pad()
        expect(visitor.digit).to_have_text("7")
        visitor.settle()
        visitor.expect_ink(drawn)
    visitor.page.get_by_role("button", name="Undo").click()
    visitor.settle()
    assert 0 < visitor.inked_pixels() < drawn
    visitor.page.get_by_role("button", name="Clear").click()
    expect(visitor.digit).to_have_text("?")
    visitor.settle()
    visitor.page.reload()
    visitor.wait_for_pad()
    visitor.settle()
    expect(visitor.digit).to_have_text("?")
    visitor.expect_ink(0)


@pytest.mark.parametrize(
    "kept", ["{", "5", "null", '{"ink": 5, "secret": 5}', '{"ink": {"objects": [{"type": "Image", "src": "x"}]}}']
)
def test_malformed_ink_in_session_storage_is_ignored(page: Page, address: str, kept: str) -> None:
    page.add_init_script(f"sessionStorage.setItem('draw-a-digit', {json.dumps(kept)})")
    visitor = Visitor(page).open(address)
    visitor.settle()
    expect(visitor.digit).to_have_text("?")
    visitor.draw(SEVEN)
    expect(visitor.digit).to_have_text("7")
    assert not visitor.errors


def test_the_drawing_survives_a_change_of_theme_and_of_pen_width(visitor: Visitor) -> None:
    visitor.draw(SEVEN)
    visitor.settle()
    drawn = visitor.inked_pixels()
    visitor.page.emulate_media(color_scheme="dark")
    visitor.settle()
    visitor.expect_ink(drawn)
    slider = visitor.page.get_by_role("slider", name="Pen width")
    slider.press("ArrowRight")
    visitor.settle()
    visitor.expect_ink(drawn)
    expect(visitor.digit).to_have_text("7")
    visitor.visit("Data")
    visitor.visit("Draw")
    expect(slider).to_have_value("19")


def test_the_drawing_survives_a_key_held_down_on_the_pen_width_slider(visitor: Visitor) -> None:
    visitor.page.set_viewport_size({"width": 1280, "height": 1500})  # so that nothing scrolls to the slider
    visitor.draw(SEVEN)
    visitor.settle()
    drawn = visitor.inked_pixels()
    slider = visitor.page.get_by_role("slider", name="Pen width")
    slider.focus()
    for _ in range(20):  # faster than the script runs, which interrupt each other
        visitor.page.keyboard.down("ArrowRight")
        visitor.page.wait_for_timeout(20)
    visitor.page.keyboard.up("ArrowRight")
    visitor.page.wait_for_timeout(1000)
    visitor.settle()
    visitor.expect_ink(drawn)
    visitor.draw([[[300, 40], [300, 300]]])
    visitor.settle()
    assert visitor.inked_pixels() > 1.2 * drawn
    visitor.page.keyboard.press("Control+z")
    visitor.settle()
    visitor.expect_ink(drawn)


def test_a_canvas_that_lost_its_ink_reports_it_until_it_is_restored(visitor: Visitor) -> None:
    visitor.draw(SEVEN)
    visitor.settle()
    drawn = visitor.inked_pixels()
    visitor.page.evaluate(
        """() => {
          const { send } = WebSocket.prototype; // loses the first report of the lost ink
          WebSocket.prototype.send = function (message) {
            if (!new TextDecoder().decode(message).includes("remounted")) return send.call(this, message);
            WebSocket.prototype.send = send;
          };
        }"""
    )
    visitor.canvas.evaluate("(canvas) => canvas.replaceWith(canvas.cloneNode())")
    expect(visitor.page.locator(".st-key-pad-2")).to_have_count(1)
    visitor.expect_ink(drawn)
    visitor.page.wait_for_timeout(1500)
    expect(visitor.page.locator(".st-key-pad-2")).to_have_count(1)  # it was restored only once


def test_a_reused_canvas_key_is_not_mistaken_for_lost_ink(visitor: Visitor) -> None:
    def name() -> str:
        host = "(canvas) => canvas.getRootNode().host.closest('[class*=st-key-pad-]').className"
        return str(visitor.canvas.evaluate(host))

    visitor.draw(SEVEN)
    visitor.settle()
    drawn, first = visitor.inked_pixels(), name()
    for page in ("Explore", "Break it", "Teach", "Train", "Lab", "Models", "Data", "Draw"):
        visitor.page.get_by_role("link", name=page, exact=True).click()
        expect(visitor.page).to_have_url(re.compile("/$" if page == "Draw" else f"/{page.split()[0].lower()}"))
        visitor.settle()
    visitor.wait_for_pad()
    visitor.page.wait_for_timeout(700)
    visitor.settle()
    assert name() == first, "eight page visits use eight keys; a report of lost ink would have used one more"
    visitor.expect_ink(drawn)


@pytest.mark.parametrize("width", [320, 360, 375])
def test_the_pad_fits_a_small_phone_and_ink_appears_under_the_finger(phone_visitor: Visitor, width: int) -> None:
    visitor = phone_visitor
    visitor.page.set_viewport_size({"width": width, "height": 740})
    box = visitor.canvas.bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= width - 16
    share = box["width"] / 340
    visitor.touch([[[share * 60, share * 170], [share * 170, share * 170], [share * 280, share * 170]]])
    visitor.settle()
    left, right = (
        visitor.page.evaluate(
            """(side) => {
              const root = [...document.querySelectorAll('.st-key-pad *')].find((e) => e.shadowRoot).shadowRoot;
              const canvas = root.querySelector('.dc-canvas.lower-canvas');
              const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
              const at = [...Array(data.length / 4).keys()].filter((i) => data[4 * i] < 128 && data[4 * i + 3] > 128);
              return 340 / canvas.width * Math[side](...at.map((i) => i % canvas.width));
            }""",
            side,
        )
        for side in ("min", "max")
    )
    assert abs(left - (60 - 9)) < 4 and abs(right - (280 + 9)) < 4


def test_the_pad_keeps_the_size_of_its_canvas_while_there_is_none(phone_visitor: Visitor) -> None:
    """The boxes around digits lie over the pad, and strokes that begin on the pad must be noticed."""
    page = phone_visitor.page
    pad = page.locator(".st-key-pad")
    for width in (320, 360, 390):
        page.set_viewport_size({"width": width, "height": 740})
        canvas = phone_visitor.canvas.bounding_box()
        assert canvas
        assert pad.bounding_box() == pytest.approx(canvas, abs=0.1)
        hiding = page.add_style_tag(content="[class*='st-key-pad-'] { display: none }")
        expect(phone_visitor.canvas).to_be_hidden()
        assert pad.bounding_box() == pytest.approx(canvas, abs=0.1)
        hiding.evaluate("(style) => style.remove()")


def test_a_finger_on_a_phone_draws_without_scrolling(phone_visitor: Visitor) -> None:
    visitor = phone_visitor
    visitor.touch(SEVEN)
    expect(visitor.digit).to_have_text("7")
    visitor.settle()
    expect(visitor.digit).to_have_text("7")
    assert visitor.width() <= 390
    assert visitor.page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") == 0


def test_pen_strokes_are_sent_to_the_api_and_read(visitor: Visitor) -> None:
    visitor.page.evaluate(
        """() => {
          window.kinds = new Set();
          document.addEventListener("pointermove", (event) => window.kinds.add(event.pointerType), true);
        }"""
    )
    with visitor.page.expect_request("**/api/predict"):
        visitor.write(SEVEN)
    expect(visitor.digit).to_have_text("7")
    visitor.settle()
    expect(visitor.digit).to_have_text("7")
    assert visitor.page.evaluate("[...window.kinds]") == ["pen"]


PALM = [40, 300]


def test_a_second_finger_that_comes_and_goes_does_not_disturb_the_stroke(phone_visitor: Visitor) -> None:
    visitor, [stroke] = phone_visitor, ONE
    visitor.put_fingers("touchStart", {0: stroke[0]})
    visitor.put_fingers("touchMove", {0: stroke[1]})
    visitor.put_fingers("touchStart", {0: stroke[1], 1: PALM})
    visitor.put_fingers("touchMove", {0: stroke[2], 1: [300, 300]})
    visitor.put_fingers("touchEnd", {1: [300, 300]})
    visitor.put_fingers("touchMove", {0: stroke[3]})
    visitor.put_fingers("touchEnd", {})
    assert_only_a_one_is_there(visitor)


def test_a_resting_palm_does_not_block_drawing(phone_visitor: Visitor) -> None:
    visitor, [stroke] = phone_visitor, ONE
    visitor.put_fingers("touchStart", {0: stroke[0]})
    visitor.put_fingers("touchStart", {0: stroke[0], 1: PALM})
    for point in stroke[1:]:
        visitor.put_fingers("touchMove", {0: point, 1: PALM})
    visitor.put_fingers("touchEnd", {0: stroke[-1]})
    assert_only_a_one_is_there(visitor)
    visitor.put_fingers("touchStart", {1: PALM, 2: [60, 60]})  # the next stroke is also drawn beside the palm
    visitor.put_fingers("touchMove", {1: PALM, 2: [280, 60]})
    visitor.put_fingers("touchEnd", {})
    visitor.settle()
    visitor.page.get_by_role("button", name="Undo").click()
    visitor.settle()
    assert_only_a_one_is_there(visitor)


def assert_only_a_one_is_there(visitor: Visitor) -> None:
    expect(visitor.digit).to_have_text("1")
    visitor.settle()
    expect(visitor.digit).to_have_text("1")
    alone = visitor.inked_pixels()
    assert alone > 2000
    visitor.page.get_by_role("button", name="Undo").click()
    expect(visitor.digit).to_have_text("?")
    visitor.settle()
    visitor.expect_ink(0)
    visitor.touch(ONE)
    visitor.settle()
    assert alone == pytest.approx(visitor.inked_pixels(), rel=0.05)


def test_a_stroke_interrupted_by_a_page_switch_is_dropped(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    visitor.press([60, 60])
    visitor.move([280, 60])
    visitor.page.get_by_role("link", name="Models").evaluate("(link) => link.click()")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Models")
    visitor.page.mouse.move(300, 300, steps=5)
    visitor.page.mouse.up()
    visitor.visit("Draw")
    visitor.wait_for_pad()
    visitor.settle()
    expect(visitor.digit).to_have_text("1")
    visitor.page.get_by_role("button", name="Clear").click()
    expect(visitor.digit).to_have_text("?")
    visitor.settle()  # the next canvas is here
    visitor.draw(SEVEN)
    expect(visitor.digit).to_have_text("7")
    assert not visitor.errors


@pytest.mark.parametrize(("motion", "moves"), [("no-preference", True), ("reduce", False)])
def test_bars_are_animated_unless_the_visitor_prefers_reduced_motion(
    page: Page, address: str, motion: str, moves: bool
) -> None:
    page.emulate_media(reduced_motion=motion)  # type: ignore[arg-type]
    visitor = Visitor(page).open(address)
    page.evaluate(
        """() => {
          window.moved = 0;
          document.addEventListener("transitionrun", (event) => (window.moved += event.target.matches(".fill")));
        }"""
    )
    visitor.draw(SEVEN)
    visitor.settle()
    expect(visitor.digit).to_have_text("7")
    assert (page.evaluate("window.moved") > 0) == moves


def test_a_picture_is_read_and_removing_it_goes_back_to_the_pad(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    visitor.upload("two.png", picture_of(TWO))
    expect(visitor.digit).to_have_text("2")
    visitor.page.locator(".st-key-upload").get_by_role("button", name="Remove").click()
    expect(visitor.digit).to_have_text("1")


def test_a_picture_survives_page_visits_until_draw_instead_is_pressed(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    visitor.upload("two.png", picture_of(TWO))
    expect(visitor.digit).to_have_text("2")
    visitor.settle()
    steps = visitor.page.locator(".steps figure").count()
    for _ in range(2):
        visitor.visit("Models")
        visitor.visit("Draw")
        visitor.wait_for_pad()
        expect(visitor.page.get_by_text("Reading your picture.")).to_be_visible()
        expect(visitor.digit).to_have_text("2")
        expect(visitor.page.locator(".steps figure")).to_have_count(steps)
    visitor.page.get_by_role("button", name="Draw instead").click()
    expect(visitor.digit).to_have_text("1")


def test_drawing_takes_over_from_a_picture_which_can_be_read_again(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    visitor.upload("two.png", picture_of(TWO))
    expect(visitor.digit).to_have_text("2")
    visitor.settle()
    visitor.draw([[[200, 40], [250, 40], [300, 40], [270, 170], [240, 300]]])  # a seven beside the one
    expect(visitor.digit).to_have_text("17")
    expect(visitor.page.get_by_text("Reading the pad again, because you drew on it.")).to_be_visible()
    visitor.page.get_by_role("button", name="Read the picture").click()
    expect(visitor.digit).to_have_text("2")
    visitor.page.get_by_role("button", name="Clear").click()
    visitor.settle()
    visitor.expect_ink(0)
    expect(visitor.digit).to_have_text("2")
    visitor.draw(SEVEN)
    expect(visitor.digit).to_have_text("7")
    assert not visitor.errors


def test_a_broken_picture_gives_an_error_sentence_and_keeps_the_drawing(visitor: Visitor) -> None:
    visitor.draw(ONE)
    visitor.settle()
    visitor.upload("x.png", picture_of(TWO)[:200])
    expect(visitor.page.get_by_text("x.png: The image file is broken or incomplete.")).to_be_visible()
    visitor.page.locator(".st-key-upload").get_by_role("button", name="Remove").click()
    expect(visitor.digit).to_have_text("1")


def test_a_pasted_picture_is_read(visitor: Visitor) -> None:
    visitor.page.evaluate(
        """(bytes) => {
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([new Uint8Array(bytes)], "pasted.png", {type: "image/png"}));
          document.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
        }""",
        list(picture_of(TWO)),
    )
    expect(visitor.digit).to_have_text("2")


def test_without_the_api_the_answer_comes_after_the_stroke(page: Page, address: str) -> None:
    page.route("**/api/predict", lambda route: route.abort())
    visitor = Visitor(page).open(address)
    visitor.draw(SEVEN)
    expect(visitor.digit).to_have_text("7")
    visitor.draw([[[60, 320], [300, 320]]])
    visitor.settle()
    assert not visitor.errors


def test_a_late_api_answer_does_not_appear_on_a_cleared_pad(page: Page, address: str) -> None:
    def late(route: Route) -> None:
        page.wait_for_timeout(700)
        route.continue_()

    visitor = Visitor(page).open(address)
    page.route("**/api/predict", late)
    visitor.draw(SEVEN)
    expect(visitor.digit).to_have_text("7")
    visitor.page.get_by_role("button", name="Clear").click()
    expect(visitor.digit).to_have_text("?")
    page.wait_for_timeout(1500)
    expect(visitor.digit).to_have_text("?")


def test_an_error_while_asking_the_api_leaves_the_page_working(page: Page, address: str) -> None:
    page.add_init_script(
        """const real = window.fetch;
        window.fetch = (url, ...rest) => {
          if (String(url).includes("/api/predict")) throw new Error("broken on purpose");
          return real(url, ...rest);
        };"""
    )
    visitor = Visitor(page).open(address)
    visitor.draw(SEVEN)
    expect(visitor.digit).to_have_text("7")


def test_after_an_error_while_the_pen_moves_the_script_reads_the_stroke(page: Page, address: str) -> None:
    visitor = Visitor(page).open(address)
    visitor.draw(ONE)
    visitor.settle()
    page.evaluate(
        """() => {
          PointerEvent.prototype.getCoalescedEvents = () => { throw new Error("broken on purpose"); };
          window.said = new Set();
          const digit = document.querySelector(".answer .digit");
          new MutationObserver(() => window.said.add(digit.textContent)).observe(digit, {childList: true});
        }"""
    )
    visitor.page.get_by_role("button", name="Clear").click()
    expect(visitor.digit).to_have_text("?")
    visitor.settle()  # the next canvas is here
    visitor.draw(SEVEN)
    visitor.settle()
    expect(visitor.digit).to_have_text("7")
    assert set(visitor.errors) == {"broken on purpose"}
    assert set(page.evaluate("[...window.said]")) <= {"?", "7"}


@pytest.mark.parametrize("beginning", ["Draw", "Models"])
def test_the_tour_starts_in_view_and_focused_wherever_it_is_requested(phone_visitor: Visitor, beginning: str) -> None:
    page = phone_visitor.page
    phone_visitor.touch(TWO)
    phone_visitor.settle()
    page.get_by_text("What did it see?").tap()  # this makes the page long
    expect(page.get_by_text("layer by layer")).to_be_visible()
    if beginning == "Models":
        page.set_viewport_size({"width": 1280, "height": 844})  # shows the links
        phone_visitor.visit(beginning)
        page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Take the five-minute tour").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("Draw a digit")
    box = page.locator(".st-key-tour_stop")
    expect(box).to_be_in_viewport(ratio=1)
    expect(box).to_be_focused()
    page.get_by_role("button", name="Next").tap()
    expect(box).to_contain_text("What did it see?")
    expect(box).to_be_focused()


def test_the_menu_closes_on_a_phone_once_a_page_is_chosen(phone_visitor: Visitor) -> None:
    page = phone_visitor.page
    menu, opener = page.get_by_test_id("stSidebar"), page.get_by_test_id("stExpandSidebarButton")
    for title in ("Train", "Train", "Draw"):  # even if it is the page that is shown
        opener.tap()
        expect(menu).to_have_attribute("data-collapsed", "false")
        phone_visitor.visit(title)
        expect(menu).to_have_attribute("data-collapsed", "true")
        expect(opener.or_(opener.locator("button")).first).to_be_focused()


def test_the_answer_stands_beside_the_pad_or_below_it_and_above_the_controls(visitor: Visitor) -> None:
    page = visitor.page
    for width, is_beside in ((1280, True), (960, True), (940, False), (768, False), (390, False)):
        page.set_viewport_size({"width": width, "height": 900})
        names = (".st-key-pad", ".answer", "[data-testid=stSlider]")
        pad, answer, slider = (page.locator(name).bounding_box() for name in names)
        assert pad and answer and slider
        if is_beside:
            assert answer["x"] >= pad["x"] + pad["width"] and answer["width"] > 300
            assert slider["x"] < answer["x"] and slider["y"] > pad["y"] + pad["height"]
        else:
            assert pad["y"] + pad["height"] <= answer["y"] < answer["y"] + answer["height"] <= slider["y"]
        assert slider["width"] > 300


def test_the_page_does_not_scroll_while_an_answer_appears(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    visitor = Visitor(page).open(address)
    visitor.draw(SEVEN)
    visitor.settle()
    page.get_by_test_id("stMain").evaluate("(main) => main.scrollTo(0, 200)")
    page.keyboard.press("Delete")  # the blank page is too short to stay scrolled as far
    expect(visitor.digit).to_have_text("?")
    visitor.settle()
    pad = page.locator(".st-key-pad").bounding_box()
    visitor.draw(SEVEN)
    visitor.settle()
    expect(page.locator(".steps")).to_be_visible()
    assert page.locator(".st-key-pad").bounding_box() == pad


def test_controls_have_accessible_names(visitor: Visitor) -> None:
    page = visitor.page
    for role, name in [("button", "Undo"), ("button", "Clear"), ("slider", "Pen width"), ("link", "Draw")]:
        expect(page.get_by_role(role, name=name)).to_be_visible()  # type: ignore[arg-type]
    expect(page.get_by_role("application", name="Drawing pad")).to_be_visible()
    expect(page.locator(".st-key-live_ink .spoken")).to_have_text("")
