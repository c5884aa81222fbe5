"""A connection that breaks, and a server that is restarted, while somebody draws."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, TimeoutError, expect

from ..conftest import SEVEN, TWO
from .cable import Cable, free_port
from .conftest import serve
from .visitor import Visitor

CONNECTED = "[data-testid=stApp][data-test-connection-state=CONNECTED]"


@contextmanager
def disconnected(page: Page, cable: Cable) -> Iterator[None]:
    cable.pull_out()
    expect(page.locator(CONNECTED)).to_have_count(0)
    yield
    cable.put_in()
    expect(page.locator(CONNECTED)).to_have_count(1)


def test_a_stroke_drawn_while_disconnected_is_read_after_reconnecting(page: Page, cable: Cable) -> None:
    visitor = Visitor(page).open(cable.address)
    with disconnected(page, cable):
        visitor.draw(TWO)
        visitor.page.wait_for_timeout(500)  # the canvas reports the ink, but nobody receives it
    expect(visitor.digit).to_have_text("2")
    expect(page.locator(".steps figure").first).to_be_visible()
    drawn = visitor.inked_pixels()
    visitor.visit("Models")
    visitor.visit("Draw")
    visitor.wait_for_pad()
    visitor.expect_ink(drawn)
    page.keyboard.press("Delete")
    visitor.expect_ink(0)


def test_a_correction_cannot_be_made_while_disconnected(page: Page, cable: Cable) -> None:
    visitor = Visitor(page).open(cable.address)
    visitor.draw(SEVEN)
    visitor.settle()
    that_was_a_seven = page.get_by_role("button", name="That was a 7")
    with disconnected(page, cable):
        with pytest.raises(TimeoutError):
            that_was_a_seven.click(timeout=1000)
        expect(page.get_by_text("Kept: that was")).to_have_count(0)
    that_was_a_seven.click()
    expect(page.get_by_text("Kept: that was a 7.")).to_be_visible()


def test_an_undo_whose_answer_is_lost_removes_exactly_one_stroke(page: Page, cable: Cable) -> None:
    visitor = Visitor(page).open(cable.address)
    visitor.draw(SEVEN[:1])
    visitor.settle()
    one_stroke = visitor.inked_pixels()
    visitor.draw(SEVEN[1:])
    visitor.settle()
    cable.is_one_way = True
    visitor.page.keyboard.press("Control+z")
    page.wait_for_timeout(500)  # meanwhile the server receives the press
    with disconnected(page, cable):
        cable.is_one_way = False
    visitor.settle()
    visitor.expect_ink(one_stroke)
    visitor.draw(SEVEN[1:])
    visitor.settle()
    expect(visitor.digit).to_have_text("7")


def test_the_canvas_styles_are_fetched_over_the_network_only_once(page: Page, cable: Cable) -> None:
    """If a canvas requests its styles and they do not arrive, Streamlit shows a red error until the next reload."""
    visitor = Visitor(page).open(cable.address)
    visitor.draw(SEVEN)
    visitor.settle()
    visitor.click("Clear")
    visitor.settle()
    visitor.wait_for_pad()
    asked = page.evaluate(
        """performance.getEntriesByType("resource")
            .filter(({ name }) => name.includes("drawable") && name.endsWith(".css"))
            .map(({ transferSize }) => transferSize)"""
    )
    assert asked[0] > 0 and not any(asked[1:])


def test_a_drawing_can_be_continued_after_a_server_restart(page: Page, tmp_path: Path) -> None:
    port = free_port()
    server = serve(tmp_path, port=port)
    visitor = Visitor(page).open(next(server))
    visitor.draw(SEVEN[:1])
    visitor.settle()
    one_stroke = visitor.inked_pixels()
    assert next(server, None) is None
    expect(page.locator(CONNECTED)).to_have_count(0)
    server = serve(tmp_path, port=port)
    next(server)
    expect(page.locator(CONNECTED)).to_have_count(1)
    visitor.settle()
    visitor.draw(SEVEN[1:])
    expect(visitor.digit).to_have_text("7")
    visitor.settle()
    page.keyboard.press("Control+z")
    visitor.expect_ink(one_stroke)
    assert next(server, None) is None


def test_a_page_that_loaded_in_part_reloads_once_the_network_is_back(page: Page, cable: Cable) -> None:
    visitor = Visitor(page).open(cable.address)
    visitor.draw(SEVEN)
    visitor.settle()
    ink = visitor.inked_pixels()
    asked = []

    def lose(route: Route) -> None:
        asked.append(route.request.url)
        cable.pull_out()
        route.abort()

    page.route("**/Metric*.js", lose, times=1)
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_text("dynamically imported module").first).to_be_visible()
    page.wait_for_timeout(1500)
    cable.put_in()
    expect(page.locator("[data-testid=stMetric]").first).to_be_visible()
    assert len(asked) == 1
    visitor.visit("Draw")
    visitor.wait_for_pad()
    visitor.expect_ink(ink)
