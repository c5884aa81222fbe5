"""How long a visitor waits, in Chromium: with our app, and with the stock pattern in the same run."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from mnist_app.training import jobs
from mnist_app.training.train import PRESETS

from ..browser.chromium import FLAGS, find_chromium
from ..browser.conftest import ROOT, serve
from ..conftest import Strokes
from .figures import Figure
from .ink import drawings

SAMPLES = 100
BETWEEN = 700  # ms from an answer to the next stroke, in which canvas and script finish their work
STROKES_A_SHEET = 4  # before the canvas is cleared: a stroke over much ink may change no bar, so no change is seen
ANSWERS = 40  # to each question
SOON = 300  # ms
WEIGHED = 10  # loads whose bytes are counted; few, because the number is the same each time
TWO_ONES: Strokes = [[[170, 60], [170, 170], [170, 285]], [[60, 60], [60, 170], [60, 285]]]
# Streamlit's default settings except for the address, the browser window and usage statistics.
STOCK = ["-m", "streamlit", "run", "tests/benchmarks/stock_page.py", "--server.address", "127.0.0.1"]
STOCK += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]

# Records when the pen goes up, and when the next change of the element given by a selector is on the screen.
STOPWATCH = """(selector) => {
  window.upAt = null; window.waits = []; window.changes = 0;
  window.watch?.disconnect();
  window.onUp ??= window.addEventListener("pointerup", () => { window.upAt = performance.now(); }, true) ?? true;
  const isInside = (node) => (node.nodeType === 1 ? node : node.parentElement)?.closest(selector);
  window.watch = new MutationObserver((mutations) => {
    if (!mutations.some((mutation) => isInside(mutation.target))) return;
    window.changes += 1;
    if (window.upAt === null) return;
    const upAt = window.upAt;
    window.upAt = null;
    requestAnimationFrame(() => window.waits.push(performance.now() - upAt));
  });
  const anything = {childList: true, subtree: true, attributes: true, characterData: true};
  window.watch.observe(document.body, anything);
}"""


# Measures from the press of a button until the answer changes: bars and words differ between two ones and one.
AGREEMENT = """(button) => new Promise((resolve) => {
  const answer = () => document.querySelector(".answer").innerHTML;
  const before = answer(), pressed = performance.now();
  const watch = new MutationObserver(() => {
    if (answer() === before) return;
    watch.disconnect();
    resolve(performance.now() - pressed);
  });
  watch.observe(document.body, {childList: true, subtree: true, attributes: true});
  document.querySelector(`.st-key-${button} button`).click();
})"""


# Measures from the next pen-up until the last change of the open panel's content is on the screen.
FOLLOW = """() => {
  const parts = [...document.querySelectorAll(".st-key-why_answer :is(.stHtml, .curves)")];
  return parts.map((part) => part.innerHTML).join();
}"""
ANSWERED = f"""() => {{
  const content = {FOLLOW};
  let [before, upAt] = [content(), null];
  window.answered = null;
  window.watch?.disconnect();
  window.addEventListener("pointerup", () => {{ upAt = performance.now(); }}, {{capture: true, once: true}});
  window.watch = new MutationObserver(() => {{
    const now = content();
    if (upAt === null || now === before) return;
    before = now;
    requestAnimationFrame(() => {{ window.answered = performance.now() - upAt; }});
  }});
  window.watch.observe(document.body, {{childList: true, subtree: true, attributes: true, characterData: true}});
}}"""
LAYERS = "Layer by layer"
PANELS = {  # each question of the panel, and a selector of its answer
    "What did it see?": ".gallery.near",
    LAYERS: ".network",
    "Where did it look?": ".row.large",
    "When did it decide?": ".curves",
    "What would change its mind?": ".findings",
}


def measure() -> Iterator[Figure]:
    home = Path(tempfile.mkdtemp())
    chromium = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        with served(serve(home)) as ours, served(serve_stock(home)) as stock:
            yield from _pen_up(browser, ours, stock)
            yield from _agree(browser, ours)
            yield _updates(browser, ours)
            yield from _first_load(browser, "ours", ours, ".st-key-live_ink_element")
            yield from _first_load(browser, "baseline: stock pattern", stock, ".stPlotlyChart .barlayer path")


def measure_panels() -> Iterator[Figure]:
    """Measure from pen-up to the whole answer to each question of the open panel Why, for first and later strokes."""
    chromium = find_chromium()
    with sync_playwright() as playwright, served(serve(Path(tempfile.mkdtemp()))) as address:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for question, selector in PANELS.items():
            waits = _answers(browser, address, question, selector)
            yield Figure.of(f"pen-up to the answer: {question}", waits)
            yield Figure.of(f"  within {SOON} ms", [100 * float(np.mean(np.array(waits) <= SOON))], "%")


def _answers(browser: Browser, address: str, question: str, selector: str) -> list[float]:
    page = browser.new_page(viewport={"width": 1280, "height": 2400})  # pad and panel both visible
    page.goto(address)
    page.locator(".st-key-live_ink_element").wait_for(state="attached")
    page.wait_for_timeout(1000)
    strokes = iter([stroke for drawing in drawings(ANSWERS * 2) for stroke in drawing])
    _draw(page, next(strokes))
    pill = "What did it see?" if question == LAYERS else question
    page.get_by_role("button", name=pill).or_(page.get_by_role("radio", name=pill)).first.click()
    if question == LAYERS:
        page.get_by_text(LAYERS).click()
    page.locator(selector).first.wait_for()
    waits: list[float] = []
    while len(waits) < ANSWERS:
        page.wait_for_timeout(2 * BETWEEN)
        page.locator(".st-key-clear button").click()  # the panel stays open
        page.locator(selector).first.wait_for(state="detached")
        for _ in range(STROKES_A_SHEET):
            page.wait_for_timeout(2 * BETWEEN)
            page.evaluate(ANSWERED)
            _draw(page, next(strokes))
            page.wait_for_function("window.answered !== null", polling=100)
            page.wait_for_timeout(BETWEEN)  # meanwhile the canvas reports, the page reruns
            waits.append(page.evaluate("window.answered"))
    page.close()
    return waits


@contextmanager
def served(server: Iterator[str]) -> Iterator[str]:
    """Yield the address of a server, and stop it at the end."""
    try:
        yield next(server)
    finally:
        next(server, None)


def serve_stock(home: Path, stock: list[str] = STOCK) -> Iterator[str]:
    """Serve the stock page outside this project's folder, so that Streamlit's default settings apply."""
    command = [argument.replace("tests/", f"{ROOT}/tests/") for argument in stock]
    yield from serve(home, command, health="/_stcore/health", folder=home, PYTHONPATH=str(ROOT))


def _pen_up(browser: Browser, ours: str, stock: str) -> list[Figure]:
    quick = _draw_all(
        browser, ours, ".answer[aria-busy=false]", lambda page: page.locator(".st-key-clear button").click()
    )
    slow = _draw_all(browser, stock, ".stPlotlyChart", lambda page: page.reload())
    return [
        Figure.of("pen-up to bars on the screen: ours", quick),
        Figure.of("pen-up to bars on the screen: baseline, stock pattern", slow),
    ]


def _draw_all(browser: Browser, address: str, selector: str, clear: Callable[[Page], Any]) -> list[float]:
    """Return the waits after SAMPLES pen-ups, ms. Raises Playwright's TimeoutError if an answer never comes."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    waits: list[float] = []
    strokes = [stroke for drawing in drawings(SAMPLES) for stroke in drawing]
    for first in range(0, SAMPLES, STROKES_A_SHEET):
        page.locator("canvas.upper-canvas").wait_for()
        page.locator(selector).first.wait_for(state="attached")
        page.wait_for_timeout(1500)
        page.evaluate(STOPWATCH, selector)
        for number, stroke in enumerate(strokes[first : first + STROKES_A_SHEET]):
            _draw(page, stroke)
            page.wait_for_function("(waits) => window.waits.length > waits", arg=number, polling=100)
            page.wait_for_timeout(BETWEEN)
        waits += page.evaluate("window.waits")
        clear(page)
    page.close()
    return waits


