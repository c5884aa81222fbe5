"""The server, started in every way: by Python, Streamlit or uvicorn, and under a path of its own."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from mnist_app.access import MAX_WRONG

from ..conftest import ONE, SEVEN
from .cable import free_port
from .conftest import ROOT, serve
from .visitor import Visitor


def served(home: Path, how: str) -> Iterator[str]:
    if how == "streamlit run":
        return serve(home, ["-m", "streamlit", "run", "app.py"])
    return serve(home, base="/digits", STREAMLIT_SERVER_BASE_URL_PATH="digits")


def own_address() -> str:
    """An address at which other machines reach this one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("198.51.100.1", 9))  # a datagram socket sends nothing here, it only looks up the route
        except OSError:
            pytest.skip("other machines have no address for this one")
        return str(asking.getsockname()[0])


def test_a_server_that_listens_everywhere_admits_only_this_machine(tmp_path: Path) -> None:
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


def ended(home: Path, **environment: str) -> tuple[int, str, str]:
    """Start a server that is bound to fail; return its exit code, standard output and standard error."""
    env = {**os.environ, "MNIST_APP_HOME": str(home), **environment}
    done = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("port", ["abc", "99999", "-1"])
def test_an_invalid_port_gives_one_error_sentence(tmp_path: Path, port: str) -> None:
    says = f"STREAMLIT_SERVER_PORT must be a whole number up to 65535, not {port!r}.\n"
    assert ended(tmp_path, STREAMLIT_SERVER_PORT=port) == (1, "", says)


def test_a_busy_port_gives_one_error_sentence_and_prints_no_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        says = f"The app cannot listen on 127.0.0.1, port {port}: Address already in use.\n"
        assert ended(tmp_path, STREAMLIT_SERVER_PORT=str(port)) == (1, "", says)


def test_a_server_open_to_others_prints_its_address_once_it_listens(tmp_path: Path) -> None:
    own, port = own_address(), str(free_port())
    every = {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0", "STREAMLIT_SERVER_PORT": port, "MNIST_APP_OPEN": "1"}
    env = {**os.environ, "MNIST_APP_HOME": str(tmp_path), **every}
    with subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout and server.stdout.readline() == f"Draw a digit: http://{own}:{port}/\n"
            assert httpx.get(f"http://{own}:{port}/api/health").status_code == 200
        finally:
            server.terminate()


def test_an_ipv6_address_is_put_in_brackets(tmp_path: Path) -> None:
    asking = "import app; print(app.address_to_type('::1', 80))"
    asked = subprocess.run([sys.executable, "-c", asking], cwd=ROOT, capture_output=True, text=True)
    assert asked.stdout == "http://[::1]:80/\n", asked.stderr


def clear_caches(address: str) -> None:
    """Send the request that Streamlit's own page would send."""
    with connect(address.replace("http", "ws") + "/_stcore/stream", subprotocols=[Subprotocol("streamlit")]) as socket_:
        socket_.send(BackMsg(clear_cache=True).SerializeToString())


def test_no_visitor_can_clear_the_servers_shared_caches(chromium: Browser, tmp_path: Path) -> None:
    server = serve(tmp_path, MNIST_APP_TEACHER_PASSWORD="a long walk")
    address = next(server)
    page = chromium.new_page()
    Visitor(page).open(address).visit("Teach")
    page.get_by_text("I am the teacher").click()
    for wrong in range(MAX_WRONG + 1):
        clear_caches(address)
        page.get_by_label("Password", exact=True).fill(f"guess {wrong}")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_label("Password", exact=True)).to_have_value("")
    expect(page.get_by_text("Too many wrong passwords.")).to_be_visible()
    page.close()
    assert next(server, None) is None


def test_the_apps_settings_apply_from_any_working_directory(tmp_path: Path) -> None:
    options = ["browser.gatherUsageStats", "client.showErrorDetails", "server.maxUploadSize"]
    asking = f"import app, streamlit; print(*map(streamlit.get_option, {options}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    asked = subprocess.run(
        [sys.executable, "-c", asking], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert asked.stdout == "False none 8\n", asked.stderr


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


def test_pages_send_requests_only_to_their_own_server(chromium: Browser, address: str) -> None:
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
