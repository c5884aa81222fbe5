"""The panel that answers why, and the tour, in a real browser."""

import re

from playwright.sync_api import Locator, Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg

from ..conftest import SEVEN, Strokes
from ..web.test_why import THREE_AND_SEVEN
from .test_draw import picture_of
from .visitor import Visitor

# Without the beginning of its stroke it is a four.
NINE: Strokes = [
    [[220, 110], [170, 90], [130, 130], [150, 180], [210, 170], [225, 110], [220, 180], [200, 280]],
]
# With a small change it is a seven.
FLAGGED_ONE: Strokes = [[[60, 150], [200, 60], [190, 290]]]


def ask(page: Page, question: str) -> None:
    page.get_by_role("button", name=question).or_(page.get_by_role("radio", name=question)).first.click()


def seconds_of(page: Page, strokes: Strokes) -> float:
    """Return the pen's time from the first of these points to the last."""
    took = page.evaluate(
        """(strokes) => {
          const detail = { strokes };
          document.dispatchEvent(new CustomEvent("ink-timeline", { detail }));
          return detail.timeline.at(-1).time;
        }""",
        strokes,
    )
    return float(took) / 1000


def test_the_replay_is_scrubbed_by_keyboard(visitor: Visitor) -> None:
    visitor.draw(SEVEN)
    visitor.settle()
    ask(visitor.page, "When did it decide?")
    slider = visitor.page.get_by_role("slider", name="Time")
    slider.focus()
    slider.press("Home")
    label = visitor.page.locator(".curves .label-at")
    whole = seconds_of(visitor.page, SEVEN)
    expect(label).to_have_text(re.compile(rf"^0\.\d of {whole:.1f} s · Share of the ink: 2%$"))
    expect(visitor.page.locator(".curves .read-at")).to_have_text("not a digit")
    slider.press("End")
    expect(label).to_have_text(f"{whole:.1f} of {whole:.1f} s · Share of the ink: 100%")
    expect(visitor.page.locator(".curves .read-at")).to_contain_text("7, ")
    slider.press("ArrowLeft")
    expect(label).to_contain_text("Share of the ink: 98%")
    visitor.page.get_by_role("button", name="Replay as drawn").click()
    expect(label).to_contain_text("Share of the ink: 100%", timeout=1000 * whole + 20_000)
    assert visitor.errors == []


def test_a_digit_of_a_number_is_replayed_as_it_was_written(visitor: Visitor) -> None:
    visitor.draw(THREE_AND_SEVEN)
    expect(visitor.digit).to_have_text("37")
    visitor.settle()
    ask(visitor.page, "When did it decide?")
    label = visitor.page.locator(".curves .label-at")
    for digit, stroke in zip("37", THREE_AND_SEVEN, strict=True):
        visitor.page.get_by_role("radio", name=f"the {digit}, ").click()
        visitor.settle()
        whole = seconds_of(visitor.page, [stroke])
        expect(label).to_contain_text(f" of {whole:.1f} s")
        visitor.page.get_by_role("button", name="Replay as drawn").click()
        expect(label).to_contain_text("Share of the ink: 100%", timeout=1000 * whole + 20_000)
    assert visitor.errors == []


def test_a_question_is_asked_and_answered_by_keyboard_alone(visitor: Visitor) -> None:
    visitor.draw(SEVEN)
    visitor.settle()
    keys = visitor.page.keyboard
    visitor.page.locator(".st-key-why_panel").get_by_role("radio").first.focus()
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    keys.press("Space")
    slider = visitor.page.get_by_role("slider", name="Time")
    slider.wait_for()
    visitor.settle()
    keys.press("Tab")
    expect(slider).to_be_focused()
    keys.press("Home")
    expect(visitor.page.locator(".curves .label-at")).to_contain_text("Share of the ink: 2%")
    keys.press("Tab")
    expect(visitor.page.get_by_role("button", name="Replay as drawn")).to_be_focused()
    keys.press("Tab")
    keys.press("Enter")
    expect(visitor.page.get_by_role("dialog", name="no digit")).to_contain_text("eleventh answer")
    assert visitor.errors == []