def measure_beside_training() -> list[Figure]:
    """Measure pen-up to bars, on an idle machine and while the Train page's longest job runs."""
    home, chromium = Path(tempfile.mkdtemp()), find_chromium()
    with sync_playwright() as playwright, served(serve(home)) as address:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)

        def waits() -> list[float]:
            return _draw_all(
                browser,
                address,
                ".answer[aria-busy=false]",
                lambda page: page.locator(".st-key-clear button").click(),
            )

        idle = waits()
        with training(home):
            beside = waits()
    return [
        Figure.of("pen-up to bars on the screen, idle", idle),
        Figure.of("pen-up to bars on the screen, beside a training", beside),
    ]


@contextmanager
def training(home: Path) -> Iterator[None]:
    """Run the Train page's longest job, on the server at ``home``. Raises AssertionError if it ends too soon."""
    os.environ["MNIST_APP_HOME"] = str(home)
    identity = jobs.submit("bench", PRESETS["best"].config)
    while jobs.list_jobs()[0].status.batch < 10:
        assert not jobs.list_jobs()[0].status.is_over, jobs.list_jobs()[0].status.reason
        time.sleep(0.1)
    yield
    assert jobs.list_jobs()[0].status.state == jobs.RUNNING, "the training ended before the measurement beside it"
    jobs.cancel(identity)


