"""A connection that is slow or breaks, and a server that is started anew, while somebody draws."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Page, Route, expect

from ..conftest import SEVEN, TWO
from .conftest import free_port, serve
from .visitor import Stroke, Visitor

CONNECTED = "[data-testid=stApp][data-test-connection-state=CONNECTED]"


class Cable:
    """Between browser and server: long, cut in one direction, pulled out and put in again."""

    def __init__(self, server: int) -> None:
        self.port = free_port()
        self.delay = 0.0  # seconds, each way
        self.is_one_way = False  # and nothing comes back from the server
        self._server = server
        self._ends: list[socket.socket] = []
        self._door: socket.socket | None = None
        self.put_in()

    def put_in(self) -> None:
        self._door = socket.create_server(("127.0.0.1", self.port))
        Thread(target=self._let_in, args=(self._door,), daemon=True).start()

    def pull_out(self) -> None:
        for each in (self._door, *self._ends):
            if each:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        self._ends.clear()

    def _let_in(self, door: socket.socket) -> None:
        with suppress(OSError):  # pulled out
            while True:
                ends = door.accept()[0], socket.create_connection(("127.0.0.1", self._server))
                self._ends += ends
                for one, other in (ends, ends[::-1]):
                    Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError), closing(one), closing(other):
            while some := one.recv(65_536):
                time.sleep(self.delay)
                if not (self.is_one_way and one.getpeername()[1] == self._server):
                    other.sendall(some)


@pytest.fixture
def cable(address: str) -> Iterator[Cable]:
    cable = Cable(int(address.rpartition(":")[2]))
    yield cable
    cable.pull_out()


@contextmanager
def disconnected(page: Page, cable: Cable) -> Iterator[None]:
    cable.pull_out()
    expect(page.locator(CONNECTED)).to_have_count(0)
    yield
    cable.put_in()
    expect(page.locator(CONNECTED)).to_have_count(1)


def test_a_stroke_drawn_while_the_connection_was_broken_is_read_once_it_is_back(page: Page, cable: Cable) -> None:
    visitor = Visitor(page).open(f"http://127.0.0.1:{cable.port}")
    with disconnected(page, cable):
        visitor.draw(TWO)
        visitor.page.wait_for_timeout(500)  # the canvas speaks, and nobody hears it
    expect(visitor.digit).to_have_text("2")
    expect(page.locator(".steps figure").first).to_be_visible()
    drawn = visitor.inked_pixels()
    visitor.visit("Models")
    visitor.visit("Draw")
    visitor.wait_for_pad()
    visitor.expect_ink(drawn)
    page.keyboard.press("Delete")
    visitor.expect_ink(0)


def test_an_undo_whose_answer_was_lost_takes_nothing_else_with_it(page: Page, cable: Cable) -> None:
    visitor = Visitor(page).open(f"http://127.0.0.1:{cable.port}")
    visitor.draw(SEVEN[:1])
    visitor.settle()
    one_stroke = visitor.inked_pixels()
    visitor.draw(SEVEN[1:])
    visitor.settle()
    cable.is_one_way = True
    visitor.page.keyboard.press("Control+z")
    page.wait_for_timeout(500)  # in which the server hears of it
    with disconnected(page, cable):
        cable.is_one_way = False
    visitor.settle()
    visitor.expect_ink(one_stroke)
    visitor.draw(SEVEN[1:])
    visitor.settle()
    expect(visitor.digit).to_have_text("7")


def test_a_canvas_is_here_without_the_network_once_there_was_one(page: Page, cable: Cable) -> None:
    """Where its styles were asked for and did not come, it was an error in red until the next reload."""
    visitor = Visitor(page).open(f"http://127.0.0.1:{cable.port}")
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


def test_who_draws_while_the_server_is_started_anew_goes_on_as_before(page: Page, tmp_path: Path) -> None:
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


def bar(y: float) -> Stroke:
    return [[100, y], [175, y], [250, y]]


def draw(visitor: Visitor, hand: str, stroke: Stroke, rest: int) -> None:
    """Draw with mouse, finger or pen, and rest for so many ms on the way."""
    if hand == "pen":
        visitor.write([stroke])
        return
    for number, point in enumerate(stroke):
        if hand == "finger":
            visitor.put_fingers("touchMove" if number else "touchStart", {0: point})
        elif number:
            visitor.move(point)
        else:
            visitor.press(point)
        if number == 1:
            visitor.page.wait_for_timeout(rest)
    if hand == "finger":
        visitor.put_fingers("touchEnd", {})
    else:
        visitor.page.mouse.up()


@pytest.mark.parametrize(("keys", "left"), [("Delete", 0), ("Control+z", 1)])
@pytest.mark.parametrize(("hand", "rest"), [("mouse", 0), ("mouse", 1500), ("finger", 0), ("finger", 1500), ("pen", 0)])
def test_a_stroke_that_is_begun_before_the_next_canvas_is_here_is_drawn_on_that(
    page: Page, cable: Cable, keys: str, left: int, hand: str, rest: int
) -> None:
    visitor = Visitor(page).open(f"http://127.0.0.1:{cable.port}")
    draw(visitor, hand, bar(60), 0)
    visitor.settle()
    one_bar = visitor.inked_pixels()
    draw(visitor, hand, bar(120), 0)
    visitor.settle()
    cable.delay = 0.2
    page.keyboard.press(keys)
    draw(visitor, hand, bar(180), rest)
    visitor.expect_ink((left + 1) * one_bar)
    cable.delay = 0
    visitor.settle()
    draw(visitor, hand, bar(240), 0)  # and the pad goes on from there
    visitor.settle()
    visitor.expect_ink((left + 2) * one_bar)
    for strokes in (left + 1, left):
        page.keyboard.press("Control+z")
        visitor.settle()
        visitor.expect_ink(strokes * one_bar)
    assert not visitor.errors


@pytest.mark.parametrize("wait", [0, 350, 400, 450, 500, 700])  # ms
def test_no_moment_after_clear_loses_strokes(page: Page, cable: Cable, wait: int) -> None:
    visitor = Visitor(page).open(f"http://127.0.0.1:{cable.port}")
    visitor.draw([bar(60)])
    visitor.settle()
    one_bar = visitor.inked_pixels()
    visitor.draw([bar(120)])
    visitor.settle()
    cable.delay = 0.2
    page.keyboard.press("Delete")
    page.wait_for_timeout(wait)
    visitor.write([bar(180), bar(240)])
    page.keyboard.press("Control+z")  # is for the last of these
    visitor.settle()
    visitor.expect_ink(one_bar)
    page.keyboard.press("Delete")
    visitor.settle()
    visitor.expect_ink(0)


def test_a_page_with_a_part_that_did_not_come_is_loaded_again_once_there_is_a_network(page: Page, cable: Cable) -> None:
    visitor = Visitor(page).open(f"http://127.0.0.1:{cable.port}")
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
