"""The Lab page in a real browser: its table, its parts by keyboard, the way to a model's mistakes, and a phone."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from torch import nn

from mnist_app.lab.contender import COMPRESSED, OWN
from mnist_app.lab.effects import EffectResult, Run
from mnist_app.lab.figures import write_json
from mnist_app.lab.transfer import Direction, Point

from ..toy_lab import CURVES, figures, put
from .conftest import serve
from .visitor import Visitor

PARTS = [
    "Compare",
    "Read my drawing",
    "One knob at a time",
    "Made smaller",
    "Learning from few",
    "From pixels to numbers",
]
HEAD, ROW = 35, 35  # CSS pixels that the head and each row of Streamlit's table are high


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, mean_digit: nn.Module) -> Iterator[str]:
    """The address of an app with toys in its lab, which come before the shipped models by accuracy and by name."""
    home = tmp_path_factory.mktemp("home")
    for name, accuracy in (("00 toy", 0.9998), ("01 ball", 0.9999), ("02 kite", 0.9997)):
        put(home / "lab", figures(name.split()[1], title=name, accuracy=accuracy), mean_digit)
    put(home / "lab", figures("mnist-cnn", family=OWN))
    put(home / "lab", figures("mnist-cnn-int8", title="In 8 bits", family=COMPRESSED))
    seen = [
        EffectResult(title, "It helps.", [Run(words, CURVES) for words in ("none", "much")])
        for title in ("Noise", "Luck")
    ]
    write_json(home / "lab" / "effects.json", {"parts": [asdict(each) for each in seen]})
    points = [Point(10, [0.5, 0.6], [0.2, 0.3]), Point(100, [0.8, 0.9], [0.5, 0.6])]
    ways = [Direction("MNIST", "pens", 500, 0.4, points), Direction("pens", "MNIST", 500, 0.4, points)]
    write_json(home / "lab" / "transfer.json", {"parts": [asdict(way) for way in ways]})
    yield from serve(home, MNIST_APP_DATA="")


class LabVisitor(Visitor):
    """A visitor of the Lab page who also watches the browser's console."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.table = page.get_by_test_id("stDataFrame").first

    def enter(self, app: str) -> "LabVisitor":
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.open(app).visit("Lab")  # opened by its URL, Streamlit first makes a health request there: a 404
        self.settle()
        return self

    def expect_titles(self, *titles: str) -> None:
        """Expect these first models in the table, as a screen reader sees them."""
        for row, title in enumerate(titles):
            expect(self.table.get_by_test_id(f"glide-cell-1-{row}")).to_have_text(title)

    def press_in_table(self, x: float, y: float) -> None:
        self.table.scroll_into_view_if_needed()
        box: Any = self.table.bounding_box()
        self.page.mouse.click(box["x"] + x, box["y"] + y)  # on its canvas, which another element covers
        self.settle()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1280, "height": 2000})
    yield context
    context.close()


def test_the_table_sorts_and_a_picked_model_leads_to_its_mistakes(context: BrowserContext, app: str) -> None:
    visitor = LabVisitor(context.new_page()).enter(app)
    page = visitor.page
    visitor.expect_titles("01 ball", "00 toy", "02 kite")
    visitor.press_in_table(45, HEAD / 2)  # the head above the models' names, left of its menu
    visitor.expect_titles("00 toy", "01 ball", "02 kite")
    visitor.press_in_table(15, HEAD + ROW / 2)
    expect(page.locator(".st-key-lab_model").get_by_role("heading")).to_have_text("00 toy")
    expect(page.locator(".st-key-lab_model table.confusion")).to_be_visible()
    page.get_by_role("button", name="Its mistakes in Explore").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Explore")
    expect(page.locator(".described")).to_have_text(re.compile("digits misread"))
    assert "model=toy" in page.url and "verdict=wrong" in page.url
    assert visitor.errors == []


def test_every_part_can_be_reached_by_keyboard(context: BrowserContext, app: str) -> None:
    visitor = LabVisitor(context.new_page()).enter(app)
    page, keys = visitor.page, visitor.page.keyboard
    marks = [
        page.get_by_text("What accuracy costs"),
        page.get_by_role("button", name="Draw something"),
        page.get_by_text("Luck."),
        page.get_by_text("The same network in other forms"),
        page.get_by_text("MNIST first, then pens"),
        page.get_by_role("tab", name="Normalising"),
    ]
    page.get_by_role("radio", name=PARTS[0]).focus()
    for part, mark in zip(PARTS, marks, strict=True):
        expect(page.get_by_role("radio", name=part)).to_be_focused()
        keys.press("Space")
        expect(mark).to_be_visible()
        visitor.settle()
        assert [other.is_visible() for other in marks].count(True) == 1
        keys.press("ArrowRight")
    assert visitor.errors == []


def test_a_phone_needs_no_sideways_scrolling(chromium: Browser, app: str) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visitor = LabVisitor(context.new_page())
    visitor.page.goto(f"{app}/lab")
    visitor.expect_titles("01 ball")
    visitor.press_in_table(15, HEAD + ROW / 2)
    expect(visitor.page.locator(".st-key-lab_model table.confusion")).to_be_visible()
    for part in PARTS:
        visitor.page.get_by_role("radio", name=part).click()
        visitor.settle()
        assert visitor.width() <= 390, part
    for tab in visitor.page.get_by_role("tab").all():
        tab.click()
        assert visitor.width() <= 390, tab.inner_text()
    assert visitor.errors == []
    context.close()
