"""Fixtures of the browser tests: a server of their own and a Chromium that uses it."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from .cable import Cable, free_port
from .chromium import FLAGS, find_chromium
from .visitor import Visitor

ROOT = Path(__file__).parents[2]

expect.set_options(timeout=20_000)  # ms, for a busy machine; tests of speed set their own limits


def serve(
    home: Path,
    command: list[str] | None = None,
    health: str = "/api/health",
    folder: Path = ROOT,
    base: str = "",
    port: int | None = None,
    **environment: str,
) -> Iterator[str]:
    """Start an app and yield its address: ours, started as by ``make run``, or another. Stop it at the end."""
    port = port or free_port()
    env = {**os.environ, "MNIST_APP_HOME": str(home), "STREAMLIT_SERVER_PORT": str(port), **environment}
    with subprocess.Popen([sys.executable, *(command or ["app.py"])], cwd=folder, env=env) as server:
        address = f"http://127.0.0.1:{port}{base}"
        try:
            wait_for(address + health, server)
            yield address
        finally:
            server.terminate()


def wait_for(url: str, server: "subprocess.Popen[bytes]", seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError(f"{url} did not answer")


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from serve(tmp_path_factory.mktemp("home"))


@pytest.fixture
def cable(address: str) -> Iterator[Cable]:
    cable = Cable(int(address.rpartition(":")[2]))
    yield cable
    cable.pull_out()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = find_chromium()
    assert path, "no Chromium: make test installs one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, permissions=["clipboard-read"])
    yield context.new_page()
    context.close()


@pytest.fixture
def phone(chromium: Browser) -> Iterator[Page]:
    """A phone with a dark theme."""
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme="dark"
    )
    yield context.new_page()
    context.close()


@pytest.fixture
def visitor(page: Page, address: str) -> Visitor:
    """Somebody who has just opened the Draw page on a desktop."""
    return Visitor(page).open(address)


@pytest.fixture
def phone_visitor(phone: Page, address: str) -> Visitor:
    """Somebody who has just opened the Draw page on a phone."""
    return Visitor(phone).open(address)
