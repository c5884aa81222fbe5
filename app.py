"""The server: Streamlit's pages and the REST API in one ASGI process. ``python app.py`` or ``streamlit run app.py``."""

import gc
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import streamlit as st
import torch
import uvicorn
from starlette.middleware import Middleware
from streamlit import config
from streamlit.runtime.backend_operation_handler import DeferredFileHandler
from streamlit.runtime.pages_manager import PagesManager

from mnist_app.access import AccessError, check_address
from mnist_app.api import api_routes
from mnist_app.data.dataset import find_source
from mnist_app.errors import AppError
from mnist_app.models.registry import DEFAULT_MODEL
from mnist_app.models.shelf import default_model
from mnist_app.reading.recognition import warm_up
from mnist_app.web import shared
from mnist_app.web.compression import CompressedAssets
from mnist_app.web.door import Door
from mnist_app.web.notice import without_traceback
from mnist_app.web.thumbnails import thumbnail_routes
from mnist_app.work import Work


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Load and warm what every visitor needs, so that the first one waits no longer than the rest."""
    # Else the first visitor of all, if sent to a page by a link, gets the module of that name in web/pages/ run alone.
    PagesManager.uses_pages_directory = False
    torch.set_num_threads(1)  # two busy threads on two cores can be a hundred times slower than one
    try:
        warm_up(shared.model(DEFAULT_MODEL))
    except AppError as error:
        raise SystemExit(f"The app cannot start without its model. {error}") from None
    with suppress(AppError):  # a broken model of the users' is no reason not to start: the shipped one stands in
        warm_up(shared.model(default_model()))
    logging.getLogger(DeferredFileHandler.__module__).addFilter(without_traceback)
    Work(lambda _: (shared.norms(), shared.sketch(DEFAULT_MODEL)))  # a second's work, and nobody waits for it now
    shared.queue().start()
    # What is loaded now stays; leaving it out of every later collection keeps those short.
    gc.collect()
    gc.freeze()
    yield
    shared.queue().stop()
    for download in shared.downloads():
        download.stop()
    for layout in shared.layouts().values():
        layout.stop()


def own_origins() -> list[str] | None:
    """Further origins whose pages may call the API, by Streamlit's own settings; None for all."""
    return list(st.get_option("server.corsAllowedOrigins")) if st.get_option("server.enableCORS") else None


def read_environment() -> None:
    """Let STREAMLIT_SERVER_… variables have their say, as ``streamlit run`` does and an ASGI server does not."""
    for option in ("server.address", "server.port", "server.baseUrlPath"):
        if value := os.environ.get(config.get_config_options()[option].env_var):
            if option == "server.port" and not (value.isdecimal() and int(value[:6]) < 2**16):
                raise SystemExit(f"STREAMLIT_SERVER_PORT is a whole number up to {2**16 - 1}, not {value[:64]!r}.")
            config.set_option(option, value)
    if not st.get_option("server.address"):
        config.set_option("server.address", "127.0.0.1")


def check_free(host: str, port: int) -> None:
    """Ends the process in a sentence where nobody can listen: said before anything is loaded or begun."""
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.create_server(place[:2], family=family):
            pass
    except (OSError, UnicodeError) as error:
        reason = str(getattr(error, "strerror", error)).partition(" (while")[0]  # where Python tells the address again
        raise SystemExit(f"The app cannot listen on {host}, port {port}: {reason}.") from None


def address_to_type(host: str, port: int) -> str:
    """Where the pages are, as others in the network may type it where they reach the app."""
    if host in ("0.0.0.0", "::"):
        host = own_address(is_ipv6=host == "::")
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{shared.path_of('')}"


def own_address(is_ipv6: bool) -> str:
    """This machine's address in the network, else its name."""
    family, documented = (socket.AF_INET6, "2001:db8::1") if is_ipv6 else (socket.AF_INET, "192.0.2.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((documented, 9))  # sends nothing: only the route to an address that nobody has is looked up
            return str(asking.getsockname()[0])
    except OSError:
        return socket.gethostname()


class Server(uvicorn.Server):
    """Says where it is once it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"Draw a digit: {address_to_type(self.config.host, self.config.port)}", flush=True)


# The settings lie beside this file, wherever the server was started. `streamlit run` has told where that is.
config._main_script_path = config._main_script_path or __file__

if __name__ == "__main__":
    read_environment()  # before the app, which is built by these settings

try:
    check_address(st.get_option("server.address") or "0.0.0.0")  # unless told otherwise, `streamlit run` takes them all
except AccessError as error:
    raise SystemExit(str(error)) from None

app = st.App(
    Path(__file__).parent / "mnist_app" / "web" / "main.py",
    routes=[
        *api_routes(shared.path_of("api"), shared.model, own_origins()),
        *thumbnail_routes(shared.path_of("digits"), lambda name: shared.split(name, find_source())),
    ],
    middleware=[Middleware(Door), Middleware(CompressedAssets)],
    lifespan=lifespan,
)

if __name__ == "__main__":
    # Not app.run(): it binds a socket on which asyncio never turns off Nagle's algorithm, and every small answer
    # would wait 40 ms for a delayed acknowledgement.
    host, port = st.get_option("server.address"), int(st.get_option("server.port"))
    check_free(host, port)
    # Messages are small and frequent: compressing each costs more time than it saves. An address is the one that
    # really asked: whatever a visitor or a proxy says of another may be made up.
    with suppress(KeyboardInterrupt):
        Server(
            uvicorn.Config(
                app, host=host, port=port, log_level="warning", ws_per_message_deflate=False, proxy_headers=False
            )
        ).run()
