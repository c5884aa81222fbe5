"""Training while others draw: two sessions, a browser that is closed, a server that is killed and started again."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect

from mnist_app.training.jobs import list_jobs
from mnist_app.training.queue import SERVER_STOPPED

from ..conftest import SEVEN, full_mnist
from ..processes import DYING, freeze, is_alive, until
from .cable import free_port
from .conftest import ROOT, wait_for
from .visitor import Visitor

PATIENCE = 240_000  # ms: a training beside other tests on two cores


class Server:
    """An app that can be killed and restarted with the same home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.start()

    def start(self) -> None:
        port = free_port()
        env = {**os.environ, "MNIST_APP_HOME": str(self.home), "STREAMLIT_SERVER_PORT": str(port)}
        self.process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env)
        self.address = f"http://127.0.0.1:{port}"
        wait_for(f"{self.address}/api/health", self.process)

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(20)

    @property
    def trainers(self) -> list[int]:
        """Return the processes that train for this home."""
        return [int(path.read_text()) for path in self.home.glob("jobs/*/pid") if is_alive(int(path.read_text()))]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    full_mnist()
    server = Server(tmp_path / "home")  # not shared with other tests
    yield server
    server.end(signal.SIGKILL)
    for trainer in server.trainers:
        os.kill(trainer, signal.SIGKILL)  # a paused process would not notice that its server is gone


def train(visitor: Visitor, title: str, preset: str = "10 seconds") -> None:
    page = visitor.page
    page.get_by_role("radio", name=preset).click()
    expect(page.get_by_role("radio", name=preset)).to_be_checked()
    visitor.settle()  # the script has received it
    name = page.get_by_label("What shall it be called?")
    name.fill(title)
    name.press("Tab")
    visitor.settle()
    page.get_by_role("button", name="Train", exact=True).click()
    expect(line(page, title)).to_be_visible()


def line(page: Page, title: str) -> Locator:
    return page.locator("[class*=st-key-job_]").filter(has_text=title)


def note(asked: list[str], request: Request) -> None:
    asked.append(request.post_data or "")


def opened(chromium: Browser, server: Server) -> Visitor:
    """A visitor who has opened the Train page."""
    visitor = Visitor(chromium.new_context(viewport={"width": 1280, "height": 1400}).new_page())
    visitor.page.goto(f"{server.address}/train")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Train a network")
    visitor.settle()
    return visitor


def test_visitors_share_the_queue_of_trainings_and_the_trained_model(chromium: Browser, server: Server) -> None:
    """One visitor trains, another queues and sees both jobs; the first leaves; all can use the model."""
    page = chromium.new_context(viewport={"width": 1280, "height": 1400}).new_page()
    pupil = Visitor(page).open(server.address)
    pupil.draw(SEVEN)
    pupil.settle()
    page.get_by_role("link", name="Train").click()
    pupil.settle()
    page.get_by_text("Details").click()
    few = page.get_by_role("spinbutton", name="Training digits")
    few.fill("20000")
    few.press("Tab")
    pupil.settle()
    pupil.visit("Data")  # the choices are still there afterwards
    pupil.visit("Train")
    page.get_by_text("Details").click()
    expect(few).to_have_value("20000")
    train(pupil, "Ours")
    expect(line(page, "Ours")).to_contain_text("digits a second", timeout=PATIENCE)
    (trainer,) = server.trainers
    freeze(trainer)  # so that it is still learning when the other visitor arrives
    onlooker = opened(chromium, server)
    train(onlooker, "Theirs", "Best")
    other = onlooker.page
    expect(line(other, "Ours")).to_contain_text("digits a second")
    expect(line(page, "Theirs")).to_contain_text("waits in place 1 of the queue")
    os.kill(trainer, signal.SIGCONT)
    # The network reads the visitor's own drawing repeatedly while it learns.
    expect(page.locator(".readings li").first).to_contain_text("%", timeout=PATIENCE)
    expect(page.get_by_text("Your drawing, and what it was read as")).to_be_visible()
    expect(page.locator(".training-curve img")).to_have_count(2)
    assert pupil.errors == []
    page.context.close()  # closing the browser stops nothing
    expect(line(other, "Ours")).to_contain_text("is ready", timeout=PATIENCE)
    expect(line(other, "Theirs")).to_contain_text("digits a second", timeout=PATIENCE)
    line(other, "Theirs").get_by_role("button", name="Cancel").click()
    expect(line(other, "Theirs")).to_contain_text("was cancelled", timeout=4000)
    until(lambda: not server.trainers, 2)
    line(other, "Ours").get_by_role("button", name="Show").click()
    slider = other.get_by_role("slider")
    expect(other.locator("table.confusion")).to_contain_text("after 1 of 1 passes")
    slider.press("Home")
    expect(other.locator("table.confusion")).to_contain_text(re.compile(r"after 0\.1\d* of 1 passes"))
    # It becomes the default; earlier visitors keep the model that they had.
    early = Visitor(chromium.new_context().new_page()).open(server.address)
    other.get_by_role("link", name="Models").click()
    other.locator(".st-key-default_ours button").click()
    expect(other.get_by_text("Everybody starts with Ours")).to_be_visible()
    asked: dict[str, list[str]] = {"early": [], "late": []}
    late = Visitor(chromium.new_context().new_page()).open(server.address)
    for name, visitor in (("early", early), ("late", late)):
        visitor.page.on("request", partial(note, asked[name]))
        visitor.draw(SEVEN)
        visitor.settle()
        expect(visitor.digit).to_have_text(re.compile(r"\d"))
        assert visitor.errors == []
    assert '"model":"ink-cnn"' in asked["early"][0]
    assert '"model":"ours"' in asked["late"][0]


def test_a_killed_training_or_server_is_reported_and_leaves_nothing_behind(chromium: Browser, server: Server) -> None:
    def begin(visitor: Visitor, title: str) -> int:
        """Start a training and return its process."""
        train(visitor, title, "Best")
        expect(line(visitor.page, title)).to_contain_text("digits a second", timeout=PATIENCE)
        (trainer,) = server.trainers
        return trainer

    visitor = opened(chromium, server)
    os.kill(begin(visitor, "Anna's"), signal.SIGKILL)
    expect(line(visitor.page, "Anna's")).to_contain_text("was killed from outside (SIGKILL)")
    trainer = begin(visitor, "Ben's")
    server.end(signal.SIGKILL)
    until(lambda: not is_alive(trainer), DYING)
    visitor.page.context.close()
    server.start()
    visitor = opened(chromium, server)
    expect(line(visitor.page, "Ben's")).to_contain_text("failed. The server")
    trainer = begin(visitor, "Cleo's")
    server.end(signal.SIGTERM)
    assert not is_alive(trainer)
    assert [job.status.reason for job in list_jobs()][-1] == SERVER_STOPPED
    assert list((server.home / "models").glob("*")) == []
