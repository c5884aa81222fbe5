"""Takes screenshots of every page, the tour and the glossary: ``python -m tests.browser.screenshots``.

They are for people to look at; those that the README shows are in the repository.
"""

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from mnist_app.web.tour import STOPS

from ..conftest import SEVEN, TWO, ZERO
from .chromium import FLAGS, find_chromium
from .conftest import serve
from .visitor import Stroke, Visitor

FOLDER = Path(__file__).parent / "screenshots"
EXPLORE = {"explore": "verdict=wrong", "picture": "verdict=wrong&open=947&panel=picture", "map": "panel=map"}
WIDE, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)
TALL = 3000  # CSS pixels: all layers of the network, below the pad


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    server = serve(Path(tempfile.mkdtemp()))
    chromium = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        address = next(server)
        _pages(browser, address)
        _phone(browser, address)
        next(server, None)


def _pages(browser: Browser, address: str) -> None:
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport=WIDE, color_scheme=scheme)
        visitor = Visitor(page).open(address)
        page.screenshot(path=FOLDER / f"blank-{scheme}.png")
        visitor.draw(SEVEN)
        visitor.settle()
        page.mouse.move(5, 5)
        page.screenshot(path=FOLDER / f"draw-{scheme}.png")
        _terms(page, scheme)
        _why(page, visitor, scheme)
        _tour(page, visitor, scheme)
        page.get_by_role("button", name="Clear").click()
        visitor.settle()
        visitor.draw([*beside(TWO, 0), *beside(ZERO, 1), *beside(TWO, 2), *beside(SEVEN, 3)])
        visitor.settle()
        expect(visitor.digit).to_have_text("2027")
        page.screenshot(path=FOLDER / f"number-{scheme}.png")
        _explore(page, address, scheme)
        _break(page, address, scheme)
        for title in ("Teach", "Train", "Models", "Data"):
            visitor.visit(title)
            visitor.settle()
            page.screenshot(path=FOLDER / f"{title.lower()}-{scheme}.png")
            _terms(page, scheme)
        _lab(page, visitor, scheme)
        page.close()


def _lab(page: Page, visitor: Visitor, scheme: str) -> None:
    visitor.visit("Lab")
    page.locator(".js-plotly-plot").first.wait_for()
    page.wait_for_timeout(1500)  # until the chart is drawn
    page.screenshot(path=FOLDER / f"lab-{scheme}.png")
    page.locator(".st-key-lab_tradeoff").screenshot(path=FOLDER / f"lab-cost-{scheme}.png")
    _terms(page, scheme)
    for part in ("Read my drawing", "One knob at a time", "Made smaller", "Learning from few"):
        page.get_by_role("radio", name=part).or_(page.get_by_role("button", name=part)).first.click()
        visitor.settle()
        page.wait_for_timeout(1500)
        page.screenshot(path=FOLDER / f"lab-{part.split()[-1]}-{scheme}.png")


def _terms(page: Page, scheme: str) -> None:
    """Open and photograph each glossary term that is visible on the page now."""
    for term in page.locator("[class*=st-key-term_]:visible").all():
        name = str(term.evaluate("(element) => /st-key-term_(\\w+)/.exec(element.className)[1]"))
        term.get_by_role("button").click()
        page.locator(".term:visible").wait_for()
        page.wait_for_timeout(500)  # until it is in its final position
        page.get_by_test_id("stPopoverBody").screenshot(path=FOLDER / f"term-{name}-{scheme}.png")
        page.keyboard.press("Escape")
        page.locator(".term:visible").wait_for(state="detached")


def _tour(page: Page, visitor: Visitor, scheme: str) -> None:
    page.get_by_role("button", name="Take the five-minute tour").click()
    for number in range(1, len(STOPS) + 1):
        expect(page.locator(".st-key-tour_stop")).to_contain_text(f"{number} of {len(STOPS)}")
        visitor.settle()
        page.wait_for_timeout(1500)
        page.screenshot(path=FOLDER / f"tour-{number}-{scheme}.png")
        page.locator(".st-key-tour_next, .st-key-tour_done").get_by_role("button").click()
    expect(page.locator(".st-key-tour_stop")).to_have_count(0)
    visitor.settle()


def beside(digit: list[Stroke], place: int) -> list[Stroke]:
    """Return a digit made smaller, at one of four places side by side on the pad."""
    return [[[0.3 * x + 80 * place - 5, 0.45 * y + 90] for x, y in stroke] for stroke in digit]


def _explore(page: Page, address: str, scheme: str) -> None:
    for name, query in EXPLORE.items():
        page.goto(f"{address}/explore?{query}")
        page.locator(".st-key-gallery .tile").first.wait_for()
        page.wait_for_timeout(2000)  # until the map is drawn
        page.screenshot(path=FOLDER / f"{name}-{scheme}.png")
        _terms(page, scheme)


def _why(page: Page, visitor: Visitor, scheme: str) -> None:
    panel, size = page.locator(".st-key-why_panel"), page.viewport_size
    assert size
    questions = {
        "see": "What did it see?",
        "where": "Where did it look?",
        "when": "When did it decide?",
        "change": "What would change its mind?",
    }
    for name, question in questions.items():
        page.get_by_role("button", name=question).or_(page.get_by_role("radio", name=question)).first.click()
        visitor.settle()
        if name == "see":
            panel.get_by_text("Layer by layer").click()
        elif name == "change":
            panel.get_by_role("radio", name="1", exact=True).click()
        visitor.settle()
        page.wait_for_timeout(1500)
        page.set_viewport_size({**size, "height": TALL})
        panel.screenshot(path=FOLDER / f"why-{name}-{scheme}.png")
        page.set_viewport_size(size)
        _terms(page, scheme)
    page.get_by_role("button", name=question).or_(page.get_by_role("radio", name=question)).first.click()  # close it


def _break(page: Page, address: str, scheme: str) -> None:
    page.goto(f"{address}/break")
    page.locator(".curves .chart").first.wait_for()
    page.wait_for_timeout(1500)
    page.screenshot(path=FOLDER / f"break-{scheme}.png")
    page.get_by_text("Attack it", exact=True).click()
    page.locator(".row.wide").nth(1).wait_for()
    page.wait_for_timeout(1500)
    page.screenshot(path=FOLDER / f"attack-{scheme}.png")
    _terms(page, scheme)


def _phone(browser: Browser, address: str) -> None:
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport=PHONE, color_scheme=scheme, has_touch=True, is_mobile=True)
        page = context.new_page()
        visitor = Visitor(page).open(address)
        visitor.touch(TWO)
        visitor.settle()
        expect(visitor.digit).to_have_text("2")
        page.screenshot(path=FOLDER / f"phone-{scheme}.png")
        _why(page, visitor, f"phone-{scheme}")
        _explore(page, address, f"phone-{scheme}")
        _break(page, address, f"phone-{scheme}")
        context.close()


if __name__ == "__main__":
    main()
