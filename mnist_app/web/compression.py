"""Streamlit sends its own scripts and styles uncompressed; this sends them compressed once and for all."""

import asyncio
import gzip
from pathlib import Path

import streamlit
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

ASSETS = Path(streamlit.__file__).parent / "static" / "static"
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}


class CompressedAssets:
    """Answers for Streamlit's scripts and styles from memory, gzipped; passes on everything else.

    Their names carry a hash of their content, so a browser may keep them for ever, and so may we.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # Only what Streamlit ships can be asked for: a path is looked up, never followed.
        self._files = {path.name: path for path in ASSETS.glob("*/*") if path.suffix in KINDS}
        self._compressed: dict[str, bytes] = {}
        self._one_at_a_time = asyncio.Lock()  # thirty first visits at once want each file compressed once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].rpartition("/")[2] if scope["type"] == "http" and "/static/" in scope["path"] else ""
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
            "Cache-Control": "public, max-age=31536000, immutable",
        }
        kind = KINDS[self._files[name].suffix]
        await Response(self._compressed[name], headers=headers, media_type=kind)(scope, receive, send)