def open_layers(visitor: Visitor) -> Locator:
    """Open the layers and return each one's maps, once the page shows what excites them."""
    ask(visitor.page, "What did it see?")
    visitor.page.get_by_text("Layer by layer").click()
    visitor.page.locator(".network .liked").first.wait_for()
    visitor.settle()
    return visitor.page.locator(".network .maps")


def sides_of(enlarged: Locator) -> tuple[float, float]:
    """Return width and height in pixels of an enlarged map, all of which must be visible."""
    expect(enlarged).to_be_in_viewport(ratio=1)
    box = enlarged.bounding_box()
    assert box
    return box["width"], box["height"]


def test_a_tap_enlarges_a_map_within_the_screen_of_a_phone(phone_visitor: Visitor) -> None:
    """It is at least ten rem wide, with patterns of two rem below it, wherever the map is on the page."""
    phone_visitor.touch(SEVEN)
    phone_visitor.settle()
    layers = open_layers(phone_visitor)
    for layer in (layers.nth(4), layers.last):
        layer.scroll_into_view_if_needed()
        for number in (0, 3, 5):
            layer.locator(".mapped").nth(number).tap()
            width, height = sides_of(layer.locator(".enlarged").nth(number))
            assert width >= 160 and height - width >= 32
            expect(phone_visitor.page.locator(".enlarged:visible")).to_have_count(1)
    assert phone_visitor.width() == 390
    phone_visitor.page.get_by_text("The answer", exact=True).tap()
    expect(phone_visitor.page.locator(".enlarged:visible")).to_have_count(0)
    assert phone_visitor.errors == []


def test_the_keyboard_enlarges_maps_with_one_tab_stop_per_layer(phone_visitor: Visitor) -> None:
    phone_visitor.touch(SEVEN)
    phone_visitor.settle()
    layers, keys = open_layers(phone_visitor), phone_visitor.page.keyboard
    phone_visitor.page.get_by_role("switch", name="Layer by layer").focus()
    for layer in layers.all():
        keys.press("Tab")
        sides_of(layer.locator(".enlarged").first)
        keys.press("ArrowRight")
        sides_of(layer.locator(".enlarged").nth(1))
        keys.press("ArrowLeft")
        keys.press("ArrowLeft")  # wraps around to the last one
        sides_of(layer.locator(".enlarged").last)
    keys.press("Tab")
    expect(phone_visitor.page.locator(".enlarged:visible")).to_have_count(0)
    expect(phone_visitor.page.get_by_role("button", name="convolution")).to_be_focused()


def test_the_panel_follows_new_strokes_and_is_hidden_while_the_pad_is_blank(visitor: Visitor) -> None:
    visitor.draw(SEVEN[:1])
    visitor.settle()
    ask(visitor.page, "Where did it look?")
    expect(visitor.page.locator(".row.large img")).to_have_count(2)
    before = visitor.page.locator(".row.large img").first.get_attribute("src")
    visitor.draw(SEVEN[1:])
    expect(visitor.page.locator(".row.large img").first).not_to_have_attribute("src", before or "")
    visitor.page.get_by_role("button", name="Clear").click()
    expect(visitor.page.locator(".st-key-why_panel")).to_have_count(0)
    visitor.settle()
    visitor.draw(SEVEN)
    expect(visitor.page.locator(".row.large img")).to_have_count(2)  # the question is still open
    visitor.settle()
    visitor.visit("Data")
    visitor.visit("Draw")
    expect(visitor.page.locator(".row.large img")).to_have_count(2)


