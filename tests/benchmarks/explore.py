"""How long a visitor of Explore waits, in Chromium, and how long a model takes to read a split."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from playwright.sync_api import Browser, Page, sync_playwright

from mnist_app.data.dataset import find_source, load_split
from mnist_app.explore.predictions import predict
from mnist_app.models.registry import DEFAULT_MODEL
from mnist_app.reading.recognition import load_recogniser

from ..browser.chromium import FLAGS, find_chromium
from ..browser.conftest import serve
from .browser import STOCK, serve_stock, served
from .figures import Figure

SAMPLES = 25
TEN_THOUSAND = 10_000

# Measures from a press of the element given by a selector until the element of another selector has changed on the
# screen. If pictures are fetched one by one, the last of them must have arrived.
WAIT = """([pressed, watched]) => new Promise((resolve) => {
  const state = () => document.querySelector(watched)?.outerHTML;
  const isThere = () => [...document.querySelectorAll(".stImage img")].every((image) => image.complete);
  const before = state(), began = performance.now();
  const look = () => {
    const now = state();
    if (now && now !== before && isThere()) requestAnimationFrame(() => resolve(performance.now() - began));
    else requestAnimationFrame(look);
  };
  document.querySelector(pressed).click();
  look();
})"""
# Records in every page that is opened when the element of a selector is on the screen. Polling from outside, as
# Playwright does, would add up to half a second.
ARRIVAL = """(() => {
  const look = () => {
    if (document.querySelector("%s")) requestAnimationFrame(() => { window.arrived = performance.now(); });
    else requestAnimationFrame(look);
  };
  look();
})()"""
STOCK_GALLERY = [word.replace("stock_page", "stock_gallery") for word in STOCK]
GALLERY, TILE, PICTURE = ".st-key-gallery .gallery", ".st-key-gallery .tile", "section.picture"


def measure() -> Iterator[Figure]:
    yield _reading()
    home, chromium = Path(tempfile.mkdtemp()), find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        with served(serve(home)) as ours:
            yield from _openings(browser, ours)
            yield from _clicks(browser, ours)
        with served(serve_stock(home, STOCK_GALLERY)) as stock:
            yield _stock_opening(browser, stock)
            yield _stock_pages(browser, stock)


def _open(page: Page, address: str, query: str = "") -> None:
    page.goto(f"{address}/explore{query}")
    page.locator(TILE).first.wait_for()
    page.wait_for_timeout(700)


def _openings(browser: Browser, address: str) -> Iterator[Figure]:
    """Measure the time to the first pictures: from another page, by a link, and by a link with an empty cache."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(ARRIVAL % TILE)
    _open(page, address)
    inside, links, cold = [], [], []
    for _ in range(SAMPLES):
        page.get_by_role("link", name="Data").click()
        page.locator(".sheet").wait_for()
        page.wait_for_timeout(500)
        inside.append(page.evaluate(WAIT, ["a[href*='/explore']", GALLERY]))
        links.append(_arrival(page, f"{address}/explore"))
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.add_init_script(ARRIVAL % TILE)
        cold.append(_arrival(context.new_page(), f"{address}/explore"))
        context.close()
    page.close()
    yield Figure.of("first pictures, from another page", inside)
    yield Figure.of("first pictures, by a link", links)
    yield Figure.of("first pictures, by a link with an empty cache", cold)


def _arrival(page: Page, address: str) -> float:
    """Open an address and return how long it takes to show what ARRIVAL looks for, ms."""
    page.goto(address)
    return float(page.wait_for_function("window.arrived").json_value())


def _clicks(browser: Browser, address: str) -> Iterator[Figure]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    _open(page, address)

    def waits(pressed: list[str], watched: str) -> list[float]:
        times = []
        for turn in range(SAMPLES):
            times.append(page.evaluate(WAIT, [pressed[turn % len(pressed)], watched]))
            page.wait_for_timeout(400)
        return times

    yield Figure.of("next page of the gallery", waits([".st-key-page_right button"], GALLERY))
    _open(page, address)
    cells = ['[data-pick="9-4"]', '[data-pick="5-3"]', '[data-pick="7-any"]', '[data-pick="3-3"]']
    yield Figure.of("a cell of the matrix to its pictures", waits(cells, GALLERY))
    _open(page, address, "?order=index")
    tiles = [f'.st-key-gallery [data-pick="{index}"]' for index in range(SAMPLES)]
    yield Figure.of("a picture opened", waits(tiles, PICTURE))
    steps = [".st-key-picture_right button"]
    yield Figure.of("the next picture", waits(steps, PICTURE))
    panels = [f".st-key-explore_panel button:nth-of-type({turn})" for turn in (2, 1)]
    _open(page, address)
    yield Figure.of("map and back to the numbers", _panels(page, panels))
    page.close()


def _panels(page: Page, panels: list[str]) -> list[float]:
    """Measure from a press to the other panel, in turn: the map with its points drawn, and the matrix."""
    times = []
    for turn in range(SAMPLES):
        watched = (".digit-map canvas", ".confusion")[turn % 2]
        times.append(page.evaluate(WAIT, [panels[turn % 2], watched]))
        page.wait_for_timeout(500)
    return times


def _stock_opening(browser: Browser, address: str) -> Figure:
    """Measure the time to a stock page's heading by a link: the browser's time to load Streamlit itself."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(ARRIVAL % ".described")
    times = []
    for _ in range(SAMPLES + 1):
        times.append(_arrival(page, address))
        page.locator(".stImage img").nth(99).wait_for()
    page.close()
    return Figure.of("baseline: the first line of a stock page, by a link", times[1:])


def _stock_pages(browser: Browser, address: str) -> Figure:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    page.locator(".stImage img").nth(99).wait_for()
    times = []
    for _ in range(SAMPLES):
        page.wait_for_timeout(700)
        times.append(page.evaluate(WAIT, [".stButton button", ".described"]))
    page.close()
    return Figure.of("baseline: next page as a hundred st.image", times)


def _reading() -> Figure:
    """Measure a network on 10,000 pictures, with one thread."""
    torch.set_num_threads(1)
    split = find_source().splits[-1]
    images = load_split(split).images
    images = images[[n % len(images) for n in range(TEN_THOUSAND)]]
    graph = load_recogniser(DEFAULT_MODEL).graph
    times = []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        predict(graph, images)
        times.append(time.perf_counter() - began)
    return Figure.of(f"{TEN_THOUSAND:,} predictions on one core", times, "s")
