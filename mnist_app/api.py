"""REST routes: predict, models, health. Every answer is JSON; every error is one sentence with a fitting status.

Nothing here runs a network or parses a body on the event loop: that would block every visitor's page.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

import mnist_app
from mnist_app.api_schema import OPENAPI
from mnist_app.errors import AppError
from mnist_app.ink import photo
from mnist_app.ink.preprocessing import prepare_image
from mnist_app.ink.strokes import Drawing
from mnist_app.models.registry import ModelError, find_model, load_card, model_folders
from mnist_app.models.shelf import default_model
from mnist_app.reading.number import Reading, read_each, read_picture
from mnist_app.reading.recognition import Recogniser

MAX_STROKES_BYTES = 256 * 1024
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})
MAX_WAITING = 64  # drawings in line: enough for a class with one request each
MAX_TAKEN_IN = 64 * 2**20  # bytes of unfinished bodies, counted separately for pictures and for drawings
BODY_TIMEOUT = 30.0  # seconds that a body may take to arrive
PATIENCE = 2  # seconds the oldest may have waited before new requests are rejected; a short stall is no overload

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = Reading | Exception  # the worker's result for each item


class Batcher(Generic[Item]):
    """One worker thread with a short waiting line. When the line is full or slow, new requests are rejected.

    ``serve`` returns an outcome for each item of a batch of up to ``max_batch`` waiting items.
    """

    def __init__(
        self,
        serve: Callable[[Sequence[Item]], Sequence[Outcome]],
        max_waiting: int,
        patience: float,
        max_batch: int,
    ) -> None:
        self._serve = serve
        self._max_waiting = max_waiting
        self._patience = patience
        self._max_batch = max_batch
        self._served: list[_Pending[Item]] = []
        self._waiting: list[_Pending[Item]] = []  # oldest first
        self._serving: asyncio.Task[None] | None = None
        self._worker = ThreadPoolExecutor(1, "reader")

    async def ask(self, item: Item) -> Reading:
        """Wait for the reading of ``item``. Raises HTTPException 503 if too many wait already, or one for too long."""
        now = time.monotonic()
        line = self._served + self._waiting
        if len(line) >= self._max_waiting or (line and now - line[0].arrived > self._patience):
            raise HTTPException(503, "Too many drawings are being read at once. Try again in a second.", RETRY)
        pending = _Pending(item, now, asyncio.get_running_loop().create_future())
        self._waiting.append(pending)
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve_line())
        return await pending.outcome

    async def _serve_line(self) -> None:
        while self._waiting:
            self._served, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
            items = [pending.item for pending in self._served]
            try:
                outcomes = await asyncio.get_running_loop().run_in_executor(self._worker, self._serve, items)
            except Exception as error:  # the rest of the line must still be served
                outcomes = [error] * len(items)
            for pending, outcome in zip(self._served, outcomes, strict=True):
                pending.resolve(outcome)
        self._served, self._serving = [], None


class Intake:
    """Receives request bodies of up to ``longest`` bytes each; all unfinished ones together hold at most MAX_TAKEN_IN.

    This bounds the server's memory, however many clients send and however slowly.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._held = 0  # bytes

    async def body(self, request: Request) -> bytes:
        """Receive the whole body, but stop as soon as it is known to be too long. Raises HTTPException."""
        too_long = HTTPException(413, f"The body is longer than {self._longest // 1024} kB.")
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced[:20]) > self._longest:
            raise too_long
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                async for part in request.stream():
                    if len(body) + len(part) > self._longest:
                        raise too_long
                    if self._held + len(part) > MAX_TAKEN_IN:
                        raise HTTPException(503, "Too much is being sent at once. Try again in a second.", RETRY)
                    self._held += len(part)
                    body += part
        except ClientDisconnect:
            raise HTTPException(400, "The body ended early.") from None
        except TimeoutError:
            raise HTTPException(408, f"The body took longer than {BODY_TIMEOUT:.0f} seconds to arrive.") from None
        finally:
            self._held -= len(body)
        return bytes(body)


@dataclass(frozen=True)
class _Pending(Generic[Item]):
    item: Item
    arrived: float  # seconds, by time.monotonic()
    outcome: asyncio.Future[Reading]

    def resolve(self, outcome: Outcome) -> None:
        if self.outcome.cancelled():
            return
        if isinstance(outcome, Exception):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)


RETRY = {"Retry-After": "1"}


def api_routes(
    path: str, load: Callable[[str], Recogniser], own_origins: Collection[str] | None = ()
) -> Sequence[BaseRoute]:
    """Return the API's routes under ``path``, for a server that answers all other paths itself."""
    api = create_api(load, own_origins)
    return [Route(path, api), Mount(path, api)]  # a Mount alone would only match below its path