def test_a_suggested_change_can_be_put_on_the_pad_and_is_read_there(visitor: Visitor) -> None:
    visitor.draw(NINE)
    visitor.settle()
    ask(visitor.page, "What would change its mind?")
    visitor.page.locator(".st-key-why_panel").get_by_role("radio", name="4", exact=True).click()
    put = visitor.page.get_by_role("button", name="Put it on the pad")
    put.wait_for()
    before = visitor.inked_pixels()
    put.click()
    expect(visitor.digit).to_have_text("4")
    visitor.settle()
    assert 0.3 * before < visitor.inked_pixels() < 1.5 * before
    visitor.page.get_by_role("button", name="Undo").click()  # the visitor's own ink is back
    expect(visitor.digit).to_have_text("9")
    visitor.settle()
    visitor.expect_ink(before)
    assert visitor.errors == []


def test_the_tour_continues_after_a_reload(visitor: Visitor) -> None:
    stop = visitor.page.locator(".st-key-tour_stop")
    visitor.page.get_by_role("button", name="Take the five-minute tour").click()
    expect(stop).to_contain_text("1 of 7")
    visitor.wait_for_pad()
    visitor.draw(SEVEN)
    visitor.settle()
    visitor.page.locator(".st-key-tour_next button").click()
    expect(stop).to_contain_text("2 of 7")
    visitor.settle()
    visitor.page.reload()
    expect(stop).to_contain_text("2 of 7")
    visitor.wait_for_pad()
    expect(visitor.digit).to_have_text("7")


def test_the_tour_goes_from_page_to_page_and_back_to_the_pad(visitor: Visitor) -> None:
    page = visitor.page
    visitor.draw(SEVEN)
    visitor.settle()
    ink = visitor.inked_pixels()
    page.get_by_role("button", name="Take the five-minute tour").click()
    expect(page.locator(".st-key-tour_stop")).to_be_visible()
    visitor.settle()
    visitor.expect_ink(ink)  # the box above the pad does not lose the drawing
    headings = [*["Draw a digit"] * 4, "Explore", "Break it on purpose", "Draw a digit"]
    for number, heading in enumerate(headings, 1):
        expect(page.locator(".st-key-tour_stop")).to_contain_text(f"{number} of 7")
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        if number < len(headings):
            page.get_by_role("button", name="Next", exact=True).click()
    visitor.canvas.scroll_into_view_if_needed()
    visitor.settle()
    expect(visitor.digit).to_have_text("7")
    page.get_by_role("button", name="That was a 7").click()
    visitor.settle()
    expect(page.get_by_role("button", name="Finish without one")).to_be_visible()
    page.get_by_role("button", name="That was a 1").click()
    expect(page.locator(".st-key-tour_stop")).to_contain_text("you drew a 1, and the network read 7")
    page.get_by_role("button", name="Finish", exact=True).click()
    expect(page.locator(".st-key-tour_stop")).to_have_count(0)
    assert visitor.errors == []


def test_the_replay_keeps_its_times_after_undo_a_new_stroke_and_a_page_change(visitor: Visitor) -> None:
    visitor.draw(SEVEN)
    visitor.settle()
    visitor.page.get_by_role("button", name="Undo").click()
    visitor.settle()
    visitor.draw(SEVEN[1:])
    visitor.settle()
    visitor.visit("Data")
    visitor.visit("Draw")
    visitor.settle()
    ask(visitor.page, "When did it decide?")
    expect(visitor.page.get_by_role("button", name="Replay as drawn")).to_be_visible()
    whole = seconds_of(visitor.page, SEVEN)
    expect(visitor.page.locator(".curves .label-at")).to_contain_text(f"of {whole:.1f} s")
    assert visitor.errors == []


def test_strokes_drawn_with_a_finger_keep_their_times_after_undo(phone_visitor: Visitor) -> None:
    phone_visitor.touch(SEVEN)
    phone_visitor.settle()
    phone_visitor.page.get_by_role("button", name="Undo").tap()
    phone_visitor.settle()
    ask(phone_visitor.page, "When did it decide?")
    expect(phone_visitor.page.get_by_role("button", name="Replay as drawn")).to_be_visible()


