"""The server as it is started: by Python, by Streamlit, by uvicorn, under a path of its own."""

import json
import socket
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from ..conftest import ONE, SEVEN
from .conftest import free_port, serve
from .visitor import Visitor


def served(home: Path, how: str) -> Iterator[str]:
    if how == "streamlit run":
        return serve(home, ["-m", "streamlit", "run", "app.py"])
    return serve(home, base="/digits", STREAMLIT_SERVER_BASE_URL_PATH="digits")


def own_address() -> str:
    """An address of this machine's by which others reach it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("198.51.100.1", 9))  # of a datagram socket that sends nothing: only the route is looked up
        except OSError:
            pytest.skip("this machine has no address but its own")
        return str(asking.getsockname()[0])


def test_a_server_that_listens_everywhere_lets_in_this_machine_alone(tmp_path: Path) -> None:
    port = free_port()
    everywhere = ["-m", "uvicorn", "app:app", "--host", "0.0.0.0", "--port", str(port)]
    server = serve(tmp_path, everywhere, port=port)
    here, own = next(server), own_address()
    as_if_here = {"Host": f"localhost:{port}"}
    assert httpx.get(here).status_code == 200
    for path in ("/", "/api/health", "/static/no.js"):
        refused = httpx.get(f"http://{own}:{port}{path}", headers=as_if_here)
        assert refused.status_code == 403 and "others could train" in refused.text
    speak = partial(connect, f"ws://localhost:{port}/_stcore/stream", subprotocols=[Subprotocol("streamlit")])
    with speak(sock=socket.create_connection(("127.0.0.1", port))):
        pass
    with pytest.raises(InvalidStatus, match="403"), speak(sock=socket.create_connection((own, port))):
        pass
    assert next(server, None) is None


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


def test_pages_ask_nobody_but_their_server(chromium: Browser, address: str) -> None:
    page = chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda opened: asked.append(opened.url.replace("ws", "http", 1)))
    visitor = Visitor(page).open(address)
    visitor.draw(SEVEN)
    expect(visitor.digit).to_have_text("7")
    visitor.visit("Lab")  # with charts
    visitor.settle()
    page.close()
    assert any("/_stcore/stream" in url for url in asked)
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


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
