"""The Explore page, where tests need a real browser."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from ..conftest import SEVEN, full_mnist
from .conftest import serve
from .runs import Runs
from .visitor import Visitor, download


class Explorer:
    """A visitor's actions and observations on the Explore page."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.errors: list[str] = []
        self.runs = Runs(page)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tiles = page.locator(".st-key-gallery .tile")
        self.described = page.locator(".described")
        self.picture = page.locator("section.picture")
        self.canvas = page.locator(".digit-map canvas")

    def open(self, query: str = "") -> "Explorer":
        self.page.goto(f"{self.address}/explore{query}")
        expect(self.described).to_be_visible(timeout=30_000)  # a server that has just started reads the split first
        return self

    def cell(self, label: int, read: int) -> Any:
        return self.page.locator(f'.confusion [data-pick="{label}-{read}"]')

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the position on the page of a place on the map, given in the map's units."""
        box: Any = self.canvas.bounding_box()
        scale = (box["width"] - 24) / 1000
        return box["x"] + 12 + x * scale, box["y"] + 12 + y * scale

    def drag(self, *places: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.at(*place), steps=5)
        self.page.mouse.up()


@pytest.fixture
def newcomer(page: Page, address: str) -> Explorer:
    """Somebody who has not opened a page yet."""
    full_mnist()
    return Explorer(page, address)


@pytest.fixture
def explorer(newcomer: Explorer) -> Explorer:
    """Somebody who has opened the page without a query."""
    return newcomer.open()


def test_picking_a_confusion_cell_shows_only_its_pictures(explorer: Explorer) -> None:
    expect(explorer.described).to_have_text("10,000 digits")
    status = explorer.page.locator(".st-key-gallery [role=status]")
    spoken = status.element_handle()
    count = int(explorer.cell(9, 4).inner_text())
    explorer.cell(9, 4).click()
    expect(explorer.described).to_have_text(f"{count} nines read as fours")
    expect(status).to_have_text(f"{count} nines read as fours")
    # The announcing element must have existed before: many screen readers ignore a new one.
    assert spoken.text_content() == f"{count} nines read as fours"
    expect(explorer.tiles).to_have_count(count)
    for tile in explorer.tiles.all():
        assert "9 read as 4" in (tile.get_attribute("aria-label") or "")
    assert "label=9" in explorer.page.url and "read=4" in explorer.page.url
    assert not explorer.errors


def test_a_pick_right_after_leaving_the_page_causes_no_error(explorer: Explorer) -> None:
    leave_and_pick = """() => {
      document.querySelector("a[href$='/data']").click();
      document.querySelector(".confusion [data-pick='9-4']").click();
    }"""
    explorer.cell(9, 4).wait_for()
    explorer.page.evaluate(leave_and_pick)
    explorer.runs.settle()
    expect(explorer.page.get_by_role("heading", level=1)).to_have_text(re.compile("Explore|The digits"))
    expect(explorer.page.get_by_text("encountered an error")).to_have_count(0)


def test_a_confusion_cell_can_be_picked_by_keyboard(explorer: Explorer) -> None:
    explorer.cell(5, 5).focus()
    explorer.page.keyboard.press("ArrowRight")
    expect(explorer.cell(5, 6)).to_be_focused()
    explorer.page.keyboard.press("Enter")
    expect(explorer.described).to_have_text(re.compile(r"^\d+ fives? read as (a six|sixes)$"))
    expect(explorer.cell(5, 6)).to_be_focused()  # the keyboard continues from there


def test_arrow_keys_move_through_the_gallery_and_enter_opens_a_picture(explorer: Explorer) -> None:
    first = explorer.tiles.first
    first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"):
        explorer.page.keyboard.press(key)
    across = explorer.page.evaluate(
        "getComputedStyle(document.querySelector('.st-key-gallery .gallery')).gridTemplateColumns.split(' ').length"
    )
    expect(explorer.tiles.nth(across + 1)).to_be_focused()
    explorer.page.keyboard.press("Enter")
    expect(explorer.picture).to_be_visible()


