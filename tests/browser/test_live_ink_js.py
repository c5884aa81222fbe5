"""The browser's part of the Draw page by itself, without server or Streamlit."""

import html
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Frame, Page

from mnist_app.reading.number import Box, ReadDigit, Reading
from mnist_app.reading.recognition import Prediction
from mnist_app.web.answer import answer_html, boxes_html, percent

SCRIPT = Path(__file__).parents[2] / "mnist_app" / "web" / "live_ink" / "live_ink.js"

# A pen, and a server whose answers come from the test: `asked` lists each request's ink, `shown` what was painted.
SET_UP = """async (script) => {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  Object.assign(window, await import(url), { asked: [], shown: [], waiting: [], inFlight: 0, mostInFlight: 0 });
  const ask = (strokes, signal) => {
    asked.push({ at: performance.now(), strokes: JSON.parse(JSON.stringify(strokes)), signal });
    mostInFlight = Math.max(mostInFlight, ++inFlight);
    return new Promise((resolve, reject) => waiting.push({ resolve, reject })).finally(() => inFlight--);
  };
  window.newInk = (asking = ask, clock) =>
    new LiveInk(asking, (answer, isFinal) => shown.push([answer, isFinal]), clock);
  window.ink = newInk();
  window.pause = (time) => new Promise((done) => setTimeout(done, time));
  window.answer = async (text) => { waiting.shift().resolve(text); await pause(0); };
  window.fail = async () => { waiting.shift().reject(new Error("no network")); await pause(0); };
}"""


@pytest.fixture(scope="module")
def tab(chromium: Browser) -> Iterator[Page]:
    """A page that holds one frame after another, as a frame loads much faster than a page."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def script(tab: Page) -> Frame:
    """A blank frame with the script's exports. Removing the previous frame cancels its pending events."""
    tab.set_content("<iframe></iframe>")
    frame = tab.frames[-1]
    frame.evaluate(SET_UP, SCRIPT.read_text())
    return frame


def run(script: Frame, steps: str) -> Any:
    return script.evaluate(f"async () => {{ {steps} }}")


def test_the_first_touch_sends_a_request_at_once(script: Frame) -> None:
    assert run(script, "ink.down([1, 2]); return asked.map((each) => each.strokes)") == [[[[1, 2]]]]


def test_one_request_is_in_flight_at_a_time_and_the_newest_ink_goes_next(script: Frame) -> None:
    steps = """
        ink.down([0, 0]);
        for (let x = 1; x < 9; x++) { ink.move([[x, 0]]); await pause(10); }
        const before = asked.length;
        await answer("first");
        await pause(40);
        return [before, mostInFlight, asked.length, asked.at(-1).strokes[0].length];
        """
    assert run(script, steps) == [1, 1, 2, 9]


def test_an_intermediate_answer_is_shown_but_not_final(script: Frame) -> None:
    steps = """
        ink.down([0, 0]);
        ink.move([[1, 0]]);
        await answer("early");
        ink.up();
        await answer("last");
        return shown;
        """
    assert run(script, steps) == [["early", False], ["last", True]]


def test_an_answer_is_not_final_while_the_pen_is_down(script: Frame) -> None:
    assert run(script, "ink.down([0, 0]); await answer('a'); return shown") == [["a", False]]


def test_an_answer_about_an_earlier_stroke_is_not_final(script: Frame) -> None:
    steps = """
        ink.down([0, 0]); ink.up();
        ink.down([9, 9]);
        await answer("first stroke");
        await pause(40);
        ink.up();
        await answer("both strokes");
        return [shown, asked.at(-1).strokes];
        """
    shown, strokes = run(script, steps)
    assert shown == [["first stroke", False], ["both strokes", True]]
    assert strokes == [[[0, 0]], [[9, 9]]]


def test_answers_about_replaced_ink_are_dropped(script: Frame) -> None:
    steps = """
        ink.down([0, 0]); ink.up();
        ink.replace([]);
        await answer("gone");
        return [shown, asked.length, ink.strokes];
        """
    assert run(script, steps) == [[], 1, []]