def test_ink_restored_after_a_reload_is_replayed_without_times(visitor: Visitor) -> None:
    visitor.draw(SEVEN)
    visitor.settle()
    visitor.page.reload()
    expect(visitor.digit).to_have_text("7")
    visitor.settle()
    ask(visitor.page, "When did it decide?")
    expect(visitor.page.get_by_role("button", name="Replay", exact=True)).to_be_visible()
    expect(visitor.page.get_by_role("slider", name="Share of the ink")).to_be_visible()


SLOW_CANVAS = """
  const wait = window.setTimeout;
  window.setTimeout = (what, delay, ...more) => wait(what, delay === 200 ? 30_000 : delay, ...more);
"""


def test_an_open_question_is_answered_before_the_canvas_reports_the_ink(visitor: Visitor) -> None:
    """The canvas reports ink after 200 ms, here only after 30 seconds. This also holds after Clear."""
    page = visitor.page
    visitor.draw(THREE_AND_SEVEN[:1])
    visitor.settle()
    ask(page, "Where did it look?")
    answer = page.locator(".st-key-why_answer")
    expect(answer).to_contain_text("speaks for 3")
    page.evaluate(SLOW_CANVAS)
    visitor.draw(THREE_AND_SEVEN[1:])
    expect(answer.filter(has_text="Which digit?")).to_have_count(1)
    page.get_by_role("button", name="Clear").click()
    expect(answer).to_have_count(0)
    visitor.wait_for_pad()
    visitor.draw(THREE_AND_SEVEN[1:])
    expect(answer).to_contain_text("speaks for 7")
    assert visitor.errors == []


def test_with_a_question_open_a_stroke_requests_two_fragment_runs_only(visitor: Visitor) -> None:
    """A fragment's request waits until the current run is over; any other request ends the current run."""
    page, asked = visitor.page, list[str]()

    def note(payload: str | bytes) -> None:
        message = BackMsg.FromString(payload if isinstance(payload, bytes) else payload.encode())
        if message.WhichOneof("type") == "rerun_script":
            asked.append("a fragment" if message.rerun_script.fragment_id else "the page")

    page.on("websocket", lambda socket: socket.on("framesent", note))
    page.reload()
    visitor.wait_for_pad()
    visitor.draw(THREE_AND_SEVEN[:1])
    visitor.settle()
    ask(page, "Where did it look?")
    visitor.settle()
    asked.clear()
    visitor.draw(THREE_AND_SEVEN[1:])
    expect(page.locator(".st-key-why_answer")).to_contain_text("Which digit?")
    visitor.settle()
    expect(page.locator(".steps figure")).to_have_count(2)
    assert asked == ["a fragment", "a fragment"]
    assert visitor.errors == []


# Lets the canvas miss all strokes. `later` lets eight seconds pass: timers of four seconds or more go off.
DROP_STROKES = """() => {
  const root = [...document.querySelectorAll('.st-key-pad *')].find((element) => element.shadowRoot).shadowRoot;
  const drop = (event) => event.stopImmediatePropagation();
  for (const name of ["mousedown", "pointerdown"]) {
    root.querySelector("canvas.upper-canvas").addEventListener(name, drop, true);
  }
  const [now, wait, held] = [performance.now.bind(performance), window.setTimeout, []];
  let passed = 0;
  performance.now = () => now() + passed;
  window.setTimeout = (what, delay, ...more) => {
    if (delay < 4000) return wait(what, delay, ...more);
    held.push(what);
  };
  window.later = () => {
    passed += 8000;
    for (const what of held.splice(0)) what();
  };
}"""


