"""Refuses requests to an address that other machines can reach unless the app is configured for that, and drops
messages that no visitor may send.
"""

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # comes with Streamlit
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from streamlit.proto.BackMsg_pb2 import BackMsg

from mnist_app.access import AccessError, check_arrival


class AccessMiddleware:
    """ASGI middleware: answers 403 with the reason if `check_arrival` refuses a request.

    A WebSocket is refused before it opens. The middleware also drops the two-byte message with which any page, whatever
    its menu shows, can clear Streamlit's caches for everybody. Those caches hold, among other things, the count of
    wrong passwords and the queue of trainings.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] != "lifespan":
                check_arrival(scope.get("server"))
        except AccessError as error:
            # A server that has to close a WebSocket before it opens answers 403 by itself.
            turn_away = WebSocketClose() if scope["type"] == "websocket" else PlainTextResponse(str(error), 403)
            await turn_away(scope, receive, send)
            return

        async def receive_harmless() -> Message:
            while clears_caches(message := await receive()):
                pass
            return message

        await self._app(scope, receive_harmless if scope["type"] == "websocket" else receive, send)


def clears_caches(message: Message) -> bool:
    """Whether a message from a WebSocket asks Streamlit to clear the caches of all sessions."""
    try:
        return BackMsg.FromString(message.get("bytes") or b"").WhichOneof("type") == "clear_cache"
    except DecodeError:  # Streamlit reports it
        return False