def test_replacing_ink_sends_no_request_not_even_later(script: Frame) -> None:
    steps = """
        const ink = newInk(undefined, () => 0);  // a clock that stands still
        ink.down([0, 0]); await answer("a");
        ink.move([[1, 1]]);  // waits for its turn
        ink.replace([[[5, 5]]]);
        await pause(60);
        return [asked.length, ink.isDown, ink.strokes];
        """
    assert run(script, steps) == [1, False, [[[5, 5]]]]


def test_ink_drawn_after_a_replacement_is_added_to_it(script: Frame) -> None:
    steps = """
        const given = [[[5, 5]]];
        ink.down([0, 0]);
        ink.replace(given);
        ink.down([7, 7]); ink.up();
        await answer("gone");
        await answer("both");
        return [shown, asked.at(-1).strokes, given];
        """
    assert run(script, steps) == [[["both", True]], [[[5, 5]], [[7, 7]]], [[[5, 5]]]]


def test_a_moving_pen_sends_a_request_at_most_every_30_ms(script: Frame) -> None:
    steps = """
        ink = newInk(async (strokes) => { asked.push(performance.now()); return "a"; });
        ink.down([0, 0]);
        for (let x = 1; asked.length < 7 && x < 2000; x++) { ink.move([[x, 0]]); await pause(5); }
        return asked.slice(1).map((at, n) => at - asked[n]);
        """
    gaps = run(script, steps)
    assert len(gaps) >= 5
    assert min(gaps) > 29  # a browser's timer may be a little early


def test_pen_up_sends_a_request_without_waiting(script: Frame) -> None:
    steps = """
        ink.down([0, 0]);
        await answer("a");
        ink.move([[1, 1]]);
        const before = asked.length;
        ink.up();
        return [before, asked.length];
        """
    assert run(script, steps) == [1, 2]


def test_pen_up_sends_only_one_request(script: Frame) -> None:
    steps = """
        ink.down([0, 0]); await answer("a");
        ink.move([[1, 1]]); ink.up();
        await answer("b"); await pause(60);
        return [asked.length, shown.at(-1)];
        """
    assert run(script, steps) == [2, ["b", True]]


def test_the_request_at_pen_up_aborts_the_one_before_it(script: Frame) -> None:
    steps = """
        ink.down([0, 0]);
        ink.move([[1, 1]]); ink.up();
        const state = [asked.length, asked[0].signal.aborted, asked[1].signal.aborted];
        await answer("late");
        await answer("last");
        return [state, shown];
        """
    assert run(script, steps) == [[2, True, False], [["last", True]]]


def test_no_second_request_is_sent_about_the_same_ink(script: Frame) -> None:
    steps = """
        ink.down([0, 0]); ink.move([[0.1, 0]]); ink.up();
        await answer("on its way"); await pause(60);
        ink.down([9, 9]); await pause(40); await answer("said"); ink.up();
        await pause(60);
        return [asked.length, shown];
        """
    shown = [["on its way", True], ["said", False], ["said", True]]
    assert run(script, steps) == [2, shown]


def pace(script: Frame, *answers: tuple[int, str]) -> list[float]:
    """Return ms between requests while the pen moves a little each ms and the answers take the given times.

    The test has its own clock, so that a busy machine makes no difference. An answer is words, "" if the request is
    rejected, or "lost".
    """
    steps = """
        let now = 0, x = 0;
        const asked = [], waiting = [];
        const asking = () => new Promise((resolve, reject) => { asked.push(now); waiting.push({ resolve, reject }); });
        ink = newInk(asking, () => now);
        ink.down([0, 0]);
        for (const [time, text] of answers) {
          now += time;
          const { resolve, reject } = waiting.shift();
          if (text === "lost") reject(new Error("no network")); else resolve(text || null);
          await pause(0);
          for (const before = asked.length; asked.length === before; now++) ink.move([[++x, 0]]);
          now--;
        }
        return asked.slice(1).map((at, n) => at - asked[n]);
        """
    gaps: list[float] = run(script, f"const answers = {json.dumps(answers)}; {steps}")
    return gaps