def test_arrow_keys_open_the_next_and_the_previous_picture(newcomer: Explorer) -> None:
    explorer = newcomer.open("?order=index&verdict=wrong")
    explorer.tiles.first.wait_for()
    names = [tile.get_attribute("data-pick") for tile in explorer.tiles.all()]
    explorer.tiles.first.click()
    expect(explorer.picture).to_have_attribute("aria-label", f"Picture {names[0]}")
    for step in (1, 2):
        explorer.page.keyboard.press("ArrowRight")
        expect(explorer.picture).to_have_attribute("aria-label", f"Picture {names[step]}")
    explorer.page.keyboard.press("ArrowLeft")
    expect(explorer.picture).to_have_attribute("aria-label", f"Picture {names[1]}")
    expect(explorer.page).to_have_url(re.compile(f"open={names[1]}(&|$)"))
    expect(explorer.page.locator(".st-key-gallery [aria-current=true]")).to_have_attribute("data-pick", names[1] or "")


def test_a_reload_and_a_shared_link_show_the_same_view(explorer: Explorer, chromium: Browser) -> None:
    explorer.cell(7, 2).click()
    expect(explorer.described).to_contain_text("sevens read as twos")
    explorer.tiles.nth(1).click()
    expect(explorer.picture).to_be_visible()
    seen = explorer.described.inner_text(), explorer.picture.inner_text()
    url = explorer.page.url
    explorer.page.reload()
    expect(explorer.picture).to_be_visible()
    assert (explorer.described.inner_text(), explorer.picture.inner_text()) == seen
    colleague = chromium.new_page()
    colleague.goto(url)
    expect(colleague.locator("section.picture")).to_be_visible()
    assert (colleague.locator(".described").inner_text(), colleague.locator("section.picture").inner_text()) == seen
    colleague.close()


def test_the_back_button_returns_to_the_previous_view(explorer: Explorer) -> None:
    explorer.cell(9, 4).click()
    expect(explorer.described).to_contain_text("nines read as fours")
    explorer.cell(5, 3).click()
    expect(explorer.described).to_contain_text(re.compile("fives? read as"))
    explorer.page.go_back()
    expect(explorer.described).to_contain_text("nines read as fours")


def test_picking_a_confusion_cell_removes_earlier_filters(newcomer: Explorer) -> None:
    explorer = newcomer.open("?confidence=99-100&stroke=thin")
    expect(explorer.page.get_by_role("button", name="More (2)")).to_be_visible()  # two hidden filters are set
    count = int(explorer.cell(9, 4).inner_text())
    explorer.cell(9, 4).click()
    expect(explorer.described).to_have_text(f"{count} nines read as fours")


def test_quick_presses_of_next_page_all_count(explorer: Explorer) -> None:
    for _ in range(4):
        explorer.page.get_by_role("button", name="Next page").click(no_wait_after=True)
        explorer.page.wait_for_timeout(30)
    explorer.runs.settle()
    expect(explorer.page.locator(".st-key-explore_pages")).to_contain_text("Page 5 of")
    expect(explorer.page).to_have_url(re.compile("page=5"))


def test_the_back_button_returns_to_the_previous_gallery_page(explorer: Explorer) -> None:
    pages = explorer.page.locator(".st-key-explore_pages")
    for page in (2, 3):
        explorer.page.get_by_role("button", name="Next page").click()
        expect(pages).to_contain_text(f"Page {page} of")
        expect(explorer.page).to_have_url(re.compile(f"page={page}"))
    explorer.page.go_back()
    expect(pages).to_contain_text("Page 2 of")
    explorer.page.go_back()
    expect(pages).to_contain_text("Page 1 of")


def test_on_a_phone_a_pick_scrolls_to_its_result(phone: Page, address: str) -> None:
    full_mnist()
    explorer = Explorer(phone, address).open("?verdict=wrong")
    explorer.tiles.nth(3).tap()
    expect(explorer.picture).to_be_in_viewport()
    explorer.open()
    expect(explorer.described).not_to_be_in_viewport()
    explorer.cell(9, 4).tap()
    expect(explorer.described).to_contain_text("nines read as fours")
    expect(explorer.described).to_be_in_viewport()


