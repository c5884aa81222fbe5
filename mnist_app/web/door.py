"""Turns away who comes in at an address that strangers reach, where the app was told nothing of strangers."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from mnist_app.access import AccessError, check_arrival


class Door:
    """Answers 403 with the reason, to a WebSocket before it opens, where `check_arrival` refuses; else passes on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] != "lifespan":
                check_arrival(scope.get("server"))
        except AccessError as error:
            # A server that is told to close a socket before it opens answers 403 by itself.
            turn_away = WebSocketClose() if scope["type"] == "websocket" else PlainTextResponse(str(error), 403)
            await turn_away(scope, receive, send)
            return
        await self._app(scope, receive, send)