def test_an_answer_later_than_the_quickest_delays_the_next_request(script: Frame) -> None:
    assert pace(script, (0, "a"), (100, "b")) == [30, 100 + 4 * (100 - 30)]


def test_a_steadily_slow_network_does_not_delay_requests_further(script: Frame) -> None:
    assert pace(script, *[(100, "a")] * 3) == [100, 100, 100]


@pytest.mark.parametrize("failure", ["", "lost"])
def test_a_quickly_failed_request_does_not_make_later_answers_look_late(script: Frame, failure: str) -> None:
    assert pace(script, (5, failure), *[(60, "a")] * 4) == [1000, 60, 60, 60, 60]


def test_after_a_rejected_request_a_moving_pen_waits_but_pen_up_does_not(script: Frame) -> None:
    steps = """
        let now = 0;
        ink = newInk(undefined, () => now);
        ink.down([0, 0]); await answer(null);
        for (let x = 1; x < 200; x++) { now += 5; ink.move([[x, 0]]); }
        const before = asked.length;
        ink.up();
        return [before, asked.length];
        """
    assert run(script, steps) == [1, 2]


def test_a_pen_that_is_not_down_leaves_no_ink(script: Frame) -> None:
    assert run(script, "ink.move([[1, 1]]); ink.up(); await pause(40); return [asked.length, ink.strokes]") == [0, []]


def test_a_failed_request_does_not_stop_the_next(script: Frame) -> None:
    steps = """
        ink.down([0, 0]);
        await fail();
        ink.up();
        await answer("b");
        return shown;
        """
    assert run(script, steps) == [["b", True]]


def test_an_exception_while_asking_does_not_stop_the_next_request(script: Frame) -> None:
    steps = """
        let broken = true;
        ink = newInk((strokes) => { if (broken) throw new Error("broken"); return Promise.resolve("b"); });
        ink.down([0, 0]);
        await pause(0);
        broken = false;
        ink.up();
        await pause(10);
        return shown;
        """
    assert run(script, steps) == [["b", True]]


def test_nothing_is_painted_without_an_answer(script: Frame) -> None:
    assert run(script, "ink.down([0, 0]); await answer(null); return shown") == []


# live_ink.js paints the same as answer.py writes


def digit(*probabilities: float, doubt: float = 0.0, box: Box | None = (0.0, 0.0, 9.0, 9.0)) -> ReadDigit:
    read = Prediction(probabilities + (0.0,) * (10 - len(probabilities)), "any", doubt, is_digit=doubt < 0.5)
    return ReadDigit(read, np.zeros((28, 28), np.uint8), box)


def at_random(seed: int) -> ReadDigit:
    chance = random.Random(seed)
    weights = [chance.random() ** (4 * seed) for _ in range(10)]
    return digit(*(weight / sum(weights) for weight in weights))


READINGS = [Reading((at_random(seed),)) for seed in range(12)] + [
    Reading((digit(0, 0, 0, 0, 0, 0, 0, 1),)),
    Reading((digit(0.5, 0.5),)),
    Reading((digit(0.005, 0.995 - 8e-9, *(1e-9,) * 8),)),
    Reading((digit(0.125, 0.125, 0.625, 0.125),)),
]
NUMBER = Reading((digit(0, 1, box=(10, 20, 30.5, 80)), digit(0.7, 0.3, box=(40, 21, 70, 81)), digit(0, 0.5, 0.5)))
REFUSED = Reading((digit(0.9, 0.1, doubt=0.9),))


def test_percentages_are_written_alike_in_python_and_javascript(script: Frame) -> None:
    chance = random.Random(0)
    shares = [n / 200 for n in range(201)] + [n / 1024 for n in range(1025)] + [chance.random() for _ in range(2000)]
    shares += [1e-300, 0.00499999, 0.9949999999, 1 - 2**-53, *(chance.random() ** 9 for _ in range(500))]
    assert script.evaluate("(shares) => shares.map(percent)", shares) == [html.unescape(percent(p)) for p in shares]