def test_on_a_phone_marking_the_map_scrolls_to_the_result(phone: Page, address: str) -> None:
    full_mnist()
    explorer = Explorer(phone, address).open("?panel=map")
    explorer.runs.settle()
    phone.get_by_role("button", name="Box").tap()
    explorer.drag((300, 300), (700, 700))
    expect(explorer.described).to_contain_text("inside the area marked on the map")
    expect(explorer.described).to_be_in_viewport()


def test_a_box_on_the_map_can_be_marked_by_keyboard(newcomer: Explorer) -> None:
    explorer = newcomer.open("?panel=map")
    explorer.canvas.focus()
    for key in ("ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown", "Shift+ArrowDown", "Enter"):
        explorer.page.keyboard.press(key)
    expect(explorer.described).to_contain_text("inside the area marked on the map")
    expect(explorer.page).to_have_url(re.compile("area=tsne_"))


def test_moving_the_mouse_does_not_change_a_box_marked_by_keyboard(newcomer: Explorer) -> None:
    explorer = newcomer.open("?panel=map")
    said = []
    for is_nudged in (False, True):
        explorer.canvas.focus()
        explorer.page.keyboard.press("ArrowRight")
        explorer.page.keyboard.press("Shift+ArrowRight")
        if is_nudged:
            box: Any = explorer.canvas.bounding_box()
            explorer.page.mouse.move(box["x"] + 20, box["y"] + 20)
        explorer.page.keyboard.press("Enter")
        expect(explorer.page).to_have_url(re.compile("area=tsne_"))
        said.append(explorer.page.url)
        explorer = explorer.open("?panel=map")
    assert said[0] == said[1]


def test_hovering_over_the_map_shows_a_picture_and_a_click_opens_it(newcomer: Explorer) -> None:
    explorer = newcomer.open("?panel=map")
    card = explorer.page.locator(".digit-map figure")
    expect(card).to_be_hidden()
    box: Any = explorer.canvas.bounding_box()
    with explorer.page.expect_response("**/digits/test/*.png") as answered:
        for y in range(40, int(box["height"]), 25):
            explorer.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + y)
            if card.is_visible():
                break
    assert Image.open(io.BytesIO(answered.value.body())).size == (28, 28)
    expect(card).to_be_visible()
    expect(card.locator("figcaption")).to_contain_text("% sure")
    explorer.page.mouse.down()
    explorer.page.mouse.up()
    expect(explorer.picture).to_be_visible()


def test_a_picture_on_the_map_can_be_opened_by_keyboard(newcomer: Explorer) -> None:
    explorer = newcomer.open("?panel=map")
    explorer.canvas.focus()
    explorer.page.keyboard.press("ArrowRight")
    explorer.page.keyboard.press("ArrowRight")
    expect(explorer.page.locator(".digit-map [role=status]")).to_contain_text("% sure")
    explorer.page.keyboard.press("Enter")
    expect(explorer.picture).to_be_visible()


@pytest.mark.parametrize("tool", ["Box", "Lasso"])
def test_an_area_drawn_on_the_map_becomes_a_filter(newcomer: Explorer, tool: str) -> None:
    explorer = newcomer.open("?panel=map")
    explorer.canvas.scroll_into_view_if_needed()
    if tool == "Lasso":
        explorer.page.get_by_role("button", name="Lasso").click()
        explorer.drag((100, 100), (900, 100), (900, 600), (100, 600))
    else:
        explorer.drag((100, 100), (900, 600))
    expect(explorer.described).to_contain_text("inside the area marked on the map")
    count = int(explorer.described.inner_text().split()[0].replace(",", ""))
    assert 1000 < count < 9000
    assert "area=tsne_" in explorer.page.url
    explorer.page.reload()
    expect(explorer.described).to_have_text(f"{count:,} digits inside the area marked on the map")
    explorer.page.get_by_role("button", name="Whole map").click()
    expect(explorer.described).to_have_text("10,000 digits")
    assert not explorer.errors


