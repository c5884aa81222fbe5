"""Serves Streamlit's and the canvas's scripts and styles gzipped and cacheable; Streamlit sends them uncompressed."""

import asyncio
import gzip
from importlib.metadata import distribution
from pathlib import Path

import streamlit
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

ASSETS = Path(streamlit.__file__).parent / "static" / "static"
# Not imported: a component can only be imported while Streamlit is running and registers it.
CANVAS = Path(str(distribution("streamlit-drawable-canvas").locate_file("streamlit_drawable_canvas/frontend/build")))
PLACES = ("/static/", "/_stcore/bidi-components/")
STYLES_OF_CANVAS = "index-style.css"
FOR_EVER = "public, max-age=31536000, immutable"
FOR_A_DAY = "public, max-age=86400"
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}


class CompressedAssets:
    """Serves the scripts and styles of Streamlit and the canvas gzipped from memory, and passes on all other requests.

    Their names contain a hash of their content, so a browser may cache them for ever, and so may we. The canvas's style
    sheet has no hash. Each new canvas requests it again, and does not appear if it does not arrive.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # Only shipped files can be requested: the name is looked up here, the path is never opened.
        shipped = (*ASSETS.glob("*/*"), *CANVAS.glob("*"))
        self._files = {path.name: path for path in shipped if path.suffix in KINDS}
        self._compressed: dict[str, bytes] = {}
        self._one_at_a_time = asyncio.Lock()  # thirty simultaneous first visits compress each file once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_asset = scope["type"] == "http" and any(place in scope["path"] for place in PLACES)
        name = scope["path"].rpartition("/")[2] if is_asset else ""
        if name not in self._files or "gzip" not in Request(scope).headers.get("accept-encoding", ""):
            await self._app(scope, receive, send)
            return
        async with self._one_at_a_time:
            if name not in self._compressed:
                content = await run_in_threadpool(self._files[name].read_bytes)
                self._compressed[name] = await run_in_threadpool(gzip.compress, content, 6)
        headers = {
            "Content-Encoding": "gzip",
            "Vary": "Accept-Encoding",
            "Cache-Control": FOR_A_DAY if name == STYLES_OF_CANVAS else FOR_EVER,
        }
        kind = KINDS[self._files[name].suffix]
        await Response(self._compressed[name], headers=headers, media_type=kind)(scope, receive, send)