# Everything that a visitor can see or hear of the panel.
DESCRIBE = """(panel) => [panel, ...panel.querySelectorAll("*")].map((element) => [
  element.tagName, [...element.classList].sort().join(" "), element.getAttribute("aria-label"),
  element.children.length ? "" : element.textContent, Number(element.style.getPropertyValue("--share")).toFixed(3),
  element.style.getPropertyValue("--length"),
])"""
PAINT = f"""([before, answer]) => {{
  document.body.innerHTML = before;
  paint(document.querySelector(".answer"), answer);
  return ({DESCRIBE})(document.querySelector(".answer"));
}}"""
WRITE = f"(text) => {{ document.body.innerHTML = text; return ({DESCRIBE})(document.querySelector('.answer')); }}"


def sent(reading: Reading | None) -> Any:
    return reading and reading.to_json()


@pytest.mark.parametrize("before", [None, READINGS[3], NUMBER, REFUSED])
@pytest.mark.parametrize("after", [*READINGS, NUMBER, REFUSED, None])
def test_paint_turns_any_panel_into_what_the_page_would_write(
    script: Frame, before: Reading | None, after: Reading | None
) -> None:
    painted = script.evaluate(PAINT, [answer_html(before), sent(after)])
    assert painted == script.evaluate(WRITE, answer_html(after))


def test_screen_readers_hear_the_same_answer_only_once(script: Frame) -> None:
    said = script.evaluate(
        """async (answer) => {
          document.body.innerHTML = "<p></p>";
          const status = document.querySelector("p"), said = [];
          new MutationObserver(() => said.push(status.textContent)).observe(status, {childList: true});
          say(status, answer); await pause(0); say(status, answer); await pause(0); say(status, null); await pause(0);
          return said;
        }""",
        sent(READINGS[3]),
    )
    assert len(said) == 2
    assert said[0].startswith(f"I read {READINGS[3].text}. {READINGS[3].words}")
    assert said[1] == ""


def test_screen_readers_hear_that_a_drawing_is_refused(script: Frame) -> None:
    heard = """(answer) => {
      document.body.innerHTML = "<p></p>";
      say(document.querySelector("p"), answer);
      return document.querySelector("p").textContent;
    }"""
    assert script.evaluate(heard, sent(REFUSED)) == "Not a digit I know."


@pytest.mark.parametrize("before", [None, NUMBER])
@pytest.mark.parametrize("after", [READINGS[0], NUMBER, REFUSED, None])
def test_boxes_are_drawn_as_the_page_would_draw_them(
    script: Frame, before: Reading | None, after: Reading | None
) -> None:
    draw = """([before, answer]) => {
      document.body.innerHTML = before;
      frame(document.querySelector(".boxes"), answer);
      return document.body.innerHTML;
    }"""
    drawn, written = script.evaluate(draw, [boxes_html(before, 340), sent(after)]), boxes_html(after, 340)
    assert boxes_in(drawn) == boxes_in(written)
    assert len(boxes_in(written)) == (3 if after is NUMBER else 0)


def boxes_in(text: str) -> list[tuple[list[float], str]]:
    """Return each box: left, top, width and height in percent, and its label."""
    found = re.findall(r'class="box" data-label="([^"]*)" style="([^"]*)"', text)
    return [([round(float(share), 2) for share in re.findall(r"([0-9.]+)%", style)], said) for said, style in found]


# A pen that writes two strokes, timed by the test's own clock.
TWO_STROKES = """
    let now = 5;
    const ink = newInk(undefined, () => now);
    const write = (pause, ...points) => {
      now += pause; ink.down(points[0]);
      for (const point of points.slice(1)) { now += 30; ink.move([point]); }
      ink.up();
    };
    const times = () => ink.timeline(ink.strokes)?.map(({ time }) => time);
    write(0, [0, 0], [3, 4]);
    write(50, [20, 0], [20, 5], [20, 25]);
    """


