"""The server: Streamlit's pages in one ASGI process. ``python app.py`` or ``streamlit run app.py``."""

import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
import torch
import uvicorn

from mnist_app.recognition import warm_up
from mnist_app.web.session import default_model


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Load and warm what every visitor needs, so that the first one waits no longer than the rest."""
    torch.set_num_threads(1)  # two busy threads on two cores can be a hundred times slower than one
    warm_up(default_model())
    # What is loaded now stays; leaving it out of every later collection keeps those short.
    gc.collect()
    gc.freeze()
    yield


app = st.App(Path(__file__).parent / "mnist_app" / "web" / "main.py", lifespan=lifespan)


if __name__ == "__main__":
    # These two variables are read by `streamlit run` alone, and the others of .streamlit/config.toml by both.
    # Not app.run(): it binds a socket on which asyncio never turns off Nagle's algorithm, and every small answer
    # would wait 40 ms for a delayed acknowledgement.
    uvicorn.run(
        app,
        host=os.environ.get("STREAMLIT_SERVER_ADDRESS") or st.get_option("server.address"),
        port=int(os.environ.get("STREAMLIT_SERVER_PORT") or st.get_option("server.port")),
        log_level="warning",
    )
