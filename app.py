"""The server: Streamlit's pages and the REST API in one ASGI process. ``python app.py`` or ``streamlit run app.py``."""

import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
import torch
import uvicorn
from starlette.middleware import Middleware
from starlette.routing import Mount

from mnist_app.api import create_api
from mnist_app.recognition import warm_up
from mnist_app.registry import DEFAULT_MODEL
from mnist_app.web import session
from mnist_app.web.compression import CompressedAssets


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Load and warm what every visitor needs, so that the first one waits no longer than the rest."""
    torch.set_num_threads(1)  # two busy threads on two cores can be a hundred times slower than one
    warm_up(session.model(DEFAULT_MODEL))
    # What is loaded now stays; leaving it out of every later collection keeps those short.
    gc.collect()
    gc.freeze()
    yield


def own_origins() -> list[str] | None:
    """Further origins whose pages may call the API, by Streamlit's own settings; None for all."""
    return list(st.get_option("server.corsAllowedOrigins")) if st.get_option("server.enableCORS") else None


BASE = st.get_option("server.baseUrlPath").strip("/")

app = st.App(
    Path(__file__).parent / "mnist_app" / "web" / "main.py",
    routes=[Mount(f"/{BASE}/api".replace("//", "/"), create_api(session.model, own_origins()))],
    middleware=[Middleware(CompressedAssets)],
    lifespan=lifespan,
)


if __name__ == "__main__":
    # Not app.run(): it binds a socket on which asyncio never turns off Nagle's algorithm, and every small answer
    # would wait 40 ms for a delayed acknowledgement. Streamlit reads these two variables in `streamlit run` alone.
    uvicorn.run(
        app,
        host=os.environ.get("STREAMLIT_SERVER_ADDRESS") or st.get_option("server.address"),
        port=int(os.environ.get("STREAMLIT_SERVER_PORT") or st.get_option("server.port")),
        log_level="warning",
    )