def test_a_picture_goes_to_the_draw_page_and_back(newcomer: Explorer) -> None:
    explorer = newcomer.open("?open=0&panel=picture&order=index")
    explorer.page.get_by_role("button", name="Take it to Draw").click()
    digit = explorer.page.locator(".answer .digit")
    expect(digit).to_have_text("7")  # the first test digit
    explorer.page.get_by_role("button", name="Back to Explore").click()
    expect(explorer.picture).to_have_attribute("aria-label", "Picture 0")


def test_restoring_ink_after_a_reload_does_not_displace_a_picture(visitor: Visitor) -> None:
    full_mnist()
    visitor.draw(SEVEN)
    visitor.settle()
    page = visitor.page
    page.goto(f"{page.url.split('?')[0].rstrip('/')}/explore?open=2&panel=picture&order=index")
    page.get_by_role("button", name="Take it to Draw").click()
    expect(visitor.digit).to_have_text("1")  # the third test digit
    visitor.settle()
    expect(visitor.digit).to_have_text("1")
    page.get_by_role("button", name="Draw instead").click()
    expect(visitor.digit).to_have_text("7")
    assert not visitor.errors


def test_a_drawing_is_taken_to_the_map_with_its_five_nearest_pictures(visitor: Visitor) -> None:
    full_mnist()
    visitor.draw(SEVEN)
    visitor.settle()
    visitor.page.get_by_role("button", name="See it on the map").click()
    expect(visitor.page.locator(".digit-map canvas")).to_be_visible()
    expect(visitor.page.get_by_text("How your drawing is read: sure of 7")).to_be_visible()
    near = visitor.page.locator(".st-key-near_drawing .tile")
    expect(near).to_have_count(5)
    near.first.click()
    expect(visitor.page.locator("section.picture")).to_be_visible()
    visitor.visit("Draw")
    expect(visitor.digit).to_have_text("7")
    assert not visitor.errors


def test_the_selection_can_be_downloaded_as_csv_and_png(explorer: Explorer) -> None:
    explorer.cell(9, 4).click()
    expect(explorer.described).to_contain_text("nines read as fours")
    explorer.tiles.first.wait_for()
    count = explorer.tiles.count()
    table = download(explorer.page.get_by_role("button", name="CSV"), explorer.runs)
    rows = list(csv.DictReader(table.path().read_text().splitlines()))
    assert len(rows) == count and {(row["label"], row["read"]) for row in rows} == {("9", "4")}
    sheet = download(explorer.page.get_by_role("button", name="PNG"), explorer.runs)
    with Image.open(sheet.path()) as picture:
        assert picture.size[0] % 28 == 0


@pytest.mark.parametrize("query", ["", "?open=947&panel=picture", "?panel=map&label=3&read=5&verdict=wrong"])
def test_a_phone_needs_no_sideways_scrolling(phone: Page, address: str, query: str) -> None:
    full_mnist()
    Explorer(phone, address).open(query)
    for measure in ("document.documentElement", "document.querySelector('[data-testid=stMain]')"):
        assert phone.evaluate(f"{measure}.scrollWidth") <= 390


@pytest.fixture
def bare_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on a machine on which MNIST was never downloaded."""
    monkeypatch.delenv("MNIST_APP_DATA", raising=False)
    yield from serve(tmp_path)


def test_a_link_works_as_the_first_request_to_a_fresh_server(page: Page, bare_server: str) -> None:
    explorer = Explorer(page, bare_server).open("?verdict=wrong")
    expect(explorer.page.get_by_text("Only the sample that comes with the app is here")).to_be_visible()
    expect(explorer.described).to_contain_text("digits misread")
    expect(explorer.tiles).to_have_count(int(explorer.described.inner_text().split()[0]))
    explorer.tiles.first.click()
    expect(explorer.picture).to_be_visible()
    assert not explorer.errors
