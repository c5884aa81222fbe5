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
from mnist_app.web.access_middleware import AccessMiddleware
from mnist_app.web.compression import CompressedAssets
from mnist_app.web.notice import without_traceback
from mnist_app.web.thumbnails import thumbnail_routes
from mnist_app.work import Work


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Load and warm up what every visitor needs, so that the first one waits no longer than the rest."""
    # Otherwise, if the very first visitor follows a link to a page, Streamlit runs that module of web/pages/ alone.
    PagesManager.uses_pages_directory = False
    torch.set_num_threads(1)  # two busy threads on two cores can be a hundred times slower than one
    try:
        warm_up(shared.model(DEFAULT_MODEL))
    except AppError as error:
        raise SystemExit(f"The app cannot start without its model. {error}") from None
    with suppress(AppError):  # a broken user model must not prevent the start: the shipped one replaces it
        warm_up(shared.model(default_model()))
    logging.getLogger(DeferredFileHandler.__module__).addFilter(without_traceback)
    Work(lambda _: (shared.norms(), shared.sketch(DEFAULT_MODEL)))  # takes a second; nobody is waiting yet
    shared.queue().start()
    # Everything loaded so far stays loaded: freezing it keeps later garbage collections short.
    gc.collect()
    gc.freeze()
    yield
    shared.queue().stop()
    for download in shared.downloads():
        download.stop()
    for layout in shared.layouts().values():
        layout.stop()


def own_origins() -> list[str] | None:
    """Return the further origins that may call the API, from Streamlit's own settings; None allows all."""
    return list(st.get_option("server.corsAllowedOrigins")) if st.get_option("server.enableCORS") else None


def read_environment() -> None:
    """Apply the STREAMLIT_SERVER_… variables, as ``streamlit run`` does and a bare ASGI server does not."""
    for option in ("server.address", "server.port", "server.baseUrlPath"):
        if value := os.environ.get(config.get_config_options()[option].env_var):
            if option == "server.port" and not (value.isdecimal() and int(value[:6]) < 2**16):
                raise SystemExit(f"STREAMLIT_SERVER_PORT must be a whole number up to {2**16 - 1}, not {value[:64]!r}.")
            config.set_option(option, value)
    if not st.get_option("server.address"):
        config.set_option("server.address", "127.0.0.1")


def check_free(host: str, port: int) -> None:
    """Exit with a one-sentence error if the address cannot be listened on, before anything is loaded."""
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.create_server(place[:2], family=family):
            pass
    except (OSError, UnicodeError) as error:
        reason = str(getattr(error, "strerror", error)).partition(" (while")[0]  # Python repeats the address there
        raise SystemExit(f"The app cannot listen on {host}, port {port}: {reason}.") from None


def address_to_type(host: str, port: int) -> str:
    """Return the URL of the pages, as others in the network can type it if they can reach the app."""
    if host in ("0.0.0.0", "::"):
        host = own_address(is_ipv6=host == "::")
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{shared.path_of('')}"


def own_address(is_ipv6: bool) -> str:
    """Return this machine's address in the network, or its host name if it has none."""
    family, documented = (socket.AF_INET6, "2001:db8::1") if is_ipv6 else (socket.AF_INET, "192.0.2.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((documented, 9))  # sends nothing: only looks up the route, to an unused address
            return str(asking.getsockname()[0])
    except OSError:
        return socket.gethostname()


class Server(uvicorn.Server):
    """Prints its URL once it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"Draw a digit: {address_to_type(self.config.host, self.config.port)}", flush=True)


# The settings are beside this file, wherever the server is started from. `streamlit run` has already set this path.
config._main_script_path = config._main_script_path or __file__

if __name__ == "__main__":
    read_environment()  # before the app, which is built from these settings

try:
    check_address(st.get_option("server.address") or "0.0.0.0")  # by default `streamlit run` listens on all
except AccessError as error:
    raise SystemExit(str(error)) from None

app = st.App(
    Path(__file__).parent / "mnist_app" / "web" / "main.py",
    routes=[
        *api_routes(shared.path_of("api"), shared.model, own_origins()),
        *thumbnail_routes(shared.path_of("digits"), lambda name: shared.split(name, find_source())),
    ],
    middleware=[Middleware(AccessMiddleware), Middleware(CompressedAssets)],
    lifespan=lifespan,
)

if __name__ == "__main__":
    # Not app.run(): asyncio never turns off Nagle's algorithm on the socket that it binds, so every small answer would
    # wait 40 ms for a delayed acknowledgement.
    host, port = st.get_option("server.address"), int(st.get_option("server.port"))
    check_free(host, port)
    # Messages are small and frequent: compressing each costs more time than it saves. A visitor's address is that of
    # the connection: a forwarding header, from a visitor or a proxy, may be made up.
    with suppress(KeyboardInterrupt):
        Server(
            uvicorn.Config(
                app, host=host, port=port, log_level="warning", ws_per_message_deflate=False, proxy_headers=False
            )
        ).run()