def _agree(browser: Browser, address: str) -> list[Figure]:
    """Measure how long the panel still shows the old answer after Undo and after Clear."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    page.locator(".st-key-live_ink_element").wait_for(state="attached")
    page.wait_for_timeout(1000)
    waits: dict[str, list[float]] = {"undo": [], "clear": []}
    for _ in range(SAMPLES):
        for stroke in TWO_ONES:
            _draw(page, stroke)
            page.wait_for_timeout(400)
        for button in waits:
            waits[button].append(page.evaluate(AGREEMENT, button))
        page.wait_for_timeout(600)  # until the blank canvas has appeared
    page.close()
    return [Figure.of(f"{button} to the panel agreeing", values) for button, values in waits.items()]


def _draw(page: Page, stroke: list[list[float]]) -> None:
    box: Any = page.locator("canvas.upper-canvas").bounding_box()
    page.mouse.move(box["x"] + stroke[0][0], box["y"] + stroke[0][1])
    page.mouse.down()
    for x, y in stroke[1:]:
        page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.up()


def _updates(browser: Browser, address: str) -> Figure:
    """Count the answers painted a second, over strokes of one second each in which the pen always moves."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    page.locator(".st-key-live_ink_element").wait_for(state="attached")
    page.wait_for_timeout(1000)
    box: Any = page.locator("canvas.upper-canvas").bounding_box()
    rates = []
    for turn in range(SAMPLES):
        page.mouse.move(box["x"] + 60, box["y"] + 60)
        page.mouse.down()
        page.evaluate(STOPWATCH, ".answer .digit")
        began = page.evaluate("performance.now()")
        for step in range(10_000):
            page.mouse.move(box["x"] + 60 + step % 200, box["y"] + 60 + (step * 7 + turn) % 200)
            if step % 20 == 19 and page.evaluate("performance.now()") - began > 1000:
                break
        changes, ended = page.evaluate("[window.changes, performance.now()]")
        page.mouse.up()
        rates.append(changes / (ended - began) * 1000)
        page.locator(".st-key-clear button").click()
        page.wait_for_timeout(600)
    page.close()
    return Figure.of("answers painted a second while the pen moves", rates, "1/s")


def _first_load(browser: Browser, whose: str, address: str, ready: str) -> list[Figure]:
    """Measure bytes over the wire and the time until the page can be used, with an empty cache."""
    times, sizes = [], []
    for load in range(SAMPLES):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        wire: list[float] = []
        network = context.new_cdp_session(page)
        network.send("Network.enable")
        network.on("Network.loadingFinished", lambda event, wire=wire: wire.append(event["encodedDataLength"]))
        network.on(
            "Network.webSocketFrameReceived",
            lambda event, wire=wire: wire.append(len(event["response"]["payloadData"]) * 3 / 4),  # base64
        )
        page.goto(address)
        page.locator(ready).first.wait_for(state="attached")
        times.append(page.evaluate("performance.now()"))
        if load < WEIGHED:
            page.wait_for_timeout(1500)
            sizes.append(sum(wire) / 1e6)
        context.close()
    return [Figure.of(f"first load until usable: {whose}", times), Figure.of(f"first load: {whose}", sizes, "MB")]