def create_api(load: Callable[[str], Recogniser], own_origins: Collection[str] | None = ()) -> Starlette:
    """Return the API as an application to be mounted under ``/api``.

    ``load`` returns a model by its name, from a cache, and may raise ModelError. Pages of the server's own origin and
    of ``own_origins`` may call the API; None allows every page.
    """
    began = time.monotonic()

    async def predict(request: Request) -> Response:
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        if coding != "identity":
            raise HTTPException(
                415, f"The body is compressed as {coding[:64]!r}, which is not supported. Send it uncompressed."
            )
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind == "application/json":
            reading = await strokes_batcher.ask(await strokes_intake.body(request))
        elif kind in IMAGE_TYPES:
            body = await image_intake.body(request)
            reading = await image_batcher.ask((body, request.query_params.get("model")))
        else:
            raise HTTPException(415, f"Send application/json or one of {', '.join(sorted(IMAGE_TYPES))}.")
        return JSONResponse(reading.to_json())

    def read_strokes(bodies: Sequence[bytes]) -> list[Outcome]:
        """Read drawings, one batch for each model: seven drawings together take only four times as long as one."""
        questions = [_outcome(_question, body) for body in bodies]
        outcomes: dict[int, Outcome] = {at: item for at, item in enumerate(questions) if isinstance(item, Exception)}
        asked = {at: item for at, item in enumerate(questions) if not isinstance(item, Exception)}
        for name in {question.model for question in asked.values()}:
            together = {at: question.drawing for at, question in asked.items() if question.model == name}
            try:
                readings: Sequence[Outcome] = read_each(load(name), list(together.values()))
            except Exception as error:
                readings = [error] * len(together)
            outcomes |= zip(together, readings, strict=True)
        return [outcomes[at] for at in range(len(bodies))]

    def read_images(images: Sequence[tuple[bytes, str | None]]) -> list[Outcome]:
        return [_outcome(read_image, *image) for image in images]

    def read_image(body: bytes, name: str | None) -> Reading:
        model = load(_model_name(name))
        return read_picture(model, prepare_image(photo.open_image(body)).pixels)

    strokes_intake, image_intake = Intake(MAX_STROKES_BYTES), Intake(photo.MAX_BYTES)
    # Batches are small so that one request does not wait for the whole line: a scribble takes as long as 50 digits.
    strokes_batcher = Batcher(read_strokes, MAX_WAITING, PATIENCE, max_batch=8)
    # Pictures have a line of their own because decoding a photograph takes a hundred times as long.
    image_batcher = Batcher(read_images, max_waiting=8, patience=5, max_batch=1)

    async def models(_: Request) -> Response:
        return JSONResponse(
            {"models": await to_thread.run_sync(_list_models), "default": await to_thread.run_sync(default_model)}
        )

    async def health(_: Request) -> Response:
        uptime = round(time.monotonic() - began, 3)
        default = await to_thread.run_sync(default_model)
        return JSONResponse({"version": mnist_app.__version__, "default_model": default, "uptime": uptime})

    async def openapi(_: Request) -> Response:
        return JSONResponse(OPENAPI)

    api = Starlette(
        routes=[
            Route("/predict", predict, methods=["POST"]),
            Route("/models", models, methods=["GET"]),
            Route("/health", health, methods=["GET"]),
            Route("/openapi.json", openapi, methods=["GET"]),
        ],
        middleware=[Middleware(OwnOrigins, own_origins=own_origins)],
        exception_handlers={
            HTTPException: _http_error,
            ModelError: _model_error,
            AppError: _app_error,
            Exception: _our_error,
        },
    )
    api.router.redirect_slashes = False  # a redirect is not JSON and leads to no path of ours
    return api


class OwnOrigins:
    """Rejects requests that a page of another site made a browser send, as Streamlit does for its own socket."""

    def __init__(self, app: ASGIApp, own_origins: Collection[str] | None) -> None:
        self._app = app
        self._own_origins = own_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_own(Request(scope)):
            await _error(403, "Pages of another origin may not call this API.")(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_own(self, request: Request) -> bool:
        origin = request.headers.get("origin")
        if origin is None or self._own_origins is None or origin in self._own_origins:
            return True
        try:
            return urlsplit(origin).netloc == request.headers.get("host")
        except ValueError:  # not even a URL
            return False


@dataclass(frozen=True)
class _Question:
    """A drawing and the name of the model that should read it."""

    drawing: Drawing
    model: str


def _question(body: bytes) -> _Question:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is not JSON.") from None
    if not isinstance(content, dict) or "strokes" not in content:
        raise HTTPException(422, 'The body is not a JSON object with "strokes".')
    name = _model_name(content.get("model"))
    return _Question(Drawing.from_points(content["strokes"]), name)


def _model_name(name: object) -> str:
    if name is not None and not isinstance(name, str):
        raise HTTPException(422, '"model" must be a string: the name of a model.')
    if name is None:
        return default_model()
    try:
        find_model(name)
    except ModelError:
        raise HTTPException(404, f"There is no model {name[:64]!r}. See /api/models.") from None
    return name


def _outcome(work: Callable[..., T], *arguments: Any) -> T | Exception:
    """Return the result or the exception: an error concerns one request, and others are in the same batch."""
    try:
        return work(*arguments)
    except Exception as error:
        return error


def _list_models() -> list[dict[str, Any]]:
    listed = []
    for name, folder in model_folders().items():
        try:
            card = load_card(folder)
        except ModelError:
            continue  # a broken model cannot be used; the Models page says why
        listed.append({"name": name, "summary": card.summary, "parameters": card.parameters, "metrics": card.metrics})
    return listed


def _error(status: int, sentence: str, headers: Any = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers)


# Our sentences for Starlette's own error messages.
_SENTENCES = {
    "Not Found": "There is nothing at this path. See /api/openapi.json.",
    "Method Not Allowed": "This path does not support that method. See /api/openapi.json.",
}


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, _SENTENCES.get(error.detail, error.detail), error.headers)


async def _model_error(_: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("%s", error)  # not for visitors: it names paths of this machine
    return _error(503, "This model cannot be loaded. See the server's log.")


async def _app_error(_: Request, error: Exception) -> Response:
    return _error(422, str(error))


async def _our_error(_: Request, __: Exception) -> Response:
    return _error(500, "Something went wrong in the server. See its log.")
