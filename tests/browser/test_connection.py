"""A connection that breaks, and a server that is started anew, while somebody draws."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Page, expect

from ..conftest import SEVEN, TWO
from .conftest import free_port, serve
from .visitor import Visitor

CONNECTED = "[data-testid=stApp][data-test-connection-state=CONNECTED]"


class Cable:
    """Between browser and server, pulled out and put in again."""

    def __init__(self, server: int) -> None:
        self.port = free_port()
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

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError), closing(one), closing(other):
            while some := one.recv(65_536):
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
    visitor.page.keyboard.press("Control+z")
    with disconnected(page, cable):
        pass
    visitor.settle()
    visitor.expect_ink(one_stroke)
    visitor.draw(SEVEN[1:])
    visitor.settle()
    expect(visitor.digit).to_have_text("7")


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
