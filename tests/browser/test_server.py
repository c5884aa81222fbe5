"""The server as it is started: by Python, by Streamlit, under a path of its own."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from ..conftest import ONE, SEVEN
from .conftest import serve
from .visitor import Visitor


def served(home: Path, how: str) -> Iterator[str]:
    if how == "streamlit run":
        return serve(home, ["-m", "streamlit", "run", "app.py"])
    return serve(home, base="/digits", STREAMLIT_SERVER_BASE_URL_PATH="digits")


@pytest.mark.parametrize("how", ["streamlit run", "a path of its own"])
def test_pages_and_api_are_served_together(chromium: Browser, tmp_path: Path, how: str) -> None:
    server = served(tmp_path, how)
    address = next(server)
    page = chromium.new_page()
    visitor = Visitor(page).open(address)
    with page.expect_response("**/api/predict") as answered:
        visitor.draw(SEVEN)
    assert answered.value.json()["digit"] in range(10)
    expect(visitor.digit).to_have_text("7")
    page.close()
    assert next(server, None) is None


def test_the_api_answers_beside_the_pages(address: str) -> None:
    body = json.dumps({"strokes": ONE}).encode()
    request = urllib.request.Request(f"{address}/api/predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        assert json.load(response)["digit"] == 1


def test_scripts_are_sent_compressed(address: str, chromium: Browser) -> None:
    page = chromium.new_page()
    encodings = []
    page.on(
        "response", lambda r: encodings.append(r.headers.get("content-encoding")) if r.url.endswith(".js") else None
    )
    Visitor(page).open(address)
    page.close()
    assert encodings
    assert set(encodings) == {"gzip"}