def test_a_tap_that_slips_is_sent_as_a_dot(script: Frame) -> None:
    steps = """
        const points = (ink) => ink.map((stroke) => stroke.length);
        const asking = async (penWidth, to) => {
          ink.down([100, 100], penWidth); await pause(60); await answer("dot");
          ink.move([[100, 103], to]); await pause(60);
          const moving = points(asked.at(-1).strokes);
          ink.up(); await answer("moved");
          return [moving, points(ink.strokes)];
        };
        return [await asking(18, [104, 108]), await asking(18, [100, 109]), await asking(40, [100, 109])];
        """
    assert run(script, steps) == [[[1], [1]], [[1, 3], [1, 3]], [[1, 3, 1], [1, 3, 1]]]


def test_a_tap_that_slips_keeps_its_times(script: Frame) -> None:
    steps = """
        ink.down([60, 0], 18); now += 30; ink.move([[60, 6]]); ink.up();
        ink.replace([...ink.strokes.slice(0, 2), [[60, 0]]]);  // as the script sends it
        return times();
        """
    assert run(script, TWO_STROKES + "now += 70;" + steps) == [0, 30, 80, 110, 140, 210, 240]


def test_the_timeline_gives_path_length_and_time_at_each_point(script: Frame) -> None:
    seen = run(script, TWO_STROKES + "return ink.timeline(ink.strokes)")
    assert [point["way"] for point in seen] == [0, 5, 5, 10, 30]
    assert [point["time"] for point in seen] == [0, 30, 80, 110, 140]


def test_a_remaining_stroke_keeps_its_times_and_a_new_one_gets_its_own(script: Frame) -> None:
    """The time that it took to undo the other stroke was not spent writing."""
    steps = """
        ink.replace([[[0.6, -0.8], [3.6, 3.2]]]);  // as the canvas sends it, slightly displaced
        const left = times();
        write(60_000, [20, 0], [20, 5]);
        return [left, times()];
        """
    assert run(script, TWO_STROKES + steps) == [[0, 30], [0, 30, 330, 360]]


def test_a_page_change_loses_no_times(script: Frame) -> None:
    """The pause between two consecutive strokes that are both still there is kept, too."""
    steps = "ink.replace([[[0, 0], [3, 4]], [[20, 0], [20, 25]]]); return times()"
    assert run(script, TWO_STROKES + steps) == [0, 30, 80, 110, 140]


def test_the_later_of_two_strokes_keeps_its_times_without_the_earlier(script: Frame) -> None:
    assert run(script, TWO_STROKES + "ink.replace([[[20, 0], [20, 25]]]); return times()") == [0, 30, 60]


def test_one_digit_of_a_number_has_the_times_of_its_own_strokes(script: Frame) -> None:
    """If another stroke was written between its strokes, that pause does not belong to this digit."""
    steps = """
        write(70, [60, 0], [60, 30]);
        const of = (...strokes) => ink.timeline(strokes).map(({ way, time }) => [way, time]);
        const [first, second, third] = ink.strokes;
        return [of(second, third), of(first, third), of(second)];
        """
    assert run(script, TWO_STROKES + steps) == [
        [[0, 0], [5, 30], [25, 60], [25, 130], [55, 160]],
        [[0, 0], [5, 30], [5, 330], [35, 360]],
        [[0, 0], [5, 30], [25, 60]],
    ]


def test_an_unseen_stroke_gets_an_even_pace_between_the_seen_ones(script: Frame) -> None:
    steps = "ink.replace([[[0, 0], [3, 4]], [[50, 50], [50, 90], [50, 130]], [[20, 0], [20, 25]]]); return times()"
    written = run(script, TWO_STROKES + steps)
    assert written == [0, 30, 330, 430, 530, 830, 860, 890]


@pytest.mark.parametrize("ink", ["[]", "[[[0, 0], [9, 4]]]", "[[[3, 4], [0, 0]]]", "[[[0, 0], [50, 50], [3, 4]]]"])
def test_there_is_no_timeline_if_no_stroke_matches_what_was_written(script: Frame, ink: str) -> None:
    assert run(script, TWO_STROKES + f"ink.replace({ink}); return [times()]") == [None]