def test_a_dropped_stroke_disappears_from_the_answer_and_the_open_panel(visitor: Visitor) -> None:
    """This happens to a pen beside a palm. The panel read the stroke early, and the canvas never reports it as gone."""
    page = visitor.page
    visitor.draw(THREE_AND_SEVEN[:1])
    visitor.settle()
    ask(page, "Where did it look?")
    visitor.settle()
    page.evaluate(DROP_STROKES)
    visitor.draw(THREE_AND_SEVEN[1:])
    expect(visitor.digit).to_have_text("37")
    expect(page.locator(".st-key-why_answer")).to_contain_text("Which digit?")
    visitor.settle()
    page.evaluate("later()")
    expect(visitor.digit).to_have_text("3")
    expect(page.locator(".st-key-why_answer")).to_contain_text("speaks for 3")
    assert visitor.errors == []


def test_a_dropped_first_stroke_leaves_a_blank_pad_and_no_panel(visitor: Visitor) -> None:
    page = visitor.page
    visitor.draw(SEVEN)
    visitor.settle()
    ask(page, "Where did it look?")
    page.get_by_role("button", name="Clear").click()
    visitor.settle()
    visitor.wait_for_pad()
    page.evaluate(DROP_STROKES)
    visitor.draw(SEVEN)
    expect(page.locator(".st-key-why_answer")).to_contain_text("speaks for 7")
    visitor.settle()
    page.evaluate("later()")
    expect(visitor.digit).to_have_text("?")
    expect(page.locator(".st-key-why_panel")).to_have_count(0)
    assert visitor.errors == []


def test_a_dropped_stroke_disappears_from_the_answer_with_no_question_open(visitor: Visitor) -> None:
    visitor.draw(THREE_AND_SEVEN[:1])
    visitor.settle()
    visitor.page.evaluate(DROP_STROKES)
    visitor.draw(THREE_AND_SEVEN[1:])
    expect(visitor.digit).to_have_text("37")
    visitor.settle()
    visitor.page.evaluate("later()")
    expect(visitor.digit).to_have_text("3")
    assert visitor.errors == []


def test_undo_works_as_usual_while_a_question_is_open(visitor: Visitor) -> None:
    visitor.draw(THREE_AND_SEVEN[:1])
    visitor.settle()
    ask(visitor.page, "Where did it look?")
    visitor.settle()
    visitor.draw(THREE_AND_SEVEN[1:])
    visitor.page.get_by_role("button", name="Undo").click()
    expect(visitor.digit).to_have_text("3")
    visitor.settle()
    expect(visitor.digit).to_have_text("3")
    expect(visitor.page.locator(".st-key-why_answer")).to_contain_text("speaks for 3")
    assert visitor.errors == []


def test_an_uploaded_picture_can_be_read_changed_and_then_unchanged_again(visitor: Visitor) -> None:
    page = visitor.page
    visitor.upload("one.png", picture_of(FLAGGED_ONE))
    expect(visitor.digit).to_have_text("1")
    visitor.settle()
    ask(page, "What would change its mind?")
    page.locator(".st-key-why_panel").get_by_role("radio", name="7", exact=True).click()
    page.get_by_role("button", name="Read this one").click()
    expect(visitor.digit).to_have_text("7")
    expect(page.get_by_text("Reading a changed picture.")).to_be_visible()
    page.get_by_role("button", name="Back to my picture").click()
    expect(visitor.digit).to_have_text("1")
    visitor.settle()
    page.get_by_role("button", name="Read this one").click()
    expect(visitor.digit).to_have_text("7")
    visitor.visit("Models")
    visitor.visit("Draw")
    expect(page.get_by_text("Reading a changed picture.")).to_be_visible()
    page.get_by_role("button", name="Back to my picture").click()
    expect(page.get_by_text("Reading your picture.")).to_be_visible()
    expect(visitor.digit).to_have_text("1")
    visitor.settle()
    page.get_by_role("button", name="Read this one").click()
    expect(visitor.digit).to_have_text("7")
    page.get_by_role("button", name="Back to my picture").click()
    expect(visitor.digit).to_have_text("1")
    assert visitor.errors == []
