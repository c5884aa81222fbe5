"""Single pictures of a split over HTTP, for the map, which shows the picture under the pointer."""

import io
from collections.abc import Callable, Sequence

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mnist_app.data.dataset import Digits
from mnist_app.errors import AppError
from mnist_app.explore.explorer import whole

# MNIST never changes, and the URL names the split and the index: browsers may keep the picture.
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


def thumbnail_routes(path: str, load: Callable[[str], Digits]) -> Sequence[BaseRoute]:
    """Routes ``path/SPLIT/INDEX.png``; ``load`` returns a split by its name, from a cache, or raises AppError."""

    async def thumbnail(request: Request) -> Response:
        content = await run_in_threadpool(_png, load, request.path_params["split"], request.path_params["index"])
        return Response(status_code=404) if content is None else Response(content, 200, FOR_EVER, "image/png")

    return [Route(f"{path}/{{split:str}}/{{index:str}}.png", thumbnail)]


def _png(load: Callable[[str], Digits], split: str, index: str) -> bytes | None:
    try:
        digits, at = load(split), whole(index)
    except (AppError, ValueError):
        return None
    if at >= len(digits):
        return None
    file = io.BytesIO()
    Image.fromarray(digits.images[at]).save(file, "PNG")
    return file.getvalue()
