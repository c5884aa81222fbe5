"""The curves and their slider by themselves, without server or Streamlit."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

SCRIPT = Path(__file__).parents[2] / "mnist_app" / "web" / "curves" / "curves.js"

# Four pictures of a drawing: two of its first stroke, a pause of 0.8 seconds, two of its second stroke.
SET_UP = """async ([script, timeline, extra]) => {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  Object.assign(window, await import(url));
  document.body.innerHTML = '<section class="curves"></section>';
  document.addEventListener("ink-timeline", (event) => (event.detail.timeline = timeline));
  const is = (digit) => Array.from({ length: 10 }, (_, other) => Number(other === digit));
  const plot = { title: "", probabilities: [1, 1, 7, 7].map(is), doubts: [0, 0, 0, 0], words: ["1", "1", "7", "7"] };
  const data = { name: "Share", sheet: "", labels: ["25%", "50%", "75%", "100%"], plots: [plot], at: 1 };
  data.colours = Array(10).fill("red");
  const { default: component } = await import(url);
  component({ parentElement: document.body, data: { ...data, ...extra } });
}"""
GROWN = {"growth": {"strokes": [], "shares": [0.25, 0.5, 0.75, 1.0]}}
TIMELINE = [{"way": 25 * at, "time": time} for at, time in enumerate([0, 100, 200, 950, 1000])]

HASTE = [{"way": 0, "time": 0}, {"way": 1, "time": 90}, {"way": 100, "time": 90}]  # the browser received it all at once


def mount(page: Page, timeline: Any = None, extra: dict[str, Any] | None = None) -> None:
    page.evaluate(SET_UP, [SCRIPT.read_text(), timeline, {"growth": None} if extra is None else extra])


def corners(page: Page) -> list[list[float]]:
    """Return the points of the curve for the digit 1, in percent from the left and from the top."""
    points = page.locator("polyline").nth(1).get_attribute("points") or ""
    return [[float(value) for value in point.split(",")] for point in points.split()]


def cursor(page: Page) -> float:
    style = page.locator(".cursor").get_attribute("style") or ""
    return float(style.removeprefix("left: ").removesuffix("%;"))


def test_curves_follow_the_pens_time_and_stay_level_while_it_rests(page: Page) -> None:
    mount(page, TIMELINE, GROWN)
    assert corners(page) == [[10, 0], [20, 0], [95, 0], [95, 100], [100, 100]]


def test_every_answer_has_a_curve_but_only_curves_that_rise_have_a_name(page: Page) -> None:
    mount(page)
    expect(page.locator("polyline")).to_have_count(11)
    assert page.locator(".chart .name").all_inner_texts() == ["1", "7"]


def test_times_between_two_points_of_the_timeline_are_interpolated(page: Page) -> None:
    mount(page, [{"way": 50, "time": 0}, {"way": 50, "time": 20}, {"way": 150, "time": 120}], GROWN)
    assert [x for x, _ in corners(page)] == [0, 37.5, 68.75, 100]


def test_without_times_pictures_are_evenly_spaced(page: Page) -> None:
    mount(page, None, GROWN)
    assert [x for x, _ in corners(page)] == [0, 33.33, 66.67, 100]
    expect(page.get_by_role("slider", name="Share")).to_have_value("1")
    expect(page.locator(".label-at")).to_have_text("Share: 50%")
    expect(page.get_by_role("button", name="Replay", exact=True)).to_be_visible()


def test_without_a_growing_drawing_there_are_no_times_and_no_replay(page: Page) -> None:
    mount(page, TIMELINE)
    assert [x for x, _ in corners(page)] == [0, 33.33, 66.67, 100]
    expect(page.get_by_role("button")).to_have_count(0)


def test_slider_cursor_and_label_show_the_time(page: Page) -> None:
    mount(page, TIMELINE, GROWN)
    slider = page.get_by_role("slider", name="Time")
    expect(page.locator(".label-at")).to_have_text("0.2 of 1.0 s · Share: 50%")
    assert cursor(page) == 20
    slider.fill("600")  # during the pause, when nothing new was drawn
    expect(page.locator(".label-at")).to_have_text("0.6 of 1.0 s · Share: 50%")
    assert cursor(page) == 60
    expect(slider).to_have_attribute("aria-valuetext", "0.6 s, 50%: 1")


@pytest.mark.parametrize("timeline", [None, TIMELINE, HASTE])
def test_the_arrow_keys_step_by_one_picture_at_any_pace(page: Page, timeline: Any) -> None:
    mount(page, timeline, GROWN)
    slider, label = page.get_by_role("slider"), page.locator(".label-at")
    slider.press("Home")
    seen = []
    for key in ["ArrowRight"] * 4 + ["ArrowLeft"] * 4:
        slider.press(key)
        seen.append((label.text_content() or "").rpartition(" ")[2])
    assert seen == ["50%", "75%", "100%", "100%", "75%", "50%", "25%", "25%"]
    slider.press("End")
    expect(label).to_contain_text("100%")


def test_the_replay_pauses_where_the_pen_paused(page: Page) -> None:
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    mount(page, TIMELINE, GROWN)
    page.get_by_role("button", name="Replay as drawn").click()
    page.clock.run_for(800)
    expect(page.locator(".label-at")).to_contain_text("Share: 50%")
    assert 20 < cursor(page) < 95
    page.clock.run_for(400)
    expect(page.locator(".label-at")).to_have_text("1.0 of 1.0 s · Share: 100%")
    assert cursor(page) == 100
